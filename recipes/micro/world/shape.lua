--- The twelve bodies as signed distances, in units of the radius with y downwards.
--
-- A body is data: a union of primitives in up to three layers (body, dark features, light
-- features). Each primitive lowers one layer of a field over the pixels of the object's
-- box; a primitive is one plain loop without branches, which the JIT compiles once.
local ffi = require "ffi"

local min, max, abs, sqrt = math.min, math.max, math.abs, math.sqrt
local sin, cos, atan2, pi = math.sin, math.cos, math.atan2, math.pi

local M = {}

--- The largest box: a large body with outline and margin is below 40 px wide.
local MAX_PX = 64

---@class world.Field  distances of one object at the pixels of a box, rows of `w`
local field = {
  body = ffi.new("float[?]", MAX_PX * MAX_PX),
  dark = ffi.new("float[?]", MAX_PX * MAX_PX),
  light = ffi.new("float[?]", MAX_PX * MAX_PX),
  xs = ffi.new("double[?]", MAX_PX), -- unit coordinates of the columns
  ys = ffi.new("double[?]", MAX_PX), -- and of the rows
  w = 0, h = 0,
}

local FAR = 1e9

local function disc(d, w, h, xs, ys, cx, cy, r)
  for j = 0, h - 1 do
    local y = ys[j] - cy
    for i = 0, w - 1 do
      local x = xs[i] - cx
      d[j * w + i] = min(d[j * w + i], sqrt(x * x + y * y) - r)
    end
  end
end

local function ellipse(d, w, h, xs, ys, cx, cy, a, b)
  local scale = min(a, b)
  for j = 0, h - 1 do
    local y = (ys[j] - cy) / b
    for i = 0, w - 1 do
      local x = (xs[i] - cx) / a
      d[j * w + i] = min(d[j * w + i], (sqrt(x * x + y * y) - 1) * scale)
    end
  end
end

local function box(d, w, h, xs, ys, cx, cy, a, b)
  for j = 0, h - 1 do
    local y = abs(ys[j] - cy) - b
    for i = 0, w - 1 do
      d[j * w + i] = min(d[j * w + i], max(abs(xs[i] - cx) - a, y))
    end
  end
end

--- The line through two points as n.p + c, positive to the left when side = 1.
local function half_plane(side, x0, y0, x1, y1)
  local ex, ey = x1 - x0, y1 - y0
  local k = -side / sqrt(ex * ex + ey * ey)
  return -ey * k, ex * k, (ey * x0 - ex * y0) * k
end

--- Half planes of a triangle whose corners go round either way.
local function half_planes(x0, y0, x1, y1, x2, y2)
  local side = (x1 - x0) * (y2 - y0) - (y1 - y0) * (x2 - x0) > 0 and 1 or -1
  local a0, b0, c0 = half_plane(side, x0, y0, x1, y1)
  local a1, b1, c1 = half_plane(side, x1, y1, x2, y2)
  return a0, b0, c0, a1, b1, c1, half_plane(side, x2, y2, x0, y0)
end

local function triangle(d, w, h, xs, ys, ...)
  local a0, b0, c0, a1, b1, c1, a2, b2, c2 = half_planes(...)
  for j = 0, h - 1 do
    local y = ys[j]
    for i = 0, w - 1 do
      local x = xs[i]
      local m = max(a0 * x + b0 * y + c0, a1 * x + b1 * y + c1, a2 * x + b2 * y + c2)
      d[j * w + i] = min(d[j * w + i], m)
    end
  end
end

--- Five points: fold the plane into a tenth of a turn, then one edge from tip to notch.
local function star(d, w, h, xs, ys)
  local seg = 2 * pi / 5
  local ex, ey = 0.42 * cos(seg / 2) - 1, 0.42 * sin(seg / 2)
  local k = -1 / sqrt(ex * ex + ey * ey)
  for j = 0, h - 1 do
    for i = 0, w - 1 do
      local x, y = xs[i], ys[j]
      local r = sqrt(x * x + y * y)
      local a = abs((atan2(x, -y) + 20.5 * seg) % seg - seg / 2)
      d[j * w + i] = min(d[j * w + i], (ex * (r * sin(a)) - ey * (r * cos(a) - 1)) * k)
    end
  end
end

