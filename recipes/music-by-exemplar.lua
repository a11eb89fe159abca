-- music-by-exemplar.lua: music that fits one picture as other music fits another
--   weft run recipes/music-by-exemplar.lua picture=a.png music=a.wav other=b.png
local weft = require "weft"
local p = weft.params {
  picture = { "", path = true, help = "the first picture; none: all three are made" },
  music = { "", path = true, help = "the music that captures its vibe" },
  other = { "", path = true, help = "the picture that wants music" },
  guidance = 3, negative = "", steps = 25, seed = 5, out = { "music.wav", path = true },
}
local m = weft.load "micro"

local function picture(path, words)
  return path ~= "" and weft.image.load(path) or m:image { words, seed = p.seed }
end
local first = picture(p.picture, "a medium plain green frog at the left in a meadow")
local other = picture(p.other, "a small plain blue cat at the right at night")
local music = p.music ~= "" and weft.audio.load(p.music)
  or m:audio { "fast major flute music", seed = p.seed }
local out = m:audio { "for image", first, ", music", music,
  "captures the vibe. what is the right music to", other, "?",
  guidance = p.guidance, negative = p.negative, steps = p.steps, seed = p.seed }
out:save(p.out)
print(out)
