--- Gradients from Lua: against finite differences, checkpointed blocks, constants, errors.
local weft = require "weft"
local T = weft.tensor

--- Central differences of f, a number, by every value of x (f64).
local function numeric(f, x)
  local out, eps = {}, 1e-5
  local flat = x:reshape(-1)
  for i = 1, flat:numel() do
    local v = flat[i]
    flat[i] = v + eps
    local up = f():item()
    flat[i] = v - eps
    local down = f():item()
    flat[i] = v
    out[i] = (up - down) / (2 * eps)
  end
  return out
end

local function check_grads(f, params)
  local loss, grads = weft.grad(f, params)
  assert.are.near(f():item(), loss:item(), 1e-12)
  for k, p in ipairs(params) do
    local want, got = numeric(f, p), grads[k]:reshape(-1):totable()
    -- central differences of step 1e-5 in double lose about half of the digits
    for i, v in ipairs(want) do assert.are.near(v, got[i], 1e-6 + 1e-6 * math.abs(v)) end
  end
end

local function randn(seed, ...) return T.randn({ ... }, { seed = seed }):to "f64" end

describe("grad", function()
  it("agrees with differences through layers, norms and losses", function()
    local x, w, b = randn(1, 3, 4), randn(2, 5, 4), randn(3, 5)
    local ids = T({ 0, 4, 2 }, { dtype = "i64" })
    check_grads(function()
      local h = weft.linear(x, w, b):silu()
      return weft.cross_entropy(weft.layer_norm(h), ids) + (h * h):mean() * 0.1
    end, { x, w, b })
  end)
  it("agrees through views and broadcasting", function()
    local x, y = randn(4, 2, 3), randn(5, 3)
    check_grads(function()
      return ((x:t()[{ { 2, 3 } }]:exp() * (y[{ { 1, 2 } }] - 2)) ^ 2):sum() / 7 + (2 - x):sum()
    end, { x, y })
  end)
  it("passes on what else f returns", function()
    local p = T{ 3 }
    local loss, grads, parts = weft.grad(function()
      local l = (p * p):sum()
      return l, { square = l, note = "x" }
    end, { p })
    assert.are.equal(9, loss:item())
    assert.are.equal(6, grads[1][1])
    assert.are.equal(9, parts.square:item())
  end)
  it("gives false for what the loss does not depend on", function()
    local p, q = T{ 1 }, T{ 2 }
    local _, grads = weft.grad(function() return (p * 2):sum() end, { q, p })
    assert.is_false(grads[1])
    assert.are.equal(2, grads[2][1])
  end)
  it("takes one tensor as well as a list", function()
    local p = T{ 4 }
    local _, g = weft.grad(function() return (p * p):sum() end, p)
    assert.are.equal(8, g[1])
  end)
  it("holds constant what no_grad computes", function()
    local p = T{ 3 }
    local _, grads = weft.grad(function()
      local c = weft.no_grad(function() return p * 10 end)
      return (c * p):sum()
    end, { p })
    assert.are.equal(30, grads[1][1])
  end)
  it("frees the graph", function()
    local p = T.ones(300, 300)
    local function once()
      local loss, grads = weft.grad(function()
        local h = p
        for _ = 1, 10 do h = (h * 0.9):tanh() end
        return h:mean()
      end, { p })
      loss:free()
      grads[1]:free()
    end
    once()
    collectgarbage() collectgarbage()
    local before = weft.memory().live
    once()
    -- one activation has 360 kB; handles wait for the collector
    assert.is_true(weft.memory().live - before < 2e4)
  end)
  it("keeps what was not chosen out of where and pow", function()
    for _, device in ipairs{ "cpu", "test" } do
      local x, slopes = T({ 0, 4 }, { device = device }), T({ 1, 1 / 0 }, { device = device })
      local _, g = weft.grad(function() return (weft.where(x:eq(0), x, 1) * slopes):sum() end, x)
      assert.are.same({ 1, 0 }, g:totable())
      local b = T({ 0, 2 }, { device = device })
      local _, grads = weft.grad(function() return (x ^ b):sum() end, { x, b })
      assert.are.same({ 0, 8 }, grads[1]:totable())
      assert.are.equal(0, grads[2][1])
      local _, far = weft.grad(function()
        return (T({ 1 / 0 }, { device = device }) ^ b:narrow(1, 2, 1)):sum()
      end, b)
      assert.are.equal(1 / 0, far[2])
    end
  end)
  it("has the slope of NaN where that is NaN, and none outside of bounds", function()
    for _, device in ipairs{ "cpu", "test" } do
      local x = T({ 0 / 0, -2, 0, 3 }, { device = device })
      local _, g = weft.grad(function() return x:abs():sum() end, x)
      local y = g:totable()
      assert.is_true(y[1] ~= y[1], device)
      assert.are.same({ -1, 0, 1 }, { y[2], y[3], y[4] })
      local _, cut = weft.grad(function() return x:clamp(-1, 4):sum() end, x)
      assert.are.same({ 0, 0, 1, 1 }, cut:totable())
    end
  end)
  it("refuses to leave out what the loss depends on", function()
    local q, bias = T.randn(1, 3, 2, 4), T.zeros(1, 1, 3, 3)
    local ops, cos_sin = weft.core.ops, T.ones(3, 2, 2)
    local function refused(f, p)
      local ok, e = pcall(weft.grad, f, { p })
      assert.is_false(ok)
      return tostring(e)
    end
    local attend = function() return ops.attention(q, q, q, bias):sum() end
    assert.truthy(refused(attend, bias):find("attention has no gradient for its bias", 1, true))
    local turn = function() return ops.rope(q, cos_sin):sum() end
    assert.truthy(refused(turn, cos_sin):find("rope has no gradient for cos_sin", 1, true))
    for _, f in ipairs{ attend, turn } do weft.grad(f, { q }) end
  end)
  it("explains itself", function()
    local p = T{ 1, 2 }
    local function message(f, params)
      local ok, err = pcall(weft.grad, f, params)
      assert.is_false(ok)
      return tostring(err)
    end
    assert.is_truthy(message(function() return p * 2 end, { p }):find("the loss has 2 values"))
    assert.is_truthy(message(function() return T{ 1 } end, { p }):find("does not depend"))
    assert.is_truthy(message(function() end, { p }):find("must return the loss"))
    assert.is_truthy(message(function() return p:floor():sum() end, { p }):find("floor"))
    assert.is_truthy(message(function() return p:sum() end, { 1 }):find("must be a tensor"))
    assert.is_truthy(message(function() error("boom") end, { p }):find("boom"))
    assert.are.equal(3, p:sum():item())
  end)
end)

