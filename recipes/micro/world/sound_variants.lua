--- What a sound could be instead: lists of sounds that differ from one in a single respect.
local names = require "world.names"
local sounds = require "world.sound"

local M = {}

--- Every choice of n slots in order, as lists.
local function slot_choices(n)
  local found, chosen = {}, {}
  local function choose(k, from)
    if k > n then
      found[#found + 1] = { unpack(chosen) }
      return
    end
    for slot = from, sounds.LAST_SLOT do
      chosen[k] = slot
      choose(k + 1, slot + 1)
    end
  end
  choose(1, 0)
  return found
end

--- The sounds of a list with every pitch of event `index`.
local function with_pitches(list, index)
  local more = {}
  for _, s in ipairs(list) do
    for pitch = 0, names.pitch.count - 1 do
      local v = sounds.copy(s)
      v.events[index].pitch = pitch
      more[#more + 1] = v
    end
  end
  return more
end

--- Every way to begin the events of a sound, in their order, with every pitch of those in `loose`.
---@param sound world.Sound
---@param loose? integer[]
---@return world.Sound[]
function M.fits(sound, loose)
  local list = {}
  for i, slots in ipairs(slot_choices(#sound.events)) do
    list[i] = sounds.copy(sound)
    for k, slot in ipairs(slots) do list[i].events[k].slot = slot end
  end
  for _, index in ipairs(loose or {}) do list = with_pitches(list, index) end
  return list
end

--- All voices and pitches of event `index`, in the order 3 voice + pitch.
function M.voices(sound, index)
  local list = {}
  for voice = 0, names.voice.count - 1 do
    for pitch = 0, names.pitch.count - 1 do
      local v = sounds.copy(sound)
      v.events[index].voice, v.events[index].pitch = voice, pitch
      list[#list + 1] = v
    end
  end
  return list
end

--- Event `index` in every slot, in their order.
function M.slots(sound, index)
  local list = {}
  for slot = 0, sounds.LAST_SLOT do
    list[slot + 1] = sounds.copy(sound)
    list[slot + 1].events[index].slot = slot
  end
  return list
end

--- One copy for each of these values of a field.
function M.field(sound, field, values)
  local list = {}
  for i, value in ipairs(values) do
    list[i] = sounds.copy(sound)
    list[i][field] = value
  end
  return list
end

--- The sound without each of its events, and with one more of each voice in each free slot.
function M.counts(sound)
  local list, taken = { sound }, {}
  for i, e in ipairs(sound.events) do
    taken[e.slot] = true
    list[#list + 1] = sounds.copy(sound)
    table.remove(list[#list].events, i)
  end
  for slot = 0, sounds.LAST_SLOT do
    for voice = 0, taken[slot] and -1 or names.voice.count - 1 do
      local v = sounds.copy(sound)
      v.events[#v.events + 1] = { voice = voice, pitch = 1, slot = slot }
      list[#list + 1] = v
    end
  end
  return list
end

--- Every sound that differs from one in a single attribute.
function M.all(sound)
  local list, own = {}, sounds.key(sound)
  local function add(more)
    for _, v in ipairs(more) do
      if sounds.key(v) ~= own then list[#list + 1] = v end
    end
  end
  for i = 1, #sound.events do
    add(M.voices(sound, i))
    add(M.slots(sound, i))
  end
  add(M.field(sound, "ambience", { 0, 1, 2, 3, 4, 5 }))
  add(M.field(sound, "echo", { false, true }))
  add(M.field(sound, "reverse", { false, true }))
  add(M.field(sound, "gain_db", { -6, 0, 6 }))
  return list
end

return M
