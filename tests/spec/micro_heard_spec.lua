--- What a sound holds, of words and of layouts; the likeliest sound beside a source.
package.path = "./tests/lib/?.lua;./recipes/micro/?.lua;./recipes/micro/train/?.lua;"
  .. package.path
local weft = require "weft"
local caption = require "world.sound_caption"
local heard = require "weft.pipeline.micro_heard"
local layout = require "layout"
local likely = require "weft.pipeline.micro_likely"
local media = require "weft.pipeline.micro_media"
local micro = require "micro"
local music = require "world.music"
local names = require "world.names"
local reply = require "weft.pipeline.micro_reply"
local rng = require "world.rng"
local sound = require "world.sound"
local sound_transform = require "world.sound_transform"
local things = require "weft.pipeline.micro_things"
local T = weft.tensor

local function off(a, b) return (a - b):abs():max():item() end

--- Logits that are sure of the layout of a sound.
local function logits(s) return layout.of_sounds { s } * 8 - 4 end

--- A sound, played backwards or at another level now and then.
local function drawn(i)
  local r = rng.new("heard", i)
  local s = sound.sample(r, { echo = 0.3 })
  if #s.events > 0 and r:chance(0.3) then s.reverse = true end
  if r:chance(0.4) then s.gain_db = r:pick { 6, -6 } end
  return s
end

describe("words as a sound", function()
  it("know the words of the world", function()
    for i, word in ipairs(things.VOICE) do assert.are.equal(names.voice[i - 1], word) end
    for i, word in ipairs(things.PITCH) do assert.are.equal(names.pitch[i - 1], word) end
    assert.are.equal(names.voice.count, #things.VOICE)
  end)
  it("say all that is heard but when, which the seed draws", function()
    for i = 1, 80 do
      local s = sound.sample(rng.new("said", i), { echo = 0.3 })
      local text = caption.complete(s)
      local h, last = assert(heard.of_words(text, i), text), -1
      for k, e in ipairs(h.events) do
        s.events[k].slot = e.slot - 1
        assert.is_true(e.slot > last + 1, text)         -- none over another
        last = e.slot
      end
      assert.is_true(sound.is_valid(s) and last <= sound.LAST_SLOT + 1)
      assert.are.equal(0, off(heard.layout(h), layout.of_sounds { s }), text)
    end
  end)
  it("draw every slot, the same by the same seed", function()
    local seen = {}
    for seed = 1, 60 do
      local one = heard.of_words("a low bark in silence", seed).events[1].slot
      assert.are.equal(one, heard.of_words("a low bark in silence", seed).events[1].slot)
      seen[one] = true
    end
    assert.are.same({ true, true, true, true, true, true, true }, seen)
  end)
  it("say nothing where they say less than all, or other things", function()
    for _, text in ipairs { "", "a low bark", "a bark in silence", "a low unicorn in silence",
      "in silence", "fast major flute music", "a low bark with thunder in the background",
      "a low bark then in silence", "a small plain red cat at the top in a meadow",
      "a low bark then a low bark then a low bark then a low bark in silence" } do
      assert.is_nil(heard.of_words(text, 1), text)
    end
  end)
end)

describe("a layout of a sound", function()
  it("is read as the sound that it was made of", function()
    for i = 1, 60 do
      local s = drawn(i)
      assert.are.equal(0, off(heard.layout(heard.of_layout(logits(s))), layout.of_sounds { s }),
        sound.key(s))
    end
  end)
  it("of music is none", function()
    assert.is_nil(heard.of_layout(logits(music.sample(rng.new("music", 1)))))
  end)
end)

describe("the likeliest sound beside a source", function()
  it("is what one change of it makes, of all events alike too", function()
    local n = 0
    for i = 1, 60 do
      local r = rng.new("near", i)
      local t, s = sound_transform.draw(r, i % 2 == 0 and "L0" or "L1"), sound.sample(r)
      local after = sound_transform.find_result(t, s)
      if after then
        n = n + 1
        local got = likely.near(heard, logits(after), heard.of_layout(logits(s)))
        assert.are.equal(0, off(heard.layout(got), layout.of_sounds { after }), sound.key(after))
      end
    end
    assert.is_true(n > 30)
  end)
  it("is whole where the layout mixes", function()
    local s = { events = { { voice = 3, pitch = 1, slot = 1 }, { voice = 5, pitch = 2, slot = 4 } },
      ambience = 2, seed = 1 }
    local a, b = sound.copy(s), sound.copy(s)
    for k, e in ipairs(a.events) do
      e.slot, b.events[k].slot = e.slot + 1, e.slot + 2
    end
    local mixed = layout.of_sounds { a } * 0.6 + layout.of_sounds { b } * 0.4
    local got = likely.near(heard, mixed * 8 - 4, heard.of_layout(logits(s)))
    assert.are.equal(0, off(heard.layout(got), layout.of_sounds { a }))
  end)
  it("leaves the source as it was", function()
    local from = heard.of_layout(logits(drawn(1)))
    local before = heard.layout(from)
    likely.near(heard, logits(drawn(2)), from)
    assert.are.equal(0, off(heard.layout(from), before))
  end)
end)

describe("a sound that is made", function()
  local dir = micro.make(micro.temp(), { narrow = true, language = true, sounds = true })
  local m = weft.load(dir)
  micro.remove(dir)
  local plan = reply.plan

  --- The layout that the denoiser is told where words were said of it, with or without a source.
  local function told(words, source)
    local audio, map = media.media.audio, nil
    local denoise = audio.denoise
    finally(function() reply.plan, audio.denoise = plan, denoise end)
    reply.plan = function()
      return { { kind = "audio", plan = words, source = source,
        feature = m:encode "a green frog".tensor:reshape(1, -1) } }
    end
    audio.denoise = function(unet, z, t, from, c, kv)
      map = map or c.map:narrow(1, 1, 1):totable()
      return denoise(unet, z, t, from, c, kv)
    end
    m:generate { "whatever", to = "audio", steps = 1, seed = 7, progress = false }
    reply.plan, audio.denoise = plan, denoise
    local x = T(map)
    return x:narrow(4, x:size(4) - 31, 32)
  end

  it("has the layout of its words, at times of the seed", function()
    local text = "a low bark then high beeps with rain in the background"
    assert.are.equal(0, off(told(text), heard.layout(heard.of_words(text, 7))))
    assert.are.equal(0, off(told "hello", told(nil)))
    assert.is_true(off(told(text), told(nil)) > 0.1)
  end)
  it("has, beside a source, the likeliest that is some changes from it", function()
    local source = weft.audio.from(T.rand({ 8192, 1 }, { seed = 4 }) - 0.5, 8000)
    local near, of_layout = likely.near, heard.of_layout
    finally(function() likely.near, heard.of_layout = near, of_layout end)
    local seen, want = heard.of_words("a high bell in silence", 2),
      heard.of_words("a mid drum in silence", 3)
    heard.of_layout = function() return seen end
    likely.near = function(sense, _, from)
      assert.is_true(sense == heard and from == seen)
      return want
    end
    local got = told("a low bark in silence", source)
    likely.near, heard.of_layout = near, of_layout
    assert.are.equal(0, off(got, heard.layout(want)))
  end)
end)
