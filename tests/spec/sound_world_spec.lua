--- The small world's sounds and music: samples, words, links and the judge.
--   busted --lua=luajit tests/spec/sound_world_spec.lua
package.path = "./recipes/micro/?.lua;" .. package.path

local ffi = require "ffi"
local audio = require "world.audio"
local caption = require "world.sound_caption"
local hearing = require "world.hearing"
local holdout = require "world.holdout"
local links = require "world.links"
local listen = require "world.listen"
local music = require "world.music"
local names = require "world.names"
local rng = require "world.rng"
local scene = require "world.scene"
local sound = require "world.sound"
local synth = require "world.synth"
local tune = require "world.tune"
local vocabulary = require "world.vocabulary"

local N = audio.N_SAMPLES

--- FNV-1a of the samples as 16-bit numbers.
local function fingerprint(record)
  local y, words = audio.new(record), ffi.new("int16_t[?]", N)
  for i = 0, N - 1 do words[i] = y[i] * 32768 end
  return rng.hash(ffi.string(words, N * 2))
end

local function one(changes)
  local s = { events = { { voice = 6, pitch = 1, slot = 2 } }, ambience = 0, seed = 7 }
  for k, v in pairs(changes or {}) do
    if k == "voice" or k == "pitch" or k == "slot" then s.events[1][k] = v else s[k] = v end
  end
  return s
end

--- The same sound with another draw of its noise.
local function redrawn(s)
  local v = sound.copy(s)
  v.seed = (s.seed * 7 + 13) % 2 ^ 31
  return v
end

local function power(y, from, to)
  local sum = 0
  for i = from, to - 1 do sum = sum + y[i] * y[i] end
  return sum / (to - from)
end

describe("world.sound", function()
  it("is a function of split and index", function()
    assert.same(sound.at("train", 12), sound.at("train", 12))
    assert.are_not.same(sound.at("train", 12), sound.at("train", 13))
    assert.are_not.same(sound.at("train", 12), sound.at("val", 12))
  end)

  it("withholds pairs of voices, and of voice and ambience, from training alone", function()
    local pairs_held, ambiences_held, seen = 0, 0, {}
    for a = 0, 11 do
      for b = 0, a do pairs_held = pairs_held + (holdout.voice_voice(a, b) and 1 or 0) end
      for b = 0, 5 do
        ambiences_held = ambiences_held + (holdout.voice_ambience(a, b) and 1 or 0)
      end
    end
    assert.same({ 8, 6 }, { pairs_held, ambiences_held })
    for i = 1, 5000 do
      local s = sound.at("train", i, { defect = 0.1 })
      assert(sound.is_seen(s) and sound.is_valid(s), "train " .. i)
      for _, e in ipairs(s.events) do
        for attribute, id in pairs(e) do seen[attribute .. id] = true end
      end
      seen["ambience" .. s.ambience], seen["defect" .. tostring(s.defect)] = true, true
    end
    for attribute, n in pairs { voice = 12, pitch = 3, slot = 7, ambience = 6, defect = 5 } do
      for id = 0, n - 1 do assert.is_true(seen[attribute .. id], attribute .. id) end
    end
    for i = 1, 100 do assert.is_false(sound.is_seen(sound.at("heldout", i))) end
  end)

  it("makes distinct twins, some of which exchange a voice or a pitch", function()
    local n_exchanged = 0
    for i = 1, 50 do
      local r = rng.new("twins", i)
      local base = sound.sample(r)
      local known = { [sound.key(base)] = true }
      for _, v in ipairs(sound.twins(r, base, 6)) do
        assert.is_true(sound.is_seen(v) and sound.is_valid(v) and not known[sound.key(v)])
        known[sound.key(v)] = true
        local n = 0
        for k, e in ipairs(v.events) do
          local was = base.events[k]
          for _, a in ipairs { "voice", "pitch", "slot" } do
            n = n + (was and was.slot == e.slot and was[a] ~= e[a] and 1 or 0)
          end
        end
        if n == 2 then n_exchanged = n_exchanged + 1 end
      end
    end
    assert.is_true(n_exchanged > 20)
  end)
end)

