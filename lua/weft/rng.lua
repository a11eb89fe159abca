--- Streams of random numbers whose whole state is three numbers, so that a run can be saved.
-- `local r = weft.rng(seed)`; the same seed gives the same stream on any machine.
local core = require "weft.core"
local check = require "weft.check"

local M = {}
---@class weft.Rng
local Rng = {}
Rng.__index = Rng

local STREAM = 6     -- purpose of these numbers in the Philox key

--- A stream; streams of one seed with different numbers are independent.
function M.new(seed, stream)
  check.int("rng: seed", seed, nil, 0, 2 ^ 53 - 1)
  return setmetatable({ seed = seed, stream = stream or 0, at = 0 }, Rng)
end

--- A whole number in 0 ... 2^32-1.
function Rng:bits()
  local v = core.bits(self.seed, self.stream, STREAM, self.at)
  self.at = self.at + 1
  return v
end

--- Uniform in [0,1), or in [lo,hi).
function Rng:uniform(lo, hi)
  local v = self:bits() / 2 ^ 32
  return lo and lo + (hi - lo) * v or v
end

--- A whole number in 1 ... n, or in lo ... hi.
function Rng:int(lo, hi)
  if not hi then lo, hi = 1, lo end
  return lo + math.floor(self:uniform() * (hi - lo + 1))
end

--- One of a list.
function Rng:choice(list) return list[self:int(#list)] end

--- A list in another order, in place.
function Rng:shuffle(list)
  for i = #list, 2, -1 do
    local j = self:int(i)
    list[i], list[j] = list[j], list[i]
  end
  return list
end

--- Positions are spent in whole blocks, so that tensors and numbers of one stream never overlap.
local function draw(make, self, sizes)
  local n = 1
  for _, d in ipairs(sizes) do n = n * d end
  local t = make(sizes, self.seed, self.stream, STREAM + 1, self.at)
  self.at = self.at + n
  return t
end

--- Normal noise of these sizes.
function Rng:normal(sizes) return draw(core.randn, self, sizes) end

--- Uniform noise of these sizes, in [0,1).
function Rng:rand(sizes) return draw(core.rand, self, sizes) end

--- What state() gave, to go on from there.
function Rng:state() return { seed = self.seed, stream = self.stream, at = self.at } end

function Rng:restore(state)
  self.seed, self.stream, self.at = state.seed, state.stream, state.at
  return self
end

return setmetatable(M, { __call = function(_, ...) return M.new(...) end })
