-- audio-edit.lua: change a sound by telling what to do, or what it should become; the rest stays
--   weft run recipes/audio-edit.lua input=cat.wav instruction="add echo to this sound"
--   weft run recipes/audio-edit.lua input=cat.wav target="a high meow in silence with echo"
local weft = require "weft"
local p = weft.params {
  input = { "", path = true, help = "the sound to change; none: one is made first" },
  source = { "a high meow in silence", help = "what to make when there is no input" },
  instruction = { "add rain in the background", help = "what to do to it" },
  target = { "", help = "or a description of the result" },
  negative = { "", help = "what it should not be" },
  guidance = { 3, min = 0, max = 20, help = "pull towards the instruction" },
  keep = { 1, min = 0, max = 10, help = "pull towards the source, beside the instruction" },
  steps = 25, seed = 7, out = { "edit.wav", path = true },
}
local m = weft.load "micro"

local before = p.input ~= "" and weft.audio.load(p.input) or m:audio { p.source, seed = p.seed }
local towards = p.target ~= "" and m:encode(p.target) or p.instruction
local after = m:edit(before, {
  towards, negative = p.negative, steps = p.steps, seed = p.seed,
  guidance = p.keep ~= 1 and { p.guidance, concat = p.keep } or p.guidance,
})
after:save(p.out)
print(after)
