--- What the small model hears: 64 frames of 64 mel bands as numbers of about -1 .. 1, and back.
-- The pipeline, the training recipes and the judge of the small world hear through it.
--
-- 512 points under a Hann window every 16 ms, triangles between 40 and 3950 Hz whose weights add
-- up to 1, log10 of at least 1e-3; -3 .. 1.9 becomes -1 .. 1.
local core = require "weft.core"
local audio = require "weft.audio"
local mel = require "weft.mel"
local ops = require "weft.ops"

local M = {}

M.RATE_HZ, M.N_SAMPLES = 8000, 8192
M.N_FRAMES, M.N_BANDS = 64, 64
M.N_ELEMS = M.N_FRAMES * M.N_BANDS

M.FRONT = { rate = M.RATE_HZ, n_fft = 512, hop = 128, bins = M.N_BANDS, low = 40, high = 3950,
            scale = "htk", norm = "unit", floor = 1e-3, log = "log10" }
local MIDDLE, HALF = -0.55, 2.45
local GRIFFIN_LIM_ITERS = 32

--- One unit of a mel in log10 of magnitude.
M.LOG10 = HALF

--- Mels of samples.
---@param x weft.Tensor  [B,8192] f32 at 8 kHz
---@param eps? number  added to squared magnitudes, so that silence has a gradient
---@return weft.Tensor mel  [B,64,64]: frames, bands
function M.of(x, eps)
  return core.scope(function()
    local front = eps and require("weft").with(M.FRONT, { eps = eps }) or M.FRONT
    local y = mel.log(x, front)
    if y.rank == 2 then y = y:unsqueeze(1) end
    return ((y:narrow(2, 1, M.N_FRAMES) - MIDDLE) / HALF):clone()
  end)
end

--- log10 of the bands' magnitudes over 65 frames, the last one twice, as Griffin-Lim wants them.
---@param x weft.Tensor  [64,64]
---@return weft.Tensor  [65,64]
function M.log10(x)
  return ops.cat({ x, x:narrow(1, M.N_FRAMES, 1) }, 1) * HALF + MIDDLE
end

--- A sound whose mel is nearly this, by Griffin-Lim.
---@param x weft.Tensor  [64,64]
---@param seed? integer  of the first phases
---@return weft.Audio  8192 samples
function M.sound(x, seed)
  local y = core.scope(function()
    return mel.sound(M.log10(x), M.FRONT, { iters = GRIFFIN_LIM_ITERS, seed = seed or 0 }).data
  end)
  return audio.from(y, M.RATE_HZ)
end

return M
