--- How well the small model follows prompts of words and pictures: every task by its judge, beside
-- its baseline and its controls.
--
--   weft run recipes/micro/eval/tasks.lua n=500 csv=tasks.csv
--
-- Examples are drawn with seeds that no training used. "copy" hands back the source; "shuffled"
-- shows the pair of another example. The last line is JSON.
package.path = "./recipes/micro/?.lua;./recipes/micro/eval/?.lua;" .. package.path

local weft = require "weft"
local common = require "common"
local dialogue = require "world.dialogue"
local judge = require "world.judge"
local rng = require "world.rng"
local tasks = require "world.tasks"

local p = weft.params {
  n = { 100, min = 1, help = "examples a row" }, steps = 25, guidance = 3, seed = 1,
  model = "micro", only = { "", help = "rows whose name holds this" },
  csv = { "", path = true, help = "file for the table" },
  sheet = { "", path = true, help = "picture of the first examples of each row" },
}
local m = weft.load(p.model)
local cards, labels = {}, {}

local function options(list, i)
  list.seed, list.steps, list.guidance, list.progress = p.seed + i, p.steps, p.guidance, false
  return list
end

--- Whether the model answers an example rightly; and its picture.
local function is_right(example, i)
  local parts = common.parts_of(example.prompt, {})
  if example.text then return judge.answer(m:text(parts), example) end
  local im = m:image(options(parts, i))
  return (judge.example(common.bytes_of(im), example)), im
end

local rows, shares = {}, common.shares()

--- A row: draw(r) gives an example.
local function row(name, draw, opts)
  rows[#rows + 1] = { name = name, draw = draw, opts = opts or {} }
end

local function run(item)
  local right, copied, has_source = 0, 0, false
  for i = 1, p.n do
    local example = item.draw(rng.new("eval " .. item.name, i))
    local ok, im = is_right(example, i)
    right = right + (ok and 1 or 0)
    if example.image and example.source > 0 then
      has_source = true
      copied = copied + (judge.copy_succeeds(example) and 1 or 0)
    end
    if im and p.sheet ~= "" and i <= 4 then
      cards[#cards + 1], labels[#labels + 1] = common.picture_of(example.image), item.name
      cards[#cards + 1], labels[#labels + 1] = im, ok and "right" or "wrong"
    end
  end
  shares.show(item.name, right, p.n, has_source and copied)
end

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

row("words to picture, 1 object", of("generate", { objects = 1 }))
row("words to picture, 2 objects", of("generate", { objects = 2 }))
row("words to picture, held-out pairs", of("generate", weft.with(held, { objects = 1 })))
row("bare description, 1 object", of("bare", { objects = 1 }))
row("T1.1 edit", of "edit")
row("T1.1 edit, held-out pairs and forms", of("edit", held))
row("T1.2 subject into place", of "compose")
row("T1.2 two subjects together", of "together")
row("T1.3 next, seen rule and kind", of "next")
row("T1.3 next, held-out rule and kind", of("next", held))
row("T1.3 next, two rules", of("next", { split = "heldout", composed = true }))
for _, level in ipairs { "L0", "L1", "L2", "L3" } do
  row("T1.4 exemplar " .. level, of("exemplar", { level = level }))
end
row("T1.4 exemplar L0, shuffled pair", control("shuffled", { level = "L0" }))
row("T1.4 exemplar L0, no pair", control("removed", { level = "L0" }))
row("T1.4 exemplar L0, in words", control("described", { level = "L0" }))
row("T1.5 concept", of "concept")
row("T1.6 subject, unseen identity", of("subject", held))
row("captions, exact", of "describe")
row("what changed?", of "changed")
row("how many?", of "count")
row("which one?", of "which")

--- Conversations: every round right, each round standing on what the model made itself.
local function chats(name, rounds)
  local right = 0
  for i = 1, p.n do
    local chat, made, ok = m:chat {}, {}, true
    for k, round in ipairs(dialogue.sample(rng.new("eval " .. name, i),
      { split = "val", rounds = rounds })) do
      local reply = chat(options(common.parts_of(round.prompt, made), i * 10 + k))
      if round.text then
        ok = ok and reply.text ~= nil and judge.answer(reply.text,
          { task = "describe", text = round.text, media = { round.shown } })
      else
        ok = ok and reply.image ~= nil
          and judge.round(common.bytes_of(reply.image), round)
      end
    end
    right = right + (ok and 1 or 0)
  end
  shares.show(name, right, p.n)
end

for _, item in ipairs(rows) do
  if item.name:find(p.only, 1, true) then run(item) end
end
for _, rounds in ipairs { 3, 5 } do
  local name = ("chat of %d rounds, all right"):format(rounds)
  if name:find(p.only, 1, true) then chats(name, rounds) end
end

if p.csv ~= "" then shares.save(p.csv) end
if p.sheet ~= "" then
  weft.sheet(cards, { columns = 8, labels = labels }):save(p.sheet, { overwrite = true })
end
print(weft.json.encode(shares.rows))
