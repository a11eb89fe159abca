--- Muon against its formula, written out here, and beside AdamW.
package.path = "./tests/lib/?.lua;./recipes/micro/train/?.lua;" .. package.path
local error_of = require "error_of"
local weft = require "weft"
local T, train = weft.tensor, weft.train

-- ---- matrices as lists of rows ----

local function transpose(a)
  local out = {}
  for i = 1, #a[1] do
    out[i] = {}
    for j = 1, #a do out[i][j] = a[j][i] end
  end
  return out
end

local function product(a, b)
  local out = {}
  for i = 1, #a do
    out[i] = {}
    for j = 1, #b[1] do
      local sum = 0
      for k = 1, #b do sum = sum + a[i][k] * b[k][j] end
      out[i][j] = sum
    end
  end
  return out
end

--- p a + q b.
local function mixed(p, a, q, b)
  local out = {}
  for i = 1, #a do
    out[i] = {}
    for j = 1, #a[1] do out[i][j] = p * a[i][j] + q * b[i][j] end
  end
  return out
end

local function newton_schulz(x, steps)
  local norm = 0
  for _, row in ipairs(x) do
    for _, v in ipairs(row) do norm = norm + v * v end
  end
  x = mixed(1 / math.sqrt(norm), x, 0, x)
  for _ = 1, steps do
    local square = product(x, transpose(x))
    x = mixed(3.4445, x, 1, product(mixed(-4.775, square, 2.0315, product(square, square)), x))
  end
  return x
end

local function near(want, got, eps)
  for i, row in ipairs(want) do
    for j, v in ipairs(row) do assert.are.near(v, got[i][j], eps or 1e-5) end
  end
end

local function named(list)
  list.names = list.names or { "layer.weight", "layer.bias", "embed.weight" }
  return list
end

