-- subject-driven.lua: one subject, seen in a few pictures, in new places
--   weft run recipes/subject-driven.lua pictures="mug/*.png" kind=cat
local weft = require "weft"
local p = weft.params {
  pictures = { "", help = "pattern of pictures of the subject; none: two are made first" },
  kind = { "cat", help = "what the subject is" },
  places = { "in the snow|at night|in a meadow|on the beach", help = "with | between" },
  guidance = 3, negative = "", steps = 25, seed = 4, out = { "subject.png", path = true },
}
local m = weft.load "micro"

local list, labels = {}, {}
for i, path in ipairs(weft.glob(p.pictures, { some = true })) do list[i] = weft.image.load(path) end
for i, where in ipairs(#list == 0 and { "left in the city", "top in the sea" } or {}) do
  list[i] = m:image { ("a large striped purple %s at the %s"):format(p.kind, where), seed = i + 4 }
end
local views = { unpack(list) }
for i in ipairs(views) do labels[i] = "given" end
for where in p.places:gmatch "[^|]+" do
  list[#list + 1], labels[#labels + 1] = m:image {
    weft.prompt { "here is a " .. p.kind .. ":", unpack(views) }
      .. (". create a new image of this %s %s"):format(p.kind, where),
    guidance = p.guidance, negative = p.negative, steps = p.steps, seed = p.seed }, where
end
weft.sheet(list, { columns = 3, labels = labels }):save(p.out)
