-- next-frame.lua: what follows the first frames of a video, and what is heard with it
--   weft run recipes/next-frame.lua frames="walk/*.png"
local weft = require "weft"
local p = weft.params {
  frames = { "", help = "pattern of the frames so far; none: three are made first" },
  shown = { "a small plain red frog at the %s in a meadow", help = "what to make then" },
  guidance = 3, negative = "", steps = 25, seed = 7, out = { "next-frame.png", path = true,
    help = "the frames; the sound stands beside it as WAV" },
}
local m = weft.load "micro"

local list, prompt, labels = {}, { "given video frames" }, {}
for i, path in ipairs(weft.glob(p.frames, { some = true })) do list[i] = weft.image.load(path) end
for i, where in ipairs(#list == 0 and { "left", "center", "right" } or {}) do
  list[i] = i == 1 and m:image { p.shown:format(where), seed = p.seed }
    or m:edit(list[1], { m:encode(p.shown:format(where)), seed = p.seed })
end
for i, frame in ipairs(list) do prompt[i + 1], labels[i] = frame, tostring(i) end
prompt[#prompt + 1] = ", what is the next sound and image?"
local made = m:generate(weft.with(prompt, {
  to = { "image", "audio" }, negative = p.negative, guidance = p.guidance, steps = p.steps,
  seed = p.seed }))
local n, heard = #list, made.audio:picture { spectrogram = true, w = 64, h = 64 }
list[n + 1], labels[n + 1], list[n + 2], labels[n + 2] = made.image, "next", heard, "heard"
weft.sheet(list, { columns = n + 2, labels = labels }):save(p.out)
made.audio:save((p.out:gsub("%.%w+$", "") .. ".wav"))