describe("checkpoint", function()
  local function block(w) return function(h) return (h * w):tanh() end end

  it("gives the gradients of the plain graph", function()
    local w, x = randn(7, 4), randn(8, 3, 4)
    local function loss(run)
      return function()
        local h = x
        for _ = 1, 3 do h = run(block(w), h) end
        return h:square():sum()
      end
    end
    local a, plain = weft.grad(loss(function(f, h) return f(h) end), { w, x })
    local b, blocks = weft.grad(loss(weft.checkpoint), { w, x })
    assert.are.equal(a:item(), b:item())
    for i = 1, 2 do assert.are.same(plain[i]:totable(), blocks[i]:totable()) end
  end)
  it("raises what the block raises, with its value", function()
    local x = T{ 1 }
    local ok, err = pcall(weft.grad, function()
      return weft.checkpoint(function() error({ code = 7 }) end, x)
    end, { x })
    assert.is_false(ok)
    assert.are.equal(7, err.code)
    local runs = 0
    ok, err = pcall(weft.grad, function()
      return weft.checkpoint(function(h)
        runs = runs + 1
        if runs == 2 then error("second run") end
        return h * 2
      end, x):sum()
    end, { x })
    assert.is_false(ok)
    assert.is_truthy(tostring(err):find("second run"))
    assert.are.equal(2, runs)
    assert.are.equal(1, x:sum():item())
  end)
  it("runs without a gradient too", function()
    assert.are.equal(4, weft.checkpoint(function(h) return h * 2 end, T{ 2 })[1])
    assert.are.equal(2, weft.checkpoint(function(h) return h end, T{ 2 })[1])
  end)
end)
