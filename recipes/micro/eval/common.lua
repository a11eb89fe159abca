--- What the evaluations share: pictures and sounds for the judges, shares with their intervals.
local ffi = require "ffi"
local weft = require "weft"
local audio = require "world.audio"
local render = require "world.render"

local M = {}

--- An image's bytes, uint8_t [64,64,3], as the judges take them.
function M.bytes_of(im)
  local t = (im:tensor() * 255 + 0.5):floor():contiguous()
  local from, out = ffi.cast("float *", t:ptr()), ffi.new("uint8_t[?]", render.N_ELEMS)
  for i = 0, render.N_ELEMS - 1 do out[i] = math.max(0, math.min(255, from[i])) end
  return out
end

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

--- Wilson's interval of a share k of n, at 95 %.
---@return number low
---@return number high
function M.interval(k, n)
  local z = 1.96
  local p, d = k / n, 1 + z * z / n
  local centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
  return math.max(0, (centre - half) / d), math.min(1, (centre + half) / d)
end

return M
