-- composition.lua: the subject of one picture in the place of another
--   weft run recipes/composition.lua subject=cat.png place=beach.png
local weft = require "weft"
local p = weft.params {
  subject = { "", path = true, help = "a picture of the subject; none: one is made first" },
  place = { "", path = true, help = "a picture of the place, empty; none: one is made" },
  guidance = 3, negative = "", steps = 25, seed = 5, out = { "composition.png", path = true },
}
local m = weft.load "micro"

local subject = p.subject ~= "" and weft.image.load(p.subject)
  or m:image { "a medium striped orange dog at the center in a white room", seed = p.seed }
local place = p.place ~= "" and weft.image.load(p.place)
  or m:edit(m:image { "a small plain red star at the top on the beach", seed = p.seed },
    { "remove the star", seed = p.seed })
local out = m:image { "put the subject", subject, "in the place", place,
  guidance = p.guidance, negative = p.negative, steps = p.steps, seed = p.seed }
weft.sheet({ subject, place, out }, { columns = 3, labels = { "subject", "place", "both" } })
  :save(p.out)