describe("world.audio", function()
  -- They change only when the world's definition does.
  local GOLDEN = {
    "5b3a424d", "e4d70b22", "657f2478", "ca01a88a", "11dadacf", "437fc846", "f13e3b20",
    "ecded0cb", "82134225", "50cb4164", "636580bb", "dd6caba5", "89451bdb", "d39b576b",
    "2fbc033b", "b4c928b2", "687a7ff9", "3ce574e3", "6d1c3f9e", "7c607d65",
  }

  --- Every voice, ambience, effect, defect, instrument and mode among 20.
  local function golden_record(i)
    if i >= 16 then return { instrument = i % 4, mode = i % 2, tempo = i % 3 % 2, root = i % 3 } end
    local s = one { voice = i % 12, pitch = i % 3, slot = i % 7, ambience = i % 6 }
    if i >= 8 then s.defect = i % 5 end
    s.echo, s.reverse = i % 4 == 0 or nil, i % 5 == 1 or nil
    return s
  end

  it("makes the golden sounds", function()
    local got = {}
    for i = 0, 19 do got[i + 1] = ("%08x"):format(fingerprint(golden_record(i))) end
    assert.same(GOLDEN, got)
  end)

  it("is silent before an event and after it, and echoes where it should", function()
    local y = audio.new(one { slot = 2 })
    assert.equal(0, power(y, 0, 2048))
    assert.is_true(power(y, 2048, 3900) > 0.01)
    assert.equal(0, power(y, 3968, N))
    local z = audio.new(one { slot = 2, echo = true })
    assert.is_true(math.abs(z[2048 + 1600 + 500] - 0.55 * y[2548] - y[4148]) < 1e-4)
    assert.is_true(math.abs(z[2048 + 3200 + 500] - 0.3 * y[2548]) < 1e-4)
    local back = audio.new(one { slot = 2, reverse = true })
    for i = 0, N - 1, 17 do assert.equal(y[i], back[N - 1 - i]) end
    local soft = audio.new(one { slot = 2, gain_db = -6 })
    assert.is_true(math.abs(power(soft, 0, N) / power(y, 0, N) - 0.2512) < 1e-3)
  end)

  it("draws noise by its seed, and every defect otherwise", function()
    assert.equal(fingerprint(one()), fingerprint(redrawn(one())))
    local rain = one { ambience = 1 }
    assert.are_not.equal(fingerprint(rain), fingerprint(redrawn(rain)))
    local known = { [fingerprint(one())] = true }
    for defect = 0, 4 do
      local h = fingerprint(one { defect = defect })
      assert.is_nil(known[h])
      known[h] = true
    end
  end)

  it("plays notes at their pitch", function()
    local y = audio.new { instrument = 2, mode = 1, tempo = 0, root = 0 }
    for k, semitones in ipairs { 0, 3, 7, 12 } do
      local crossings = 0
      for i = (k - 1) * 2048 + 200, (k - 1) * 2048 + 1799 do
        if y[i] < 0 and y[i + 1] >= 0 then crossings = crossings + 1 end
      end
      assert.near(220 * 2 ^ (semitones / 12) * 0.2, crossings, 1.5)     -- in 1600 samples
    end
  end)
end)

describe("world.hearing", function()
  it("hears a tone in its band and frame, within -1 .. 1", function()
    local mel = hearing.of { one { voice = 2, slot = 3 } }:select(1, 1)   -- bell, 1500 Hz
    assert.same({ 64, 64 }, mel:size())
    local band = mel:max(1):argmax(1):item()
    -- 64 bands between 40 and 3950 Hz, even in 2595 log10(1 + f / 700)
    local function to_mel(f) return math.log10(1 + f / 700) end
    local expected = (to_mel(1500) - to_mel(40)) / (to_mel(3950) - to_mel(40)) * 65 - 1
    assert.near(expected, band, 1)
    assert.near(24, mel:max(2):argmax(1):item(), 2.5)
    assert.equal(-1, mel[{ 1, 1 }])
    assert.is_true(mel:max():item() < 1.05)
  end)

  it("makes sounds again from what it heard", function()
    local s = one { ambience = 3 }
    local mel = hearing.of { s }:select(1, 1)
    local again = hearing.sound(mel)
    assert.same({ N, 8000 }, { again.samples, again.rate })
    assert.is_true(listen.distance(again, mel) < 0.25)
    assert.is_true(listen.distance(audio.new(s), mel) < 1e-5)
  end)
end)

