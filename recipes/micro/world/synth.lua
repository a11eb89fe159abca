--- The voices, ambiences and effects of the small world: 8192 samples at 8 kHz.
--
-- A voice is a pure function of its id and pitch and lasts 0.24 s, so all 36 are made once. An
-- ambience is drawn by hashing sample numbers with a seed, so any of it can be made alone.
local bit = require "bit"
local ffi = require "ffi"
local place = require "world.place"

local sin, exp, floor, min, max, pi = math.sin, math.exp, math.floor, math.min, math.max, math.pi
local band, rshift, tobit = bit.band, bit.rshift, bit.tobit
local hash = place.hash

local M = {}

M.RATE_HZ = 8000
M.N_SAMPLES = 8192
M.SLOT_SAMPLES = 1024      -- eight slots of 128 ms, as the frames of a video
M.N_SLOTS = 8

local RATE, N = M.RATE_HZ, M.N_SAMPLES
local VOICE_SAMPLES = 1920
local FACTOR = { [0] = math.sqrt(0.5), 1, math.sqrt(2) }      -- of frequency, by pitch

--- a * b mod 2^32, for what a double could not hold.
local function mul32(a, b)
  return tobit(band(a, 0xffff) * b + tobit(rshift(a, 16) * b) * 65536)
end

--- White noise of -1 .. 1: value i of a seed.
local function noise(seed, i)
  return rshift(hash(tobit(mul32(seed, 0x9e3779b1) + i)), 8) * (2 / 16777216) - 1
end

--- Attack over `rise` seconds, then exponential decay.
local function struck(t, rise, decay)
  if t < 0 then return 0 end
  return t < rise and t / rise or exp(-(t - rise) / decay)
end

--- A trapezoid over `length` seconds: a tenth to rise, a quarter to fall.
local function held(t, length)
  local x = t / length
  if x < 0 or x > 1 then return 0 end
  return x < 0.1 and x / 0.1 or x > 0.75 and (1 - x) / 0.25 or 1
end

local function wave(phase) return sin(2 * pi * phase) end
local function square(phase) return phase % 1 < 0.5 and 1 or -1 end
local function saw(phase) return 2 * (phase % 1) - 1 end

-- ---- voices: value at t seconds; s.phase is what `turn` has added up ----

--- Advance the phase by one sample of hz and give it.
local function turn(s, hz)
  s.phase = s.phase + hz / RATE
  return s.phase
end

local ROBOT_HZ = { [0] = 600, 900, 500, 1200 }

--- Voices by id: function(t, f, s, i) with the pitch's factor f and the sample's number i.
local VOICE = {
  [0] = function(t, f, s)                                                       -- drum
    return 1.3 * wave(turn(s, f * (70 + 130 * exp(-22 * t)))) * struck(t, 0.002, 0.07)
  end,
  function(t, f, s) return 0.5 * square(turn(s, 440 * f)) * held(t, 0.2) end,   -- beep
  function(t, f)                                                                -- bell
    return 0.6 * (wave(1500 * f * t) + 0.6 * wave(2534 * f * t)) * struck(t, 0.002, 0.06)
  end,
  function(t, f, s)                                                             -- sparkle
    return 0.7 * wave(turn(s, f * (500 + 6000 * t))) * held(t, 0.2)
  end,
  function(t, f, s)                                                             -- heartbeat
    local second = t >= 0.11
    local u = second and t - 0.11 or t
    local v = wave(turn(s, f * (55 + 60 * exp(-30 * u)))) * struck(u, 0.002, 0.035)
    return second and 1.3 * v or v
  end,
  function(t, f, _, i)                                                          -- rattle
    local click = floor(t / 0.05)
    local u = t - click * 0.05
    if click > 3 then return 0 end
    return 1.1 * noise(77, i) * struck(u, 0.001, 0.008)
      + 0.35 * wave(900 * f * u) * struck(u, 0.001, 0.012)
  end,
  function(t, f, s)                                                             -- meow
    local p = turn(s, f * (420 + 420 * sin(0.9 * pi * min(t / 0.22, 1))))
    return 0.4 * (wave(p) + 0.6 * wave(2 * p) + wave(3 * p) / 3 + wave(4 * p) / 4) * held(t, 0.22)
  end,
  function(t, f, s, i)                                                          -- bark
    return (0.72 * saw(turn(s, f * (320 - 600 * t))) + 0.42 * noise(5, i)) * struck(t, 0.004, 0.045)
  end,
  function(t, f, s)                                                             -- chirp
    local chirp = floor(t / 0.07)
    local u = t - chirp * 0.07
    if chirp > 2 then return 0 end
    return 0.7 * wave(turn(s, f * (2300 - 7000 * u))) * held(u, 0.055)
  end,
  function(t, f, s)                                                             -- bubble
    return 0.8 * wave(turn(s, f * (300 + 2500 * t + 250 * wave(14 * t)))) * held(t, 0.2)
  end,
  function(t, f, s)                                                             -- beeps
    local beep = floor(t / 0.055)
    if beep > 3 then return 0 end
    return 0.45 * square(turn(s, f * ROBOT_HZ[beep])) * held(t - beep * 0.055, 0.054)
  end,
  function(t, f, s)                                                             -- croak
    local am = 0.5 + 0.5 * wave(32 * t)
    return 0.7 * saw(turn(s, 180 * f)) * am * am * held(t, 0.22)
  end,
}

