--- How much of the first noise a run of the small model starts from.
package.path = "./recipes/micro/?.lua;" .. package.path
local weft = require "weft"
local course = require "weft.pipeline.micro_course"
local media = require "weft.pipeline.micro_media"
local names = require "world.names"
local noise = require "weft.pipeline.micro_noise"
local T = weft.tensor

local SEA, NIGHT = names.place.id["in the sea"], names.place.id["at night"]

--- A layout of logits [1,8,8,42]: a place on the left half, another on the right, all in one style.
local function layout(left, right, style)
  local rows = {}
  for y = 1, 8 do
    rows[y] = {}
    for x = 1, 8 do
      local here = {}
      for c = 1, course.N_OF_THINGS + course.N_OF_GROUND do here[c] = -8 end
      here[course.N_OF_THINGS + 1 + (x <= 4 and left or right)] = 8
      here[course.N_OF_THINGS + course.N_PLACES + 1 + style] = 8
      rows[y][x] = here
    end
  end
  return T { rows }
end

--- What should be seen of a source that shows something.
local function item(shown, asked)
  return { layout = weft.sigmoid(asked), shown = shown and weft.sigmoid(shown) }
end

local image, audio = media.media.image, media.media.audio

describe("the first noise", function()
  it("knows as many places as the world has", function()
    assert.are.equal(names.place.count, course.N_PLACES)
    assert.are.equal(names.place.count + names.style.count, course.N_OF_GROUND)
  end)
  it("is all there without a source, half of it beside one", function()
    local same = item(layout(SEA, SEA, 0), layout(SEA, SEA, 0))
    assert.are.equal(1, noise.scale(image, {}, same, false))
    assert.are.equal(1, noise.scale(image, { init = true }, same, true))
    local scale = noise.scale(image, {}, same, true)
    assert.are.same({ 1, 16, 16, 1 }, scale:size())
    assert.are.near(0.5, scale:min():item(), 1e-6)
    assert.are.near(0.5, scale:max():item(), 1e-6)
  end)
  it("is more where another place is wanted, and there alone", function()
    local wanted = item(layout(SEA, SEA, 0), layout(SEA, NIGHT, 0))
    local rows = noise.scale(image, {}, wanted, true):reshape(16, 16):totable()
    for y = 1, 16 do
      for x = 1, 16 do assert.are.near(x <= 8 and 0.5 or 1.2, rows[y][x], 1e-6) end
    end
  end)
  it("is half where only the style is another, of sounds, and of what is not known", function()
    local neon = item(layout(SEA, SEA, 0), layout(SEA, SEA, 5))
    assert.are.near(0.5, noise.scale(image, {}, neon, true):max():item(), 1e-6)
    local night = item(layout(SEA, SEA, 0), layout(NIGHT, NIGHT, 0))
    assert.are.equal(0.5, noise.scale(audio, {}, night, true))
    assert.are.equal(0.5, noise.scale(image, {}, item(nil, layout(SEA, SEA, 0)), true))
  end)
  it("is as much as a call says", function()
    local wanted = item(layout(SEA, SEA, 0), layout(SEA, NIGHT, 0))
    assert.are.equal(0.9, noise.scale(image, { noise_scale = 0.9 }, wanted, true))
    local sizes, at = { 2, 16, 16, 8 }, { device = "cpu" }
    local all = noise.first(at, { seed = 4 }, sizes, 1)
    local scale = noise.scale(image, {}, wanted, true)
    local some = noise.first(at, { seed = 4 }, sizes, scale)
    assert.are.same((all * scale):totable(), some:totable())
  end)
end)
