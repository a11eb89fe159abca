--- Pixel functions of a finished picture: styles, the two effects without a word, and the
-- corruptions which give "blurry", "noisy", "dim" and "blocky" a meaning.
--
-- All work in place on float [64,64,3] with values 0..255.
local bit = require "bit"
local ffi = require "ffi"
local place = require "world.place"

local min, max, floor, sqrt = math.min, math.max, math.floor, math.sqrt
local band, rshift, tobit = bit.band, bit.rshift, bit.tobit

local S = 64
local N = S * S

local M = {}

-- Luma with a border of one pixel, so that the 3x3 operators need no tests at the edges.
local P = S + 2
local luma = ffi.new("float[?]", P * P)
local edge = ffi.new("float[?]", N)
local copy = ffi.new("float[?]", N * 3)

--- Rec. 601 luma of pixel i.
local function luma_at(im, i)
  return im[3 * i] * 0.299 + im[3 * i + 1] * 0.587 + im[3 * i + 2] * 0.114
end

local function fill_luma(im)
  for y = 0, P - 1 do
    local row = min(max(y - 1, 0), S - 1) * S
    for x = 0, P - 1 do
      luma[y * P + x] = luma_at(im, row + min(max(x - 1, 0), S - 1))
    end
  end
end

--- Sobel magnitude, scaled to 0..1 above a threshold that hides textures.
local function fill_edges(im)
  fill_luma(im)
  for y = 0, S - 1 do
    for x = 0, S - 1 do
      local i = y * P + x -- upper left neighbour
      local j, k = i + P, i + 2 * P
      local gx = luma[i + 2] + 2 * luma[j + 2] + luma[k + 2] - luma[i] - 2 * luma[j] - luma[k]
      local gy = luma[k] + 2 * luma[k + 1] + luma[k + 2] - luma[i] - 2 * luma[i + 1] - luma[i + 2]
      edge[y * S + x] = min(max((sqrt(gx * gx + gy * gy) - 40) / 360, 0), 1)
    end
  end
end

local function sketch(im)
  fill_edges(im)
  for i = 0, N - 1 do
    local v = 245 - 225 * edge[i]
    im[3 * i], im[3 * i + 1], im[3 * i + 2] = v, v, v
  end
end

local function neon(im)
  fill_edges(im)
  for i = 0, N - 1 do
    local g = edge[i]
    for j = 3 * i, 3 * i + 2 do im[j] = min(255, 14 + g * (im[j] * 0.9 + 70)) end
  end
end

--- Means of blocks of 4 x 4.
local function mosaic(im)
  for y = 0, S - 1, 4 do
    for x = 0, S * 3 - 1 do
      if x % 12 < 3 then
        local i, sum = y * S * 3 + x, 0
        for j = 0, 3 do
          local k = i + j * S * 3
          sum = sum + im[k] + im[k + 3] + im[k + 6] + im[k + 9]
        end
        sum = sum / 16
        for j = 0, 3 do
          local k = i + j * S * 3
          im[k], im[k + 3], im[k + 6], im[k + 9] = sum, sum, sum, sum
        end
      end
    end
  end
end

local function gray(im)
  for i = 0, N - 1 do
    local v = luma_at(im, i)
    im[3 * i], im[3 * i + 1], im[3 * i + 2] = v, v, v
  end
end

local function negative(im)
  for i = 0, N * 3 - 1 do im[i] = 255 - im[i] end
end

M.style = { sketch, mosaic, gray, negative, neon }

--- A third of a turn of the hue: red, green, blue become blue, red, green.
local function hue(im)
  for i = 0, N * 3 - 1, 3 do
    im[i], im[i + 1], im[i + 2] = im[i + 2], im[i], im[i + 1]
  end
end

local function flip(im)
  local row = S * 3
  for y = 0, S / 2 - 1 do
    local a, b = y * row, (S - 1 - y) * row
    for i = 0, row - 1 do im[a + i], im[b + i] = im[b + i], im[a + i] end
  end
end

---@type table<string, fun(im: ffi.cdata*)>
M.effect = { hue = hue, flip = flip }

--- One pass of a 3 x 3 box with repeated edges.
local function box_blur(im)
  ffi.copy(copy, im, N * 3 * 4)
  for y = 0, S - 1 do
    local up, here, down = max(y - 1, 0) * S * 3, y * S * 3, min(y + 1, S - 1) * S * 3
    for x = 0, S - 1 do
      local l, m, r = max(x - 1, 0) * 3, x * 3, min(x + 1, S - 1) * 3
      for c = 0, 2 do
        im[here + m + c] = (copy[up + l + c] + copy[up + m + c] + copy[up + r + c]
          + copy[here + l + c] + copy[here + m + c] + copy[here + r + c]
          + copy[down + l + c] + copy[down + m + c] + copy[down + r + c]) / 9
      end
    end
  end
end

local function blurry(im)
  box_blur(im)
  box_blur(im)
end

--- Noise of sigma 20 on every channel: the sum of four hashed bytes is nearly normal, of
-- mean 510 and deviation 147.8.
local function noisy(im, seed)
  for i = 0, N * 3 - 1 do
    local h = place.hash(tobit(seed + 0x51ed * i))
    local sum = band(h, 255) + band(rshift(h, 8), 255) + band(rshift(h, 16), 255) + rshift(h, 24)
    im[i] = min(max(im[i] + (sum - 510) * (20 / 147.8), 0), 255)
  end
end

--- Half the contrast, darker: what a short exposure gives.
local function dim(im)
  for i = 0, N * 3 - 1 do im[i] = im[i] * 0.5 end
end

-- The orthonormal DCT-II of eight points: basis[u*8+x].
local basis = ffi.new("double[64]")
for u = 0, 7 do
  for x = 0, 7 do
    basis[u * 8 + x] = (u == 0 and sqrt(1 / 8) or 0.5) * math.cos((2 * x + 1) * u * math.pi / 16)
  end
end

local block, half = ffi.new("double[64]"), ffi.new("double[64]")

--- to = B from B' when forward, B' from B when not: one pass transforms rows and transposes.
local function transform(to, from, forward)
  local su, sx = forward and 8 or 1, forward and 1 or 8
  for v = 0, 7 do
    for u = 0, 7 do
      local sum = 0
      for x = 0, 7 do sum = sum + basis[u * su + x * sx] * from[v * 8 + x] end
      to[u * 8 + v] = sum
    end
  end
end

--- Round the coefficients of one 8 x 8 block of one channel; steps grow with frequency.
local function quantise_block(im, at)
  for i = 0, 63 do block[i] = im[at + (floor(i / 8) * S + i % 8) * 3] end
  transform(half, block, true)
  transform(block, half, true)
  for i = 0, 63 do
    local step = 32 + 24 * (floor(i / 8) + i % 8)
    block[i] = floor(block[i] / step + 0.5) * step
  end
  transform(half, block, false)
  transform(block, half, false)
  for i = 0, 63 do
    im[at + (floor(i / 8) * S + i % 8) * 3] = min(max(block[i], 0), 255)
  end
end

local function blocky(im)
  for y = 0, S - 1, 8 do
    for x = 0, S - 1, 8 do
      for c = 0, 2 do quantise_block(im, (y * S + x) * 3 + c) end
    end
  end
end

--- Corruptions by id; the second argument is the scene's texture seed.
M.quality = { [0] = blurry, noisy, dim, blocky }

return M
