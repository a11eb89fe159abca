--- What the models hear: 64 frames of 64 mel bands as numbers of about -1 .. 1, and back.
--
-- 512 points under a Hann window every 16 ms, triangles between 40 and 3950 Hz whose weights add
-- up to 1, log10 of at least 1e-3; -3 .. 1.9 becomes -1 .. 1.
local ffi = require "ffi"
local weft = require "weft"
local audio = require "world.audio"

local M = {}

M.N_FRAMES, M.N_BANDS = 64, 64
M.N_ELEMS = M.N_FRAMES * M.N_BANDS

local FRONT = { rate = audio.RATE_HZ, n_fft = 512, hop = 128, bins = M.N_BANDS, low = 40,
                high = 3950, scale = "htk", norm = "unit", floor = 1e-3, log = "log10" }
local MIDDLE, HALF = -0.55, 2.45

--- One unit of a mel in log10 of magnitude.
M.LOG10 = HALF

--- Mels of samples.
---@param x weft.Tensor  [B,8192] f32
---@return weft.Tensor mel  [B,64,64]: frames, bands
function M.mel(x)
  return weft.scope(function()
    local y = weft.mel.log(x, FRONT)
    if y.rank == 2 then y = y:unsqueeze(1) end
    return ((y:narrow(2, 1, M.N_FRAMES) - MIDDLE) / HALF):clone()
  end)
end

--- Mels of sounds or music.
---@param list (world.Sound|world.Music)[]
---@return weft.Tensor mel  [n,64,64]
function M.of(list)
  return weft.scope(function()
    local x = weft.tensor.zeros(#list, audio.N_SAMPLES)
    local p = x:ptr()
    for i, record in ipairs(list) do audio.into(record, p + (i - 1) * audio.N_SAMPLES) end
    return M.mel(x)
  end)
end

--- The mel of whatever was heard: samples, a weft sound at 8 kHz, or a mel already.
---@param heard ffi.cdata*|weft.Audio|weft.Tensor  float [8192], or [64,64]
---@return weft.Tensor mel  [64,64]
function M.to_mel(heard)
  if weft.tensor.is(heard) and heard.rank == 2 then return heard:contiguous() end
  if type(heard) == "table" and heard.kind == "audio" then heard = heard.data:reshape(1, -1) end
  if type(heard) == "cdata" and not weft.tensor.is(heard) then
    local x = weft.tensor.zeros(1, audio.N_SAMPLES)
    ffi.copy(x:ptr(), heard, audio.N_SAMPLES * 4)
    heard = x
  end
  return M.mel(heard):select(1, 1)
end

--- Mean squared difference of two mels.
---@param a ffi.cdata*  float [64,64]
---@param b ffi.cdata*  float [64,64]
---@return number
function M.mean_square(a, b)
  local sum = 0
  for i = 0, M.N_ELEMS - 1 do
    local d = a[i] - b[i]
    sum = sum + d * d
  end
  return sum / M.N_ELEMS
end

--- A sound whose mel is nearly this: Griffin-Lim over 65 frames, the last one twice.
---@param mel weft.Tensor  [64,64]
---@param seed? integer  of the first phases
---@return weft.Audio  8192 samples
function M.sound(mel, seed)
  local y = weft.scope(function()
    local log10 = weft.cat({ mel, mel:narrow(1, M.N_FRAMES, 1) }, 1) * HALF + MIDDLE
    return weft.mel.sound(log10, FRONT, { iters = 32, seed = seed or 0 }).data
  end)
  return weft.audio.from(y, audio.RATE_HZ)
end

return M
