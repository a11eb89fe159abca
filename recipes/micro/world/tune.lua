--- The judge of music: which of the 48 pieces is closest to what is heard.
local hearing = require "world.hearing"
local music = require "world.music"

local M = {}

--- All music, 48 pieces.
local function all_music()
  local list = {}
  local function add(m, k)
    local attribute = music.ATTRIBUTES[k]
    if not attribute then
      list[#list + 1] = music.copy(m)
      return
    end
    for id = 0, music.count(attribute) - 1 do
      m[attribute] = id
      add(m, k + 1)
    end
  end
  add({}, 1)
  return list
end

local pieces, piece_mels

--- The music that is heard.
---@param heard any
---@return world.Music
function M.heard(heard)
  if not pieces then
    pieces = all_music()
    piece_mels = hearing.of(pieces)
  end
  local mel, best, least = hearing.to_mel(heard), 1, math.huge
  local p, q = mel:ptr(), piece_mels:ptr()
  for i = 1, #pieces do
    local d = hearing.mean_square(p, q + (i - 1) * hearing.N_ELEMS)
    if d < least then best, least = i, d end
  end
  return music.copy(pieces[best])
end

--- Which attributes of the expected music are heard.
---@param heard any
---@param expected table  all of world.Music, or those that were said
---@return table<string, boolean[]|boolean> verdict
function M.attributes(heard, expected)
  local found, verdict = M.heard(heard), { all = true }
  for _, attribute in ipairs(music.ATTRIBUTES) do
    if expected[attribute] then
      local right = found[attribute] == expected[attribute]
      verdict[attribute], verdict.all = { right }, verdict.all and right
    end
  end
  return verdict
end

return M
