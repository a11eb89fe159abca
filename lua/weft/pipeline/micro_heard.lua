--- What a sound holds, event by event: of words that describe it whole, and of a layout; the layout
-- of it; and what differs from it in one thing.
local course = require "weft.pipeline.micro_course"
local likely = require "weft.pipeline.micro_likely"
local tensor = require "weft.tensor"
local things = require "weft.pipeline.micro_things"

local M = {}

-- Side of a layout, whose rows are slots; slots that a voice takes up, and the last that it may
-- begin in; events at most.
local SIDE, LENGTH = 8, 2
local LAST_SLOT, MOST_EVENTS = SIDE - LENGTH + 1, 3

---@class weft.MicroEvent  ids from 1
---@field voice integer
---@field pitch integer
---@field slot integer     in which it begins

---@class weft.MicroHeard
---@field events weft.MicroEvent[]  no two begin in one slot
---@field ambience integer          0 = silence
---@field echo integer              1 = it echoes, 0 = it does not
---@field reverse integer           1 = it is played backwards: its events are heard so
---@field level integer             0 = as usual, 1 = louder, 2 = softer

-- Attributes of an event, and how many values each has.
local OF_EVENTS = { { name = "voice", count = course.N_KINDS },
  { name = "pitch", count = course.N_PITCHES }, { name = "slot", count = LAST_SLOT } }
-- Attributes of the whole, the most that each may be, and where in a layout its values begin.
local OF_WHOLE = { { name = "ambience", most = 5, first = 15 },
  { name = "echo", most = 1, first = 28 }, { name = "reverse", most = 1, first = 29 },
  { name = "level", most = 2, first = 30 } }
-- Where a layout says which instrument plays: music holds no events.
local INSTRUMENTS = { first = 21, count = 4 }

--- How much likelier each change after the first must make it: see weft.pipeline.micro_likely.
M.MORE = 40
--- Words leave to the seed when a voice is heard: a source says more.
M.DRAWS = true

---@param x weft.MicroHeard
---@return weft.MicroHeard
function M.copy(x)
  local out = { events = {} }
  for _, f in ipairs(OF_WHOLE) do out[f.name] = x[f.name] end
  for i, e in ipairs(x.events) do
    out.events[i] = { voice = e.voice, pitch = e.pitch, slot = e.slot }
  end
  return out
end

--- Put events in the order in which they begin; false where two begin together.
local function sort(x)
  table.sort(x.events, function(a, b) return a.slot < b.slot end)
  for i = 2, #x.events do
    if x.events[i].slot == x.events[i - 1].slot then return false end
  end
  return true
end

-- ---- words ----

local AMBIENCE = { "rain", "sea", "wind", "crickets", "traffic" }

--- Number of a word in a list, from 1; nil for another.
local function id_of(list, word)
  for i, one in ipairs(list) do if one == word then return i end end
end

--- A phrase, "a low bark" or "low beeps"; nil for another.
local function event_of(phrase)
  local pitch, voice = phrase:match "^a (%a+) (%a+)$"
  if not pitch then pitch, voice = phrase:match "^(%a+) (beeps)$" end
  local e = { pitch = id_of(things.PITCH, pitch), voice = id_of(things.VOICE, voice) }
  return e.pitch and e.voice and e or nil
end

--- Slots of n events, in their order, none of which is heard over another.
local function draw_slots(n, seed)
  local free, keys = {}, tensor.rand({ LAST_SLOT }, { seed = seed }):totable()
  for slot = 1, LAST_SLOT - (n - 1) * (LENGTH - 1) do free[slot] = slot end
  table.sort(free, function(a, b) return keys[a] < keys[b] end)
  for k = #free, n + 1, -1 do free[k] = nil end
  table.sort(free)
  for k, slot in ipairs(free) do free[k] = slot + (k - 1) * (LENGTH - 1) end
  return free
end

--- Take the words of the ground off a text: what is before them, and which; nil for no such words.
local function take_ground(text)
  if text == "in silence" then return "", 0 end
  local before = text:match "^(.+) in silence$"
  if before then return before, 0 end
  local rest, ground = (" " .. text):match "^(.-) (%a+) in the background$"
  local id = id_of(AMBIENCE, ground)
  if not id then return nil end
  return (rest:gsub("^%s+", ""):gsub("%s*with$", "")), id
end

