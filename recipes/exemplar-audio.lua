-- exemplar-audio.lua: learn a change of sound from one worked example and make it on another sound
--   weft run recipes/exemplar-audio.lua before=a.wav after=b.wav source=mine.wav
local weft = require "weft"
local p = weft.params {
  before = { "", path = true, help = "the example's input" },
  after = { "", path = true, help = "the example's output" },
  source = { "", path = true, help = "the sound to change likewise; none: all three are made" },
  guidance = 3, negative = "", steps = 25, seed = 1, out = { "exemplar.wav", path = true },
}
local m = weft.load "micro"

local function sound(path, make) return path ~= "" and weft.audio.load(path) or make() end
local before = sound(p.before, function()
  return m:audio { "a low drum in silence", seed = p.seed }
end)
local after = sound(p.after, function()
  return m:edit(before, { "add rain in the background", seed = p.seed })
end)
local source = sound(p.source, function()
  return m:audio { "a high meow in silence", seed = p.seed + 1 }
end)
local out = m:audio { weft.example(before, after), "do the same to", source,
  guidance = p.guidance, negative = p.negative, steps = p.steps, seed = p.seed }
out:save(p.out)
print(out)
