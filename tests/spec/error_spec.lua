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
  it("tells what a method wants, whatever it was given", function()
    local im, a = weft.image.new(4, 4), weft.audio.silence(0.1, 8000)
    local v = weft.video.new { frames = { im, im } }
    for name, f in pairs {
      ["as"] = function() im:as(2) end, ["flip"] = function() im:flip() end,
      ["colour"] = function() weft.image.new(4, 5, { 1, 0 }) end,
      ["crop: x"] = function() im:crop() end, ["pad: top"] = function() im:pad(1) end,
      ["rotate"] = function() im:rotate() end, ["mask: w"] = function() im:mask { w = "x" } end,
      ["size"] = function() weft.image.load("x.png", { size = 10 }) end,
      ["hcat"] = function() weft.image.hcat(nil) end, ["sheet"] = function() weft.sheet(nil) end,
      ["gain"] = function() a:gain(0 / 0) end, ["gain: decibels"] = function() a:gain() end,
      ["slice"] = function() a:slice() end, ["normalize"] = function() a:normalize() end,
      ["fade"] = function() a:fade "x" end, ["silence"] = function() weft.audio.silence() end,
      ["gains"] = function() weft.audio.mix { a, gains = 3 } end,
      ["crossfade"] = function() weft.audio.concat { a, a, crossfade = -1 } end,
      ["slice: from"] = function() v:slice() end, ["video.new"] = function() weft.video.new() end,
      ["audio must be a sound"] = function() weft.video.new { frames = { im }, audio = 3 } end,
      ["protocol"] = function() weft.show(im, { protocol = "zz" }) end,
      ["info"] = function() weft.info(nil) end, ["zeros"] = function() T.zeros() end,
      ["arange"] = function() T.arange(1) end, ["sum"] = function() T.ones(2):sum "x" end,
      ["'rng'"] = function() T.rand({ 2 }, { rng = "torch-cpu" }) end,
    } do
      local err = error_of(f)
      assert.are.equal("usage", type(err) == "table" and err.kind, name .. ": " .. tostring(err))
      assert.is_truthy(err.message:find(name, 1, true), err.message)
    end
  end)
  it("is none where there is nothing wrong", function()
    local a = weft.audio.silence(0.1, 8000)
    assert.are.equal(1200, weft.audio.concat { a, a, crossfade = 0.05 }.samples)
    assert.are.equal(880, weft.audio.concat { a, a, crossfade = 0.09 }.samples)
    local t = T.ones(2)
    t:free()
    t:free()
    assert.is_true(t:is_dead())
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
