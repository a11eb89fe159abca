--- Sounds: [S,C] f32 tensors (samples by channels) in -1 ... 1, in host memory, with a rate in Hz.
-- Methods give new sounds. Times are measured in seconds from 0.
local core = require "weft.core"
local check = require "weft.check"
local finite = require "weft.finite"
local T = require "weft.tensor"
local ops = require "weft.ops"
local paths = require "weft.paths"
local pointer = require "weft.pointer"

local M = {}
local host = { device = "cpu" }      -- where sounds lie, whatever computes
local OVER_DB = 0.01                 -- above full scale, from which on cutting peaks is told
---@class weft.Audio
---@field rate number
---@field channels integer
---@field samples integer
---@field seconds number
local Audio = {}
Audio.kind = "audio"

local getters = {
  samples = function(self) return self.data:size(1) end,
  channels = function(self) return self.data:size(2) end,
  seconds = function(self) return self.data:size(1) / self.rate end,
}

Audio.__index = function(self, name)
  local get = getters[name]
  if get then return get(self) end
  return Audio[name]
end

local function wrap(data, rate, meta)
  return setmetatable({ data = data, rate = rate, meta = meta }, Audio)
end

function M.is(v) return getmetatable(v) == Audio end

local function check_audio(what, v)
  if not M.is(v) then check.fail("%s must be a sound, got %s", what, type(v)) end
  return v
end

-- ---- making ----

--- A sound over a tensor [S] or [S,C] of values in -1 ... 1; memory is shared where it is f32 on
-- the CPU.
function M.from(t, rate)
  t = check.tensor("audio.from: tensor", t):to "cpu"
  check.number("audio.from: rate", rate, nil, 1)
  if not rate then check.fail("audio.from: rate is missing") end
  if t.rank == 1 then t = t:unsqueeze(2) end
  if t.rank ~= 2 then
    check.fail("audio.from: [%s] is not [S] or [S,C]", table.concat(t:size(), ","))
  end
  return wrap(finite.must("audio.from", t:to "f32"), rate)
end

function M.silence(seconds, rate)
  check.given("silence: seconds", seconds, 0)
  check.given("silence: rate", rate, 1)
  return wrap(T.zeros(math.floor(seconds * rate + 0.5), 1, host), rate)
end

--- Read WAV, AIFF, FLAC, Ogg, Opus or MP3. sanitize repairs values that are not numbers, which
-- are refused otherwise.
---@param opts? { rate: integer, mono: boolean, sanitize: boolean }
function M.load(path, opts)
  opts = check.keys("audio.load", opts, { "rate", "mono", "sanitize" })
  check.type("audio.load: path", path, "string")
  local data, rate, texts = core.load_audio(paths.read(path), opts.sanitize)
  local a = wrap(data:to "cpu", rate, texts and require("weft.provenance").decode(texts))
  if opts.mono then a = a:mono() end
  if opts.rate then a = a:resample(opts.rate) end
  a.name = select(2, paths.split(path))            -- by which provenance knows an input
  return a
end

-- ---- looking ----

--- The values, [S,C]; memory is shared.
function Audio:tensor() return self.data end

function Audio:clone() return wrap(self.data:clone(), self.rate, self.meta) end

local function db(x) return x > 0 and 20 * math.log10(x) or -math.huge end

--- The largest value, in dB below full scale.
function Audio:peak()
  if self.samples == 0 then return -math.huge end
  return db(core.scope(function() return self.data:abs():max():item() end))
end

Audio.__tostring = function(self)
  local kinds = { "mono", "stereo" }
  return ("Audio %s %g Hz %.2f s  peak %.1f dB  %.1f LUFS"):format(
    kinds[self.channels] or self.channels .. " channels", self.rate, self.seconds, self:peak(),
    self:loudness())
end

--- Integrated loudness in LUFS; -inf for silence. Sounds under 400 ms count as one block.
function Audio:loudness() return require("weft.loudness").integrated(self.data, self.rate) end

-- ---- editing ----

function Audio:mono()
  if self.channels == 1 then return self end
  return wrap(self.data:mean(2, true), self.rate, self.meta)
end

--- At another rate, by a windowed sinc.
function Audio:resample(rate)
  check.int("resample: rate", rate, nil, 1)
  if rate == self.rate then return self end
  return wrap(core.resample_audio(self.data, self.rate, rate), rate, self.meta)
end

