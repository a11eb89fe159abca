--- The small world's tasks with sounds, music and videos, and the judge of their outcomes.
--   busted --lua=luajit tests/spec/sound_tasks_spec.lua
package.path = "./recipes/micro/?.lua;" .. package.path

local edit = require "world.sound_edit"
local forms = require "world.sound_forms"
local hearing = require "world.hearing"
local holdout = require "world.holdout"
local judge = require "world.sound_judge"
local links = require "world.links"
local music = require "world.music"
local rng = require "world.rng"
local scene = require "world.scene"
local sound = require "world.sound"
local tasks = require "world.sound_tasks"
local template = require "world.template"
local transform = require "world.sound_transform"
local video = require "world.video"
local vocabulary = require "world.vocabulary"

describe("world.sound_forms", function()
  it("gives 120 surface forms to every task, in words of the vocabulary", function()
    local known = {}
    for _, word in ipairs(vocabulary.words()) do known[word] = true end
    for name in pairs(forms.tasks) do
      local slots, texts, n = { list = "[0] [1] and [2]" }, {}, 0
      for _, slot in ipairs { "text", "obj", "new", "when", "level", "kind", "what" } do
        slots[slot] = "<" .. slot .. ">"
      end
      for form = 0, template.N_FORMS - 1 do
        local text = template.expand(name, form, slots)
        assert.is_nil(text:find("[{}]"), text)
        if not texts[text] then n, texts[text] = n + 1, true end
        for word in text:gsub("<%a+>", ""):gmatch("%a+") do
          assert.is_true(known[word], name .. ": " .. word)
        end
      end
      assert.equal(120, n, name)
    end
  end)
end)

