-- text-to-video.lua: a short video of what the words say; with picture=, of what comes after it
--   weft run recipes/text-to-video.lua prompt="a small red cat in the snow moving left" seed=7
local weft = require "weft"
local p = weft.params {
  prompt = { "a medium plain red cat at the center in the snow moving left",
    help = "what to show and how it moves" },
  picture = { "", path = true, help = "the first frame" },
  negative = { "", help = "what it should not be" },
  guidance = { 3, min = 0, max = 20, help = "pull towards the prompt" },
  steps = { 25, min = 1, max = 1000 }, seed = 7,
  out = { "video.apng", path = true, help = "file to write" },
}
local m = weft.load "micro"

local first = p.picture ~= "" and weft.image.load(p.picture) or nil
local v = m:video {
  first or p.prompt, first and p.prompt, negative = p.negative, guidance = p.guidance,
  steps = p.steps, seed = p.seed,
}
v:save(p.out)
print(v)