--- What words say of a sound; nil where they say less than what is heard. When each voice is heard
-- they do not say: the seed draws it.
---@param text string
---@param seed integer
---@return weft.MicroHeard?
function M.of_words(text, seed)
  local rest = text:lower():gsub("^%s+", ""):gsub("%s+$", "")
  local dry = rest:match "^(.*) with echo$"
  local before, ambience = take_ground(dry or rest)
  if not before then return nil end
  local x = { events = {}, ambience = ambience, echo = dry and 1 or 0, reverse = 0, level = 0 }
  for phrase in before:gsub(" then ", ";"):gmatch "[^;]+" do
    local e = event_of(phrase)
    if not e then return nil end
    x.events[#x.events + 1] = e
  end
  if #x.events > MOST_EVENTS or #x.events + ambience == 0 then return nil end
  for k, slot in ipairs(draw_slots(#x.events, seed)) do x.events[k].slot = slot end
  return x
end

-- ---- layouts ----

--- What logits of a layout say of the values in each slot, of all its places together.
---@param layout weft.Tensor  [1,8,8,32]
---@return number[][]
function M.rows(layout) return layout:sum({ 3 }):reshape(SIDE, layout:size(4)):totable() end

--- Call see(i) for each value i of a layout, from 1, that is true in a slot of a sound.
---@param x weft.MicroHeard
---@param slot integer  from 1
---@param see fun(i: integer)
function M.each_value(x, slot, see)
  local heard
  if x.reverse == 1 then slot = SIDE + 1 - slot end
  for _, e in ipairs(x.events) do
    if slot >= e.slot and slot < e.slot + LENGTH then heard = e end
  end
  if heard then
    see(heard.voice)
    see(course.N_KINDS + heard.pitch)
  end
  for _, f in ipairs(OF_WHOLE) do
    if x[f.name] > 0 then see(f.first + x[f.name]) end
  end
end

--- The layout of what a sound holds: [1,8,8,32] of 0 and 1.
---@param x weft.MicroHeard
---@param device? string
---@return weft.Tensor
function M.layout(x, device)
  local rows = {}
  for slot = 1, SIDE do
    local row = {}
    for i = 1, course.N_OF_SOUND do row[i] = 0 end
    M.each_value(x, slot, function(i) row[i] = 1 end)
    rows[slot] = row
  end
  return tensor(rows, { device = device }):reshape(1, SIDE, 1, course.N_OF_SOUND)
    :expand(1, SIDE, SIDE, course.N_OF_SOUND):contiguous()
end

--- What a layout says most likely; nil of music.
---@param layout weft.Tensor  [1,8,8,32] logits
---@return weft.MicroHeard?
function M.of_layout(layout)
  local played = layout:narrow(4, INSTRUMENTS.first, INSTRUMENTS.count):mean { 2, 3 }
  if played:max():item() > 0 then return nil end
  local nothing = { events = {}, ambience = 0, echo = 0, reverse = 0, level = 0 }
  return likely.near(M, layout, nothing)
end

-- ---- changes ----

--- Call see with a copy of a sound after change(copy), if that is a sound.
local function try(x, see, change)
  local y = M.copy(x)
  if change(y) ~= false and sort(y) then see(y) end
end

--- All events alike: later or earlier, or the voices and pitches so many further.
local function each_change_alike(x, see)
  for _, f in ipairs(#x.events > 1 and OF_EVENTS or {}) do
    for k = 1 - f.count, f.count - 1 do
      try(x, see, function(y)
        for _, e in ipairs(y.events) do
          local v = e[f.name] + k
          if f.name == "voice" then v = (v - 1) % f.count + 1 end
          if k == 0 or v < 1 or v > f.count then return false end
          e[f.name] = v
        end
      end)
    end
  end
end

--- One event more.
local function each_addition(x, see)
  for slot = 1, LAST_SLOT do
    for voice = 1, course.N_KINDS do
      for pitch = 1, course.N_PITCHES do
        try(x, see, function(y)
          y.events[#y.events + 1] = { voice = voice, pitch = pitch, slot = slot }
        end)
      end
    end
  end
end

--- Call see(y) for each sound y that differs from another in one thing: in the whole, in an event,
-- in all of them alike, or by one less or more.
---@param x weft.MicroHeard
---@param see fun(y: weft.MicroHeard)
function M.each_change(x, see)
  for _, f in ipairs(OF_WHOLE) do
    for v = 0, f.most do try(x, see, function(y) y[f.name] = v end) end
  end
  each_change_alike(x, see)
  for i in ipairs(x.events) do
    for _, f in ipairs(OF_EVENTS) do
      for v = 1, f.count do try(x, see, function(y) y.events[i][f.name] = v end) end
    end
    try(x, see, function(y) table.remove(y.events, i) end)
  end
  if #x.events < MOST_EVENTS then each_addition(x, see) end
end

return M
