--- How loud a sound is to people: ITU-R BS.1770-4. Every channel counts the same.
local pointer = require "weft.pointer"

local M = {}

--- A filter { b0, b1, b2, a1, a2 } from its frequency's tangent k, its q and its numerator.
local function filter(k, q, b0, b1, b2)
  local n = 1 + k / q + k * k
  return { b0 / n, b1 / n, b2 / n, 2 * (k * k - 1) / n, (1 - k / q + k * k) / n }
end

--- The two filters of the K weighting for a rate; at 48 kHz they are the standard's table.
local function k_filters(rate)
  local high = 10 ^ (3.999843853973347 / 20)
  local mid = high ^ 0.4996667741545416
  local k, q = math.tan(math.pi * 1681.974450955533 / rate), 0.7071752369554196
  local shelf = filter(k, q, high + mid * k / q + k * k, 2 * (k * k - high),
    high - mid * k / q + k * k)
  k, q = math.tan(math.pi * 38.13547087602444 / rate), 0.5003270373238773
  local n = 1 + k / q + k * k
  return { shelf, filter(k, q, n, -2 * n, n) }
end

--- Squares of one weighted channel summed over steps of 100 ms: a list of sums.
local function weighted_energy(p, n, stride, filters, step)
  local state = { { 0, 0 }, { 0, 0 } }
  local sums, sum, left = {}, 0, step
  for i = 0, n - 1 do
    local x = p[i * stride]
    for k = 1, 2 do
      local f, s = filters[k], state[k]
      local y = f[1] * x + s[1]
      s[1] = f[2] * x - f[4] * y + s[2]
      s[2] = f[3] * x - f[5] * y
      x = y
    end
    sum, left = sum + x * x, left - 1
    if left == 0 then
      sums[#sums + 1] = sum
      sum, left = 0, step
    end
  end
  return sums
end

local function loudness(power) return -0.691 + 10 * math.log10(power) end

--- The mean power of the blocks louder than a gate, nil when there is none.
local function gated(blocks, gate)
  local sum, n = 0, 0
  for _, power in ipairs(blocks) do
    if power > 0 and loudness(power) > gate then sum, n = sum + power, n + 1 end
  end
  return n > 0 and sum / n or nil
end

--- Integrated loudness in LUFS of data [S,C]; -inf for silence. Under 400 ms there is one block.
---@return number lufs
function M.integrated(data, rate)
  local n, C = data:size(1), data:size(2)
  if n == 0 then return -math.huge end
  data = data:contiguous()
  local p, filters = pointer.of(data), k_filters(rate)
  local step = math.max(1, math.min(math.floor(rate * 0.1 + 0.5), math.floor(n / 4)))
  local blocks = {}
  for c = 0, C - 1 do
    local sums = weighted_energy(p + c, n, C, filters, step)
    for i = 1, #sums - 3 do
      local power = (sums[i] + sums[i + 1] + sums[i + 2] + sums[i + 3]) / (4 * step)
      blocks[i] = (blocks[i] or 0) + power
    end
  end
  local loud = gated(blocks, -70)
  loud = loud and gated(blocks, loudness(loud) - 10)
  return loud and loudness(loud) or -math.huge
end

return M
