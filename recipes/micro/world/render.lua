--- Pictures of scenes: a pure function of the scene, 64 x 64 pixels, channels last.
--
-- A place, then the objects from the last to the first, then style, effect and corruption,
-- all in float, rounded to eight bits once at the end. `into` and `float_into` agree to the
-- bit: the float is the rounded byte mapped to -1..1.
local bit = require "bit"
local ffi = require "ffi"
local filter = require "world.filter"
local place = require "world.place"
local scenes = require "world.scene"
local shape = require "world.shape"

local min, max, floor, ceil = math.min, math.max, math.floor, math.ceil

local M = {}

local S = 64
M.SIDE_PX = S
M.N_ELEMS = S * S * 3

local PALETTE = {
  [0] = { 220, 40, 40 }, { 240, 140, 30 }, { 245, 220, 50 }, { 50, 170, 70 },
  { 60, 200, 210 }, { 50, 80, 220 }, { 150, 60, 190 }, { 245, 130, 180 },
}
local OUTLINE_PX = 1.1
local OUTLINE = { 20, 20, 30 }
local DARK, LIGHT = 20, 245

local canvas = ffi.new("float[?]", M.N_ELEMS)

local function clamp01(v) return min(max(v, 0), 1) end

--- Centre of an object in pixel indices; half a pixel because indices name pixel centres.
local function centre(o)
  local x, y = scenes.offset(o.cell)
  return 31.5 + x + o.jx, 31.5 + y + o.jy
end

--- What a body shows beyond its radius, ears and tails, as a factor.
M.SPREAD = 1.15

--- The pixels an object may touch.
local function bounds(cx, cy, radius)
  local reach = radius * M.SPREAD + 2
  return max(floor(cx - reach), 0), max(floor(cy - reach), 0),
    min(ceil(cx + reach), S - 1), min(ceil(cy + reach), S - 1)
end

--- What a pattern does to the colour at (dx, dy) px from the centre: factor and white added.
local function pattern_at(pattern, dx, dy)
  if pattern == 1 then
    local stripe = bit.band(floor((dx + dy) / 3 + 1000), 1)
    return 1 - 0.5 * stripe, 0
  elseif pattern == 2 then
    local x, y = (dx + 402.5) % 5 - 2.5, (dy + 402.5) % 5 - 2.5
    if x * x + y * y < 2.2 then return 0.25, 191.25 end
  end
  return 1, 0
end

--- One channel of one pixel: outline, fill, light and dark features, each by its coverage.
local function blend(under, line, fill, a_out, a_in, a_light, a_dark)
  fill = fill * (1 - a_light) + LIGHT * a_light
  fill = fill * (1 - a_dark) + DARK * a_dark
  return (under * (1 - a_out) + line * a_out) * (1 - a_in) + fill * a_in
end

--- Radius of an object's body; in a video it may be scaled.
local function radius_of(o) return scenes.RADIUS_PX[o.size] * (o.scale or 1) end

-- Three arcs beside a body that calls: how far out, how wide an angle, light with a dark rim.
local ARC_STEP_PX, ARC_SLOPE, ARC_RIM_PX, ARC_CORE_PX = 3.6, 0.7, 1.6, 0.8

--- How far beyond a body the arcs of its call reach.
M.CALL_PX = 3 * ARC_STEP_PX

--- Paint the arcs of a call on the side that has more room.
local function paint_call(im, cx, cy, radius)
  local side = cx < S / 2 and 1 or -1
  local reach = ceil(radius + M.CALL_PX + 2)
  for y = max(floor(cy) - reach, 0), min(ceil(cy) + reach, S - 1) do
    for x = max(floor(cx) - reach, 0), min(ceil(cx) + reach, S - 1) do
      local dx, dy = (x - cx) * side, y - cy
      local out = math.sqrt(dx * dx + dy * dy) - radius
      local arc = max(1, min(3, floor(out / ARC_STEP_PX + 0.5)))
      local off = math.abs(out - arc * ARC_STEP_PX)
      if math.abs(dy) < ARC_SLOPE * dx and off < ARC_RIM_PX then
        local rim, core = clamp01(ARC_RIM_PX - off), clamp01(ARC_CORE_PX + 0.5 - off)
        for p = (y * S + x) * 3, (y * S + x) * 3 + 2 do
          im[p] = (im[p] * (1 - rim) + DARK * rim) * (1 - core) + LIGHT * core
        end
      end
    end
  end
