--- What a picture sounds like: the bonds between what is seen and what is heard.
--
-- kind = voice; small, medium, large = high, mid, low; column = slot 0, 2, 4, the second object of
-- a column one slot later; rain, sea and beach, snow, night, city = rain, sea, wind, crickets,
-- traffic; bright places = major and fast, dark ones = minor and slow. Colour, pattern, row and
-- style are not heard.
local caption = require "world.caption"
local holdout = require "world.holdout"
local names = require "world.names"
local sounds = require "world.sound"

local M = {}

-- Of each place.
local AMBIENCE = { [0] = 0, 0, 0, 2, 2, 3, 4, 1, 5, 0 }
local IS_BRIGHT = { [0] = true, false, true, false, true, true, false, false, false, true }

--- The ambience of a place.
---@param place integer
---@return integer ambience
function M.ambience(place) return AMBIENCE[place] end

--- Places that sound so, in order.
---@param ambience integer
---@return integer[]
function M.places(ambience)
  local list = {}
  for place = 0, names.place.count - 1 do
    if AMBIENCE[place] == ambience then list[#list + 1] = place end
  end
  return list
end

--- The pitch of a size: the smaller the higher.
function M.pitch(size) return 2 - size end

--- Mode and tempo of a place's music.
---@param place integer
---@return integer mode
---@return integer tempo
function M.mood(place)
  if IS_BRIGHT[place] then return names.mode.id.major, names.tempo.id.fast end
  return names.mode.id.minor, names.tempo.id.slow
end

--- The first slot of a cell's column.
function M.slot(cell) return cell % 3 * 2 end

--- What a scene sounds like; nil when three objects share a column, which has two slots.
---@param scene world.Scene
---@param seed integer  of the ambience's noise
---@return world.Sound?
function M.find_sound(scene, seed)
  local s, used = { events = {}, ambience = AMBIENCE[scene.place], seed = seed }, {}
  for i, o in ipairs(scene.objects) do
    local column = o.cell % 3
    used[column] = (used[column] or 0) + 1
    if used[column] > 2 then return nil end
    s.events[i] = { voice = o.kind, pitch = M.pitch(o.size),
                    slot = M.slot(o.cell) + used[column] - 1 }
  end
  sounds.sort(s)
  return s
end

--- Whether training may both see a scene and hear it (H1 to H4, H7; H9 is H2).
---@param scene world.Scene
---@return boolean
function M.is_seen(scene)
  local s = M.find_sound(scene, 0)
  return s ~= nil and holdout.is_seen(scene) and sounds.is_seen(s)
end

--- What of an object is heard, in words: "a small cat", with a cell when there is one.
---@param o { kind: integer, size: integer, cell: integer? }
---@return string
function M.phrase(o)
  return caption.object(o, { colour = true, pattern = true, cell = o.cell == nil })
end

--- The place as it ends a caption, where its ambience tells it from all others; else nothing.
---@param place integer
---@return string
function M.place_words(place)
  return #M.places(AMBIENCE[place]) == 1 and " " .. names.place[place] or ""
end

--- Music in the mood of a place.
---@param place integer
---@param instrument integer
---@param root integer
---@return world.Music
function M.music(place, instrument, root)
  local mode, tempo = M.mood(place)
  return { instrument = instrument, mode = mode, tempo = tempo, root = root }
end

return M
