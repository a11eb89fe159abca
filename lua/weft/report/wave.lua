--- Sounds for the eye: the wave as a drawing that takes the page's colours, the spectrogram as a
-- picture.
local core = require "weft.core"
local html = require "weft.report.html"
local image = require "weft.image"
local pointer = require "weft.pointer"

local M = {}

local HEIGHT, QUIET = 100, 1e-4
local MAX_FRAMES, RANGE_DB = 480, 70

-- From silence to the loudest, evenly spaced, dark to light.
local colours = {
  { 13, 8, 35 }, { 66, 15, 117 }, { 136, 34, 131 }, { 205, 64, 110 }, { 248, 129, 92 },
  { 253, 200, 130 }, { 252, 253, 191 },
}

--- Lowest and highest value in each of n stretches.
local function extremes(audio, n)
  local data = audio:mono().data:contiguous()
  local p, samples, low, high = pointer.of(data), data:size(1), {}, {}
  n = math.min(n, samples)
  for k = 0, n - 1 do
    local lo, hi = 0, 0
    for i = math.floor(k * samples / n), math.floor((k + 1) * samples / n) - 1 do
      lo, hi = math.min(lo, p[i]), math.max(hi, p[i])
    end
    low[k + 1], high[k + 1] = lo, hi
  end
  return low, high, n
end

---@class weft.report.Wave
---@field columns integer
---@field path string      of an SVG, HEIGHT high

--- The wave as bars, the loudest of them as high as the drawing.
---@param audio weft.Audio
---@param columns integer
---@return weft.report.Wave
function M.shape(audio, columns)
  local low, high, n = extremes(audio, columns)
  local top, path = QUIET, {}
  for i = 1, n do top = math.max(top, high[i], -low[i]) end
  for i = 1, n do
    local y0 = HEIGHT / 2 * (1 - 0.96 * high[i] / top)
    local y1 = HEIGHT / 2 * (1 - 0.96 * low[i] / top)
    if y1 - y0 < 1 then y0, y1 = (y0 + y1 - 1) / 2, (y0 + y1 + 1) / 2 end
    path[i] = ("M%g %.1fV%.1f"):format(i - 0.5, y0, y1)
  end
  return { columns = math.max(n, 1), path = table.concat(path) }
end

--- A wave as an element that takes the page's colours.
---@param shape weft.report.Wave
---@param label string  what it is, for those who do not see it
function M.drawing(shape, label)
  return html.el("svg", {
    class = "wave", viewBox = ("0 0 %d %d"):format(shape.columns, HEIGHT),
    preserveAspectRatio = "none", role = "img", ["aria-label"] = label,
  }, html.el("path", { d = shape.path }))
end

--- The colour at v, 0 ... 1, as three numbers 0 ... 1.
local function colour(v)
  local at = math.max(0, math.min(1, v)) * (#colours - 1)
  local k = math.min(math.floor(at), #colours - 2)
  local a, b, t = colours[k + 1], colours[k + 2], at - k
  return (a[1] + (b[1] - a[1]) * t) / 255, (a[2] + (b[2] - a[2]) * t) / 255,
    (a[3] + (b[3] - a[3]) * t) / 255
end

--- Power over time (to the right) and frequency (upwards).
---@return weft.Image
function M.spectrogram(audio, w, h)
  local n_fft = audio.rate > 16000 and 1024 or 512
  local hop = math.max(math.floor(n_fft / 8), math.ceil(audio.samples / MAX_FRAMES))
  local gray = core.scope(function()
    local s = audio:spectrogram(n_fft, hop)
    local top = s:max():item()
    local x = ((s - (top - RANGE_DB)) / RANGE_DB):clamp(0, 1):t():clone()
    return image.from(x):resize(w, h, { filter = "bilinear" }):flip("y").data:contiguous()
  end)
  local out = image.new(w, h)
  local p, q = pointer.of(gray, w * h), pointer.of(out.data, 3 * w * h)
  for i = 0, w * h - 1 do q[3 * i], q[3 * i + 1], q[3 * i + 2] = colour(p[i]) end
  return out
end

return M
