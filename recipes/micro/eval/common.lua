--- What the evaluations share: pictures, sounds and videos for the judges.
local ffi = require "ffi"
local weft = require "weft"
local audio = require "world.audio"
local render = require "world.render"
local video = require "world.video"

local M = {}

--- Floats 0 ... 1 as bytes, as the judges take them.
local function to_bytes(t, n)
  local rounded = (t * 255 + 0.5):floor():contiguous()
  local from, out = ffi.cast("float *", rounded:ptr()), ffi.new("uint8_t[?]", n)
  for i = 0, n - 1 do out[i] = math.max(0, math.min(255, from[i])) end
  return out
end

--- An image's bytes, uint8_t [64,64,3].
function M.bytes_of(im) return to_bytes(im:tensor(), render.N_ELEMS) end

--- A video's bytes, uint8_t [8,64,64,3].
function M.frames_of(v) return to_bytes(v:tensor(), video.N_FRAMES * render.N_ELEMS) end

--- A scene's picture as an Image.
function M.picture_of(scene)
  local t = weft.tensor.empty({ 64, 64, 3 })
  local to, from = ffi.cast("float *", t:ptr()), render.new(scene)
  for i = 0, render.N_ELEMS - 1 do to[i] = from[i] / 255 end
  return weft.image.from(t)
end

--- A sound's or music's record as an Audio.
function M.sound_of(record)
  local t = weft.tensor.empty({ audio.N_SAMPLES })
  audio.into(record, t:ptr())
  return weft.audio.from(t, audio.RATE_HZ)
end

--- Frames of the world, uint8_t [8,64,64,3], as a Video.
function M.video_of(bytes)
  local t = weft.tensor.empty({ video.N_FRAMES, 64, 64, 3 })
  local to = ffi.cast("float *", t:ptr())
  for i = 0, video.N_FRAMES * render.N_ELEMS - 1 do to[i] = bytes[i] / 255 end
  return weft.video.from(t, video.FPS)
end

--- Examples drawn so, whose answers are checked on the example that their prompt shows.
---@param draw fun(r: world.Rng): world.Example
function M.refined(draw)
  return function(r) return weft.with(draw(r), { refine = true }) end
end

local function media_of(part, m)
  if part.text then return part, function(t) return m:encode(t.text) end end
  if part.image then return part.image, M.picture_of end
  if part.audio then return part.audio, M.sound_of end
  return part.video, function(v) return M.video_of(video.new(v)) end
end

--- A prompt of the world as weft takes it. Each medium is made once and kept in `made`, so that
-- the same record is the same picture.
---@param prompt (string|table)[]
---@param made table
---@param m? weft.Micro  what reads texts that stand there by their features
function M.parts_of(prompt, made, m)
  local out = {}
  for i, part in ipairs(prompt) do
    if type(part) == "string" then
      out[i] = part
    else
      local record, make = media_of(part, m)
      made[record] = made[record] or make(record)
      out[i] = made[record]
    end
  end
  return out
end

--- What an example wants, as the judges take it, through the autoencoders and back: no denoiser
-- does better.
---@param example world.Example
---@return { image: any, audio: any, video: any, text: string }
function M.coded(m, example)
  local out = { text = example.text }
  if example.image then out.image = M.bytes_of(m:decode_encode(M.picture_of(example.image))) end
  if example.audio then out.audio = m:decode_encode(M.sound_of(example.audio)) end
  if example.video then
    local frames = {}
    for i, f in M.video_of(video.new(example.video)):frames() do frames[i] = m:decode_encode(f) end
    out.video = M.frames_of(weft.video.new { frames = frames, fps = video.FPS })
  end
  return out
end

return M
