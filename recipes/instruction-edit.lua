-- instruction-edit.lua: edit a picture by telling what to change; the rest stays
--   weft run recipes/instruction-edit.lua input=cat.png instruction="make the cat blue"
local weft = require "weft"
local p = weft.params {
  input = { "", path = true, help = "the picture to edit; none: one is made first" },
  source = { "a large plain red cat at the left in the snow",
    help = "what to make when there is no input" },
  instruction = "change the color of the cat to blue",
  negative = { "", help = "what it should not be" },
  guidance = { 3, min = 0, max = 20, help = "pull towards the instruction" },
  keep = { 1, min = 0, max = 10, help = "pull towards the source, beside the instruction" },
  steps = 25, seed = 7, out = { "edited.png", path = true },
}
local m = weft.load "micro"

local before = p.input ~= "" and weft.image.load(p.input) or m:image { p.source, seed = p.seed }
local guidance = p.keep ~= 1 and { p.guidance, concat = p.keep } or p.guidance
local after = m:edit(before, { p.instruction, negative = p.negative, guidance = guidance,
  steps = p.steps, seed = p.seed })
weft.image.hcat { before:as(3), after }:show()
print(after:save(p.out))