describe("muon", function()
  it("follows the formula, momentum looking ahead", function()
    local p, m = { { 1, -2, 0.5 }, { 0.3, 0.1, -1 } }, { { 0, 0, 0 }, { 0, 0, 0 } }
    local t = T(p)
    local opt = train.muon{ named { t }, lr = 0.1, weight_decay = 0.05, momentum = 0.9 }
    for step = 1, 4 do
      local g = { { 0.3 * step, -1, 0.2 }, { 0.5, 1 / step, -0.7 } }
      opt:step{ T(g) }
      m = mixed(0.9, m, 0.1, g)
      local u = newton_schulz(mixed(0.9, m, 0.1, g), 5)
      p = mixed(1 - 0.1 * 0.05, p, -0.1 * 0.2 * math.sqrt(3), u)
    end
    near(p, t:totable())
    assert.are.equal(4, opt.steps)
  end)
  it("takes steps that turn space and hardly stretch it, tall or wide", function()
    for _, size in ipairs { { 6, 24 }, { 24, 6 } } do
      local t, g = T.zeros(size), T.randn(size, { seed = 3 })
      train.muon{ named { t }, lr = 1, weight_decay = 0, momentum = 0 }:step{ g }
      local u = t * (1 / (0.2 * math.sqrt(24)))
      local square = size[1] < size[2] and u:matmul(u:t()) or u:t():matmul(u)
      for i, row in ipairs(square:totable()) do
        for j, v in ipairs(row) do assert.are.near(i == j and 1 or 0, v, 0.6) end
      end
    end
  end)
  it("steps a kernel as the matrix of what comes out by all that goes in", function()
    local g = T.randn({ 4, 3, 3, 2 }, { seed = 5 })
    local kernel, matrix = T.zeros { 4, 3, 3, 2 }, T.zeros { 4, 18 }
    train.muon{ named { kernel } }:step{ g }
    train.muon{ named { matrix } }:step{ g:reshape(4, 18) }
    near(matrix:totable(), kernel:reshape(4, 18):totable(), 0)
  end)
  it("leaves vectors and embeddings to AdamW, and what has no gradient alone", function()
    local function start() return { T{ { 1, 2 } }, T{ 3, 4 }, T{ { 5, 6 } } } end
    local a, b = named(start()), start()
    local opts = { lr = 0.1, weight_decay = 0.1, betas = { 0.8, 0.9 } }
    local muon = train.muon(weft.with(opts, { params = a }))
    local adamw = train.adamw(weft.with(opts, { params = b }))
    for _ = 1, 3 do
      local grads = { false, T{ 1, -2 }, T{ { 0.5, 3 } }, scale = 0.5 }
      muon:step(grads, { lr = 0.2 })
      adamw:step(grads, { lr = 0.2 })
    end
    for i = 1, 3 do assert.are.same(b[i]:totable(), a[i]:totable()) end
  end)
  it("takes the layers of a time's embedding for matrices", function()
    local a, b = { T{ { 1, 2 } } }, { T{ { 1, 2 } } }
    a.names, b.names = { "time_embedding.linear_1.weight" }, { "layer.weight" }
    for _, params in ipairs { a, b } do train.muon{ params, lr = 0.1 }:step{ T{ { 3, 1 } } } end
    assert.are.same(b[1]:totable(), a[1]:totable())
    a, b = { T{ { 1, 2 } } }, { T{ { 1, 2 } } }
    a.names, b.names = { "model.embed_tokens.weight" }, { "embedding.weight" }
    for _, params in ipairs { a, b } do train.muon{ params, lr = 0.1 }:step{ T{ { 3, 1 } } } end
    local c = { T{ { 1, 2 } } }
    train.adamw{ c, lr = 0.1 }:step{ T{ { 3, 1 } } }
    assert.are.same(c[1]:totable(), a[1]:totable())
    assert.are.same(c[1]:totable(), b[1]:totable())
  end)
  it("steps as matrices what it is told to", function()
    local a, b = named { T{ { 1, 2 } } }, { T{ { 1, 2 } } }
    train.muon{ a, lr = 0.1, is_matrix = function(name) return name ~= "layer.weight" end }
      :step{ T{ { 3, 1 } } }
    train.adamw{ b, lr = 0.1 }:step{ T{ { 3, 1 } } }
    assert.are.same(b[1]:totable(), a[1]:totable())
  end)
  it("is not moved by how large the gradients are", function()
    local a, b = T.zeros { 3, 5 }, T.zeros { 3, 5 }
    local g = T.randn({ 3, 5 }, { seed = 7 })
    train.muon{ { a } }:step{ g }
    train.muon{ { b } }:step{ g * 1000, scale = 0.25 }
    near(a:totable(), b:totable())
  end)
  it("goes on from a checkpoint to the same weights", function()
    local path = os.tmpname()
    local function begin()
      local params = named { T{ { 1, 2 }, { 3, 4 } }, T{ 5, 6 } }
      params.names[3] = nil
      local opt = train.muon{ params, lr = 0.1 }
      return params, opt, train.checkpoint(path, { params = params, optim = opt })
    end
    local function step(opt, i) opt:step{ T{ { i, 1 }, { 0, -i } }, T{ i, 2 } } end
    local through, opt = begin()
    for i = 1, 4 do step(opt, i) end
    local _, first, checkpoint = begin()
    for i = 1, 2 do step(first, i) end
    checkpoint:save(2)
    local resumed, second, again = begin()
    assert.are.equal(2, again:load())
    for i = 3, 4 do step(second, i) end
    assert.are.equal(4, second.steps)
    for i = 1, 2 do assert.are.same(through[i]:totable(), resumed[i]:totable()) end
    os.remove(path)
  end)
  it("steps a stage's matrices where it is asked for, those that the stage names", function()
    local new_learner = require "learner"
    local o = { betas = { 0.9, 0.99 }, weight_decay = 0,
      is_matrix = function(name) return name == "layer.weight" end }
    local function stepped(muon)
      local params = named { T{ { 1, 2 } }, T{ { 3, 4 } } }
      new_learner({ muon = muon, lr = 0.1, warmup = 1, steps = 10 }, params, o)
        :step(1, { T{ { 3, 1 } }, T{ { 3, 1 } } })
      return params[1]:totable(), params[2]:totable()
    end
    local first, second = stepped(1)
    local first_before, second_before = stepped(0)
    assert.are_not.same(first_before, first)
    assert.are.same(second_before, second)
  end)
  it("refuses what does not fit", function()
    local function fails(text, f, ...)
      local e = error_of(f, ...)
      assert.is_truthy(e:find(text, 1, true), e)
    end
    fails("nesterov", train.muon, { { T{ { 1 } } }, nesterov = true })
    fails("params", train.muon, { {} })
    fails("momentum", train.muon, { { T{ { 1 } } }, momentum = 2 })
    local opt = train.muon{ { T{ { 1 } }, T{ { 2 } } } }
    fails("1 gradients, 2 parameters", opt.step, opt, { T{ { 1 } } })
    opt = train.muon{ { T{ { 1, 2 }, { 3, 4 } } } }
    fails("gradient is [1,2], its parameter [2,2]", opt.step, opt, { T{ { 1, 2 } } })
  end)
end)
