-- text-to-sound.lua: a sound of what the words say
--   weft run recipes/text-to-sound.lua prompt="a low drum then a high bell" seed=7
local weft = require "weft"
local p = weft.params {
  prompt = { "a high meow then a low drum with rain in the background", help = "what is heard" },
  negative = { "distorted, muffled, static noise, hissing, low volume, choppy",
    help = "what it should not be" },
  guidance = { 3, min = 0, max = 20, help = "pull towards the prompt" },
  steps = { 25, min = 1, max = 1000 }, seed = 7,
  vocoder = { "griffin-lim", choices = { "griffin-lim", "hifigan" }, help = "what plays the mel" },
  out = { "sound.wav", path = true, help = "file to write" },
}
local m = weft.load "micro"

local a = m:audio {
  p.prompt, negative = p.negative, guidance = p.guidance, steps = p.steps, seed = p.seed,
  vocoder = p.vocoder,
}
a:save(p.out)
print(a)
