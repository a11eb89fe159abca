--- Training: the optimiser against its formula, clipping, schedules, averages, losses, logs.
local weft = require "weft"
local T, train = weft.tensor, weft.train

local function near(want, got, eps)
  for i, v in ipairs(want) do assert.are.near(v, got[i], eps or 1e-6) end
end

describe("adamw", function()
  it("follows the formula", function()
    local p, m, v = { 1, -2 }, { 0, 0 }, { 0, 0 }
    local t = T(p)
    local opt = train.adamw{ { t }, lr = 0.1, betas = { 0.8, 0.9 }, weight_decay = 0.05,
      eps = 1e-6 }
    for step = 1, 5 do
      local g = { 0.3 * step, -1 / step }
      opt:step{ T(g) }
      for i = 1, 2 do
        m[i] = 0.8 * m[i] + 0.2 * g[i]
        v[i] = 0.9 * v[i] + 0.1 * g[i] ^ 2
        local mh, vh = m[i] / (1 - 0.8 ^ step), v[i] / (1 - 0.9 ^ step)
        p[i] = p[i] * (1 - 0.1 * 0.05) - 0.1 * mh / (math.sqrt(vh) + 1e-6)
      end
    end
    near(p, t:totable())
    assert.are.equal(5, opt.steps)
  end)
  it("leaves parameters without a gradient alone, and vectors without decay", function()
    local a, b, w = T{ 1 }, T{ 2 }, T{ { 3 } }
    local opt = train.adamw{ { a, b, w }, lr = 0.1, weight_decay = 1, decay_vectors = false }
    opt:step{ false, T{ 0 }, T{ { 0 } } }
    assert.are.equal(1, a[1])
    assert.are.equal(2, b[1])
    assert.are.near(2.7, w[1][1], 1e-6)
  end)
  it("refuses lists that do not match", function()
    local opt = train.adamw{ { T{ 1 } } }
    assert.has_error(function() opt:step{} end)
    assert.has_error(function() opt:step{ T{ 1, 2 } } end)
  end)
end)

describe("clip", function()
  it("measures all gradients together and scales the step", function()
    local grads = { T{ 3 }, false, T{ { 0, 4 } }, T.zeros(3, 2):t() }
    assert.are.near(5, train.clip(grads, 1), 1e-12)
    assert.are.near(0.2, grads.scale, 1e-12)
    local p = T{ 0 }
    local small = { T{ 0.5 } }
    train.clip(small, 1)
    assert.are.equal(1, small.scale)
    train.adamw{ { p }, lr = 1, weight_decay = 0, eps = 1 }:step({ T{ 4 }, scale = 0.25 })
    assert.are.near(-0.5, p[1], 1e-6)
  end)
  it("does not depend on the number of threads", function()
    local g = { T.randn({ 300000 }, { seed = 1 }), T.randn({ 70001 }, { seed = 2 }) }
    local n = weft.threads()
    weft.threads(1)
    local one = train.clip(g, 1)
    weft.threads(3)
    assert.are.equal(one, train.clip(g, 1))
    weft.threads(n)
  end)
end)

describe("schedule", function()
  it("warms up, then falls", function()
    local lr = train.schedule{ "cosine", lr = 1, warmup = 10, steps = 110, final = 0.1 }
    assert.are.near(0.1, lr(1), 1e-12)
    assert.are.near(1, lr(10), 1e-12)
    assert.are.near(0.55, lr(60), 1e-12)
    assert.are.near(0.1, lr(110), 1e-12)
    assert.are.near(0.1, lr(500), 1e-12)
    assert.are.equal(2, train.schedule{ lr = 2 }(7))
    assert.are.near(0.5, train.schedule{ "linear", lr = 1, steps = 10 }(5), 1e-12)
    assert.has_error(function() train.schedule{ "cosine", lr = 1 } end)
    assert.has_error(function() train.schedule{ "cosin", lr = 1, steps = 3 } end)
  end)
end)

describe("ema", function()
  it("averages, lends and puts back", function()
    local p = T{ 0 }
    local ema = train.ema({ p }, { decay = 0.5, warmup = false })
    p[1] = 4
    ema:update()
    assert.are.equal(2, ema.tensors[1][1])
    local seen = ema:with(function() return p[1] end)
    assert.are.equal(2, seen)
    assert.are.equal(4, p[1])
    assert.has_error(function() ema:with(function() error("x") end) end)
    assert.are.equal(4, p[1])
    ema:apply()
    assert.are.equal(2, p[1])
  end)
end)

describe("losses", function()
  it("have their values", function()
    assert.are.near(0.5 * (1 + 4 + 2 * (math.exp(1) - 2)), train.kl(T{ { 1, 2 } }, T{ { 1, 1 } })
      :item(), 1e-5)
    local eye = T{ { 1, 0 }, { 0, 2 } }
    assert.are.near(math.log(1 + math.exp(-3)), train.info_nce(eye, eye, 3):item(), 1e-6)
    assert.are.near(2.5, train.mse(T{ 1, 2 }, T{ 2, 4 }):item(), 1e-6)
    local logits = T{ { 0, 0 }, { 5, 1 } }
    assert.are.near(math.log(2),
      train.cross_entropy(logits, T({ 1, -100 }, { dtype = "i64" })):item(), 1e-6)
    for _, v in ipairs { 0.5, 0 / 0, 1 / 0, -1e300 } do
      local ok, err = pcall(weft.core.ops.cross_entropy, logits, T({ 1, 0 }, { dtype = "i64" }), v)
      assert.is_false(ok)
      assert.matches("ignore is .* wants a whole number", err.message)
    end
  end)
end)

describe("the log", function()
  it("appends rows and drops those behind the step it goes on from", function()
    local path = os.tmpname()
    local log = train.log(path, { quiet = true })
    for step = 1, 5 do log{ step = step, loss = 1 / step } end
    log:add{ step = 6, loss = 0 / 0 }
    log:close()
    log = train.log(path, { quiet = true, from = 3 })
    log{ step = 4, loss = 9 }
    log:close()
    local lines = {}
    for l in io.lines(path) do lines[#lines + 1] = l end
    local curve = path:gsub("%.%w+$", "") .. ".png"
    assert.are.equal(640, weft.image.load(curve).width)
    os.remove(curve)
    assert.are.equal(4, #lines)
    assert.are.equal('{"loss":9,"step":4}', lines[4])
    os.remove(path)
  end)
end)

describe("rng", function()
  it("goes on from its state", function()
    local r = weft.rng(3)
    r:uniform()
    r:normal{ 5 }
    local state, a = r:state(), {}
    for i = 1, 4 do a[i] = r:int(100) end
    local again = weft.rng(3):restore(state)
    for i = 1, 4 do assert.are.equal(a[i], again:int(100)) end
    assert.are_not.equal(weft.rng(3, 1):bits(), weft.rng(3):bits())
  end)
  it("is spread evenly", function()
    local r, count = weft.rng(1), { 0, 0, 0, 0 }
    for _ = 1, 4000 do
      local v = r:int(4)
      count[v] = count[v] + 1
    end
    -- 4000 draws: standard deviation 27, six of them
    for i = 1, 4 do assert.are.near(1000, count[i], 165) end
    local list = r:shuffle{ 1, 2, 3, 4, 5 }
    table.sort(list)
    assert.are.same({ 1, 2, 3, 4, 5 }, list)
  end)
end)
