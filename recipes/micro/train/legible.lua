--- How well a foretold feature can be read: the loss of the layouts that the conditioners of
-- pictures and of sounds read from it. A squared error weighs all directions of the features
-- alike; in these lies what stands where.
local weft = require "weft"
local labels = require "labels"
local run = require "run"
local SENSES = require "senses"

local M = {}
---@class micro.Legible
local Legible = {}
Legible.__index = Legible

--- The conditioners of pictures and, with sounds, of sounds.
---@param o { out: string, sounds: boolean }
---@return micro.Legible
function M.new(o)
  local senses = {}
  for i = 1, o.sounds and 2 or 1 do
    local conditioner = run.trained(o.out, SENSES[i].prefix .. "conditioner")
    senses[i] = weft.with(SENSES[i], { conditioner = conditioner })
  end
  return setmetatable({ senses = senses }, Legible)
end

--- The loss of the features c [M,D] of replies, the mean over those that show a picture or a sound.
---@param replies { target: table }[]
function Legible:loss(c, replies)
  local sum, n = 0, 0
  for _, sense in ipairs(self.senses) do
    local rows, targets = {}, {}
    for k, reply in ipairs(replies) do
      if sense.has(reply.target) then
        rows[#rows + 1], targets[#targets + 1] = k - 1, reply.target
      end
    end
    if rows[1] then
      local read = sense.conditioner { feature = c:index_select(
        weft.tensor(rows, { dtype = "i64" }), 1) }
      sum = sum + labels.presence(read.layout, sense.layout(targets)) * #rows
      n = n + #rows
    end
  end
  return sum * (1 / math.max(n, 1))
end

return M
