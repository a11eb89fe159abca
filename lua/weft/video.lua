--- Videos: a list of pictures of one size with a rate, and perhaps a sound.
-- `#v` and `v[i]` are the frames; methods give new videos. Times are in seconds from 0.
local core = require "weft.core"
local check = require "weft.check"
local image = require "weft.image"
local ops = require "weft.ops"
local paths = require "weft.paths"

local M = {}
---@class weft.Video
---@field fps number
---@field width integer
---@field height integer
---@field seconds number
---@field audio? weft.Audio
local Video = {}
Video.kind = "video"

local getters = {
  width = function(self) return self[1].width end,
  height = function(self) return self[1].height end,
  seconds = function(self) return #self / self.fps end,
}

Video.__index = function(self, name)
  local get = getters[name]
  if get then return get(self) end
  return Video[name]
end

function M.is(v) return getmetatable(v) == Video end

local function check_frames(what, frames)
  if type(frames) ~= "table" or #frames == 0 then check.fail("%s: there are no frames", what) end
  for i, f in ipairs(frames) do
    if not image.is(f) then check.fail("%s: frame %d is not an image", what, i) end
    if f.width ~= frames[1].width or f.height ~= frames[1].height then
      check.fail("%s: frame %d has another size than the first", what, i)
    end
  end
end

local function make(frames, fps, audio, meta)
  local self = { fps = fps, audio = audio, meta = meta }
  for i, f in ipairs(frames) do self[i] = f end
  return setmetatable(self, Video)
end

--- A video of images: { frames = list, fps = 8, audio = sound? }.
function M.new(opts)
  check.type("video.new: options", opts, "table")
  if opts.audio and not require("weft.audio").is(opts.audio) then
    check.fail("video.new: audio must be a sound, got %s", type(opts.audio))
  end
  check.keys("video.new", opts, { "frames", "fps", "audio" })
  check_frames("video.new", opts.frames)
  return make(opts.frames, check.number("video.new: fps", opts.fps, 8, 0.01, 1000), opts.audio)
end

--- A video over a tensor [L,H,W,C] of values in 0 ... 1; the frames share its memory.
function M.from(t, fps, audio)
  check.tensor("video.from: tensor", t)
  if t.rank == 5 and t:size(1) == 1 then t = t:select(1, 1) end
  if t.rank ~= 4 then
    check.fail("video.from: [%s] is not [L,H,W,C]", table.concat(t:size(), ","))
  end
  local frames = {}
  for i = 1, t:size(1) do frames[i] = image.from(t:select(1, i)) end
  return M.new{ frames = frames, fps = fps, audio = audio }
end

--- Whether this build reads and writes .webm, .mp4 and what else FFmpeg knows.
function M.has_clips() return core.has_clips() end

local function decode(texts) return texts and require("weft.provenance").decode(texts) end

--- Read a clip through FFmpeg, its sound too.
local function load_clip(path, opts)
  local data, fps, texts, sound, rate = core.load_clip(path,
    check.number("video.load: fps", opts.fps, 0, 0.01, 1000), opts.audio == false)
  local v = M.from(data, fps, sound and require("weft.audio").from(sound, rate))
  v.meta = decode(texts)
  return v
end

local function read_video(path, opts)
  if not path:lower():find "%.a?png$" then return load_clip(path, opts) end
  if opts.fps then check.fail("video.load: fps is for clips, %s has its own", path) end
  local data, seconds, texts = core.load_apng(path)
  local wav = path:gsub("%.%w+$", "") .. ".wav"
  local f = opts.audio ~= false and io.open(wav, "rb")
  if f then f:close() end
  local v = M.from(data, seconds > 0 and data:size(1) / seconds or 8,
    f and require("weft.audio").load(wav) or nil)
  v.meta = decode(texts)
  return v
end

--- Read a video: an animated PNG, with a WAV of the same name beside it as the sound, or any file
-- that FFmpeg reads. fps repeats or drops frames of the latter; audio = false leaves out the sound.
---@param opts? { fps: number, audio: boolean }
function M.load(path, opts)
  path = paths.read(check.type("video.load: path", path, "string"))
  opts = check.keys("video.load", opts, { "fps", "audio" })
  local v = read_video(path, opts)
  v.name = select(2, paths.split(path))            -- by which provenance knows an input
  return v
end

