-- sdedit.lua: start from a noised picture; strength says how much of it is forgotten
--   weft run recipes/sdedit.lua input=cat.png prompt="a large dotted cat at the left in the snow"
local weft = require "weft"
local p = weft.params {
  input = { "", path = true, help = "the picture to start from; none: one is made first" },
  source = { "a large plain red cat at the left in the snow",
    help = "what to make when there is no input" },
  prompt = { "a large striped blue cat at the left in the snow", help = "what it should become" },
  guidance = 3, steps = 25, seed = 7, out = { "sdedit.png", path = true },
}
local m = weft.load "micro"

local start = p.input ~= "" and weft.image.load(p.input) or m:image { p.source, seed = p.seed }
local list, labels = { start }, { "start" }
for _, strength in ipairs { 0.3, 0.4, 0.5, 0.6, 0.8 } do
  list[#list + 1] = m:image {
    p.prompt, init = start, strength = strength, guidance = p.guidance, steps = p.steps,
    seed = p.seed,
  }
  labels[#labels + 1] = ("strength %.2g"):format(strength)
end
weft.sheet(list, { columns = 3, labels = labels }):save(p.out)
