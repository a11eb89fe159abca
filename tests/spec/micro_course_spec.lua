--- The course of a video's thing: foretold from words, and the maps of frames that follow it.
package.path = "./tests/lib/?.lua;./recipes/micro/?.lua;./recipes/micro/train/?.lua;"
  .. package.path
local weft = require "weft"
local configs = require "configs"
local courses = require "courses"
local micro_course = require "weft.pipeline.micro_course"
local layout = require "layout"
local names = require "world.names"
local rng = require "world.rng"
local shell = require "shell"
local video = require "world.video"

-- Channels of a picture's map; those of frames have one more.
local N_BEFORE = 32
local C = N_BEFORE + micro_course.N_OF_THINGS + micro_course.N_OF_GROUND

--- A map [1,8,8,C] with a cat of some size at rows and columns first ... last.
local function map_of(first, last)
  local rows = {}
  for y = 1, 8 do
    rows[y] = {}
    for x = 1, 8 do
      local place = {}
      for c = 1, C do place[c] = c <= N_BEFORE and x / 8 or 0 end
      local here = y >= first and y <= last and x >= first and x <= last
      place[N_BEFORE + names.kind.id.cat + 1] = here and 1 or 0
      place[N_BEFORE + micro_course.N_KINDS + 1] = here and 1 or 0
      place[C] = 1
      rows[y][x] = place
    end
  end
  return weft.tensor { rows }
end

--- What channel c of frame k shows, a string a row: # for 1, o for a half or more, . for less.
local function drawn(maps, k, c)
  local out = {}
  for y, row in ipairs(maps:select(2, k):select(1, 1):narrow(3, c, 1):totable()) do
    local line = {}
    for x, v in ipairs(row) do line[x] = v[1] > 0.99 and "#" or v[1] >= 0.5 and "o" or "." end
    out[y] = table.concat(line)
  end
  return out
end

local CAT, COLOUR = N_BEFORE + names.kind.id.cat + 1, N_BEFORE + micro_course.N_KINDS + 1
local function first_rows(list, n) return { unpack(list, 1, n) } end

describe("maps of frames", function()
  it("are the picture's where nothing moves", function()
    local map = map_of(3, 5)
    local maps = micro_course.maps(map, weft.tensor.zeros { 1, 2, 4 })
    assert.are.same({ 1, 2, 8, 8, C + 1 }, maps:size())
    for k = 1, 2 do
      local seen = maps:select(2, k):narrow(4, 1, C)
      assert.is_true((seen - map):abs():max():item() < 1e-6)
    end
    assert.are.equal(0, maps:narrow(5, C + 1, 1):abs():max():item())
  end)
  it("have the thing where it went, the rest where it was", function()
    local maps = micro_course.maps(map_of(3, 4),
      weft.tensor { { { 2, -1, 0, 0 }, { -4, 0, 0, 0 } } })
    local there = { "........", "....##..", "....##..", "........" }
    assert.are.same(there, first_rows(drawn(maps, 1, CAT), 4))
    assert.are.same(there, first_rows(drawn(maps, 1, COLOUR), 4))
    assert.are.same({ "........", "........", "........" }, first_rows(drawn(maps, 2, CAT), 3))
    for k = 1, 2 do
      assert.are.same({ "########" }, first_rows(drawn(maps, k, C), 1))
      assert.are.same({ "...ooooo" }, { (drawn(maps, k, 1)[1]:gsub("#", "o")) })
    end
  end)
  it("scale it about its middle", function()
    local maps = micro_course.maps(map_of(4, 5),
      weft.tensor { { { 0, 0, math.log(2), 0 }, { 0, 0, math.log(0.5), 0 } } })
    local large = drawn(maps, 1, CAT)
    assert.are.same({ "........", "........", "..oooo..", "..o##o..", "..o##o..", "..oooo..",
      "........", "........" }, large)
    local n = maps:narrow(5, CAT, 1):sum({ 3, 4, 5 }):totable()[1]
    assert.is_true(n[1] > 8 and n[2] < 2, n[1] .. " " .. n[2])
  end)
  it("show the arcs of a call, on the side that has more room, and a larger thing", function()
    local course = weft.tensor { { { 0, 0, 0, 1 }, { 0, 0, 0, 0 }, { 4, 3, 0, 1 } } }
    local maps = micro_course.maps(map_of(2, 3), course)
    local function arcs(k) return drawn(maps, k, C + 1) end
    assert.are.same({ "...##...", "..###...", "..###...", "...##...", "........" },
      first_rows(arcs(1), 5))
    assert.are.same({ "........", "........", "........", "...##...", "...###..", "...###..",
      "...##...", "........" }, arcs(3))
    assert.are.equal(0, maps:select(2, 2):narrow(4, C + 1, 1):max():item())
    local n = maps:narrow(5, CAT, 1):sum({ 3, 4, 5 }):totable()[1]
    assert.is_true(n[1] > 1.2 * n[2], n[1] / n[2])
  end)
  it("stay in bounds where a layout is empty", function()
    local maps = micro_course.maps(weft.tensor.zeros { 1, 8, 8, C },
      weft.tensor { { { 1, 1, 0, 1 } } })
    assert.are.equal(0, maps:abs():max():item())
  end)
end)

