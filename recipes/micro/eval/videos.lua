--- How well the small model makes videos: subject, motion and call by the world's judge, ceilings
-- and controls.
--
--   weft run recipes/micro/eval/videos.lua n=100
--
-- Clips are drawn with seeds that no training used. Words say when a call begins to within a third
-- of the video, so any frame of that third is right. The last line is JSON.
package.path = "./recipes/micro/?.lua;" .. package.path

local weft = require "weft"
local captions = require "world.video_caption"
local common = require "eval.common"
local micro_video = require "weft.pipeline.micro_video"
local oracle = require "world.oracle"
local video = require "world.video"
local watch = require "world.watch"

local p = weft.params {
  n = { 100, min = 1, help = "clips a row" }, steps = 25, guidance = 3, model = "micro",
  seed = 1000, out = { "", path = true, help = "a sheet of the first clips, a row each" },
}
local m = weft.load(p.model)
local bytes_of, video_of = common.frames_of, common.video_of

-- ---- judging ----

--- The call may begin in any frame that the words allow.
local function judge(bytes, v)
  local seen, expected = watch.call(bytes, v), video.copy(v)
  if seen and v.call and captions.time(seen) == captions.time(v.call) then expected.call = seen end
  return watch.attributes(bytes, expected, { free_texture = true })
end

local NAMES = { "motion", "call", "kind", "colour", "size", "pattern", "cell", "place", "style",
  "all" }
local report, shown = {}, {}

local function show(label, verdicts)
  local rates, cells = oracle.rates(verdicts), {}
  for i, name in ipairs(NAMES) do
    cells[i] = rates[name] and ("%7.3f"):format(rates[name]) or "      -"
  end
  print(("%-32s %s"):format(label, table.concat(cells, " ")))
  report[label] = rates
end

--- make(i) -> a weft.Video for clip i; every one is judged against its clip.
local function row(label, clips, make)
  local verdicts = {}
  for i, v in ipairs(clips) do
    local made = make(i)
    if i <= 2 then shown[#shown + 1] = made:strip() end
    verdicts[i] = judge(bytes_of(made), v)
  end
  show(label, verdicts)
end

local function generate(i, prompt)
  prompt.steps, prompt.guidance, prompt.seed, prompt.progress = p.steps, p.guidance, p.seed + i,
    false
  return m:video(prompt)
end

--- What a clip is told by: its words, and its first frame.
local function words_of(v) return captions.complete(v) end
local function motion_of(v) return select(2, micro_video.split(captions.complete(v))) end
local function first_of(v) return video_of(video.new(v))[1] end

local function clips_of(split)
  local list = {}
  for i = 1, p.n do list[i] = video.at(split, i) end
  return list
end

--- The clip that another clip's words describe: right then is right by chance.
local function other(list, i) return list[(i + math.floor(#list / 2) - 1) % #list + 1] end

-- ---- the rows ----

local function redrawn(v)
  local w = video.copy(v)
  local o = w.scene.objects[1]
  w.scene.texture, o.jx, o.jy = (v.scene.texture + 7919) % 2 ^ 31, -o.jx, -o.jy
  return w
end

--- The clip's frames through the autoencoder and back: no denoiser does better.
local function coded(v)
  local frames = {}
  for i, f in video_of(video.new(v)):frames() do frames[i] = m:decode_encode(f) end
  return weft.video.new { frames = frames, fps = video.FPS }
end

--- The first frame, held: what a model that moves nothing would score.
local function held(v)
  local frames, first = {}, first_of(v)
  for i = 1, video.N_FRAMES do frames[i] = first end
  return weft.video.new { frames = frames, fps = video.FPS }
end

local header = {}
for i, name in ipairs(NAMES) do header[i] = ("%7s"):format(name) end
print(("%-32s %s"):format("", table.concat(header, " ")))
local val, unseen = clips_of "val", clips_of "heldout"
row("ceiling: truth, other texture", val,
  function(i) return video_of(video.new(redrawn(val[i]))) end)
row("ceiling: autoencoder", val, function(i) return coded(val[i]) end)
row("words to video", val, function(i) return generate(i, { words_of(val[i]) }) end)
row("words to video, held-out pairs", unseen,
  function(i) return generate(i, { words_of(unseen[i]) }) end)
row("first frame and motion", val,
  function(i) return generate(i, { first_of(val[i]), motion_of(val[i]) }) end)
row("control: another's words", val,
  function(i) return generate(i, { words_of(other(val, i)) }) end)
row("control: another's motion", val,
  function(i) return generate(i, { first_of(val[i]), motion_of(other(val, i)) }) end)
row("control: no words", val, function(i) return generate(i, { "" }) end)
row("control: the first frame, held", val, function(i) return held(val[i]) end)
if p.out ~= "" then weft.sheet(shown, { columns = 1 }):save(p.out, { overwrite = true }) end
print(weft.json.encode(report))
