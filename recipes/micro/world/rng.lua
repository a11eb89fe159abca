--- Counter-based random numbers: Philox4x32-10.
--
-- A generator is named by (split, index): the split is the key, the index and a running
-- block number are the counter. So draw n of item i of split s is a pure function of
-- (s, i, n), whatever else was drawn before and on whichever worker.
-- Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
local bit = require "bit"

local band, bxor, rshift, lshift, tobit = bit.band, bit.bxor, bit.rshift, bit.lshift, bit.tobit
local floor = math.floor

local TWO32 = 4294967296

---@class world.Rng
---@field key0 integer   hash of the split
---@field key1 integer   stream: independent generators of one item
---@field index integer  item of the split
---@field block integer  next counter block
---@field at integer     words of the current block already handed out
---@field w0 integer @four words of the current block, 0 .. 2^32-1
---@field w1 integer
---@field w2 integer
---@field w3 integer
local Rng = {}
Rng.__index = Rng

local M = {}

--- High and low words of a * b, both unsigned; m = mh * 65536 + ml is the constant.
-- Products of 16-bit halves stay below 2^53, so doubles are exact.
local function mul(mh, ml, b)
  local bh, bl = rshift(b, 16), band(b, 0xffff)
  local low = ml * bl
  local mid = mh * bl + ml * bh + floor(low / 65536)
  return tobit(mh * bh + floor(mid / 65536)), tobit((mid % 65536) * 65536 + low % 65536)
end

--- Ten rounds of Philox on a counter of four words with a key of two; words come back signed.
local function philox(c0, c1, c2, c3, k0, k1)
  for _ = 1, 10 do
    local h0, l0 = mul(0xd251, 0x1f53, c0)
    local h1, l1 = mul(0xcd9e, 0x8d57, c2)
    c0, c1, c2, c3 = bxor(h1, c1, k0), l1, bxor(h0, c3, k1), l0
    k0, k1 = tobit(k0 + 0x9e3779b9), tobit(k1 + 0xbb67ae85)
  end
  return c0, c1, c2, c3
end

--- The bare block function, for known-answer tests; words are unsigned on the way out.
---@return integer, integer, integer, integer
function M.block(c0, c1, c2, c3, k0, k1)
  local a, b, c, d = philox(tobit(c0), tobit(c1), tobit(c2), tobit(c3), tobit(k0), tobit(k1))
  return a % TWO32, b % TWO32, c % TWO32, d % TWO32
end

--- 32-bit FNV-1a of a string, unsigned.
---@param text string
---@return integer hash
function M.hash(text)
  local h = 0x811c9dc5
  for i = 1, #text do
    h = bxor(h, text:byte(i))
    -- h * 16777619 mod 2^32; 16777619 = 2^24 + 403
    h = tobit(lshift(h, 24) + (h % TWO32) * 403)
  end
  return h % TWO32
end

--- The generator of item `index` of a split.
---@param split string|integer  name of a split, or a number as seed
---@param index? integer         item, 0 .. 2^53
---@param stream? integer        independent generators of one item, 0 .. 2^32-1
---@return world.Rng
function M.new(split, index, stream)
  local key = type(split) == "string" and M.hash(split) or split
  return setmetatable({
    key0 = tobit(key), key1 = tobit((stream or 0) + 0x5eed * floor(key % 2 ^ 53 / TWO32)),
    index = index or 0, block = 0, at = 4, w0 = 0, w1 = 0, w2 = 0, w3 = 0,
  }, Rng)
end

--- 32 random bits as an integer 0 .. 2^32-1.
---@return integer
function Rng:u32()
  local at = self.at
  if at == 4 then
    local i = self.index
    local a, b, c, d = philox(tobit(i % TWO32), tobit(floor(i / TWO32)), tobit(self.block), 0,
                              self.key0, self.key1)
    self.w0, self.w1, self.w2, self.w3 = a % TWO32, b % TWO32, c % TWO32, d % TWO32
    self.block, self.at = self.block + 1, 1
    return self.w0
  end
  self.at = at + 1
  if at == 1 then return self.w1 end
  if at == 2 then return self.w2 end
  return self.w3
end

--- A number in [0, 1) of 32 bits.
---@return number
function Rng:float()
  return self:u32() / TWO32
end

--- An integer in 0 .. n-1. The bias is below n / 2^32.
---@param n integer
---@return integer
function Rng:int(n)
  return floor(self:u32() / TWO32 * n)
end

--- A number in [low, high).
---@return number
function Rng:uniform(low, high)
  return low + (high - low) * self:u32() / TWO32
end

--- True with probability p.
---@return boolean
function Rng:chance(p)
  return self:u32() / TWO32 < p
end

--- A normal variate (Box-Muller, the second of the pair is not kept).
---@return number
function Rng:normal()
  local r = math.sqrt(-2 * math.log((self:u32() + 1) / TWO32))
  return r * math.cos(2 * math.pi * self:u32() / TWO32)
end

--- An index 1 .. #weights with probability in proportion to its weight.
---@param weights number[]
---@return integer
function Rng:weighted(weights)
  local sum = 0
  for i = 1, #weights do sum = sum + weights[i] end
  local x = self:u32() / TWO32 * sum
  for i = 1, #weights - 1 do
    x = x - weights[i]
    if x < 0 then return i end
  end
  local last = #weights
  while weights[last] == 0 do last = last - 1 end
  return last
end

--- One element of a list.
---@generic T
---@param list T[]
---@return T
function Rng:pick(list)
  return list[1 + self:int(#list)]
end

--- Shuffle a list in place (Fisher-Yates) and return it.
---@generic T
---@param list T[]
---@return T[] list
function Rng:shuffle(list)
  for i = #list, 2, -1 do
    local j = 1 + self:int(i)
    list[i], list[j] = list[j], list[i]
  end
  return list
end

return M