--- From t0 to t1 (the end).
function Audio:slice(t0, t1)
  check.given("slice: from", t0)
  check.number("slice: to", t1)
  local from = math.floor(t0 * self.rate + 0.5)
  local to = math.floor((t1 or self.seconds) * self.rate + 0.5)
  if from < 0 or to > self.samples or to <= from then
    check.fail("slice: %g to %g s is outside 0 to %g s", t0, t1 or self.seconds, self.seconds)
  end
  return wrap(self.data:narrow(1, from + 1, to - from):clone(), self.rate)
end

--- Louder or softer by decibels.
function Audio:gain(decibels)
  check.given("gain: decibels", decibels, -1000, 1000)
  return wrap(self.data * 10 ^ (decibels / 20), self.rate, self.meta)
end

--- At this loudness, in LUFS; never above full scale.
function Audio:normalize(lufs)
  check.given("normalize: lufs", lufs, -1000, 1000)
  local loud = self:loudness()
  if loud == -math.huge then return self:clone() end
  return self:gain(math.min(lufs - loud, -self:peak()))
end

--- Rise over t_in seconds, fall over the last t_out.
function Audio:fade(t_in, t_out)
  check.number("fade: t_in", t_in, nil, 0)
  check.number("fade: t_out", t_out, nil, 0)
  local out, S = self:clone(), self.samples
  local function apply(first, seconds, from, to)
    local n = math.min(math.floor(seconds * self.rate + 0.5), S)
    if n < 1 then return end
    core.scope(function()
      local part = out.data:narrow(1, first(n), n)
      part:copy_(part * T.linspace(from, to, n, host):unsqueeze(2))
    end)
  end
  apply(function() return 1 end, t_in or 0, 0, 1)
  apply(function(n) return S - n + 1 end, t_out or 0, 1, 0)
  return out
end

local function check_list(what, list)
  if #list == 0 then check.fail("%s: the list is empty", what) end
  for i, a in ipairs(list) do
    check_audio(what .. ": entry " .. i, a)
    if a.rate ~= list[1].rate or a.channels ~= list[1].channels then
      check.fail("%s: entry %d has another rate or number of channels", what, i)
    end
  end
end

--- Sounds at once: { a, b, gains = { 0, -6 } } in decibels. As long as the longest.
function M.mix(list)
  check.keys("mix", list, { "gains" }, true)
  check_list("mix", list)
  if list.gains then check.type("mix: gains", list.gains, "table") end
  local n = 0
  for _, a in ipairs(list) do n = math.max(n, a.samples) end
  local out = T.zeros(n, list[1].channels, host)
  for i, a in ipairs(list) do
    out:narrow(1, 1, a.samples):add_(a:gain(list.gains and list.gains[i] or 0).data)
  end
  return wrap(out, list[1].rate)
end

