--- What audio models hear: sounds as mel bands, and back.
-- A front end is a name ("audioldm", "clap", "clap-fusion") or a table of what differs from one:
-- { front = "audioldm", rate, n_fft, hop, bins, low, high, scale = "htk" | "slaney",
--   norm = "none" | "slaney" | "unit", pad, power = 1 | 2, eps, floor, log = "ln"|"log10"|"db" }.
local core = require "weft.core"
local check = require "weft.check"

local M = {}

local keys = { "front", "rate", "n_fft", "hop", "bins", "low", "high", "scale", "norm", "pad",
               "power", "eps", "floor", "log" }

local function check_front(what, front)
  if type(front) == "string" then return front end
  return check.keys(what, front, keys)
end

--- A sound's channels as rows, [C,S]; a tensor [S] or [B,S] as it is.
local function rows(what, x)
  if require("weft.audio").is(x) then return x.data:t() end
  check.tensor(what, x)
  return x.rank == 1 and x:unsqueeze(1) or x
end

--- Logarithms of mel bands: [T,bins] of a mono sound, else [B,T,bins].
---@param x weft.Audio|weft.Tensor  [B,S]
---@param front string|table
function M.log(x, front)
  front = check_front("mel.log", front)
  local y = core.scope(function() return core.log_mel(rows("mel.log: x", x), front) end)
  return y:size(1) == 1 and y:select(1, 1) or y
end

--- The bank of a front end, [bins, n_fft / 2 + 1].
function M.filters(front) return core.mel_filters(check_front("mel.filters", front)) end

--- Kaldi's filter banks, as ImageBind wants them: [T,bins] of a mono sound, else [B,T,bins].
---@param rate? integer  needed for a tensor
function M.fbank(x, bins, rate)
  rate = rate or require("weft.audio").is(x) and x.rate
  check.int("fbank: rate", rate or 0, nil, 1000)
  local y = core.scope(function()
    return core.kaldi_fbank(rows("fbank: x", x), rate, bins or 128)
  end)
  return y:size(1) == 1 and y:select(1, 1) or y
end

--- A sound whose mel bands are nearly these, by Griffin-Lim: hop (T - 1) samples.
---@param mel weft.Tensor  [T,bins], as M.log made it
---@param front string|table
---@param opts? { iters: integer, momentum: number, seed: integer, steps: integer, rate: number }
---@return weft.Audio
function M.sound(mel, front, opts)
  front = check_front("mel.sound", front)
  opts = check.keys("mel.sound", opts, { "iters", "momentum", "seed", "steps", "rate" })
  check.tensor("mel.sound: mel", mel)
  local rate = opts.rate or type(front) == "table" and front.rate
  rate = rate or (type(front) == "string" and front:find "clap" and 48000 or 16000)
  local y = core.scope(function()
    return core.mel_sound(mel.rank == 2 and mel:unsqueeze(1) or mel, opts, front)
  end)
  return require("weft.audio").from(y:t():clone(), rate)
end

-- ---- what models are given ----

--- Mean folded into one channel at this rate, [1,S].
local function mono_row(a, rate) return a:mono():resample(rate).data:t() end

--- CLAP's input: 10 s at 48 kHz, whole copies of a shorter sound and silence, of a longer one the
-- beginning. front: "clap" for checkpoints that cut, "clap-fusion" for fused ones.
---@param a weft.Audio
---@param opts? { front: string, seconds: number }
---@return weft.Tensor mel  [1001,64] in dB
function M.clap(a, opts)
  opts = check.keys("mel.clap", opts, { "front", "seconds" })
  return core.scope(function()
    local samples = math.floor(48000 * (opts.seconds or 10))
    local x = core.fit_audio(mono_row(a, 48000), samples, "repeatpad")
    return M.log(x, opts.front or "clap")
  end)
end

--- AudioLDM's input to its VAE: the mean taken off, the peak at a half, 10 ms a frame.
---@param a weft.Audio
---@param opts? { frames: integer }  default: the sound's own, rounded up to a multiple of 4
---@return weft.Tensor mel  [frames,64]
function M.audioldm(a, opts)
  opts = check.keys("mel.audioldm", opts, { "frames" })
  return core.scope(function()
    local x = mono_row(a, 16000)
    local frames = opts.frames or math.ceil(x:size(2) / 640) * 4
    x = x - x:mean():item()
    x = x * (0.5 / (x:abs():max():item() + 1e-8))
    return M.log(core.fit_audio(x, 160 * frames, "pad"), "audioldm"):narrow(1, 1, frames):clone()
  end)
end

-- What ImageBind's audio tower was trained with.
local BIND = { rate = 16000, bins = 128, frames = 204, mean = -4.268, deviation = 9.138 }

--- ImageBind's input: clips of 2 s spread over the sound, Kaldi's features, normalised. Each clip's
-- mean is taken off a copy; in_place takes it off the sound itself as the reference does, where
-- clips that overlap get a step.
---@param a weft.Audio  its first channel is heard
---@param opts? { clips: integer, seconds: number, in_place: boolean }
---@return weft.Tensor mel  [clips,204,128]
function M.imagebind(a, opts)
  opts = check.keys("mel.imagebind", opts, { "clips", "seconds", "in_place" })
  local clips, seconds = opts.clips or 3, opts.seconds or 2
  check.int("mel.imagebind: clips", clips, nil, 1)
  return core.scope(function()
    local x = a:resample(BIND.rate).data:narrow(2, 1, 1):clone():t()
    local long, list = x:size(2), {}
    local spare = math.max(long / BIND.rate - seconds, 0)
    for k = 0, clips - 1 do
      local start = clips > 1 and k * spare / (clips - 1) or 0
      local from = math.floor(BIND.rate * start)
      local to = math.min(math.floor(BIND.rate * (start + seconds)), long)
      local clip = x:narrow(2, from + 1, to - from)
      if not opts.in_place then clip = clip:clone() end
      clip:copy_(clip - clip:mean():item())
      local y = core.kaldi_fbank(clip, BIND.rate, BIND.bins)
      local n = math.min(y:size(2), BIND.frames)
      y = require("weft.ops").pad(y:narrow(2, 1, n), { 0, 0, 0, BIND.frames - n, 0, 0 })
      list[k + 1] = (y - BIND.mean) / BIND.deviation
    end
    return require("weft.ops").cat(list, 1)
  end)
end

return M