describe("world.sound_caption", function()
  it("says everything, in English", function()
    local s = one { ambience = 1, echo = true }
    s.events[2] = { voice = 10, pitch = 2, slot = 4 }
    assert.equal("a mid meow then high beeps with rain in the background with echo",
      caption.complete(s))
    assert.equal("a meow then beeps with echo", caption.partial(s, rng.new("x"), 1))
    s.events = {}
    assert.equal("rain in the background with echo", caption.complete(s))
    assert.equal("a low drum in silence", caption.complete(one { voice = 0, pitch = 0 }))
    assert.equal("fast major flute music",
      caption.music { instrument = 2, mode = 0, tempo = 1, root = 0 })
  end)

  it("comes back through parse", function()
    for i = 1, 500 do
      local s = sound.at("caption", i, { split = "val", echo = 0.3, events = { 0.4, 0.4, 0.2 } })
      local text = caption.complete(s)
      assert.is_true(caption.score(text, s).all, text)
      assert.is_true(caption.parse(caption.partial(s, rng.new("partial", i))).ok)
      local m = music.at("caption", i)
      local read = caption.parse_music(caption.music(m))
      assert.same({ true, m.instrument, m.mode, m.tempo },
        { read.ok, read.instrument, read.mode, read.tempo })
    end
  end)

  it("scores what is wrong and nothing else", function()
    local s = one { ambience = 2 }
    local right = caption.score("a mid bark with sea in the background", s)
    assert.same({ { false }, { true }, { true }, false },
      { right.voice, right.pitch, right.ambience, right.all })
    assert.is_false(caption.score("a mid meow", s).all)
    assert.same({ false }, caption.score("a mid meow then a mid meow in silence", s).count)
  end)

  it("does not take other text for a caption, and uses words of the vocabulary", function()
    for _, text in ipairs { "", "meow", "a high", "a beeps", "a meow then",
                            "with rain in the background", "a meow in the background",
                            "a meow with echo today" } do
      assert.is_false(caption.parse(text).ok, text)
    end
    assert.is_false(caption.parse_music("loud music").ok)
    local known = {}
    for _, word in ipairs(vocabulary.words()) do known[word] = true end
    for i = 1, 300 do
      local s = sound.at("words", i, { split = "val", echo = 0.5, defect = 0.5 })
      local text = caption.with_defect(caption.complete(s), s) .. " " .. caption.NEGATIVE
      for word in text:gmatch("%a+") do assert.is_true(known[word], word) end
    end
  end)
end)

describe("world.links", function()
  it("gives every object its voice, pitch and time, and the place its noise", function()
    local s = { place = 8, style = 0, texture = 1, objects = {
      { kind = 6, colour = 0, size = 0, pattern = 0, cell = 0, jx = 0, jy = 0 },
      { kind = 7, colour = 0, size = 2, pattern = 0, cell = 6, jx = 0, jy = 0 } } }
    local events = { { voice = 6, pitch = 2, slot = 0 }, { voice = 7, pitch = 0, slot = 1 } }
    assert.same({ events = events, ambience = 5, seed = 3 }, links.find_sound(s, 3))
    s.objects[3] = { kind = 8, colour = 0, size = 0, pattern = 0, cell = 3, jx = 0, jy = 0 }
    assert.is_nil(links.find_sound(s, 3))
  end)

  it("knows the places of an ambience and the mood of a place", function()
    assert.same({ 3, 4 }, links.places(2))
    assert.same({ 6 }, links.places(4))
    assert.same({ 0, 1 }, { links.mood(2) })
    assert.same({ 1, 0 }, { links.mood(6) })
    local n = 0
    for i = 1, 300 do n = n + (links.is_seen(scene.at("train", i)) and 1 or 0) end
    assert.is_true(n > 200)
  end)
end)