describe("a course", function()
  local function foretold(logits)
    local rows = {}
    for k = 1, 8 do rows[k] = { k, 2 * k, 0.1 * k, logits[k] or -20 } end
    return weft.tensor { rows }
  end
  local function calls(t)
    local out = {}
    for k, row in ipairs(t:totable()[1]) do out[k] = row[4] end
    return table.concat(out)
  end
  it("is about the middle of what it was foretold for, or from its first frame", function()
    local t = micro_course.of(foretold {}, { seed = 1, frames = 3 })
    assert.are.same({ 1, 3, 4 }, t:size())
    assert.are.equal(3, t:totable()[1][3][1])
    local from = micro_course.of(foretold {},
      { seed = 1, frames = 3, from_first = true }):totable()[1]
    assert.are.same({ 0, 0, 0, 0 }, from[1])
    assert.are.same({ 2, 4 }, { from[3][1], from[3][2] })
    assert.is_true(math.abs(from[3][3] - 0.2) < 1e-6)
  end)
  it("calls for two frames, where the seed draws it", function()
    local even = foretold { [2] = 0, [3] = 0 }
    local seen = {}
    for seed = 1, 40 do
      local s = calls(micro_course.of(even, { seed = seed, frames = 8 }))
      seen[s] = (seen[s] or 0) + 1
    end
    assert.is_true((seen["01100000"] or 0) > 8 and (seen["00110000"] or 0) > 8)
    assert.are.equal(40, seen["01100000"] + seen["00110000"])
    assert.are.equal("00000000", calls(micro_course.of(foretold {}, { seed = 3, frames = 8 })))
  end)
end)

