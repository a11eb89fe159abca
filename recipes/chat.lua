-- chat.lua: several rounds, each standing on what was made before
--   weft run recipes/chat.lua rounds="a large red cat in the snow|make it small|put it at night"
local weft = require "weft"
local p = weft.params {
  rounds = { "a large plain red cat at the left in the snow|now make the cat blue|"
    .. "please put it at night|describe it", help = "what is said, with | between" },
  guidance = 3, steps = 25, seed = 7, out = { "chat.png", path = true },
}
local m = weft.load "micro"

local chat, list, labels = m:chat { guidance = p.guidance, steps = p.steps, seed = p.seed }, {}, {}
for words in p.rounds:gmatch "[^|]+" do
  local reply = chat { words }
  print("> " .. words)
  if reply.text then print(reply.text) end
  for _, im in ipairs(reply.images) do
    list[#list + 1], labels[#labels + 1] = im, words
  end
end
weft.sheet(list, { columns = 3, labels = labels }):save(p.out)
