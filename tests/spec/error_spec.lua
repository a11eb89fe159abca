--- Errors: kinds, hints, and that they name the user's line.
local weft = require "weft"
local T = weft.tensor

--- The error of f, and the line it was called from inside f.
local function error_of(f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  return err
end

local function line() return debug.getinfo(2, "l").currentline end

describe("an error", function()
  it("is a table with a kind, raised at the user's line", function()
    local at
    local err = error_of(function()
      at = line() + 1
      local y = weft.linear(T.zeros(2, 4), T.zeros(3, 5))      -- a tail call would leave no line
      return y
    end)
    assert.are.equal("usage", err.kind)
    assert.are.equal(("tests/spec/error_spec.lua:%d: "):format(at), err.where:match("tests.*"))
    local want = "linear: x has 4 features, w wants 5 (shape mismatch)"
    assert.is_truthy(tostring(err):find(want, 1, true))
  end)
  it("skips the frames of the package", function()
    local at
    local err = error_of(function()
      at = line() + 1
      weft.train.adamw{ { T{ 1 } }, rate = 3 }
    end)
    assert.is_truthy(err.where:find(":" .. at .. ":", 1, true))
    assert.is_truthy(err.message:find("unknown option 'rate'", 1, true))
  end)
  it("hints at the nearest option", function()
    local err = error_of(function() T.randn({ 1 }, { sede = 1 }) end)
    assert.are.equal("did you mean 'seed'?", err.hint)
    err = error_of(function() T.randn({ 1 }, { zzz = 1 }) end)
    assert.is_truthy(err.hint:find("^options: "))
  end)
  it("leaves the context usable", function()
    for _ = 1, 3 do error_of(weft.linear, T.zeros(2, 4), T.zeros(3, 5)) end
    assert.are.equal(3, T{ 1, 2 }:sum():item())
  end)
  it("joins to strings", function()
    local err = error_of(function() T.zeros(-1) end)
    assert.are.equal("x: " .. tostring(err), "x: " .. err)
  end)
  it("names what is missing", function()
    local function says(text, ...)
      assert.is_truthy(error_of(...).message:find(text, 1, true))
    end
    says("w must be a tensor, got nil", weft.linear, T.zeros(1, 1))
    says("x must be a tensor, got table", weft.linear, {}, 1)
    says("'dim' is missing", weft.core.ops.slice, T{ 1 })
  end)
  it("comes back from weft.try", function()
    assert.are.equal(0, weft.try(function() return T.zeros(2):sum():item() end))
    local v, err = weft.try(weft.linear, 1, 2)
    assert.is_nil(v)
    assert.are.equal("usage", err.kind)
  end)
end)

describe("running out of memory", function()
  it("raises oom at each allocation in turn and leaks nothing", function()
    local x, w = T.ones(2, 3), T.ones(4, 3)
    collectgarbage() collectgarbage()
    local before, failed = weft.memory().live, 0
    for n = 1, 40 do
      weft.core.fail_alloc(n)
      local ok, err = pcall(weft.scope, function() return weft.linear(x, w):sum():item() end)
      weft.core.fail_alloc(0)
      if not ok then
        failed = failed + 1
        assert.are.equal("oom", err.kind)
      else
        assert.are.equal(24, err)
      end
    end
    collectgarbage() collectgarbage()
    assert.are.equal(before, weft.memory().live)
    assert.is_true(failed > 0)
  end)
end)
