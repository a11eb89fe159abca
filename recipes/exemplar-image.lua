-- exemplar-image.lua: learn a change from one worked example and make it on another picture
--   weft run recipes/exemplar-image.lua before=a.png after=b.png source=mine.png
local weft = require "weft"
local p = weft.params {
  before = { "", path = true, help = "the example's input" },
  after = { "", path = true, help = "the example's output" },
  source = { "", path = true, help = "the picture to change likewise; none: all three are made" },
  guidance = 3, negative = "", steps = 25, seed = 1, out = { "exemplar.png", path = true },
}
local m = weft.load "micro"

local function picture(path, make) return path ~= "" and weft.image.load(path) or make() end
local before = picture(p.before, function()
  return m:image { "a large plain red cat at the left in the snow", seed = p.seed }
end)
local after = picture(p.after, function()
  return m:edit(before, { "a large plain red cat at the left at night", seed = p.seed })
end)
local source = picture(p.source, function()
  return m:image { "a medium dotted cyan robot at the right in a meadow", seed = p.seed + 1 }
end)
local out = m:image { weft.example(before, after), "do the same to", source,
  guidance = p.guidance, negative = p.negative, steps = p.steps, seed = p.seed }
weft.sheet({ before, after, source, out },
  { columns = 4, labels = { "before", "after", "source", "likewise" } }):save(p.out)
