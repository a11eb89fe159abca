--- What audio models hear: sounds as mel bands, and back.
-- A front end is a name ("audioldm", "clap", "clap-fusion") or a table of what differs from one:
-- { front = "audioldm", rate, n_fft, hop, bins, low, high, scale = "htk" | "slaney",
--   norm = "none" | "slaney" | "unit", pad, power = 1 | 2, eps, floor, log = "ln" | "log10" | "db" }.
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

return M