--- One after the other; sounds are joined when all have one.
function M.concat(list)
  if #list == 0 then check.fail("concat: the list is empty") end
  local frames, sounds = {}, {}
  for i, v in ipairs(list) do
    if not M.is(v) then check.fail("concat: entry %d is not a video", i) end
    for _, f in ipairs(v) do frames[#frames + 1] = f end
    sounds[#sounds + 1] = v.audio
  end
  check_frames("concat", frames)
  local audio = #sounds == #list and require("weft.audio").concat(sounds) or nil
  return make(frames, list[1].fps, audio)
end

Video.__tostring = function(self)
  return ("Video %dx%d %d frames %g fps %.2f s%s"):format(self.width, self.height, #self, self.fps,
    self.seconds, self.audio and "  with sound" or "")
end

--- Iterate index, frame.
function Video:frames() return ipairs(self) end

--- All frames as one tensor [L,H,W,C].
function Video:tensor()
  local list = {}
  for i, f in ipairs(self) do list[i] = f.data end
  return ops.stack(list, 1)
end

function Video:clone()
  local frames = {}
  for i, f in ipairs(self) do frames[i] = f:clone() end
  return make(frames, self.fps, self.audio, self.meta)
end

--- From t0 to t1 (the end), sound too.
function Video:slice(t0, t1)
  check.given("slice: from", t0)
  check.number("slice: to", t1)
  local from = math.floor(t0 * self.fps + 0.5)
  local to = math.floor((t1 or self.seconds) * self.fps + 0.5)
  if from < 0 or to > #self or to <= from then
    check.fail("slice: %g to %g s is outside 0 to %g s", t0, t1 or self.seconds, self.seconds)
  end
  local frames = {}
  for i = from + 1, to do frames[#frames + 1] = self[i] end
  return make(frames, self.fps, self.audio and self.audio:slice(t0, t1))
end

--- With one more picture, or another video, at the end.
function Video:append(what)
  if M.is(what) then return M.concat{ self, what } end
  local frames = {}
  for i, f in ipairs(self) do frames[i] = f end
  frames[#frames + 1] = what
  check_frames("append", frames)
  return make(frames, self.fps, self.audio)
end

function Video:with_audio(audio) return make(self, self.fps, audio, self.meta) end

--- The frames side by side in one picture.
---@param opts? { columns: integer }
function Video:strip(opts)
  opts = check.keys("strip", opts, { "columns" })
  local list = {}
  for i, f in ipairs(self) do list[i] = f end
  return require("weft.sheet")(list, { columns = opts.columns or #list, gap = 2 })
end

--- Show it in the terminal, as far as that can; gives it back.
---@param opts? { width: integer, height: integer, protocol: string }
function Video:show(opts) return require("weft.show").show(self, opts) end

--- Write a clip through FFmpeg, with the sound inside.
local function save_clip(self, path, fps, opts, texts)
  local audio = self.audio
  core.scope(function()
    core.save_clip(path, self:tensor(), fps, audio and audio.data, audio and audio.rate,
      { quality = opts.quality, overwrite = opts.overwrite ~= false, texts = texts })
  end)
  paths.saved(self)
  return path
end

--- Raise when the sound beside a video may not be written, before the pictures are.
local function check_sound(wav, opts)
  paths.write(wav)
  if opts.overwrite == false and require("weft.host").stat(wav) then
    core.raise("io", wav .. ": exists already, and may not be replaced")
  end
end

--- Write a video by the end of the name: .webm or .mp4 in builds with FFmpeg; .apng or .png, the
-- sound then going into a WAV of the same name beside it. quality, 0 ... 1, is of the former.
---@param opts? { fps: number, quality: number, overwrite: boolean, provenance: string }
---@return string path, string? wav
function Video:save(path, opts)
  opts = check.keys("save", opts, { "fps", "quality", "overwrite", "provenance" })
  check.type("save: path", path, "string")
  check.number("save: quality", opts.quality, nil, 0, 1)
  local texts = require("weft.provenance").texts(self, path, opts.provenance)
  local fps = opts.fps or self.fps
  paths.write(path)
  if not path:lower():find("%.a?png$") then
    if core.has_clips() then return save_clip(self, path, fps, opts, texts) end
    core.raise("unsupported", "save: this build writes videos as .apng or .png, not " .. path,
      "with FFmpeg's libraries (libavformat-dev libavcodec-dev libswscale-dev libswresample-dev) "
      .. "built in, it writes .webm and .mp4")
  end
  local wav = self.audio and path:gsub("%.%w+$", "") .. ".wav"
  if wav then check_sound(wav, opts) end
  core.scope(function()
    core.save_apng(path, self:tensor(), fps, texts, opts.overwrite ~= false)
  end)
  require("weft.fingerprint").saved(self, path)
  paths.saved(self)
  if not wav then return path end
  return path, self.audio:save(wav, { overwrite = opts.overwrite, provenance = opts.provenance })
end

return M
