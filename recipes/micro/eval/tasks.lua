--- How well the small model follows prompts of words and pictures: every task by its judge, beside
-- what the truth, a copy and the answers to others score.
--
--   weft run recipes/micro/eval/tasks.lua n=500 csv=tasks.csv page=tasks.html
--
-- Examples are drawn with seeds that no training used. "best" is the truth through the
-- autoencoder, "copy" hands back the source, "shuffled" is what was made for another example; rows
-- named "shuffled pair" show another example's pair in the prompt. The last line is JSON.
package.path = "./recipes/micro/?.lua;" .. package.path

local weft = require "weft"
local common = require "eval.common"
local dialogue = require "world.dialogue"
local judge = require "world.judge"
local rng = require "world.rng"
local scores = require "eval.scores"
local tables = require "eval.table"
local tasks = require "world.tasks"

local p = weft.params(tables.PARAMS)
local m = weft.load(p.model)

local function options(parts, i, refine)
  return weft.with(parts, { seed = p.seed + i, steps = p.steps, guidance = p.guidance,
    refine = refine, progress = false })
end

local function make(example, i)
  local parts = common.parts_of(example.prompt, {}, m)
  if example.text then
    local text = m:text(parts)
    return { text = text }, { text }, parts
  end
  local im = m:image(options(parts, i, example.refine))
  return { image = common.bytes_of(im) }, { im }, parts
end

local t = tables.new {
  m = m, p = p, make = make, copy = judge.copy_succeeds,
  judge = function(output, example)
    if example.text then return judge.answer(output.text, example) end
    return judge.example(output.image, example)
  end,
}

local held = { split = "heldout", held_forms = true }
local function of(task, opts)
  return function(r) return tasks[task](r, weft.with({ split = "val" }, opts or {})) end
end
--- The same evidence for a control.
local function control(how, opts)
  return function(r)
    while true do
      local example = tasks.control(r, tasks.exemplar(r, opts), how)
      if example then return example end
    end
  end
end

local KEPT = { { "rest kept, dB", function(v) return v.preserved_db end } }

--- Rows of a caption's attributes: the share of things whose attribute is said rightly.
local ATTRIBUTES = {}
for i, name in ipairs { "kind", "colour", "size", "pattern", "cell", "place", "style" } do
  ATTRIBUTES[i] = { name, function(verdict)
    local right, list = 0, verdict[name]
    if type(list) ~= "table" then return list end
    for _, yes in ipairs(list) do right = right + (yes and 1 or 0) end
    return list[1] ~= nil and right / #list or nil
  end }
end

t:row("words to picture, 1 object", of("generate", { objects = 1 }))
t:row("words to picture, 2 objects", of("generate", { objects = 2 }))
t:row("words to picture, held-out pairs", of("generate", weft.with(held, { objects = 1 })))
t:row("bare description, 1 object", of("bare", { objects = 1 }))
t:row("T1.1 edit", of "edit", KEPT)
t:row("T1.1 edit, held-out", of("edit", held), KEPT)
t:row("T1.2 subject into place", of "compose")
t:row("T1.2 the same, held-out", of("compose", held))
t:row("T1.2 two subjects together", of "together")
t:row("T1.3 next, seen rule and kind", of "next")
t:row("T1.3 next, held-out", of("next", held))
t:row("T1.3 next, two rules", of("next", { split = "heldout", composed = true }))
for _, level in ipairs { "L0", "L1", "L2", "L3" } do
  t:row("T1.4 exemplar " .. level, of("exemplar", { level = level }))
end
t:row("T1.4 exemplar L2, refined", common.refined(of("exemplar", { level = "L2" })))
for _, level in ipairs { "L0", "L1", "L2" } do
  t:row(("T1.4 exemplar %s, shuffled pair"):format(level), control("shuffled", { level = level }))
end
t:row("T1.4 exemplar L2, refined, shuffled pair",
  common.refined(control("shuffled", { level = "L2" })))
t:row("T1.4 exemplar L0, no pair", control("removed", { level = "L0" }))
t:row("T1.4 exemplar L0, in words", control("described", { level = "L0" }))
t:row("T1.5 concept", of "concept")
t:row("T1.6 subject, unseen identity", of("subject", held))
t:row("captions", of "describe", ATTRIBUTES)
t:row("what changed?", of "changed")
t:row("what becomes of it, in words?", of "becomes")
t:row("how many?", of "count")
t:row("which one?", of "which")
t:run()

--- Whether every round of a conversation is right, each standing on what the model made itself.
local function is_right(rounds, i)
  local chat, made, ok = m:chat {}, {}, true
  for k, round in ipairs(rounds) do
    local reply = chat(options(common.parts_of(round.prompt, made), i * 10 + k))
    if round.text then
      ok = ok and reply.text ~= nil and judge.answer(reply.text,
        { task = "describe", text = round.text, media = { round.shown } })
    else
      ok = ok and reply.image ~= nil and judge.round(common.bytes_of(reply.image), round)
    end
  end
  return ok
end

for _, rounds in ipairs { 3, 5 } do
  local name, right = ("chat of %d rounds"):format(rounds), {}
  for i = 1, name:find(p.only, 1, true) and p.n or 0 do
    local opts = { split = "val", rounds = rounds }
    right[i] = is_right(dialogue.sample(rng.new(("eval %s, all right"):format(name), i), opts), i)
  end
  if right[1] ~= nil then t:add(scores.row(name, "all right", right)) end
end
t:save "Tasks of words and pictures"
