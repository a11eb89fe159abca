--- What a layout says most likely, as things or as the events of a sound: what is made of a source
-- differs from it in little.
--
-- Where a feature is unsure whose colour is meant, the layout that is read from it says a little of
-- both, place by place, and a denoiser draws both. But a picture is made of whole things, a sound
-- of whole events, and most of what a source shows stays. From the source, one change at a time is
-- taken that makes the layout likelier: a thing takes another value, goes, comes or stands
-- elsewhere, or the ground is another.
local M = {}

-- Changes at most.
local MOST = 8

---@class weft.MicroSense  what there is to see or to hear: micro_scene, micro_heard
---@field MORE number    how much likelier, as a logarithm, each change after the first must make it
---@field FIRST? number  and the first, 0 when not given: beside a source one change is expected
---@field DRAWS? boolean  words say less than a source, the rest is drawn
---@field of_words fun(text: string, seed: integer): table?  what words say that say all
---@field of_layout fun(logits: weft.Tensor): table?  what a layout shows
---@field layout fun(x: table, device: string?): weft.Tensor  and back
---@field rows fun(layout: weft.Tensor): number[][]  what logits say of the values, by place
---@field each_value fun(x: table, at: integer, see: fun(i: integer))  what is true at a place
---@field each_change fun(x: table, see: fun(y: table), logits: number[][])  what differs in one
--- thing; y may be changed after the call
---@field copy fun(x: table): table

--- How likely logits, rows of places, make something, up to a constant.
local function score(sense, logits, x)
  local sum = 0
  for at, row in ipairs(logits) do
    sense.each_value(x, at, function(i) sum = sum + row[i] end)
  end
  return sum
end

--- The likeliest that is some changes away from another.
---@param sense weft.MicroSense
---@param layout weft.Tensor  [1,8,8,K] logits of what is where
---@param source table        what it is made from
---@return table
function M.near(sense, layout, source)
  local logits = sense.rows(layout)
  local now = sense.copy(source)
  local before = score(sense, logits, now)
  for n = 1, MOST do
    local most, found = -math.huge, nil
    sense.each_change(now, function(x)
      local s = score(sense, logits, x)
      if s > most then most, found = s, sense.copy(x) end
    end, logits)
    if most - before < (n == 1 and sense.FIRST or n > 1 and sense.MORE or 0) then break end
    before, now = most, found
  end
  return now
end

return M
