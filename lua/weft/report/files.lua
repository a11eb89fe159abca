--- Files as media: what a name says of a file, what the file holds, and how it was made.
local audio = require "weft.audio"
local core = require "weft.core"
local image = require "weft.image"
local paths = require "weft.paths"
local provenance = require "weft.provenance"
local video = require "weft.video"

local M = {}

-- Of each ending: the kind and the type that a browser knows it by. "film" is a video that is
-- shown as it is; without a type the browser cannot play it, and it is written anew.
local endings = {
  png = { "image", "image/png" }, apng = { "image", "image/apng" }, jpg = { "image", "image/jpeg" },
  jpeg = { "image", "image/jpeg" }, wav = { "audio", "audio/wav" },
  flac = { "audio", "audio/flac" },
  ogg = { "audio", "audio/ogg" }, oga = { "audio", "audio/ogg" }, opus = { "audio", "audio/ogg" },
  mp3 = { "audio", "audio/mpeg" }, aif = { "audio" }, aiff = { "audio" },
  webm = { "film", "video/webm" }, mp4 = { "film", "video/mp4" }, txt = { "text", "text/plain" },
}

--- "image", "audio", "film", "text" by the name of a file; nil when it holds no medium.
function M.kind(path) return (endings[paths.extension(path)] or {})[1] end

--- The media type for a data URI; nil for what browsers do not play.
function M.type(path) return (endings[paths.extension(path)] or {})[2] end

--- Whether the bytes of a PNG hold an animation: a chunk acTL stands before the first IDAT.
function M.is_animated(bytes)
  local at = 9
  while at + 8 <= #bytes do
    local a, b, c, d = bytes:byte(at, at + 3)
    local name = bytes:sub(at + 4, at + 7)
    if name == "acTL" then return true end
    if name == "IDAT" then return false end
    at = at + 12 + ((a * 256 + b) * 256 + c) * 256 + d
  end
  return false
end

--- The WAV that is the sound of a video of this name.
function M.sound_of(path) return (path:gsub("%.%w+$", "")) .. ".wav" end

local function meta_of(texts) return texts and provenance.decode(texts) end

local function open_sound(path)
  local data, rate, texts = core.load_audio(path, true)
  return audio.from(data, rate), meta_of(texts)
end

local function open_video(path)
  local data, seconds, texts = core.load_apng(path)
  local sound = M.sound_of(path)
  local has_sound = require("weft.host").stat(sound) == "file"
  local fps = seconds > 0 and data:size(1) / seconds or 8
  return video.from(data, fps, has_sound and open_sound(sound) or nil), meta_of(texts)
end

local function open_image(path)
  local data, texts = core.load_image(path)
  return image.from(data), meta_of(texts)
end

--- The object that a file holds and its provenance. kind is as M.kind says, "video" for animations.
-- Raises for what is damaged or missing.
---@param path string
---@return string kind
---@return any object    an Image, Audio, Video; the text; nil for a film
---@return table? meta
function M.open(path)
  local kind = M.kind(path)
  if kind == "audio" then return kind, open_sound(path) end
  local bytes, err = paths.slurp(path)
  if not bytes then core.raise("io", err) end
  if kind == "film" then return kind end
  if kind == "text" then return kind, bytes end
  if bytes:sub(1, 4) == "\137PNG" and M.is_animated(bytes) then return "video", open_video(path) end
  return kind, open_image(path)
end

return M
