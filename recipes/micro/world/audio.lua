--- Samples of sounds and music: a pure function of the record, 8192 of them at 8 kHz.
--
-- Events, ambience, effects, half the level, defect; then rounded to 16 bits once, so that `into`
-- and a WAV hold the same values.
local ffi = require "ffi"
local music = require "world.music"
local synth = require "world.synth"

local floor, min, max = math.floor, math.min, math.max

local M = {}

local N = synth.N_SAMPLES
M.N_SAMPLES, M.RATE_HZ = N, synth.RATE_HZ

local LEVEL = 0.5
local AMBIENCE_GAIN = 0.5
local buffer = ffi.new("double[?]", N)

--- Lay a sound's parts over each other and run its effects, in this order.
local function mix(s)
  for _, e in ipairs(s.events) do synth.add_voice(buffer, e.voice, e.pitch, e.slot) end
  synth.add_ambience(buffer, s.ambience, s.seed, AMBIENCE_GAIN)
  if s.echo then synth.effect.echo(buffer) end
  if s.reverse then synth.effect.reverse(buffer) end
end

--- Render a sound or music.
---@param record world.Sound|world.Music
---@param out ffi.cdata*  float [8192], -1..1, written whole
function M.into(record, out)
  ffi.fill(buffer, N * 8)
  if record.events then mix(record) else music.add(record, buffer) end
  local level = LEVEL * 10 ^ ((record.gain_db or 0) / 20)
  for i = 0, N - 1 do buffer[i] = level * buffer[i] end
  if record.defect then synth.defect[record.defect](buffer, record.seed) end
  for i = 0, N - 1 do
    out[i] = max(-32768, min(32767, floor(buffer[i] * 32768 + 0.5))) / 32768
  end
end

--- Render to samples of its own.
---@param record world.Sound|world.Music
---@return ffi.cdata* samples  float [8192], owned by the caller
function M.new(record)
  local out = ffi.new("float[?]", N)
  M.into(record, out)
  return out
end

return M
