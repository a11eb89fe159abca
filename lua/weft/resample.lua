--- Resizing by filters as Pillow defines them: each output sample is a weighted sum of the input
-- samples under the filter, which is widened when the picture shrinks (so nothing aliases).
-- The weights are matrices, and resizing is two products.
local core = require "weft.core"
local check = require "weft.check"

local M = {}

local function sinc(x) return x == 0 and 1 or math.sin(math.pi * x) / (math.pi * x) end

--- Filters: how far they reach, and their value at a distance.
local filters = {
  box = { 0.5, function(x) return x > -0.5 and x <= 0.5 and 1 or 0 end },
  bilinear = { 1, function(x) return math.max(1 - math.abs(x), 0) end },
  bicubic = { 2, function(x)
    x = math.abs(x)
    if x < 1 then return (1.5 * x - 2.5) * x * x + 1 end
    return x < 2 and ((-0.5 * x + 2.5) * x - 4) * x + 2 or 0
  end },
  lanczos = { 3, function(x) return math.abs(x) < 3 and sinc(x) * sinc(x / 3) or 0 end },
}

M.names = { "nearest", "box", "bilinear", "bicubic", "lanczos" }

--- The weights [n_out,n_in] of one direction.
local function weights(n_in, n_out, filter, device)
  local rows, scale = {}, n_in / n_out
  local reach, value = filter[1] * math.max(scale, 1), filter[2]
  for i = 1, n_out do
    local row, sum, centre = {}, 0, (i - 0.5) * scale
    local first = math.max(math.floor(centre - reach + 0.5), 0)
    local last = math.min(math.floor(centre + reach + 0.5), n_in) - 1
    for j = 0, n_in - 1 do
      local v = j >= first and j <= last and value((j + 0.5 - centre) / math.max(scale, 1)) or 0
      row[j + 1], sum = v, sum + v
    end
    for j = 1, n_in do row[j] = row[j] / sum end
    rows[i] = row
  end
  return core.from_table(rows):to(device)
end

--- Positions from 0 that nearest takes.
local function positions(n_in, n_out, device)
  local ids = {}
  for i = 1, n_out do ids[i] = math.min(math.floor((i - 0.5) * n_in / n_out), n_in - 1) end
  return core.from_table(ids, "i64"):to(device)
end

--- t [H,W,C] at another size.
---@param filter string  one of resample.names
---@return weft.Tensor  [height,width,C]
function M.resize(t, width, height, filter)
  check.choice("resize: filter", filter, nil, M.names)
  local H, W, C = t:size(1), t:size(2), t:size(3)
  return core.scope(function()
    if filter == "nearest" then
      return t:index_select(positions(W, width, t.device), 2)
        :index_select(positions(H, height, t.device), 1)
    end
    local x = t
    if W ~= width then x = weights(W, width, filters[filter], t.device):matmul(x) end
    if H ~= height then
      x = weights(H, height, filters[filter], t.device):matmul(x:reshape(H, width * C))
    end
    return x:reshape(height, width, C):clone()
  end)
end

return M
