-- what-comes-next.lua: the next picture of a series, and what changes from one to the next
--   weft run recipes/what-comes-next.lua
local weft = require "weft"
local p = weft.params {
  series = { "a small plain green frog at the left in a meadow|"
    .. "a medium plain green frog at the left in a meadow",
    help = "descriptions of the pictures so far, with | between" },
  guidance = 3, negative = "", steps = 25, seed = 3, out = { "next.png", path = true },
}
local m = weft.load "micro"

local list, prompt, labels = {}, { "here is a series:" }, {}
for text in p.series:gmatch "[^|]+" do
  list[#list + 1] = #list == 0 and m:image { text, seed = p.seed }
    or m:edit(list[1], { text, seed = p.seed })
  prompt[#prompt + 1], labels[#labels + 1] = list[#list], tostring(#list)
end
print(m:text { "what changed from", list[#list - 1], "to", list[#list], "?" })
prompt[#prompt + 1] = ". show what happens next"
list[#list + 1], labels[#labels + 1] = m:image(weft.with(prompt, { guidance = p.guidance,
  negative = p.negative, steps = p.steps, seed = p.seed })), "next"
weft.sheet(list, { columns = #list, labels = labels }):save(p.out)
