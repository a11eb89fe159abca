-- edit-towards.lua: change a picture towards a description of the result; the rest stays
--   weft run recipes/edit-towards.lua input=cat.png target="a large blue cat at the left"
local weft = require "weft"
local p = weft.params {
  input = { "", path = true, help = "the picture to change; none: one is made first" },
  source = { "a large plain red cat at the left in the snow",
    help = "what to make when there is no input" },
  target = { "a large plain blue cat at the left in the snow", help = "what it should become" },
  guidance = 3, steps = 25, seed = 7, out = { "edit.png", path = true },
}
local m = weft.load "micro"

local before = p.input ~= "" and weft.image.load(p.input) or m:image { p.source, seed = p.seed }
local after = m:edit(before, { p.target, guidance = p.guidance, steps = p.steps, seed = p.seed })
after:save(p.out)
print(("%s  PSNR to the source %.1f dB"):format(tostring(after), after:psnr(before:as(3))))
