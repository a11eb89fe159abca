--- Contrastive loss where several rows may match: two sounds of one caption, two pictures that
-- sound alike.
local weft = require "weft"

local M = {}

--- Row i shares its weight among the columns whose key is its own: [B,B].
---@param keys string[]
function M.matches(keys)
  local rows, count = {}, {}
  for _, key in ipairs(keys) do count[key] = (count[key] or 0) + 1 end
  for i, a in ipairs(keys) do
    rows[i] = {}
    for k, b in ipairs(keys) do rows[i][k] = a == b and 1 / count[a] or 0 end
  end
  return weft.tensor(rows)
end

--- InfoNCE of unit rows a and b [B,C], both ways, and the share of rows of a whose nearest matches.
---@param match weft.Tensor      [B,B] from M.matches
---@param log_scale weft.Tensor  [1] logarithm of 1 / temperature, which stays below 100
function M.info_nce(a, b, match, log_scale)
  local logits = a:matmul(b:t()) * log_scale:exp():clamp(0, 100)
  local loss = (weft.log_softmax(logits) + weft.log_softmax(logits:t())) * match
  local hits = weft.gather(match, logits:argmax(2):unsqueeze(2), 2):gt(0):to("f32"):mean()
  return loss:sum() * (-0.5 / a:size(1)), hits
end

return M
