--- The ten places: what stands behind the objects, 64 x 64 pixels.
--
-- Textures are drawn by hashing pixel or block coordinates with the scene's seed, so any
-- pixel can be computed alone.
local bit = require "bit"

local band, bxor, rshift, tobit = bit.band, bit.bxor, bit.rshift, bit.tobit
local floor, sin = math.floor, math.sin

local S = 64

local M = {}

--- a * b mod 2^32 for b below 2^32: the halves' products are exact in a double.
local function mul32(a, b)
  return tobit(band(a, 0xffff) * b + tobit(rshift(a, 16) * b) * 65536)
end

--- Mix 32 bits (Wellons' lowbias32).
---@return integer hash  signed
local function hash(x)
  x = bxor(x, rshift(x, 16))
  x = mul32(x, 0x7feb352d)
  x = bxor(x, rshift(x, 15))
  x = mul32(x, 0x846ca68b)
  return bxor(x, rshift(x, 16))
end
M.hash = hash

--- A hash as a number in [0, 1).
local function noise(x)
  return rshift(hash(tobit(x)), 8) / 16777216
end

local function put(im, x, y, r, g, b)
  local i = (y * S + x) * 3
  im[i], im[i + 1], im[i + 2] = r, g, b
end

local function fill(im, y0, y1, r, g, b)
  for i = y0 * S * 3, y1 * S * 3 - 3, 3 do
    im[i], im[i + 1], im[i + 2] = r, g, b
  end
end

local function white_room(im) fill(im, 0, S, 236, 236, 236) end

local function dark_room(im) fill(im, 0, S, 38, 38, 38) end

local function meadow(im, seed)
  fill(im, 0, 30, 150, 205, 245)
  local base = mul32(seed, 9781) + 17
  for y = 30, S - 1 do
    for x = 0, S - 1 do
      local q = noise(base + y * 131 + x * 7) > 0.75 and 22 or 0
      put(im, x, y, 88 + q, 168 + q, 62)
    end
  end
end

local function sea(im, seed)
  fill(im, 0, S, 38, 105, 175)
  local phase = 6.28 * noise(seed + 5)
  for y = 0, S - 1, 6 do
    for x = 0, S - 1 do
      if sin(0.35 * x + 1.9 * (y / 6) + phase) > 0 then
        put(im, x, y, 190, 220, 245)
        put(im, x, y + 1, 190, 220, 245)
      end
    end
  end
end

local function beach(im, seed)
  fill(im, 0, 26, 165, 215, 250)
  local base = mul32(seed, 9781) + 17
  for y = 26, S - 1 do
    for x = 0, S - 1 do
      local q = noise(base + y * 131 + x * 7) > 0.8 and -25 or 0
      put(im, x, y, 238 + q, 208 + q, 140 + q)
    end
  end
end

--- Flakes of 2 x 2 px in blocks of four; the ground begins at row 44.
local function snow(im, seed)
  fill(im, 0, 44, 205, 215, 228)
  fill(im, 44, S, 248, 248, 248)
  local base = mul32(seed, 31)
  for v = 0, 15 do
    for u = 0, 15 do
      if noise(base + v * 57 + u * 1013) > 0.82 then
        for y = 4 * v + 1, 4 * v + 2 do
          put(im, 4 * u + 1, y, 255, 255, 255)
          put(im, 4 * u + 2, y, 255, 255, 255)
        end
      end
    end
  end
end

--- Stars of one pixel in blocks of three.
local function night(im, seed)
  fill(im, 0, S, 18, 20, 62)
  local base = mul32(seed, 31)
  for v = 0, 20 do
    for u = 0, 20 do
      if noise(base + v * 57 + u * 1013) > 0.94 then
        put(im, 3 * u + 1, 3 * v + 1, 255, 250, 200)
      end
    end
  end
end

--- Slanted streaks, eight columns apart, broken every third row of eight.
local function rain(im, seed)
  fill(im, 0, S, 112, 120, 134)
  local offset = band(seed, 7)
  for y = 0, S - 1 do
    local shift = floor(y / 2)
    for x = (-shift) % 8, S - 1, 8 do
      if (floor(y / 8) + floor((x + shift) / 8) * 3 + offset) % 3 ~= 0 then
        put(im, x, y, 178, 194, 216)
      end
    end
  end
end

--- Eight towers of random height with lit windows.
local function city(im, seed)
  fill(im, 0, S, 188, 182, 196)
  local base = mul32(seed, 77)
  for x = 0, S - 1 do
    local roof = S - 14 - floor(26 * noise(base + floor(x / 8)))
    local window = x % 8 == 2 or x % 8 == 5
    for y = roof, S - 1 do
      if window and (y - roof) % 5 == 2 then
        put(im, x, y, 250, 225, 120)
      else
        put(im, x, y, 92, 88, 104)
      end
    end
  end
end

local function checkered_floor(im)
  for y = 0, S - 1 do
    for x = 0, S - 1 do
      local light = band(floor(x / 8) + floor(y / 8), 1)
      put(im, x, y, 120 + 94 * light, 86 + 102 * light, 62 + 98 * light)
    end
  end
end

local PAINT = { [0] = white_room, dark_room, meadow, sea, beach, snow, night, rain, city,
                checkered_floor }

--- Paint a place over the whole picture.
---@param im ffi.cdata*   float [64,64,3], 0..255
---@param place integer
---@param texture integer seed
function M.paint(im, place, texture)
  PAINT[place](im, texture)
end

return M
