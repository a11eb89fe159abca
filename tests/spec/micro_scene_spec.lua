--- What a picture shows, of words and of layouts.
package.path = "./tests/lib/?.lua;./recipes/micro/?.lua;./recipes/micro/train/?.lua;"
  .. package.path
local weft = require "weft"
local caption = require "world.caption"
local layout = require "layout"
local likely = require "weft.pipeline.micro_likely"
local media = require "weft.pipeline.micro_media"
local micro = require "micro"
local names = require "world.names"
local parts = require "weft.pipeline.micro_parts"
local reply = require "weft.pipeline.micro_reply"
local rng = require "world.rng"
local micro_scene = require "weft.pipeline.micro_scene"
local runs = require "weft.pipeline.micro_run"
local scene = require "world.scene"
local things = require "weft.pipeline.micro_things"
local T = weft.tensor

--- Scene i and its words, in whose order its things lie over each other.
local function described(i)
  local s = scene.sample(rng.new("said", i), {})
  table.sort(s.objects, function(a, b) return a.cell < b.cell end)
  return s, caption.visible(s)
end

local function layout_of(text) return micro_scene.layout(micro_scene.of_words(text)) end
local function off(a, b) return (a - b):abs():max():item() end

describe("words as a layout", function()
  it("know the words of the world", function()
    for field, list in pairs { kind = things.KIND, colour = things.COLOUR, size = things.SIZE,
      pattern = things.PATTERN, cell = things.CELL, place = things.PLACE, style = things.STYLE } do
      assert.are.equal(names[field].count, #list, field)
      for i, word in ipairs(list) do assert.are.equal(names[field][i - 1], word) end
    end
  end)
  it("say what stands where in what they describe", function()
    for i = 1, 60 do
      local s, text = described(i)
      assert.are.equal(0, off(layout_of(text), layout.of_scenes { s }), text)
    end
    local none = layout_of "Nothing at night in neon style "
    assert.are.equal(0, none:narrow(4, 1, 26):max():item())
    assert.are.equal(2 * 64, none:sum():item())
  end)
  it("say nothing where they say less than all, or other things", function()
    for _, text in ipairs { "", "a red cat", "a small plain red cat at the top",
      "a small plain red cat in a meadow", "a plain red cat at the top in a meadow",
      "a small plain red unicorn at the top in a meadow", "nothing", "a meadow",
      "a small plain red cat at the top in a meadow in baroque style",
      "a very small plain red cat at the top in a meadow", "a high meow at 3" } do
      assert.is_nil(micro_scene.of_words(text), text)
    end
  end)
end)

describe("a layout", function()
  it("is read as the things that it was made of", function()
    for i = 1, 60 do
      local s, text = described(i)
      local map = layout.of_scenes { s }
      assert.are.equal(0, off(micro_scene.layout(micro_scene.of_layout(map * 8 - 4)), map), text)
    end
  end)
end)

describe("a picture whose words the language model said", function()
  local TEXT = "a small plain red cat at the left and a large dotted blue dog at the right "
    .. "in the snow"
  local dir = micro.make(micro.temp(), { narrow = true, language = true })
  local m = weft.load(dir)
  micro.remove(dir)
  local plan = reply.plan

  --- The maps that the denoiser is told, of the prompt and of nothing.
  local function maps_of(words, direct)
    local image, maps = media.media.image, nil
    local denoise = image.denoise
    finally(function() reply.plan, image.denoise = plan, denoise end)
    reply.plan = function()
      return { { kind = "image", plan = words, direct = direct,
        feature = m:encode "a green frog".tensor:reshape(1, -1) } }
    end
    image.denoise = function(unet, z, t, source, c, kv)
      maps = maps or { c.map:narrow(1, 1, 1):totable(), c.map:narrow(1, 2, 1):totable() }
      return denoise(unet, z, t, source, c, kv)
    end
    m:generate { "whatever", to = "image", steps = 1, seed = 1, progress = false }
    reply.plan, image.denoise = plan, denoise
    return T(maps[1]), T(maps[2])
  end

  it("has their layout, not that of its feature; the other branches have their own", function()
    local want = layout_of(TEXT)
    local told, untold = maps_of(TEXT)
    local n = want:size(4)
    local first = told:size(4) - n
    assert.are.equal(0, (told:narrow(4, first + 1, n) - want):abs():max():item())
    assert.is_true((untold:narrow(4, first + 1, n) - want):abs():max():item() > 0.1)
    local of_feature, of_none = maps_of(nil)
    assert.are.equal(0, (told:narrow(4, 1, first) - of_feature:narrow(4, 1, first)):abs():max()
      :item())
    assert.are.equal(0, (untold - of_none):abs():max():item())
    assert.is_true((of_feature:narrow(4, first + 1, n) - want):abs():max():item() > 0.1)
  end)
  it("has that of words set right by what was foretold without them", function()
    local direct, seen = m:encode "a red dog".tensor:reshape(1, -1), nil
    local other = "a large plain red dog at the left and a small dotted blue cat at the right "
      .. "in the snow"
    local near = likely.near
    finally(function() likely.near = near end)
    likely.near = function(sense, logits, said)
      assert.is_true(sense == micro_scene.said)
      seen = off(logits, m.parts.conditioner { feature = direct }.layout)
        + off(micro_scene.layout(said), layout_of(TEXT))
      return micro_scene.of_words(other)
    end
    local told, want = maps_of(TEXT, direct), layout_of(other)
    likely.near = near
    assert.are.equal(0, seen)
    assert.are.equal(0, off(told:narrow(4, told:size(4) - want:size(4) + 1, want:size(4)), want))
  end)
  it("has the things that its feature shows where they are not such words", function()
    local told = maps_of(nil)
    assert.are.equal(0, off(maps_of "a bright day", told))
    local logits = m.parts.conditioner {
      feature = m:encode "a green frog".tensor:reshape(1, -1) }.layout
    local n = logits:size(4)
    assert.are.equal(0, off(told:narrow(4, told:size(4) - n + 1, n),
      micro_scene.layout(micro_scene.of_layout(logits))))
  end)
  it("has all that its feature says where a call gives that: it may be a mixture", function()
    local image, map = media.media.image, nil
    local denoise = image.denoise
    finally(function() image.denoise = denoise end)
    image.denoise = function(unet, z, t, source, c, kv)
      map = map or c.map:narrow(1, 1, 1):totable()
      return denoise(unet, z, t, source, c, kv)
    end
    local frog = m:encode "a green frog"
    m:image { frog, steps = 1, seed = 1, progress = false }
    image.denoise = denoise
    local said = parts.layout(m.parts.conditioner, frog.tensor:reshape(1, -1))
    local n = said:size(4)
    assert.is_true(off(T(map):narrow(4, T(map):size(4) - n + 1, n), said) < 1e-6)
  end)
  it("gives a video's maps their layout, too, where maps hold one", function()
    local folder = micro.make(micro.temp(), { narrow = true, language = true })
    local v = weft.load(folder)
    micro.remove(folder)
    v.parts.unet_video = {}
    local denoiser, told = runs.denoiser, nil
    finally(function() reply.plan, runs.denoiser = plan, denoiser end)
    reply.plan = function()
      return { { kind = "video", plan = TEXT .. " moving left",
        feature = v:encode "a green frog".tensor:reshape(1, -1) } }
    end
    runs.denoiser = function(_, _, _, _, t)
      told = t.layout and t.layout:totable() or false
      return function(z) return z end
    end
    local function film()
      v:video { "whatever", frames = 2, steps = 1, seed = 1, progress = false }
      return told
    end
    assert.are.equal(0, off(T(film()), layout_of(TEXT)))
    v.parts.image_encoder = nil
    assert.is_false(film())
  end)
end)
