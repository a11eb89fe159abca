--- What of a source is to stay as it is: its very latents.
--
-- Beside a source a denoiser draws again what it sees there, nearly. Where nothing is to change,
-- what it sees is better than what it draws.
local ops = require "weft.ops"
local parts = require "weft.pipeline.micro_parts"
local tensor = require "weft.tensor"

local M = {}

-- So much of what becomes of how things stand, in units of weft.pipeline.micro_anchor, is a change.
local STAYS = 0.5

--- Whether what becomes of a source's things says that they stay and are silent. Those that move
-- on, grow, are mirrored or call change between their cells and beside them.
---@param carry? weft.Tensor  [1,6] of micro_anchor.carried
function M.is_still(carry)
  if not carry then return true end
  local values = carry:reshape(-1):totable()
  for i = 1, 5 do
    if math.abs(values[i]) > STAYS then return false end
  end
  return values[6] <= 0
end

--- Places of 0 and 1 with those beside them: [1,S,S,1].
local function grown(x)
  local S = x:size(2)
  local rows = x:reshape(S, S):totable()
  local function at(y, k) return rows[y] and rows[y][k] or 0 end
  local out = {}
  for y = 1, S do
    out[y] = {}
    for k = 1, S do
      local most = 0
      for dy = -1, 1 do
        for dx = -1, 1 do most = math.max(most, at(y + dy, k + dx)) end
      end
      out[y][k] = most
    end
  end
  return tensor(out, { device = x.device }):reshape(1, S, S, 1)
end

--- Where a picture is to be drawn anew, 1, and where what its source shows stays, 0: [1,16,16,1].
-- Nil where all of it is drawn: where nothing is to stand otherwise the change is of another kind.
---@param shown weft.Tensor   [1,8,8,K] of 0 and 1: what stands where in the source
---@param wanted weft.Tensor  [1,8,8,K] and what should
---@return weft.Tensor?
function M.mask(shown, wanted)
  local changed = (wanted - shown):abs():max({ 4 }, true):gt(0.5):to "f32"
  local share = changed:mean():item()
  if share == 0 or share == 1 then return nil end
  local side = { height = parts.LATENT_SIDE, width = parts.LATENT_SIDE }
  return ops.resize_nearest(grown(changed), side)
end

return M
