-- chat.lua: several rounds, each standing on what was made before
--   weft run recipes/chat.lua rounds="a large red cat in the snow|make it small|put it at night"
--   weft run recipes/chat.lua rounds="a large red cat|make it small|retry|undo|make it blue"
local weft = require "weft"
local p = weft.params {
  rounds = { "a large plain red cat at the left in the snow|now make the cat blue|"
    .. "please put it at night|describe it", help = "what is said, undo and retry too, with |" },
  fork = { "", help = "what to say, at the end, in a conversation that parts from this one" },
  guidance = 3, steps = 25, seed = 7, out = { "chat.png", path = true },
}
local m = weft.load "micro"

local chat, list, labels = m:chat { guidance = p.guidance, steps = p.steps, seed = p.seed }, {}, {}
local function show(words, reply)
  print("> " .. words)
  if reply.text then print(reply.text) end
  for _, im in ipairs(reply.images) do list[#list + 1], labels[#labels + 1] = im, words end
end
for words in p.rounds:gmatch "[^|]+" do
  if words == "undo" then chat:undo()
  else show(words, words == "retry" and chat:retry() or chat { words }) end
end
if p.fork ~= "" then show(p.fork, chat:fork() { p.fork }) end
weft.sheet(list, { columns = 3, labels = labels }):save(p.out)
