--- What the models hear of the small world's sounds (weft.pipeline.micro_mel), and distances.
local ffi = require "ffi"
local weft = require "weft"
local audio = require "world.audio"
local front = require "weft.pipeline.micro_mel"

local M = {}

M.N_FRAMES, M.N_BANDS, M.N_ELEMS = front.N_FRAMES, front.N_BANDS, front.N_ELEMS
M.LOG10 = front.LOG10
M.mel, M.sound = front.of, front.sound

--- Samples of sounds or music.
---@param list (world.Sound|world.Music)[]
---@return weft.Tensor x  [n,8192]
function M.samples(list)
  local x = weft.tensor.zeros(#list, audio.N_SAMPLES)
  local p = x:ptr()
  for i, record in ipairs(list) do audio.into(record, p + (i - 1) * audio.N_SAMPLES) end
  return x
end

--- Mels of sounds or music.
---@param list (world.Sound|world.Music)[]
---@return weft.Tensor mel  [n,64,64]
function M.of(list)
  return weft.scope(function() return M.mel(M.samples(list)) end)
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

return M
