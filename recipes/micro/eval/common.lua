--- What the evaluations share: pictures and sounds for the judges, shares with their intervals.
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

local function media_of(part)
  if part.image then return part.image, M.picture_of end
  if part.audio then return part.audio, M.sound_of end
  return part.video, function(v) return M.video_of(video.new(v)) end
end

--- A prompt of the world as weft takes it. Each medium is made once and kept in `made`, so that
-- the same record is the same picture.
---@param prompt (string|table)[]
---@param made table
function M.parts_of(prompt, made)
  local out = {}
  for i, part in ipairs(prompt) do
    if type(part) == "string" then
      out[i] = part
    else
      local record, make = media_of(part)
      made[record] = made[record] or make(record)
      out[i] = made[record]
    end
  end
  return out
end

--- Wilson's interval of a share k of n, at 95 %.
---@return number low
---@return number high
function M.interval(k, n)
  local z = 1.96
  local p, d = k / n, 1 + z * z / n
  local centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
  return math.max(0, (centre - half) / d), math.min(1, (centre + half) / d)
end

--- Shares of right answers: printed row by row, written as CSV at the end.
---@return { show: fun(name: string, right: integer, n: integer, copied: integer?),
--- save: fun(path: string), rows: table[] }
function M.shares()
  local rows = {}
  local function show(name, right, n, copied)
    local low, high = M.interval(right, n)
    print(("%-42s %.3f  [%.3f, %.3f]  %s"):format(name, right / n, low, high,
      copied and ("copy %.3f"):format(copied / n) or ""))
    rows[#rows + 1] = { name = name, n = n, share = right / n, low = low, high = high,
      copy = copied and copied / n or nil }
  end
  local function save(path)
    local lines = { "task,n,share,low,high,copy" }
    for i, r in ipairs(rows) do
      lines[i + 1] = ("%q,%d,%.4f,%.4f,%.4f,%s"):format(r.name, r.n, r.share, r.low, r.high,
        r.copy and ("%.4f"):format(r.copy) or "")
    end
    weft.core.save_text(path, table.concat(lines, "\n") .. "\n", true)
  end
  return { show = show, save = save, rows = rows }
end

return M
