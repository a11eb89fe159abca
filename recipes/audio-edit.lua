-- audio-edit.lua: change a sound towards a description of the result; the rest stays
--   weft run recipes/audio-edit.lua input=cat.wav target="a high meow in silence with echo"
local weft = require "weft"
local p = weft.params {
  input = { "", path = true, help = "the sound to change; none: one is made first" },
  source = { "a high meow in silence", help = "what to make when there is no input" },
  target = { "a high meow with rain in the background", help = "what it should become" },
  guidance = 2, steps = 25, seed = 7, out = { "edit.wav", path = true },
}
local m = weft.load "micro"

local before = p.input ~= "" and weft.audio.load(p.input) or m:audio { p.source, seed = p.seed }
local after = m:edit(before, { p.target, guidance = p.guidance, steps = p.steps, seed = p.seed })
after:save(p.out)
print(after)