describe("a call that is heard too", function()
  local N_BEFORE_SOUND = 32
  local sound = { events = { { voice = names.kind.id.cat, pitch = 2, slot = 0 },
    { voice = video.DRUM.voice, pitch = video.DRUM.pitch, slot = 5 } }, ambience = 2, seed = 3 }

  --- What the map of the sound says beside a cat that calls in a frame: voices and pitches by slot.
  local function told(call)
    local of_sound = layout.of_sounds { sound }
    local map = weft.cat({ weft.tensor.ones { 1, 8, 8, N_BEFORE_SOUND }, of_sound }, 4)
    local seen = map_of(3, 4):narrow(4, N_BEFORE + 1, C - N_BEFORE) * 8 - 4
    local moved = micro_course.sound_map(map, seen, call)
    assert.are.same(map:size(), moved:size())
    local rest = micro_course.N_KINDS + micro_course.N_PITCHES
    for _, part in ipairs { { 1, N_BEFORE_SOUND },
      { N_BEFORE_SOUND + rest + 1, micro_course.N_OF_SOUND - rest } } do
      assert.are.equal(0, (moved:narrow(4, unpack(part)) - map:narrow(4, unpack(part))):abs():max()
        :item())
    end
    local voices, pitches = {}, {}
    for slot, row in ipairs(moved:narrow(4, N_BEFORE_SOUND + 1, rest):totable()[1]) do
      voices[slot], pitches[slot] = ".", "."
      for v = 1, micro_course.N_KINDS do
        if row[1][v] == 1 then voices[slot] = v - 1 == names.kind.id.cat and "c" or "d" end
      end
      for k = 1, micro_course.N_PITCHES do
        if row[8][micro_course.N_KINDS + k] == 1 then pitches[slot] = tostring(k - 1) end
      end
    end
    return table.concat(voices), table.concat(pitches)
  end

  it("has its voice in the slots of the video's call, and other voices where they were", function()
    assert.are.same({ ".cc..dd.", ".22..11." }, { told(2) })
    assert.are.same({ "...cc" .. "dd.", "...22" .. "11." }, { told(4) })
  end)
  it("is told to the sound beside the video, to no other", function()
    local m, sound_map, calls = weft.load "micro", micro_course.sound_map, {}
    finally(function() micro_course.sound_map = sound_map end)
    micro_course.sound_map = function(map, seen, call)
      calls[#calls + 1] = call
      return sound_map(map, seen, call)
    end
    local prompt = { "a small red cat in the snow moving left and calling early", seed = 1,
      steps = 1, progress = false }
    for i, to in ipairs { { "audio", "video" }, { "video", "audio" } } do
      m:generate(weft.with(prompt, { to = to }))
      assert.are.equal(i, #calls)
      assert.is_true(calls[i] > video.FIRST_CALL and calls[i] <= video.LAST_CALL + 1)
    end
    m:generate(weft.with(prompt, { to = "audio" }))
    m:generate(weft.with(prompt, { to = "video" }))
    assert.are.equal(2, #calls)
  end)
  it("is laid out as sounds are", function()
    assert.are.equal(micro_course.N_OF_SOUND, layout.of_sounds { sound }:size(4))
    local fields = require("labels").SOUND
    assert.are.same({ 0, micro_course.N_KINDS }, { fields[1].first, fields[1].count })
    assert.are.same({ micro_course.N_KINDS, micro_course.N_PITCHES },
      { fields[2].first, fields[2].count })
  end)
end)

describe("courses of clips", function()
  local function clip(opts) return video.sample(rng.new("courses", 1), opts) end
  it("take a layout along to where the thing is seen", function()
    for motion = 0, names.motion.count - 1 do
      local v = clip { motions = { motion }, call = 0 }
      v.scene.objects[1].jx, v.scene.objects[1].jy = 0, 0
      local map = weft.cat({ weft.tensor.zeros { 1, 8, 8, N_BEFORE },
        layout.of_scenes { v.scene } }, 4)
      local maps = micro_course.maps(map,
        courses.of { { clip = v, motion = names.motion[motion] } })
      for k = 0, 7 do
        local there = maps:select(2, k + 1):narrow(4, N_BEFORE + 1, 12):max { 4 }
        local seen = layout.seen({ video.frame(v, k) }, 8):reshape(1, 8, 8)
        local outside = (there * (1 - seen)):max():item()
        -- between two places it lies on both; what is seen is cut where it all but reaches a middle
        assert.is_true(outside < 0.8, ("%s, frame %d: %.2f"):format(names.motion[motion], k,
          outside))
        assert.is_true((there * seen):sum():item() > 0.5)
      end
    end
  end)
  it("call for as many frames as the pipeline's do, and as large", function()
    for call = video.FIRST_CALL, video.LAST_CALL do
      local v, n = clip { call = 0 }, 0
      v.call = call
      for k = 0, video.N_FRAMES - 1 do
        local o = video.frame(v, k).objects[1]
        if o.calling then
          n = n + 1
          assert.are.equal(micro_course.SWELL, o.scale / select(3, video.course(v, k)))
        end
      end
      assert.are.equal(micro_course.CALL_FRAMES, n)
    end
  end)
  it("say what the words say", function()
    local v = clip { motions = { 2 }, call = 0 }
    v.call = 3
    local function rows(motion, from_first)
      return courses.of { { clip = v, motion = motion, from_first = from_first } }:totable()[1]
    end
    assert.are.same({ 0, 0, 0, 0 }, rows("")[4])
    assert.are.same({ 0, 0, 0, 1 }, rows("and calling early")[4])
    assert.are.same({ 0.55 / 2, 0 }, { math.floor(rows("moving right")[5][1] * 1e4 + 0.5) / 1e4,
      rows("moving right")[5][4] })
    assert.are.same({ 0, 0, 0, 0 }, rows("moving right", true)[1])
    local o = v.scene.objects[1]
    o.jx, o.jy = 2, -1
    local function placed(motion)
      return courses.of { { clip = v, motion = motion, placed = true } }:totable()[1][4]
    end
    assert.are.same({ 2 / 8, -1 / 8, 0, 1 }, placed("and calling early"))
    assert.is_true(math.abs(placed("moving right")[1] - (2 - 2.2) / 8) < 1e-6)
    assert.are.equal(-1 / 8, placed("moving right")[2])
    assert.are.same({ 0, 0, 0, 0 }, placed "")
  end)
end)

describe("the part that foretells courses", function()
  it("learns them from the words of motion", function()
    local dir = os.tmpname()
    os.remove(dir)
    finally(function() os.execute("rm -rf '" .. dir .. "'") end)
    os.execute(("mkdir -p '%s' && cp -r recipes/micro/weights/text_encoder "
      .. "recipes/micro/weights/tokenizer '%s'"):format(dir, dir))
    local rc, _, err = shell.weft(".", ("run --plain --threads 1 recipes/micro/train/motion.lua "
      .. "steps=60 batch=16 out='%s' work='%s/work'"):format(dir, dir))
    assert.are.equal(0, rc, err)
    local losses = {}
    for row in io.lines(dir .. "/work/log.jsonl") do
      losses[#losses + 1] = tonumber(row:match '"off":([%d.e-]+)')
    end
    assert.are.equal(60, #losses)
    local first, last = 0, 0
    for k = 1, 10 do first, last = first + losses[k], last + losses[50 + k] end
    assert.is_true(last < 0.5 * first, last .. " " .. first)
    local part = weft.model.load(dir .. "/motion")
    assert.are.equal(4 * configs.frames, part.config.out_dim)
  end)
end)
