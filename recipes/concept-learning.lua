-- concept-learning.lua: a new picture with what two pictures have in common
--   weft run recipes/concept-learning.lua a=one.png b=two.png kind="a fish"
local weft = require "weft"
local p = weft.params {
  a = { "", path = true, help = "the first picture; none: two are made first" },
  b = { "", path = true, help = "the second picture" },
  kind = { "a fish", help = "what the new picture shows" },
  guidance = 3, negative = "", steps = 25, seed = 2, out = { "concept.png", path = true },
}
local m = weft.load "micro"

local a = p.a ~= "" and weft.image.load(p.a)
  or m:image { "a large plain red star at the center in the city in mosaic style", seed = p.seed }
local b = p.b ~= "" and weft.image.load(p.b)
  or m:image { "a medium dotted green dog at the left in a meadow in mosaic style",
    seed = p.seed + 1 }
local r = m:generate {
  "given the artistic style represented in", a, "and", b,
  ", create a new artwork similar to it of " .. p.kind,
  to = "image", n = 4, guidance = p.guidance, negative = p.negative, steps = p.steps, seed = p.seed,
}
weft.sheet({ a, b, unpack(r.images) },
  { columns = 3, labels = { "first", "second", "new", "new", "new", "new" } }):save(p.out)
