--- What the evaluations of the towers share: features of many items, linear probes, retrieval.
local weft = require "weft"
local nn = require "weft.nn"
local train = weft.train

local M = {}

local BATCH = 100

--- Unit features [n,D] of items, made in batches by embed(list).
---@param embed fun(list: any[]): weft.Tensor  [n,D]
---@return weft.Tensor
function M.features(items, embed)
  return weft.scope(function()
    local list = {}
    for i = 1, #items, BATCH do
      local part = {}
      for k = i, math.min(i + BATCH - 1, #items) do part[#part + 1] = items[k] end
      list[#list + 1] = weft.scope(function() return weft.normalize(embed(part)) end)
    end
    return weft.cat(list, 1)
  end)
end

--- Share of right answers about features y of a linear probe that was trained on features x.
---@param wanted integer[]  classes of x, from 0
---@param asked integer[]   classes of y
---@param o { classes: integer, steps: integer }
function M.linear(x, wanted, y, asked, o)
  local net = nn.new { seed = 5 }
  local linear, scale = net:linear("head", x:size(2), o.classes), math.sqrt(x:size(2))
  local function head(unit) return linear(unit * scale) end
  local params = train.parameters(net)
  local opt = train.adamw { params, lr = 0.03, weight_decay = 0 }
  local ids = weft.tensor(wanted, { dtype = "i64" })
  for _ = 1, o.steps do
    weft.scope(function()
      local _, grads = weft.grad(function() return train.cross_entropy(head(x), ids) end, params)
      opt:step(grads)
    end)
  end
  return weft.scope(function()
    local right = head(y):argmax(2):eq(weft.tensor(asked, { dtype = "i64" }))
    return right:to("f32"):mean():item()
  end)
end

--- Share of rows of a which are nearest to the right one of their `count` rows of b.
---@param right integer[]  one a row of a, from 0
function M.naming(a, b, count, right)
  return weft.scope(function()
    local rows, width = a:size(1), a:size(2)
    local scores = b:reshape(rows, count, width):matmul(a:reshape(rows, width, 1))
    local best = scores:reshape(rows, count):argmax(2)
    return best:eq(weft.tensor(right, { dtype = "i64" })):to("f32"):mean():item()
  end)
end

--- Share of groups of `size` whose first row of a has its own row of b nearest, or one of its key.
---@param keys? string[]  one a row; rows of a group with one key are as good as each other
function M.retrieval(a, b, size, keys)
  local hits, n = 0, a:size(1) / size
  for g = 1, n do
    local from, best = (g - 1) * size + 1, 1
    local scores = weft.scope(function()
      return a:narrow(1, from, 1):matmul(b:narrow(1, from, size):t()):reshape(-1)
    end):totable()
    for k = 2, size do if scores[k] > scores[best] then best = k end end
    local same = best == 1 or keys and keys[from + best - 1] == keys[from]
    hits = hits + (same and 1 or 0)
  end
  return hits / n
end

return M
