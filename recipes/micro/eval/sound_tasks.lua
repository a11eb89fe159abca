--- How well the small model follows prompts with sounds, music and videos: every task by its judge,
-- beside what the truth, a copy and the answers to others score.
--
--   weft run recipes/micro/eval/sound_tasks.lua n=500 csv=sound_tasks.csv page=sound_tasks.html
--
-- Examples are drawn with seeds that no training used. "best" is the truth through the
-- autoencoder, "copy" hands back the source, "shuffled" is what was made for another example; rows
-- named "shuffled pair" show another example's pair in the prompt. The last line is JSON.
package.path = "./recipes/micro/?.lua;" .. package.path

local weft = require "weft"
local common = require "eval.common"
local edit = require "world.sound_edit"
local judge = require "world.sound_judge"
local sound_transform = require "world.sound_transform"
local sounds = require "world.sound"
local tables = require "eval.table"
local tasks = require "world.sound_tasks"

local p = weft.params(tables.PARAMS)
local m = weft.load(p.model)

local KINDS = { "image", "audio", "video" }

local function make(example, i)
  local parts, to = common.parts_of(example.prompt, {}), {}
  if example.text then
    local text = m:text(parts)
    return { text = text }, { text }, parts
  end
  for _, kind in ipairs(KINDS) do to[#to + 1] = example[kind] and kind or nil end
  local made = m:generate(weft.with(parts, { to = to, steps = p.steps, guidance = p.guidance,
    seed = p.seed + i, refine = example.refine, progress = false }))
  local output = { audio = made.audio, image = made.image and common.bytes_of(made.image),
    video = made.video and common.frames_of(made.video) }
  return output, { unpack(made) }, parts
end

local t = tables.new { m = m, p = p, make = make, judge = judge.example,
  copy = judge.copy_succeeds }

local function are_right(list)
  for _, right in ipairs(list) do
    if not right then return false end
  end
  return true
end

local NEXT_FRAME = {
  { "its picture", function(v) return v.is_closest and v.is_changed end },
  { "its sound", function(v) return v.sound.all end },
}
local SUBJECT_VIDEO = {
  { "its subject", function(v)
    return are_right(v.kind) and are_right(v.colour) and are_right(v.pattern)
  end },
  { "its voice", function(v) return v.voice end },
  { "in sync", function(v) return v.sync.success end },
  { "in sync within a frame", function(v) return v.sync.loose end },
}

local function of(task, opts)
  return function(r) return tasks[task](r, weft.with({ split = "val" }, opts or {})) end
end
local held = { split = "heldout", held_forms = true }

--- Whether what another exemplar shows would make the same of one's source.
local function shows_the_same(other, e)
  local result = sound_transform.find_result(other.transform, e.media[3])
  return result ~= nil and sounds.key(result) == sounds.key(e.audio)
end

--- An exemplar beside the pair of another one, which shows another change.
local function shuffled(level)
  return function(r)
    local e = tasks.sound_exemplar(r, { level = level })
    local other
    repeat other = tasks.sound_exemplar(r, { level = level }) until not shows_the_same(other, e)
    local prompt = {}
    for i, part in ipairs(e.prompt) do
      local which = part.audio == e.media[1] and 1 or part.audio == e.media[2] and 2
      prompt[i] = which and { audio = other.media[which] } or part
    end
    return weft.with(e, { prompt = prompt })
  end
end

for _, op in ipairs(edit.OPS) do t:row("T2.1 " .. op, of("sound_edit", { op = op })) end
for _, op in ipairs { "add_voice", "add_ambience", "replace" } do
  t:row(("T2.1 %s, held-out mix"):format(op), of("sound_edit", weft.with(held, { op = op })))
end
for _, level in ipairs { "L0", "L1", "L2" } do
  t:row("T2.2 exemplar " .. level, of("sound_exemplar", { level = level }))
end
t:row("T2.2 exemplar L2, refined", common.refined(of("sound_exemplar", { level = "L2" })))
for _, level in ipairs { "L0", "L1", "L2" } do
  t:row(("T2.2 exemplar %s, shuffled pair"):format(level), shuffled(level))
end
t:row("T2.2 exemplar L2, refined, shuffled pair", common.refined(shuffled "L2"))
t:row("T3.1 sound into image", of "took_place")
t:row("T3.1 the same, held-out pairs", of("took_place", held))
t:row("T3.2 next frame and its sound", of "next_frame", NEXT_FRAME)
t:row("T3.3 music by exemplar", of "vibe")
t:row("T3.4 video and sound of a subject", of "subject_video", SUBJECT_VIDEO)
t:row("T3.4 the same, unseen subject", of("subject_video", held), SUBJECT_VIDEO)
t:row("words to sound", of "hear")
t:row("words to video", of "film")
t:row("a picture set in motion", of "animate")
t:row("picture to sound", of "sound_of")
t:row("sound to picture", of "picture_of")
t:row("words and sound to picture", of "picture_with")
t:row("captions of sounds", of "say_sound")
t:row("captions of videos", of "say_video")
t:row("what becomes of a sound, in words?", of("sound_becomes", { level = "pair" }))
t:run()
t:save "Tasks of sounds and videos"