describe("world.listen", function()
  it("finds everything right in a true sound with other noise", function()
    local right, n = 0, 24
    for i = 1, n do
      local s = sound.at("listen", i, { split = "val", events = 1 + i % 2 })
      local mel = hearing.of { redrawn(s) }:select(1, 1)
      right = right + (listen.attributes(mel, s).all and 1 or 0)
    end
    assert.is_true(right >= n - 2)      -- of 240 others .97 are all right
  end)

  it("calls the changed attribute wrong, and only that one", function()
    for name, id in pairs { voice = 3, pitch = 0, slot = 5, ambience = 4, echo = true } do
      local verdict = listen.attributes(audio.new(one { [name] = id }), one())
      for _, also in ipairs { "voice", "pitch", "slot", "ambience", "echo" } do
        -- who looks in the wrong slot hears no voice there, and takes the right one for an echo
        local hidden = name == "slot" and also ~= "slot" and also ~= "ambience"
        if not hidden then assert.equal(also ~= name, verdict[also][1], name .. " " .. also) end
      end
    end
  end)

  it("lets events begin anywhere when slots are free, but in their order", function()
    local s = one()
    s.events[2] = { voice = 1, pitch = 0, slot = 5 }
    local moved, turned = sound.copy(s), sound.copy(s)
    moved.events[1].slot, moved.events[2].slot = 0, 3
    turned.events[1].slot, turned.events[2].slot = 5, 2
    assert.is_true(listen.attributes(audio.new(moved), s, { free_slots = true }).all)
    assert.is_false(listen.attributes(audio.new(moved), s).all)
    assert.is_false(listen.attributes(audio.new(turned), s, { free_slots = true }).all)
  end)

  it("accepts exact targets, through Griffin-Lim too, and neither source nor variants", function()
    for i = 1, 6 do
      local r = rng.new("exact", i)
      local source, target = sound.sample(r), nil
      while not target do target = sound.find_variant(r, source, r:pick { "voice", "ambience" }) end
      assert.is_true(listen.target(audio.new(target), target, source).success)
      local again = hearing.sound(hearing.of { target }:select(1, 1))
      assert.is_true(listen.target(again, target, source).success)
      assert.is_false(listen.target(audio.new(source), target, source).success)
      local variant = sound.twins(r, target, 1)[1]
      assert.is_false(listen.target(audio.new(variant), target, source).success)
    end
  end)

  it("judges what a caption says and nothing else", function()
    local s = one { ambience = 3 }
    s.events[2] = { voice = 1, pitch = 0, slot = 5 }
    local mel = hearing.of { s }:select(1, 1)
    assert.is_true(listen.caption(mel, "a meow then a low beep"))
    assert.is_true(listen.caption(mel, "a mid meow then a beep with wind in the background"))
    assert.is_false(listen.caption(mel, "a mid meow then a high beep"))
    assert.is_false(listen.caption(mel, "a low beep then a mid meow"))
    assert.is_false(listen.caption(mel, "a meow then a beep in silence"))
    assert.is_false(listen.caption(mel, "a meow then a beep with echo"))
  end)

  it("knows music", function()
    for i = 1, 12 do
      local m = music.at("listen", i)
      assert.is_true(tune.attributes(audio.new(m), m).all)
      local other = music.copy(m)
      other.mode = 1 - m.mode
      local verdict = tune.attributes(audio.new(other), m)
      assert.same({ { false }, { true }, { true }, { true } },
        { verdict.mode, verdict.tempo, verdict.instrument, verdict.root })
    end
  end)
end)

describe("the words", function()
  it("are those that the weights were trained with", function()
    assert.equal(4146252134, rng.hash(table.concat(vocabulary.words(), " ")))
    assert.equal(273, #vocabulary.words())
    assert.equal(8, names.motion.count)
    assert.equal(8, synth.N_SLOTS)
  end)
end)