end

--- Paint one object over the picture.
local function paint_object(im, o)
  local radius = radius_of(o)
  local cx, cy = centre(o)
  if o.calling then paint_call(im, cx, cy, radius) end
  local x0, y0, x1, y1 = bounds(cx, cy, radius)
  local w = x1 - x0 + 1
  local f = shape.fill(o.kind, x0, y0, w, y1 - y0 + 1, cx, cy, radius)
  local body, dark, light = f.body, f.dark, f.light
  local colour, pattern = PALETTE[o.colour], o.pattern
  local r, g, b = colour[1], colour[2], colour[3]
  local line_r, line_g, line_b = OUTLINE[1], OUTLINE[2], OUTLINE[3]
  for y = y0, y1 do
    for x = x0, x1 do
      local i = (y - y0) * w + x - x0
      local sd = body[i] * radius
      local a_out = clamp01(0.5 + OUTLINE_PX - sd)
      if a_out > 0 then
        local k, white = pattern_at(pattern, x - cx, y - cy)
        local a_in = clamp01(0.5 - sd)
        local a_light, a_dark = clamp01(0.5 - light[i] * radius), clamp01(0.5 - dark[i] * radius)
        local p = (y * S + x) * 3
        im[p] = blend(im[p], line_r, r * k + white, a_out, a_in, a_light, a_dark)
        im[p + 1] = blend(im[p + 1], line_g, g * k + white, a_out, a_in, a_light, a_dark)
        im[p + 2] = blend(im[p + 2], line_b, b * k + white, a_out, a_in, a_light, a_dark)
      end
    end
  end
end

--- Paint a scene on the canvas, unrounded.
local function paint(scene)
  place.paint(canvas, scene.place, scene.texture)
  for i = #scene.objects, 1, -1 do paint_object(canvas, scene.objects[i]) end
  if scene.style > 0 then filter.style[scene.style](canvas) end
  if scene.effect then filter.effect[scene.effect](canvas) end
  if scene.quality then filter.quality[scene.quality](canvas, scene.texture) end
end

--- Render to bytes.
---@param scene world.Scene
---@param out ffi.cdata*  uint8_t [64,64,3], written whole
function M.into(scene, out)
  paint(scene)
  for i = 0, M.N_ELEMS - 1 do out[i] = min(max(canvas[i] + 0.5, 0), 255) end
end

--- Render to floats: the bytes v of `into` as v / 127.5 - 1.
---@param scene world.Scene
---@param out ffi.cdata*  float [64,64,3], written whole
function M.float_into(scene, out)
  paint(scene)
  for i = 0, M.N_ELEMS - 1 do
    out[i] = floor(min(max(canvas[i] + 0.5, 0), 255)) / 127.5 - 1
  end
end

--- Render to bytes of its own.
---@param scene world.Scene
---@return ffi.cdata* picture  uint8_t [64,64,3], owned by the caller
function M.new(scene)
  local out = ffi.new("uint8_t[?]", M.N_ELEMS)
  M.into(scene, out)
  return out
end

local DEPTH = { [0] = 0.55, 0.35, 0.15 } -- of small, medium and large objects

--- Distance from the viewer: 1 at the top of the place, 0.6 at its bottom, objects nearer
-- the larger they are. Style and texture have no depth.
---@param scene world.Scene
---@param out ffi.cdata*  float [64,64], 0..1, written whole
function M.depth_into(scene, out)
  for i = 0, S * S - 1 do out[i] = 1 - 0.4 * floor(i / S) / (S - 1) end
  for n = #scene.objects, 1, -1 do
    local o = scene.objects[n]
    local radius, depth = radius_of(o), DEPTH[o.size]
    local cx, cy = centre(o)
    local x0, y0, x1, y1 = bounds(cx, cy, radius)
    local w = x1 - x0 + 1
    local body = shape.fill(o.kind, x0, y0, w, y1 - y0 + 1, cx, cy, radius).body
    for y = y0, y1 do
      for x = x0, x1 do
        if body[(y - y0) * w + x - x0] * radius < OUTLINE_PX then out[y * S + x] = depth end
      end
    end
  end
end

return M
