-- variations.lua: more pictures like this one, through its feature alone
--   weft run recipes/variations.lua input=cat.png n=6
local weft = require "weft"
local p = weft.params {
  input = { "", path = true, help = "the picture to vary; none: one is made first" },
  prompt = { "a medium striped green frog at the center in a meadow",
    help = "what to make when there is no input" },
  n = { 6, min = 1, max = 64 }, guidance = 3, steps = 25, seed = 1,
  out = { "variations.png", path = true },
}
local m = weft.load "micro"

local original = p.input ~= "" and weft.image.load(p.input) or m:image { p.prompt, seed = p.seed }
local r = m:generate { original, n = p.n, guidance = p.guidance, steps = p.steps,
  seed = p.seed + 1 }
local labels = { "original" }
for i, seed in ipairs(r.seeds) do labels[i + 1] = ("seed %d"):format(seed) end
weft.sheet({ original, unpack(r.images) }, { columns = 4, labels = labels }):save(p.out)
