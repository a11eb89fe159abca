-- text-to-picture.lua: a picture of what the words say
--   weft run recipes/text-to-picture.lua prompt="a large red cat at the left in the snow" seed=7
local weft = require "weft"
local p = weft.params {
  prompt = { "a large plain red cat at the left in the snow", help = "what to show" },
  negative = { "blurry, noisy, dim, blocky", help = "what it should not be" },
  guidance = { 3, min = 0, max = 20, help = "pull towards the prompt" },
  steps = { 25, min = 1, max = 1000 }, seed = 7,
  out = { "picture.png", path = true, help = "file to write" },
}
local m = weft.load "micro"

local im = m:image {
  p.prompt, negative = p.negative, guidance = p.guidance, steps = p.steps, seed = p.seed,
}
im:save(p.out)
print(im)
