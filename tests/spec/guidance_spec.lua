--- Guidance: which branches a step needs and what they become.
local weft = require "weft"
local T, guidance = weft.tensor, weft.guidance

local p = { full = T{ { 3, 5 } }, none = T{ { 1, 2 } }, source = T{ { 2, 2 } } }

local function two() return { full = p.full, none = p.none } end

describe("guidance", function()
  it("by a number", function()
    local g = guidance(7)
    assert.are.same({ "full", "none" }, g:branches(0, false))
    assert.are.same({ { 1 + 7 * 2, 2 + 7 * 3 } }, g:combine(two()):totable())
    assert.are.same({ "full" }, guidance(1):branches(0, false))
    assert.are.equal(p.full, guidance(1):combine{ full = p.full })
  end)
  it("only between first and last", function()
    local g = guidance{ 7, first = 0.2, last = 0.8 }
    assert.are.same({ "full" }, g:branches(0.1, false))
    assert.are.same({ "full", "none" }, g:branches(0.8, false))
    assert.are.same({ "full" }, g:branches(0.81, false))
  end)
  it("with a second dial for the source", function()
    local g = guidance{ scale = 4, concat = 2 }
    assert.are.same({ "full", "source", "none" }, g:branches(0, true))
    assert.are.same({ { 1 + 2 * 1 + 4 * 1, 2 + 4 * 3 } }, g:combine(p):totable())
    assert.are.same({ "full", "none" }, guidance(4):branches(0, true))
  end)
  it("by a function over the branches", function()
    local g = guidance(function(b) return b.none + 3 * (b.full - b.source) end)
    assert.are.same({ "full", "source", "none" }, g:branches(0, true))
    assert.are.same({ { 4, 11 } }, g:combine(p):totable())
    assert.has_error(function() guidance(function() end):combine(p) end)
  end)
  it("rescaled to the deviation of the full branch", function()
    local full = T.randn({ 2, 4, 4, 3 }, { seed = 1 })
    local none = T.randn({ 2, 4, 4, 3 }, { seed = 2 })
    local y = guidance{ 9, rescale = 1 }:combine{ full = full, none = none }
    for b = 1, 2 do assert.are.near(full[b]:std():item(), y[b]:std():item(), 1e-4) end
  end)
  it("rescaled as the model means it, where the call does not say", function()
    assert.equal(0, guidance(3).rescale)
    assert.equal(0.7, guidance(3, 0.7).rescale)
    assert.equal(0.7, guidance({ 3, last = 0.5 }, 0.7).rescale)
    assert.equal(0, guidance({ 3, rescale = 0 }, 0.7).rescale)
  end)
  it("refuses what it does not know", function()
    assert.has_error(function() guidance{ scale = 3, resale = 1 } end)
    assert.has_error(function() guidance{ 3, rescale = 2 } end)
    assert.has_error(function() guidance "strong" end)
  end)
end)
