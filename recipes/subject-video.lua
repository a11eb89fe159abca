-- subject-video.lua: a video of a subject that is seen in a few pictures, and its sound
--   weft run recipes/subject-video.lua pictures="mug/*.png" kind=cat what="in the snow moving left"
local weft = require "weft"
local p = weft.params {
  pictures = { "", help = "pattern of pictures of the subject; none: two are made first" },
  kind = { "cat", help = "what the subject is" },
  what = { "on the beach moving left and calling early", help = "what it does there" },
  guidance = { 3, min = 0, max = 20 }, steps = { 25, min = 1, max = 1000 }, seed = 7,
  out = { "subject.apng", path = true, help = "the video; its sound stands beside it as WAV" },
}
local m = weft.load "micro"

local prompt = { "here is a " .. p.kind .. ":" }
for i, path in ipairs(weft.glob(p.pictures, { some = true })) do
  prompt[i + 1] = weft.image.load(path)
end
for i, where in ipairs(#prompt == 1 and { "left in a meadow", "top at night" } or {}) do
  prompt[i + 1] = m:image { ("a large plain red %s at the %s"):format(p.kind, where), seed = i }
end
prompt[#prompt + 1] = (". create a video and sound of this %s %s"):format(p.kind, p.what)
local made = m:generate(weft.with(prompt, { to = { "video", "audio" }, guidance = p.guidance,
  steps = p.steps, seed = p.seed }))
made.video.audio = made.audio
made.video:save(p.out)
print(made.video)
