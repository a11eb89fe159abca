--- Pictures: geometry, values, masks, sheets, labels, curves.
package.path = "./tests/lib/?.lua;" .. package.path
local error_of = require "error_of"
local weft = require "weft"
local T, image = weft.tensor, weft.image

local function gray(rows) return image.from(T(rows)) end
local function rows(im) return im.data:squeeze(3):totable() end

describe("an image", function()
  it("is made from tensors and colours", function()
    local im = image.new(3, 2, "#ff8000")
    assert.are.equal(3, im.width)
    assert.are.equal(2, im.height)
    assert.are.equal("Image 3x2 rgb", tostring(im))
    assert.are.near(128 / 255, im.data[{ 2, 3, 2 }], 1e-6)
    local bytes = T.full({ 1, 1, 3 }, 255, { dtype = "u8" })
    assert.are.near(1, image.from(bytes).data[{ 1, 1, 1 }], 1e-6)
    for _, sizes in ipairs{ { 2, 2, 2 }, { 4 }, { 2, 3, 3, 3 } } do
      assert.has_error(function() image.from(T.zeros(sizes)) end)
    end
    assert.has_error(function() image.new(0, 3) end)
    assert.has_error(function() image.new(3, 3, "mauve") end)
  end)
  it("is made of numbers alone", function()
    local bad = T{ { 1, 0 / 0 }, { 1 / 0, 0 } }
    assert.truthy(error_of(image.from, bad):find "1 of 4 values are not numbers")
  end)
  it("turns and mirrors exactly", function()
    local im = gray{ { 1, 2, 3 }, { 4, 5, 6 } }
    assert.are.same({ { 3, 2, 1 }, { 6, 5, 4 } }, rows(im:flip "x"))
    assert.are.same({ { 4, 5, 6 }, { 1, 2, 3 } }, rows(im:flip "y"))
    assert.are.same({ { 3, 6 }, { 2, 5 }, { 1, 4 } }, rows(im:rotate(90)))
    assert.are.same({ { 6, 5, 4 }, { 3, 2, 1 } }, rows(im:rotate(180)))
    assert.are.same({ { 4, 1 }, { 5, 2 }, { 6, 3 } }, rows(im:rotate(-90)))
    assert.are.same(rows(im), rows(im:rotate(360)))
  end)
  it("turns by any angle about its centre", function()
    local t = T.zeros(9, 9)
    t[{ 5, 8 }] = 1                    -- three to the right of the centre
    local out = image.from(t):rotate(45)
    -- counter-clockwise: up and right by 3 / sqrt(2) = 2.12
    local best = out.data:reshape(-1):argmax():item()
    assert.are.equal(2 * 9 + 6, best)
  end)
  it("crops, pads and pastes", function()
    local im = gray{ { 1, 2, 3 }, { 4, 5, 6 } }
    assert.are.same({ { 5, 6 } }, rows(im:crop(1, 1, 2, 1)))
    assert.are.same({ { 0, 0, 0 }, { 0, 5, 0 } }, rows(im:crop(1, 1, 1, 1):pad(1, 1, 1, 0)))
    assert.are.same({ { 6, 2, 3 }, { 4, 5, 6 } }, rows(im:paste(im, -2, -1)))
    assert.are.same({ { 1, 2, 3 }, { 4, 1, 2 } }, rows(im:paste(im, 1, 1)))
    assert.has_error(function() im:crop(2, 0, 2, 1) end)
    assert.are.same({ { 1, 2, 3 }, { 4, 5, 6 } }, rows(im))
  end)
  it("pastes through alpha", function()
    local over = image.from(T{ { { 1, 0, 0, 0.25 } } })
    local out = image.new(1, 1, "blue"):paste(over).data:totable()[1][1]
    assert.are.same({ 0.25, 0, 0.75 }, out)
  end)
  it("blends and measures", function()
    local a, b = image.new(2, 2, "black"), image.new(2, 2, { 0.1, 0.1, 0.1 })
    assert.are.near(20, a:psnr(b), 1e-4)
    assert.are.equal(math.huge, a:psnr(a))
    assert.are.near(0.05, a:blend(b, 0.5).data[{ 1, 1, 1 }], 1e-7)
  end)
  it("makes masks", function()
    local im = image.new(6, 1)
    assert.are.same({ { 0, 1, 1, 0, 0, 0 } }, rows(im:mask{ x = 1, w = 2 }))
    assert.are.same({ { 1, 0, 0, 1, 1, 1 } }, rows(im:mask{ x = 1, w = 2, invert = true }))
    assert.are.same({ { 0.75, 1, 1, 0.75, 0.25, 0 } }, rows(im:mask{ x = 1, w = 2, feather = 2 }))
  end)
  it("joins", function()
    local a, b = gray{ { 1 }, { 1 }, { 1 } }, gray{ { 2, 2 } }
    assert.are.same({ { 1, 0, 0 }, { 1, 2, 2 }, { 1, 0, 0 } }, rows(image.hcat{ a, b }))
    assert.are.same({ { 1, 0 }, { 1, 0 }, { 1, 0 }, { 2, 2 } }, rows(image.vcat{ a, b }))
    assert.are.equal(3, image.hcat{ a, image.new(1, 1) }.channels)
  end)
end)

