--- What of a picture does not depend on how its texture was drawn.
--
-- Two draws of one texture differ by more, pixel for pixel, than a draw and a blurred one.
-- So place and style of a freely drawn picture are judged by means of 8 x 8 blocks, log local
-- variance on a 4 x 4 grid, log gradient energy by axis and log chroma, each averaged over
-- several draws of the alternative.
local ffi = require "ffi"
local names = require "world.names"
local render = require "world.render"
local rng = require "world.rng"
local scenes = require "world.scene"

local min, max, log, floor = math.min, math.max, math.log, math.floor

local M = {}

local S = render.SIDE_PX
local N = S * S

-- 8 x 8 blocks of three channels, 4 x 4 regions, two gradients and the chroma.
local N_BLOCKS, N_REGIONS, N_GLOBAL = 192, 16, 3
local N_VALUES = N_BLOCKS + N_REGIONS + N_GLOBAL

-- Scales which make a difference of one unit matter about alike: grey levels of a block
-- mean and logarithms of the rest; the addends keep the logarithm of flat areas finite.
local BLOCK_SCALE, REGION_SCALE, GRADIENT_SCALE, CHROMA_SCALE = 10, 0.5, 0.3, 0.2
local VARIANCE_FLOOR, CHROMA_FLOOR = 6, 4
local GLOBAL_WEIGHT = 0.5

-- Draws of a texture an alternative's statistics are averaged over.
local N_DRAWS = 4

local gray = ffi.new("double[?]", N)

--- Means of 8 x 8 blocks; also fills `gray`.
local function block_means(bytes, out)
  for i = 0, N - 1 do gray[i] = (bytes[3 * i] + bytes[3 * i + 1] + bytes[3 * i + 2]) / 3 end
  for i = 0, N_BLOCKS - 1 do
    local block, sum = floor(i / 3), 0
    local at = (floor(block / 8) * 8 * S + block % 8 * 8) * 3 + i % 3
    for y = 0, 7 do
      for x = 0, 7 do sum = sum + bytes[at + (y * S + x) * 3] end
    end
    out[i] = sum / 64 / BLOCK_SCALE
  end
end

--- Variance of the 4 x 4 pixels from (x, y).
local function local_variance(x, y)
  local sum, squares = 0, 0
  for v = y, y + 3 do
    for u = x, x + 3 do
      local g = gray[v * S + u]
      sum, squares = sum + g, squares + g * g
    end
  end
  return squares / 16 - (sum / 16) ^ 2
end

--- Mean local variance of 4 x 4 regions of 16 px.
local function region_variances(out)
  for region = 0, N_REGIONS - 1 do
    local x0, y0, sum = region % 4 * 16, floor(region / 4) * 16, 0
    for y = y0, y0 + 12, 4 do
      for x = x0, x0 + 12, 4 do sum = sum + local_variance(x, y) end
    end
    out[N_BLOCKS + region] = log(max(sum / 16, 0) + VARIANCE_FLOOR) / REGION_SCALE
  end
end

--- Mean squared difference between pixels `step` apart.
local function gradient(width, height, step)
  local sum = 0
  for y = 0, height - 1 do
    for x = 0, width - 1 do
      local d = gray[y * S + x + step] - gray[y * S + x]
      sum = sum + d * d
    end
  end
  return log(sum / (width * height) + VARIANCE_FLOOR) / GRADIENT_SCALE
end

local function chroma(bytes)
  local sum = 0
  for i = 0, N * 3 - 3, 3 do
    local r, g, b = bytes[i], bytes[i + 1], bytes[i + 2]
    sum = sum + max(r, g, b) - min(r, g, b)
  end
  return log(sum / N + CHROMA_FLOOR) / CHROMA_SCALE
end

--- The statistics of a picture.
---@param bytes ffi.cdata*  uint8_t [64,64,3]
---@param out ffi.cdata*    double [211]
function M.fill(bytes, out)
  block_means(bytes, out)
  region_variances(out)
  local at = N_BLOCKS + N_REGIONS
  out[at] = gradient(S - 1, S, 1)
  out[at + 1] = gradient(S, S - 1, S)
  out[at + 2] = chroma(bytes)
end

local function mean_square(a, b, from, n)
  local sum = 0
  for i = from, from + n - 1 do sum = sum + (a[i] - b[i]) ^ 2 end
  return sum / n
end

--- Distance of two sets of statistics.
---@param a ffi.cdata*
---@param b ffi.cdata*
---@return number
function M.distance(a, b)
  return mean_square(a, b, 0, N_BLOCKS) + mean_square(a, b, N_BLOCKS, N_REGIONS)
    + GLOBAL_WEIGHT * mean_square(a, b, N_BLOCKS + N_REGIONS, N_GLOBAL)
end

local rendered = ffi.new("uint8_t[?]", N * 3)
local wanted, one, mean =
  ffi.new("double[?]", N_VALUES), ffi.new("double[?]", N_VALUES), ffi.new("double[?]", N_VALUES)

--- Statistics of a scene averaged over draws of its texture.
local function fill_mean(scene, r, out)
  ffi.fill(out, N_VALUES * 8)
  for _ = 1, N_DRAWS do
    scene.texture = r:int(2 ^ 31)
    render.into(scene, rendered)
    M.fill(rendered, one)
    for i = 0, N_VALUES - 1 do out[i] = out[i] + one[i] / N_DRAWS end
  end
end

--- The value of place or style whose statistics are closest to a picture's, the rest of the
-- scene being fixed. The draws are a function of the scene's own texture seed.
---@param bytes ffi.cdata*  uint8_t [64,64,3]
---@param scene world.Scene
---@param attribute "place"|"style"
---@return integer id
function M.closest(bytes, scene, attribute)
  local v, best, least = scenes.copy(scene), 0, math.huge
  M.fill(bytes, wanted)
  for id = 0, names[attribute].count - 1 do
    v[attribute] = id
    fill_mean(v, rng.new("statistic", scene.texture, id), mean)
    local d = M.distance(mean, wanted)
    if d < least then best, least = id, d end
  end
  return best
end

return M
