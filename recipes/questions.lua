-- questions.lua: ask about a picture or a sound, or have it described
--   weft run recipes/questions.lua media=mine.png ask="which one is dotted?"
local weft = require "weft"
local p = weft.params {
  media = { "", path = true, help = "a picture or a sound; none: a picture is made first" },
  shown = { "a large dotted red cat at the left in the snow", help = "what to make then" },
  ask = { "describe|how many cats are there?", help = "with | between" },
  seed = 7,
}
local m = weft.load "micro"

local loads = { wav = weft.audio.load, flac = weft.audio.load, ogg = weft.audio.load }
local ending = p.media:match "%.(%w+)$" or ""
local it = p.media == "" and m:image { p.shown, seed = p.seed }
  or (loads[ending:lower()] or weft.image.load)(p.media)
for question in p.ask:gmatch "[^|]+" do
  print(("%-28s %s"):format(question, m:text { question, it, seed = p.seed }))
end
