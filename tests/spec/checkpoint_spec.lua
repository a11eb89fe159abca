--- Checkpoints: a run that was stopped and goes on equals one that was not.
local weft = require "weft"
local T, train = weft.tensor, weft.train

--- A small run with everything that a checkpoint holds. Returns its parts.
local function make_run(path)
  local params = train.parameters{ net = { w = T.randn({ 4, 3 }, { seed = 1 }), b = T.zeros(4) } }
  local run = {
    params = params, optim = train.adamw{ params, lr = 0.05 }, rng = weft.rng(9),
    ema = train.ema(params), state = { seen = 0 },
  }
  run.checkpoint = train.checkpoint(path, {
    params = params, optim = run.optim, ema = run.ema, rng = run.rng, state = run.state,
  })
  return run
end

local function steps(run, from, to)
  local b, w = run.params[1], run.params[2]
  for step = from, to do
    local x = run.rng:normal{ 8, 3 }
    local _, grads = weft.grad(function()
      return weft.linear(x, w, b):tanh():square():mean() + run.rng:uniform() * w:square():sum()
    end, run.params)
    train.clip(grads, 1)
    run.optim:step(grads, { lr = 0.1 / step })
    run.ema:update()
    run.state.seen = run.state.seen + 8
  end
end

describe("a checkpoint", function()
  it("continues to the same weights as a run that was never stopped", function()
    local path = os.tmpname()
    os.remove(path)
    local whole = make_run(path .. ".none")
    steps(whole, 1, 7)

    local first = make_run(path)
    assert.are.equal(0, first.checkpoint:load())
    steps(first, 1, 4)
    first.checkpoint:save(4)
    steps(first, 5, 6)      -- lost when it is killed here

    local second = make_run(path)
    assert.are.equal(4, second.checkpoint:load())
    steps(second, 5, 7)
    assert.are.same(whole.params.names, second.params.names)
    for i = 1, 2 do
      assert.are.same(whole.params[i]:totable(), second.params[i]:totable())
      assert.are.same(whole.ema.tensors[i]:totable(), second.ema.tensors[i]:totable())
      assert.are.same(whole.optim.v[i]:totable(), second.optim.v[i]:totable())
    end
    assert.are.equal(56, second.state.seen)
    second.checkpoint:save(7)
    assert.are.equal(7, make_run(path).checkpoint:load())
    os.remove(path)
  end)
  it("refuses files that are none", function()
    local path = os.tmpname()
    local f = assert(io.open(path, "w"))
    f:write("not a checkpoint")
    f:close()
    local run = make_run(path)
    assert.has_error(function() run.checkpoint:load() end)
    T.save(path, { x = T{ 1 } })
    assert.has_error(function() run.checkpoint:load() end)
    os.remove(path)
  end)
  it("puts nothing back when a parameter is of another shape", function()
    local path = os.tmpname()
    local function checkpoint(a, w)
      return weft.train.checkpoint(path, { params = weft.train.parameters { a = a, w = w } })
    end
    checkpoint(T{ 1, 2 }, T{ 3, 4 }):save(5)
    local a = T{ 0, 0 }
    local ok, e = pcall(function() checkpoint(a, T{ 0, 0, 0 }):load() end)
    assert.is_false(ok)
    assert.is_truthy(tostring(e):find("param:w is [2], the parameter is [3]", 1, true), tostring(e))
    assert.is_truthy(tostring(e):find(path, 1, true))
    assert.are.same({ 0, 0 }, a:totable())
    assert.has_error(function() checkpoint(a, T{ 0, 0 }):save() end)
    assert.has_error(function() weft.train.checkpoint(path) end)
    os.remove(path)
  end)
end)