describe("world.sound_edit", function()
  it("changes what it says and keeps to the split", function()
    for i = 1, 400 do
      local op = edit.OPS[1 + i % #edit.OPS]
      local e = edit.sample(rng.new("edit", i), { op = op })
      assert.is_true(sound.is_seen(e.source) and sound.is_seen(e.target))
      assert.is_true(sound.is_valid(e.target))
      assert.are_not.equal(sound.key(e.source), sound.key(e.target))
      assert.equal(e.source.seed, e.target.seed)
      assert.is_false(template.is_held(e.form))
    end
    for i = 1, 100 do
      local e = edit.sample(rng.new("edit", i), { split = "heldout", held_forms = true })
      assert.is_false(sound.is_seen(e.target))
      assert.is_true(template.is_held(e.form))
    end
  end)

  it("names a voice so that only it is meant", function()
    local s = { ambience = 0, seed = 1, events = { { voice = 6, pitch = 1, slot = 0 } } }
    assert.equal("the meow", edit.find_name(s, 1))
    s.events[2] = { voice = 6, pitch = 2, slot = 3 }
    assert.equal("the mid meow", edit.find_name(s, 1))
    s.events[3] = { voice = 6, pitch = 1, slot = 5 }
    assert.is_nil(edit.find_name(s, 1))
  end)
end)

describe("world.sound_transform", function()
  local one = { ambience = 0, seed = 1, events = { { voice = 11, pitch = 1, slot = 5 } } }

  it("does what its steps say", function()
    local nextly = transform.find_result({ steps = { { family = 6 } } }, one)
    assert.same({ voice = 0, pitch = 1, slot = 5 }, nextly.events[1])
    local later = transform.find_result({ steps = { { family = 5, value = 1 } } }, one)
    assert.equal(6, later.events[1].slot)
    assert.is_nil(transform.find_result({ steps = { { family = 5, value = 2 } } }, one))
    local step = { family = 0, value = { voice = 2, pitch = 0, slot = 1 } }
    assert.equal(2, #transform.find_result({ steps = { step } }, one).events)
    assert.same({ voice = 11, pitch = 1, slot = 5 }, one.events[1])
  end)

  it("keeps what training composes apart from what it does not", function()
    for i = 1, 300 do
      local seen = transform.draw(rng.new("pair", i), "pair").steps
      assert.is_false(holdout.transform_pair(seen[1].family, seen[2].family))
      local held = transform.draw(rng.new("L2", i), "L2").steps
      assert.is_true(#held == 1 and held[1].value == 2
        or holdout.transform_pair(held[1].family, held[2].family))
    end
  end)

  it("shifts farther in training than in tests of the level, never as the held-out one", function()
    local shifts = {}
    for i = 1, 400 do
      local function shift_of(level, in_training)
        local step = transform.draw(rng.new("shift", i), level, in_training).steps[1]
        return step.family == 5 and step.value or 0
      end
      shifts[shift_of("L1", true)], shifts[shift_of("pair", true)] = true, true
      assert.is_true(math.abs(shift_of "L1") <= 1)
    end
    for _, far in ipairs { 1, -1, -2, 3, -3, 4, -4 } do assert.is_true(shifts[far], far) end
    assert.is_nil(shifts[2])
  end)

  it("shifts farther where an exemplar is drawn for training, and where a level is named does not",
    function()
      local function farthest(opts)
        local far = 0
        for i = 1, 150 do
          for _, step in ipairs(tasks.sound_exemplar(rng.new("far", i), opts).transform.steps) do
            if step.family == 5 then far = math.max(far, math.abs(step.value)) end
          end
        end
        return far
      end
      assert.are.same({ 4, 1 }, { farthest(), farthest { level = "L1" } })
    end)
end)

describe("world.sound_tasks", function()
  --- Whether all that training is shown of an example is seen.
  local function is_seen(record)
    if not record or record.instrument then return true end
    if record.events then return sound.is_seen(record) end
    if record.motion then return video.is_seen(record) end
    return scene.holdout.is_seen(record)
  end

  it("are functions of their generator, and never train on what is held out", function()
    for _, row in ipairs(tasks.MIXTURE) do
      for i = 1, 150 do
        local e = tasks[row[1]](rng.new("tasks", i))
        local where = row[1] .. " " .. i
        if i < 5 then assert.same(e, tasks[row[1]](rng.new("tasks", i))) end
        assert.is_false(template.is_held(e.form))
        for _, record in ipairs(e.media) do assert(is_seen(record), where) end
        assert(is_seen(e.image) and is_seen(e.video), where)
        if not (e.video and e.video.motion == video.BOUNCE) then assert(is_seen(e.audio), where) end
        assert.is_true(e.image ~= nil or e.audio ~= nil or e.video ~= nil or e.text ~= nil)
        local n = 0
        for _, part in ipairs(e.prompt) do n = n + (type(part) == "table" and 1 or 0) end
        assert.equal(#e.media, n, where)
      end
    end
  end)

  it("have held-out examples with held-out forms", function()
    for _, row in ipairs(tasks.MIXTURE) do
      for i = 1, 10 do
        local e = tasks[row[1]](rng.new("held", i), { split = "heldout", held_forms = true })
        assert.is_true(template.is_held(e.form))
      end
    end
    for i = 1, 50 do
      local e = tasks.sound_of(rng.new("held", i), { split = "heldout" })
      assert.is_false(links.is_seen(e.media[1]))
    end
  end)

  it("ask for music with the instrument of one picture and the mood of the other", function()
    for i = 1, 50 do
      local e = tasks.vibe(rng.new("vibe", i))
      local mode, tempo = links.mood(e.media[1].place)
      assert.same({ mode, tempo }, { e.media[2].mode, e.media[2].tempo })
      mode, tempo = links.mood(e.media[3].place)
      assert.equal(music.key(e.audio), music.key { instrument = e.media[2].instrument,
        root = e.media[2].root, mode = mode, tempo = tempo })
    end
  end)
end)

describe("world.sound_tasks about what becomes of things", function()
  it("says in words what becomes of a sound, and when each voice is heard", function()
    for i = 1, 30 do
      local e = tasks.sound_becomes(rng.new("becomes", i), { level = "L1" })
      local result = transform.find_result(e.transform, e.media[3])
      local _, n = e.text:gsub("at %d", "")
      assert.equal(#result.events, n)
      assert.equal(tostring(result.events[1].slot), e.text:match "at (%d)")
      assert.is_nil(e.audio)
    end
  end)

  it("calls in as many next frames as are asked for", function()
    local function calls(opts)
      local n = 0
      for i = 1, 40 do
        n = n + (tasks.next_frame(rng.new("calls", i), opts).image.objects[1].calling and 1 or 0)
      end
      return n
    end
    assert.are.same({ 0, 40 }, { calls { calls = 0 }, calls { calls = 1 } })
    local half = calls()
    assert.is_true(half > 10 and half < 30, half)
  end)
end)

describe("world.sound_judge", function()
  it("accepts the truth of every task and not a copy", function()
    local right, n = 0, 0
    for _, row in ipairs(tasks.MIXTURE) do
      for i = 1, 4 do
        local e = tasks[row[1]](rng.new("judge", i))
        n, right = n + 1, right + (judge.example(judge.truth(e), e) and 1 or 0)
        if e.source > 0 then assert.is_false(judge.copy_succeeds(e), row[1] .. " " .. i) end
      end
    end
    assert.is_true(right >= n - 1)
  end)

  it("accepts what comes back from Griffin-Lim", function()
    for i = 1, 6 do
      local e = tasks.sound_edit(rng.new("again", i))
      local output = judge.truth(e)
      output.audio = hearing.sound(hearing.to_mel(output.audio))
      assert.is_true(judge.example(output, e), e.op)
    end
  end)

  it("does not take one example's output for another's", function()
    local right = 0
    for _, row in ipairs(tasks.MIXTURE) do
      for i = 1, 4 do
        local e, other = tasks[row[1]](rng.new("judge", i)), tasks[row[1]](rng.new("wrong", i))
        right = right + (judge.example(judge.truth(other), e) and 1 or 0)
      end
    end
    assert.is_true(right <= 3)          -- music has four pieces for a mood, a call three times
  end)
end)
