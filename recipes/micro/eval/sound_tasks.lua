--- How well the small model follows prompts with sounds, music and videos: every task by its judge,
-- beside its baseline and its controls.
--
--   weft run recipes/micro/eval/sound_tasks.lua n=500 csv=sound_tasks.csv
--
-- Examples are drawn with seeds that no training used. "copy" hands back the source; "shuffled"
-- shows the pair of another example. The last line is JSON.
package.path = "./recipes/micro/?.lua;" .. package.path

local weft = require "weft"
local common = require "eval.common"
local edit = require "world.sound_edit"
local judge = require "world.sound_judge"
local rng = require "world.rng"
local tasks = require "world.sound_tasks"

local p = weft.params {
  n = { 100, min = 1, help = "examples a row" }, steps = 25, guidance = 3, seed = 1,
  model = "micro", only = { "", help = "rows whose name holds this" },
  csv = { "", path = true, help = "file for the table" },
}
local m = weft.load(p.model)
local shares, rows = common.shares(), {}

local KINDS = { "image", "audio", "video" }

--- What the model makes of an example, as the judge takes it.
local function answer(example, i)
  local parts = common.parts_of(example.prompt, {})
  if example.text then return { text = m:text(parts) } end
  local to = {}
  for _, kind in ipairs(KINDS) do to[#to + 1] = example[kind] and kind or nil end
  local made = m:generate(weft.with(parts, { to = to, steps = p.steps, guidance = p.guidance,
    seed = p.seed + i, progress = false }))
  return { audio = made.audio, image = made.image and common.bytes_of(made.image),
    video = made.video and common.frames_of(made.video) }
end

local makes = {}
for _, kind in ipairs(m.caps.output) do makes[kind] = true end

--- A kind that an example wants and the model has no parts for, or nil.
local function missing(example)
  for _, kind in ipairs(KINDS) do
    if example[kind] and not makes[kind] then return kind end
  end
end

local function are_right(list)
  for _, right in ipairs(list) do
    if not right then return false end
  end
  return true
end

--- Parts of a verdict that have rows of their own: each a name and a test.
local NEXT_FRAME = {
  { "its picture", function(v) return v.is_closest and v.is_changed end },
  { "its sound", function(v) return v.sound.all end },
}
local SUBJECT_VIDEO = {
  { "its subject", function(v)
    return are_right(v.kind) and are_right(v.colour) and are_right(v.pattern)
  end },
  { "in sync", function(v) return v.sync.success end },
}

--- A row: draw(r) gives an example; details: rows beside it.
local function row(name, draw, details)
  rows[#rows + 1] = { name = name, draw = draw, details = details or {} }
end

local function run(item)
  local right, copied, has_source, parts = 0, 0, false, {}
  for i = 1, p.n do
    local example = item.draw(rng.new("eval " .. item.name, i))
    local lacks = missing(example)
    if lacks then return print(("%-42s -      the model makes no %s"):format(item.name, lacks)) end
    local ok, verdict = judge.example(answer(example, i), example)
    right = right + (ok and 1 or 0)
    for k, detail in ipairs(item.details) do
      parts[k] = (parts[k] or 0) + (detail[2](verdict) and 1 or 0)
    end
    if example.source and example.source > 0 then
      has_source = true
      copied = copied + (judge.copy_succeeds(example) and 1 or 0)
    end
  end
  shares.show(item.name, right, p.n, has_source and copied or nil)
  for k, detail in ipairs(item.details) do
    shares.show(("%s: %s"):format(item.name, detail[1]), parts[k], p.n)
  end
end

local function of(task, opts)
  return function(r) return tasks[task](r, weft.with({ split = "val" }, opts or {})) end
end
local held = { split = "heldout", held_forms = true }

--- An exemplar beside the pair of another one.
local function shuffled(level)
  return function(r)
    local e, other = tasks.sound_exemplar(r, { level = level }),
      tasks.sound_exemplar(r, { level = level })
    local prompt = {}
    for i, part in ipairs(e.prompt) do
      local which = part.audio == e.media[1] and 1 or part.audio == e.media[2] and 2
      prompt[i] = which and { audio = other.media[which] } or part
    end
    return weft.with(e, { prompt = prompt })
  end
end

for _, op in ipairs(edit.OPS) do row("T2.1 " .. op, of("sound_edit", { op = op })) end
for _, op in ipairs { "add_voice", "add_ambience", "replace" } do
  row(("T2.1 %s, held-out mix"):format(op), of("sound_edit", weft.with(held, { op = op })))
end
for _, level in ipairs { "L0", "L1", "L2" } do
  row("T2.2 exemplar " .. level, of("sound_exemplar", { level = level }))
end
row("T2.2 exemplar L0, shuffled pair", shuffled "L0")
row("T3.1 sound into image", of "took_place")
row("T3.1 sound into image, held-out pairs", of("took_place", held))
row("T3.2 next frame and its sound", of "next_frame", NEXT_FRAME)
row("T3.3 music by exemplar", of "vibe")
row("T3.4 video and sound of a subject", of "subject_video", SUBJECT_VIDEO)
row("T3.4 the same, unseen subject", of("subject_video", held), SUBJECT_VIDEO)
row("words to sound", of "hear")
row("words to video", of "film")
row("picture to sound", of "sound_of")
row("sound to picture", of "picture_of")
row("words and sound to picture", of "picture_with")
row("captions of sounds, exact", of "say_sound")
row("captions of videos, exact", of "say_video")

for _, item in ipairs(rows) do
  if item.name:find(p.only, 1, true) then run(item) end
end
if p.csv ~= "" then shares.save(p.csv) end
print(weft.json.encode(shares.rows))