local made = {}

--- The samples of a voice at a pitch.
---@return ffi.cdata* samples  float [1920], shared
local function voice_of(voice, pitch)
  local key = voice * 3 + pitch
  if not made[key] then
    local out, s = ffi.new("float[?]", VOICE_SAMPLES), { phase = 0 }
    local f, at = FACTOR[pitch], VOICE[voice]
    for i = 0, VOICE_SAMPLES - 1 do out[i] = at(i / RATE, f, s, i) end
    made[key] = out
  end
  return made[key]
end

--- Add a voice from slot `slot` on; what passes the end is cut off.
---@param y ffi.cdata*  float or double [8192]
function M.add_voice(y, voice, pitch, slot)
  local from, at = voice_of(voice, pitch), slot * M.SLOT_SAMPLES
  for i = 0, min(VOICE_SAMPLES, N - at) - 1 do y[at + i] = y[at + i] + from[i] end
end

-- ---- ambiences: all samples, drawn by seed ----

--- High-passed noise, and drops: bursts of noise at 50 a second on average.
local function rain(y, seed)
  local last, drop = 0, 0
  for i = 0, N - 1 do
    local w = noise(seed, i)
    if noise(seed + 2, i) > 1 - 2 / 160 then drop = 1 end
    y[i] = 0.3 * (w - last) + 0.5 * drop * noise(seed + 1, i)
    last, drop = w, drop * 0.93
  end
end

--- Low-passed noise under a swell of 1 Hz.
local function sea(y, seed)
  local low, start = 0, noise(seed, -1)
  for i = 0, N - 1 do
    low = low + 0.08 * (noise(seed, i) - low)
    local swell = 0.5 + 0.5 * wave(i / RATE + start)
    y[i] = 2.2 * low * (0.35 + 0.65 * swell * swell)
  end
end

--- Noise through a state-variable band-pass that wanders between 300 and 900 Hz.
local function wind(y, seed)
  local low, mid, start = 0, 0, noise(seed, -1)
  for i = 0, N - 1 do
    local q = 2 * sin(pi * (600 + 300 * wave(0.8 * i / RATE + start)) / RATE)
    low = low + q * mid
    mid = mid + q * (noise(seed, i) - low - 0.15 * mid)
    y[i] = 0.22 * mid
  end
end

--- 3.3 kHz in pulses of 16 Hz, resting now and then.
local function crickets(y, seed)
  local start = 0.5 + 0.5 * noise(seed, -1)
  for i = 0, N - 1 do
    local t = i / RATE
    local sings = (16 * t + start) % 1 < 0.45 and (2 * t + start) % 1 < 0.7
    y[i] = sings and 0.5 * wave(3300 * t) or 0
  end
