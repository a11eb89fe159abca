-- blend.lua: pictures between two pictures, along the great circle of their features
--   weft run recipes/blend.lua a=cat.png b=frog.png
local weft = require "weft"
local p = weft.params {
  a = { "", path = true },
  b = { "", path = true, help = "the two pictures; none: two are made first" },
  prompt_a = "a large plain red cat at the left in the snow",
  prompt_b = "a small striped blue star at the right at night",
  shares = { 5, min = 2, max = 20, help = "how many pictures, the ends included" },
  guidance = 3, steps = 25, seed = 3, out = { "blend.png", path = true },
}
local m = weft.load "micro"

local a = p.a ~= "" and weft.image.load(p.a) or m:image { p.prompt_a, seed = p.seed }
local b = p.b ~= "" and weft.image.load(p.b) or m:image { p.prompt_b, seed = p.seed }
local from, to = m:encode(a), m:encode(b)
local list, labels = {}, {}
for i = 1, p.shares do
  local t = (i - 1) / (p.shares - 1)
  list[i] = m:image { weft.embedding.slerp(from, to, t), guidance = p.guidance, steps = p.steps,
    seed = p.seed }
  labels[i] = ("%d %%"):format(100 * t)
end
weft.sheet(list, { columns = p.shares, labels = labels }):save(p.out)
