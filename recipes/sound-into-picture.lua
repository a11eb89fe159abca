-- sound-into-picture.lua: put what is heard into a picture: the place of an ambience, or a creature
--   weft run recipes/sound-into-picture.lua sound=rain.wav picture=mine.png
--   weft run recipes/sound-into-picture.lua heard="a mid croak" what=kind
local weft = require "weft"
local p = weft.params {
  sound = { "", path = true, help = "what is heard; none: one is made of the words in heard" },
  heard = { "crickets in the background", help = "what to make when there is no sound" },
  picture = { "", path = true, help = "the picture to change; none: one is made first" },
  shown = { "a large plain red cat at the left in the snow", help = "what to make then" },
  what = { "place", choices = { "place", "kind" }, help = "what of the sound goes into it" },
  guidance = 3, negative = "", steps = 25, seed = 7, out = { "heard.png", path = true },
}
local m = weft.load "micro"

local sound = p.sound ~= "" and weft.audio.load(p.sound) or m:audio { p.heard, seed = p.seed }
local before = p.picture ~= "" and weft.image.load(p.picture)
  or m:image { p.shown, seed = p.seed }
local prompt = p.what == "place" and { "show", before, "in the place of", sound }
  or { "replace the subject in", before, "with what is heard in", sound }
local after = m:image(weft.with(prompt, { guidance = p.guidance, negative = p.negative,
  steps = p.steps, seed = p.seed }))
weft.sheet({ before, sound:picture { spectrogram = true, w = 64, h = 64 }, after },
  { columns = 3, labels = { "before", "heard", "after" } }):save(p.out)