end

--- Low-passed noise and a hum.
local function traffic(y, seed)
  local low = 0
  for i = 0, N - 1 do
    local t = i / RATE
    low = low + 0.05 * (noise(seed, i) - low)
    y[i] = 1.2 * low + 0.25 * wave(90 * t) + 0.12 * wave(180 * t)
  end
end

local AMBIENCE = { rain, sea, wind, crickets, traffic }

-- The last draws: who compares sounds renders each of them many times.
local MEMORY = 16
local drawn, oldest = {}, 0
for k = 0, MEMORY - 1 do drawn[k] = { samples = ffi.new("double[?]", N) } end

--- The samples of a draw, shared until MEMORY others were asked for.
local function ambience_of(ambience, seed)
  for k = 0, MEMORY - 1 do
    if drawn[k].ambience == ambience and drawn[k].seed == seed then return drawn[k].samples end
  end
  local slot = drawn[oldest]
  oldest = (oldest + 1) % MEMORY
  slot.ambience, slot.seed = ambience, seed
  AMBIENCE[ambience](slot.samples, seed)
  return slot.samples
end

--- Add an ambience; id 0 is silence.
---@param y ffi.cdata*  float or double [8192]
function M.add_ambience(y, ambience, seed, gain)
  if ambience == 0 then return end
  local from = ambience_of(ambience, seed)
  for i = 0, N - 1 do y[i] = y[i] + gain * from[i] end
end

-- ---- effects on the whole ----

local effect = {}

--- Twice more, 200 and 400 ms later and softer.
function effect.echo(y)
  for i = N - 1, 1600, -1 do
    y[i] = y[i] + 0.55 * y[i - 1600] + (i >= 3200 and 0.3 * y[i - 3200] or 0)
  end
end

function effect.reverse(y)
  for i = 0, N / 2 - 1 do y[i], y[N - 1 - i] = y[N - 1 - i], y[i] end
end

M.effect = effect

-- ---- defects: what gives the words of names.defect a meaning ----

local function distorted(y)
  for i = 0, N - 1 do y[i] = max(-0.12, min(0.12, 3 * y[i])) end
end

--- Two poles at 1.2 kHz.
local function muffled(y)
  local k, a, b = 1 - exp(-2 * pi * 1200 / RATE), 0, 0
  for i = 0, N - 1 do
    a = a + k * (y[i] - a)
    b = b + k * (a - b)
    y[i] = b
  end
end

local function static(y, seed)
  for i = 0, N - 1 do y[i] = y[i] + 0.1 * noise(seed + 3, i) end
end

local function low_volume(y)
  for i = 0, N - 1 do y[i] = y[i] * 0.126 end                -- -18 dB
end

--- On and off ten times a second.
local function choppy(y)
  for i = 0, N - 1 do
    if i * 10 / RATE % 1 >= 0.5 then y[i] = 0 end
  end
end

M.defect = { [0] = distorted, muffled, static, low_volume, choppy }

-- ---- notes of music ----

local function triangle_wave(p) return 4 * math.abs(p % 1 - 0.5) - 1 end

--- Instruments by id: function(t seconds, hz, seconds the note lasts).
local INSTRUMENT = {
  [0] = function(t, hz) return 0.8 * triangle_wave(hz * t) * struck(t, 0.003, 0.08) end,
  function(t, hz, long)
    local p = hz * t
    return 0.35 * (wave(p) + 0.7 * wave(2 * p) + 0.5 * wave(3 * p)) * held(t, long)
  end,
  function(t, hz, long)
    return 0.6 * wave(hz * t + 0.12 * wave(6 * t)) * held(t, long)
  end,
  function(t, hz, long) return 0.35 * square(hz * t) * held(t, long) end,
}

--- Add a note of an instrument from sample `at` on, n samples long.
function M.add_note(y, instrument, hz, at, n)
  local f, long = INSTRUMENT[instrument], n / RATE
  for i = 0, min(n, N - at) - 1 do y[at + i] = y[at + i] + f(i / RATE, hz, long) end
end

return M
