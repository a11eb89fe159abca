--- Outcomes of tasks with sounds, music and videos: the right oracle for each kind of example.
--
-- An output is a table of what was made: image (bytes or floats), audio (see hearing.to_mel), video
-- (frames, bytes or floats), text.
local judge = require "world.judge"
local links = require "world.links"
local listen = require "world.listen"
local oracle = require "world.oracle"
local render = require "world.render"
local sound_caption = require "world.sound_caption"
local tune = require "world.tune"
local video_caption = require "world.video_caption"
local videos = require "world.video"
local watch = require "world.watch"

local M = {}

-- Least PSNR of a picture that counts as the next frame.
local LEAST_DB = 18

-- Each task: function(output, example) -> success, verdict.
local check = {}

local function exact_sound(output, example)
  return listen.edit(output.audio, example.media[example.source], example.audio)
end
check.sound_edit, check.sound_exemplar = exact_sound, exact_sound

function check.took_place(output, example)
  return oracle.edit(output.image, example.media[example.source], example.image)
end

--- Frames that could come next instead: those of other motions, and of no call or an other.
local function other_frames(clip, k)
  local list = {}
  for motion = 0, 7 do
    for call = 0, videos.LAST_CALL do
      local v = videos.copy(clip)
      v.motion, v.call = motion, call > 0 and call or nil
      list[#list + 1] = videos.frame(v, k)
    end
  end
  return list
end

--- Which frame of its clip an example wants.
local function frame_number(example)
  local clip = example.clip
  return clip.motion == videos.BOUNCE and videos.CONTACTS[2] or clip.call + 1
end

function check.next_frame(output, example)
  local bytes, target = oracle.to_bytes(output.image), render.new(example.image)
  local e = oracle.sum_squares(bytes, target)
  local verdict = { is_closest = true }
  for _, frame in ipairs(other_frames(example.clip, frame_number(example))) do
    if oracle.sum_squares(bytes, render.new(frame)) < e then verdict.is_closest = false end
  end
  local copied = oracle.sum_squares(bytes, render.new(example.media[example.source]))
  verdict.is_changed = e < copied
  verdict.psnr_db = 10 * math.log10(255 * 255 * render.N_ELEMS / math.max(e, 1e-3))
  verdict.sound = listen.attributes(output.audio, example.audio, { free_slots = true })
  local ok = verdict.is_closest and verdict.is_changed and verdict.psnr_db >= LEAST_DB
    and verdict.sound.all
  return ok, verdict
end

function check.vibe(output, example)
  local verdict = tune.attributes(output.audio, example.audio)
  return verdict.all, verdict
end

--- The video as its caption says, and the call seen and heard in one slot; whose voice it is.
function check.subject_video(output, example)
  local ok, verdict = watch.caption(output.video, example.caption)
  local where = videos.copy(example.video)
  where.scene.objects[1].cell = verdict.video.scene.objects[1].cell
  where.scene.objects[1].jx, where.scene.objects[1].jy = 0, 0
  verdict.sync = watch.sync(output.video, output.audio, where)
  verdict.voice = listen.attributes(output.audio, example.audio, { free_slots = true }).voice[1]
  return ok and verdict.sync.success, verdict
end

function check.hear(output, example)
  return listen.caption(output.audio, example.caption)
end

function check.play(output, example)
  local verdict = tune.attributes(output.audio, sound_caption.parse_music(example.caption))
  return verdict.all, verdict
end

function check.film(output, example)
  return watch.caption(output.video, example.caption)
end

check.animate = check.film

function check.sound_of(output, example)
  return watch.belongs(output.audio, example.media[1])
end

--- Captions of a scene's sound with every row that its columns leave open.
local function with_cells(example)
  local list = { "" }
  for i, o in ipairs(example.image.objects) do
    local more = {}
    for _, text in ipairs(list) do
      for row = 0, 2 do
        local said = { size = o.size, kind = o.kind, cell = row * 3 + o.cell % 3 }
        more[#more + 1] = (i > 1 and text .. " and " or "") .. links.phrase(said)
      end
    end
    list = more
  end
  local place = links.place_words(example.image.place)
  for i, text in ipairs(list) do list[i] = text .. place end
  return list
end

--- What is heard and its columns; colours, patterns and rows are free.
function check.picture_of(output, example)
  local verdict
  for _, text in ipairs(with_cells(example)) do
    local ok
    ok, verdict = judge.caption(output.image, text)
    if ok then return true, verdict end
  end
  return false, verdict
end

function check.picture_with(output, example)
  return judge.caption(output.image, example.caption)
end

function check.say_sound(output, example)
  local verdict = sound_caption.score(output.text, example.media[1])
  return verdict.all, verdict
end

--- Word for word: its text says when each voice is heard, which captions leave out.
function check.sound_becomes(output, example)
  local ok = output.text:lower():gsub("%s+", " ") == example.text
  return ok, { all = ok }
end

function check.say_video(output, example)
  local verdict = video_caption.score(output.text, example.media[1])
  return verdict.all, verdict
end

--- Whether an output is what an example wants.
---@param output { image: any, audio: any, video: any, text: string }
---@param example world.Example
---@return boolean success
---@return table verdict
function M.example(output, example)
  return check[example.task](output, example)
end

--- The exact output of an example, rendered: what the judge must accept.
---@param example world.Example
---@return table output
function M.truth(example)
  return {
    image = example.image and render.new(example.image),
    audio = example.audio and require("world.audio").new(example.audio),
    video = example.video and videos.new(example.video),
    text = example.text,
  }
end

--- The copy baseline: whether handing back the source already succeeds.
---@param example world.Example  with a source
---@return boolean
function M.copy_succeeds(example)
  local source, output = example.media[example.source], M.truth(example)
  if source.events then output.audio = require("world.audio").new(source)
  else output.image = render.new(source) end
  return (M.example(output, example))
end

return M
