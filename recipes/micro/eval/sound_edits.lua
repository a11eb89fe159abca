--- How well the small model edits sounds: each operation by the world's judge, beside copies.
--
--   weft run recipes/micro/eval/sound_edits.lua n=30
--
-- Edits are described by the target's caption (via=feature: by its feature from the text tower;
-- via=language: read by the language model); "feature" gives the target's own; "copy" is the
-- source unchanged, "ceiling" the target through autoencoder and Griffin-Lim. The last line is
-- JSON.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local weft = require "weft"
local common = require "eval.common"
local data = require "audio_data"
local edit = require "world.sound_edit"
local listen = require "world.listen"
local rng = require "world.rng"

local p = weft.params {
  n = { 30, min = 1, help = "edits an operation" }, steps = 25, guidance = 3, model = "micro",
  seed = 2000, keep = { 1, help = "pull towards the source" },
  via = { "feature", choices = { "feature", "language" }, help = "how words become a condition" },
}
local m = weft.load(p.model)
local report = {}
local COLUMNS = { "words", "feature", "ceiling", "copy" }

--- What becomes of an edit's source.
local function outputs_of(e, i)
  local source, target = common.sound_of(e.source), common.sound_of(e.target)
  local function towards(part)
    return m:edit(source, { part, steps = p.steps, seed = p.seed + i, progress = false,
      guidance = p.keep ~= 1 and { p.guidance, concat = p.keep } or p.guidance })
  end
  local text = data.complete(e.target)
  return { copy = source, words = towards(p.via == "feature" and m:encode(text) or text),
    feature = towards(m:encode(target)), ceiling = m:decode_encode(target) }
end

local function row(op, split)
  local right, cells = { words = 0, feature = 0, ceiling = 0, copy = 0 }, {}
  for i = 1, p.n do
    local e = edit.sample(rng.new(("eval-edit-%s-%s"):format(op, split), i),
      { op = op, split = split == "heldout" and split or nil })
    for name, output in pairs(outputs_of(e, i)) do
      if listen.edit(output, e.source, e.target) then right[name] = right[name] + 1 end
    end
  end
  for i, name in ipairs(COLUMNS) do
    right[name] = right[name] / p.n
    cells[i] = ("%s %.3f"):format(name, right[name])
  end
  local label = ("%s, %s"):format(op, split)
  print(("%-24s %s"):format(label, table.concat(cells, "  ")))
  report[label] = right
end

for _, op in ipairs(edit.OPS) do row(op, "val") end
for _, op in ipairs { "add_voice", "add_ambience", "replace" } do row(op, "heldout") end
print(weft.json.encode(report))