--- Two discs over a point, mirrored at the vertical axis.
local function heart(d, w, h, xs, ys)
  local a0, b0, c0, a1, b1, c1, a2, b2, c2 = half_planes(-0.01, 1, -0.01, -0.35, 0.93, -0.12)
  for j = 0, h - 1 do
    local y = ys[j] - 0.15
    for i = 0, w - 1 do
      local x = abs(xs[i])
      local lobe = sqrt((x - 0.45) * (x - 0.45) + (y + 0.35) * (y + 0.35)) - 0.52
      local point = max(a0 * x + b0 * y + c0, a1 * x + b1 * y + c1, a2 * x + b2 * y + c2)
      d[j * w + i] = min(d[j * w + i], lobe, point)
    end
  end
end

--- Parts of every kind: {layer, primitive, its numbers}.
local PARTS = {
  [0] = { { "body", disc, 0, 0, 0.95 } },                                        -- circle
  { { "body", box, 0, 0, 0.82, 0.82 } },                                         -- square
  { { "body", triangle, 0, -1, -0.95, 0.75, 0.95, 0.75 } },                      -- triangle
  { { "body", star } },                                                          -- star
  { { "body", heart } },                                                         -- heart
  { { "body", box, 0, 0, 0.34, 0.98 }, { "body", box, 0, 0, 0.98, 0.34 } },      -- cross
  { { "body", disc, 0, 0.18, 0.75 },                                             -- cat
    { "body", triangle, -0.78, -0.95, -0.72, 0.1, -0.05, -0.45 },
    { "body", triangle, 0.78, -0.95, 0.72, 0.1, 0.05, -0.45 },
    { "dark", disc, -0.28, 0.08, 0.13 }, { "dark", disc, 0.28, 0.08, 0.13 },
    { "dark", triangle, -0.1, 0.35, 0.1, 0.35, 0, 0.5 } },
  { { "body", box, 0, 0.05, 0.55, 0.7 },                                         -- dog
    { "body", ellipse, -0.72, 0.05, 0.24, 0.62 }, { "body", ellipse, 0.72, 0.05, 0.24, 0.62 },
    { "dark", disc, -0.25, -0.2, 0.12 }, { "dark", disc, 0.25, -0.2, 0.12 },
    { "dark", ellipse, 0, 0.3, 0.22, 0.15 } },
  { { "body", ellipse, -0.1, 0.1, 0.68, 0.55 }, { "body", disc, 0.4, -0.4, 0.38 }, -- bird
    { "body", triangle, 0.65, -0.55, 0.65, -0.2, 1.08, -0.36 },
    { "body", triangle, -0.6, 0, -1, -0.35, -1, 0.25 },
    { "dark", disc, 0.42, -0.45, 0.12 } },
  { { "body", ellipse, 0.18, 0, 0.78, 0.5 },                                     -- fish
    { "body", triangle, -0.35, 0, -1, -0.55, -1, 0.55 },
    { "dark", disc, 0.55, -0.12, 0.13 } },
  { { "body", box, 0, 0.2, 0.7, 0.65 }, { "body", box, 0, -0.65, 0.07, 0.3 },    -- robot
    { "body", disc, 0, -0.85, 0.16 },
    { "light", box, -0.3, 0.02, 0.16, 0.16 }, { "light", box, 0.3, 0.02, 0.16, 0.16 },
    { "dark", box, 0, 0.5, 0.4, 0.09 } },
  { { "body", ellipse, 0, 0.2, 0.9, 0.62 },                                      -- frog
    { "body", disc, -0.45, -0.4, 0.32 }, { "body", disc, 0.45, -0.4, 0.32 },
    { "light", disc, -0.45, -0.42, 0.2 }, { "light", disc, 0.45, -0.42, 0.2 },
    { "dark", disc, -0.45, -0.42, 0.1 }, { "dark", disc, 0.45, -0.42, 0.1 },
    { "dark", box, 0, 0.4, 0.5, 0.06 } },
}

local function reset(layer, n)
  for i = 0, n - 1 do layer[i] = FAR end
end

--- Fill the field of a kind over w x h pixels from (x0, y0), centre (cx, cy), radius in px.
---@param kind integer
---@param x0 integer
---@param y0 integer
---@param w integer
---@param h integer
---@return world.Field field  valid until the next call
function M.fill(kind, x0, y0, w, h, cx, cy, radius_px)
  field.w, field.h = w, h
  for i = 0, w - 1 do field.xs[i] = (x0 + i - cx) / radius_px end
  for j = 0, h - 1 do field.ys[j] = (y0 + j - cy) / radius_px end
  reset(field.body, w * h)
  reset(field.dark, w * h)
  reset(field.light, w * h)
  for _, p in ipairs(PARTS[kind]) do
    p[2](field[p[1]], w, h, field.xs, field.ys, p[3], p[4], p[5], p[6], p[7], p[8])
  end
  return field
end

return M
