--- Plain line plots as pictures: the curve of a training run.
local check = require "weft.check"
local font = require "weft.font"
local image = require "weft.image"
local pointer = require "weft.pointer"

local M = {}

--- The points of a column over the steps, and their running mean.
local function points_of(rows, column, use_log)
  local raw, mean, smooth = {}, {}, nil
  for _, row in ipairs(rows) do
    local v = row[column]
    local is_finite = type(v) == "number" and v - v == 0         -- a loss may be none
    if is_finite and row.step and (not use_log or v > 0) then
      if use_log then v = math.log10(v) end
      smooth = smooth and smooth + (v - smooth) * 0.05 or v
      raw[#raw + 1], mean[#mean + 1] = { row.step, v }, { row.step, smooth }
    end
  end
  return raw, mean
end

local function range(points, at)
  local lo, hi = math.huge, -math.huge
  for _, p in ipairs(points) do lo, hi = math.min(lo, p[at]), math.max(hi, p[at]) end
  if hi == lo then hi = lo + 1 end
  return lo, hi
end

--- Set every pixel of the line from a to b.
local function draw_line(dot, x0, y0, x1, y1)
  local n = math.max(math.abs(x1 - x0), math.abs(y1 - y0), 1)
  for i = 0, n do
    dot(math.floor(x0 + (x1 - x0) * i / n + 0.5), math.floor(y0 + (y1 - y0) * i / n + 0.5))
  end
end

local names = { "width", "height", "log" }

--- rows: tables with step and the column. log draws logarithms.
---@param opts? { width: integer, height: integer, log: boolean }
---@return weft.Image
function M.curve(rows, column, opts)
  opts = check.keys("curve", opts, names)
  local W, H = opts.width or 640, opts.height or 360
  local raw, mean = points_of(rows, column, opts.log)
  local im = image.new(W, H, "white")
  im:text_(column .. (opts.log and " (log10)" or ""), 8, 6, { colour = "black" })
  if #raw == 0 then return im end
  local x_lo, x_hi = range(raw, 1)
  local y_lo, y_hi = range(raw, 2)
  local left, top, right, bottom = 60, 20, W - 10, H - 20
  local p = pointer.of(im.data, W * H * 3)
  local function dot_in(colour)
    return function(x, y)
      if not (x >= 0 and y >= 0 and x < W and y < H) then return end
      for i = 0, 2 do p[(y * W + x) * 3 + i] = colour[i + 1] end
    end
  end
  local function place(point)
    return left + (point[1] - x_lo) / (x_hi - x_lo) * (right - left),
      bottom - (point[2] - y_lo) / (y_hi - y_lo) * (bottom - top)
  end
  local function curve(points, colour)
    local dot = dot_in(colour)
    for i = 2, #points do
      local x0, y0 = place(points[i - 1])
      draw_line(dot, x0, y0, place(points[i]))
    end
  end
  draw_line(dot_in{ 0, 0, 0 }, left, bottom, right, bottom)
  draw_line(dot_in{ 0, 0, 0 }, left, top, left, bottom)
  curve(raw, { 0.75, 0.82, 0.95 })
  curve(mean, { 0.1, 0.25, 0.7 })
  local function label(text, x, y) im:text_(text, x, y, { colour = "black" }) end
  label(("%.4g"):format(y_hi), 4, top)
  label(("%.4g"):format(y_lo), 4, bottom - font.height)
  label(("%d"):format(x_lo), left, bottom + 6)
  local last = ("%d"):format(x_hi)
  label(last, right - font.measure(last), bottom + 6)
  return im
end

return M