describe("text", function()
  it("is drawn from its top left, clipped", function()
    local im = image.new(6, 7)
    im:text_("I", 0, 0, { colour = { 1, 1, 1 } })
    local seen = {}
    for y = 1, 7 do
      local line = ""
      for x = 1, 5 do line = line .. (im.data[{ y, x, 1 }] == 1 and "#" or ".") end
      seen[y] = line
    end
    assert.are.same({ ".###.", "..#..", "..#..", "..#..", "..#..", "..#..", ".###." }, seen)
    im:text_("WWW", -3, -2, { scale = 3 })
  end)
  it("has a glyph for every printable character", function()
    local font, seen = require "weft.font", {}
    for code = 32, 126 do
      local key = table.concat(font.glyph(string.char(code)), ",")
      assert.is_nil(seen[key], "two glyphs alike: " .. string.char(code))
      seen[key] = true
    end
    assert.are.same(font.glyph "?", font.glyph "é")
  end)
end)

describe("a sheet", function()
  it("lays pictures in rows with labels and a title", function()
    local list = {}
    for i = 1, 5 do list[i] = image.new(20, 10, { i / 10, 0, 0 }) end
    local how = { columns = 3, labels = { "a", "b" }, gap = 2, title = "t", size = 20 }
    local s = weft.sheet(list, how)
    assert.are.equal(3 * 22 + 2, s.width)
    assert.are.equal(14 + 4 + 2 * (10 + 11 + 2) + 2, s.height)
    -- the fifth picture is second in the second row
    assert.are.near(0.5, s.data[{ 18 + 2 + 23 + 1, 2 + 22 + 1, 1 }], 1e-6)
    assert.has_error(function() weft.sheet({}) end)
    assert.has_error(function() weft.sheet({ 1 }) end)
  end)
  it("makes small pictures larger by a whole factor", function()
    local list = { image.new(20, 10, { 0.5, 0, 0 }) }
    assert.are.equal(20 + 8, weft.sheet(list).width)
    assert.are.equal(60 + 8, weft.sheet(list, { size = 70 }).width)
    assert.are.equal(10 + 8, weft.sheet(list, { size = 10 }).width)
    assert.are.equal(160 + 8, weft.sheet(list, { labels = { "a" } }).width)
    -- a label takes a second line where one is too short for it
    local low = weft.sheet(list, { labels = { "a" } }).height
    assert.are.equal(11, weft.sheet(list, { labels = { ("word "):rep(7) } }).height - low)
  end)
end)

describe("a curve", function()
  it("draws its points", function()
    local list = {}
    for i = 1, 50 do list[i] = { step = i, loss = 1 / i } end
    local im = require("weft.plot").curve(list, "loss", { width = 200, height = 100 })
    assert.are.equal(200, im.width)
    local dark = (1 - im.data):gt(0.05):to("f32"):sum():item()
    assert.is_true(dark > 500)
    require("weft.plot").curve({}, "loss")
    require("weft.plot").curve({ { step = 1, loss = "nan" } }, "loss")
  end)
end)