--- One after the other: { a, b, crossfade = seconds }.
function M.concat(list)
  check.keys("concat", list, { "crossfade" }, true)
  check_list("concat", list)
  local rate = list[1].rate
  local crossfade = check.number("concat: crossfade", list.crossfade, 0, 0, 1e6)
  local over, n = math.floor(crossfade * rate + 0.5), 0
  for i, a in ipairs(list) do
    local ends = (i > 1 and 1 or 0) + (i < #list and 1 or 0)
    if a.samples < ends * over then
      check.fail("concat: entry %d is shorter than its crossfades", i)
    end
    n = n + a.samples - (i > 1 and over or 0)
  end
  local out, at = T.zeros(n, list[1].channels, host), 1
  for i, a in ipairs(list) do
    local faded = a:fade(i > 1 and over / rate or 0, i < #list and over / rate or 0)
    out:narrow(1, at, a.samples):add_(faded.data)
    at = at + a.samples - over
  end
  return wrap(out, rate)
end

-- ---- pictures ----

--- Peaks of the wave in columns.
local function wave_picture(self, w, h)
  local im = require("weft.image").new(w, h, "white")
  local data = self.data:contiguous()
  local p, q = pointer.of(data), pointer.of(im.data, w * h * 3)
  local n, C = data:size(1), data:size(2)
  for x = 0, w - 1 do
    local lo, hi = 0, 0
    for i = math.floor(x * n / w), math.floor((x + 1) * n / w) - 1 do
      lo, hi = math.min(lo, p[i * C]), math.max(hi, p[i * C])
    end
    local top = math.max(math.floor((1 - hi) / 2 * (h - 1)), 0)
    for y = top, math.min(math.ceil((1 - lo) / 2 * (h - 1)), h - 1) do
      q[(y * w + x) * 3], q[(y * w + x) * 3 + 1], q[(y * w + x) * 3 + 2] = 0.1, 0.25, 0.7
    end
  end
  return im
end

--- Power in decibels over time and frequency, [T,F], by a Hann window.
function Audio:spectrogram(n_fft, hop)
  n_fft, hop = n_fft or 512, hop or 128
  return core.scope(function()
    local x = self:mono().data:reshape(1, -1)
    local short = n_fft - x:size(2)
    if short > 0 then x = ops.pad(x, { 0, 0, 0, short }) end
    local i = T.arange(0, n_fft - 1, host)
    local window = 0.5 - (i * (2 * math.pi / n_fft)):cos() * 0.5
    local s = ops.stft(x, window, hop)[1]
    return (s:square():sum(3) + 1e-10):log() * (10 / math.log(10))
  end)
end

--- Logarithms of mel bands over time, [T,bins] ([C,T,bins] with several channels); see weft.mel.
---@param opts? { bins: integer, hop: integer, front: string }  64 bands, 10 ms
function Audio:mel(opts)
  opts = check.keys("mel", opts, { "bins", "hop", "front" })
  local mel = require "weft.mel"
  if opts.front then return mel.log(self, opts.front) end
  local hop = opts.hop or math.floor(self.rate / 100)
  local n_fft = 64
  while n_fft < 4 * hop do n_fft = n_fft * 2 end
  return mel.log(self, { rate = self.rate, high = self.rate / 2, hop = hop, n_fft = n_fft,
                         bins = opts.bins or 64 })
end

local function spectrogram_picture(self, w, h)
  local s = self:spectrogram()
  local top = s:max():item()
  local gray = ((s - (top - 80)) / 80):clamp(0, 1):t()
  local im = require("weft.image").from(gray:clone()):flip("y")
  return im:resize(w, h, { filter = "bilinear" }):as(3)
end

--- The wave, or the spectrogram, as an Image.
---@param opts? { spectrogram: boolean, w: integer, h: integer }
function Audio:picture(opts)
  opts = check.keys("picture", opts, { "spectrogram", "w", "h" })
  local draw = opts.spectrogram and spectrogram_picture or wave_picture
  return draw(self, opts.w or 640, opts.h or 160)
end

-- ---- playing and saving ----

--- Whether a program is in the path.
local function has_program(name)
  return os.execute("command -v " .. name .. " >/dev/null 2>&1") == 0
end

--- Show it in the terminal, as far as that can; gives it back.
---@param opts? { width: integer, height: integer, protocol: string }
function Audio:show(opts) return require("weft.show").show(self, opts) end

--- Play it, where a player is there and the loudspeaker near; else write a WAV and say where.
---@return string? path  of the WAV when it was not played
function Audio:play()
  local path = os.tmpname()
  os.remove(path)
  path = self:save(path .. ".wav")
  local is_far = os.getenv "SSH_CONNECTION" ~= nil
  for _, player in ipairs(is_far and {} or { "pw-play", "paplay", "aplay -q" }) do
    local command = ("%s %s 2>/dev/null"):format(player, path)
    if has_program(player:match "%S+") and os.execute(command) == 0 then
      os.remove(path)
      return
    end
  end
  io.write(is_far and "not played over ssh: " or "no player found: ", path, "\n")
  return path
end

--- Write WAV, FLAC, Ogg or Opus by the path's extension, atomically. bits: 16, 24, or 32 (WAV);
-- quality: 0 ... 1 for Ogg and Opus.
---@param opts? { bits: integer, quality: number, overwrite: boolean, provenance: string }
---@return string path
function Audio:save(path, opts)
  opts = check.keys("save", opts, { "bits", "quality", "overwrite", "provenance" })
  check.type("save: path", path, "string")
  check.number("save: quality", opts.quality, nil, 0, 1)
  paths.write(path)
  core.save_audio(path, self.data, self.rate, {
    bits = opts.bits, quality = opts.quality, overwrite = opts.overwrite ~= false,
    texts = require("weft.provenance").texts(self, path, opts.provenance),
  })
  local over_db, is_float = self:peak(), opts.bits == 32 and path:lower():find "%.wav$"
  if over_db > OVER_DB and not is_float then
    require("weft.tools").log("weft: %s: peaks of %.1f dB above full scale were cut; "
      .. "a:gain(%.1f) makes room", path, over_db, -over_db - 0.1)
  end
  require("weft.fingerprint").saved(self, path)
  paths.saved(self)
  return path
end

return M
