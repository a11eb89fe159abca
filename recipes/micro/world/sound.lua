--- Sounds: the record, its sampler and its variants.
--
-- A sound says everything that is heard, nuisances included, so its samples are a pure function
-- of it. Captions say voices and pitches in their order, ambience and echo; the slots themselves
-- and the seed are told by no word.
local holdout = require "world.holdout"
local names = require "world.names"
local rng = require "world.rng"

---@class world.Event
---@field voice integer  0..11
---@field pitch integer  0..2, low to high
---@field slot integer   0..6, when it begins, 128 ms each

---@class world.Sound
---@field events world.Event[]  0..3, by slot, no two in one
---@field ambience integer      0..5, 0 = silence
---@field seed integer          of the ambience's noise, never described
---@field echo? boolean
---@field reverse? boolean      played backwards; captions describe what it was before
---@field gain_db? number       louder or softer than usual
---@field defect? integer       0..4, a corruption of the finished sound

---@class world.SoundOptions
---@field split? "train"|"val"|"heldout"|"all"  default "train"; only "heldout" holds a pair of H7;
--- "all", for judges, whatever is drawn
---@field events? integer|number[]  how many, or the weights of 1, 2 and 3; default {.5, .4, .1}
---@field ambience? number   probability of one, default 0.5
---@field echo? number       probability, default 0.1
---@field defect? number     probability of a corruption, default 0

local M = {}

-- The last slot in which a whole voice fits.
M.LAST_SLOT = 6
M.MAX_EVENTS = 3

-- Seeds stay below 2^31, as textures do.
local SEEDS = 2 ^ 31

---@param e world.Event
---@return world.Event
function M.copy_event(e) return { voice = e.voice, pitch = e.pitch, slot = e.slot } end

--- A deep copy.
---@param s world.Sound
---@return world.Sound
function M.copy(s)
  local events = {}
  for i, e in ipairs(s.events) do events[i] = M.copy_event(e) end
  return { events = events, ambience = s.ambience, seed = s.seed, echo = s.echo,
           reverse = s.reverse, gain_db = s.gain_db, defect = s.defect }
end

--- Put events in the order in which they begin.
function M.sort(s)
  table.sort(s.events, function(a, b) return a.slot < b.slot end)
end

--- Whether every event has a slot of its own and something is heard at all.
---@param s world.Sound
---@return boolean
function M.is_valid(s)
  local taken = {}
  for _, e in ipairs(s.events) do
    if taken[e.slot] then return false end
    taken[e.slot] = true
  end
  return #s.events <= M.MAX_EVENTS and (#s.events > 0 or s.ambience > 0)
end

--- Whether training may hear a sound.
---@param s world.Sound
---@return boolean
function M.is_seen(s) return not holdout.of_sound(s) end

--- A string of all that is heard, slots included and the seed not.
---@param s world.Sound
---@return string
function M.key(s)
  local parts = {}
  for i, e in ipairs(s.events) do parts[i] = ("%d.%d.%d"):format(e.voice, e.pitch, e.slot) end
  table.sort(parts)
  return ("%s a%d e%s r%s g%g d%s"):format(table.concat(parts, " "), s.ambience,
    tostring(s.echo or false), tostring(s.reverse or false), s.gain_db or 0, tostring(s.defect))
end

--- A slot that no event has, or nil.
---@param r world.Rng
---@param s world.Sound
---@return integer?
function M.find_slot(r, s)
  local free = {}
  for slot = 0, M.LAST_SLOT do free[slot + 1] = slot end
  for _, e in ipairs(s.events) do
    for i, slot in ipairs(free) do
      if slot == e.slot then table.remove(free, i) end
    end
  end
  return #free > 0 and r:pick(free) or nil
end

local function draw(r, n, opts)
  local s = { events = {}, ambience = 0, seed = r:int(SEEDS) }
  for i = 1, n do
    s.events[i] = { voice = r:int(12), pitch = r:int(3), slot = M.find_slot(r, s) }
  end
  if r:chance(opts.ambience or 0.5) then s.ambience = 1 + r:int(5) end
  if r:chance(opts.echo or 0.1) then s.echo = true end
  M.sort(s)
  return s
end

local DEFAULTS = {}
local COUNT_WEIGHTS = { 0.5, 0.4, 0.1 }

--- Draw a sound. What breaks the rule of the split is drawn again.
---@param r world.Rng
---@param opts? world.SoundOptions
---@return world.Sound
function M.sample(r, opts)
  opts = opts or DEFAULTS
  local n = opts.events or COUNT_WEIGHTS
  if type(n) == "table" then n = r:weighted(n) end
  for _ = 1, 2000 do
    local s = draw(r, n, opts)
    if opts.split == "all" or holdout.of_sound(s) == (opts.split == "heldout") then
      if opts.defect and r:chance(opts.defect) then s.defect = r:int(names.defect.count) end
      return s
    end
  end
  error("sound: no sound satisfies the options", 2)
end

--- Sound `index` of a split: the same on every machine and in every order.
---@param split string
---@param index integer
---@param opts? world.SoundOptions  its split is set from the name when it has none
---@return world.Sound
function M.at(split, index, opts)
  local with = {}
  for k, v in pairs(opts or DEFAULTS) do with[k] = v end
  with.split = with.split or split
  return M.sample(rng.new(split, index, 1), with)
end

--- A copy with one thing changed, or nil when there is nothing to change.
---@param r world.Rng
---@param s world.Sound
---@param attribute "voice"|"pitch"|"slot"|"ambience"|"echo"
---@param index? integer  which event; a random one without it
---@return world.Sound?
function M.find_variant(r, s, attribute, index)
  local v = M.copy(s)
  if attribute == "echo" then
    v.echo = not v.echo
    return v
  elseif attribute == "ambience" then
    v.ambience = (v.ambience + 1 + r:int(names.ambience.count - 1)) % names.ambience.count
    return M.is_valid(v) and v or nil
  end
  if #v.events == 0 then return nil end
  local e = v.events[index or 1 + r:int(#v.events)]
  if attribute == "slot" then
    e.slot = M.find_slot(r, v)
    M.sort(v)
  else
    e[attribute] = (e[attribute] + 1 + r:int(names[attribute].count - 1)) % names[attribute].count
  end
  return v
end

--- A copy in which two events have exchanged voice or pitch, or nil when there are no two.
local function find_exchange(r, s)
  if #s.events < 2 then return nil end
  local v, first = M.copy(s), 1 + r:int(#s.events - 1)
  local a, b, attribute = v.events[first], v.events[first + 1], r:pick { "voice", "pitch" }
  a[attribute], b[attribute] = b[attribute], a[attribute]
  return v
end

-- Attributes in which twins differ, and how often. Exchanges teach which event has which value.
local TWIN_ATTRIBUTES = { "voice", "pitch", "slot", "ambience", "echo", "exchange" }
local TWIN_WEIGHTS = { 35, 25, 15, 20, 5, 60 }

--- n variants that differ from a sound in one attribute or by an exchange of one between two
-- events, all of them distinct, with its seed.
---@param r world.Rng
---@param s world.Sound
---@param n integer
---@return world.Sound[]
function M.twins(r, s, n)
  local twins, known = {}, { [M.key(s)] = true }
  for _ = 1, 1000 + 100 * n do
    if #twins == n then return twins end
    local attribute = TWIN_ATTRIBUTES[r:weighted(TWIN_WEIGHTS)]
    local find = attribute == "exchange" and find_exchange or M.find_variant
    local v = find(r, s, attribute)
    local key = v and M.key(v)
    if v and not known[key] and M.is_seen(v) then
      known[key] = true
      twins[#twins + 1] = v
    end
  end
  error(("sound: a sound has fewer than %d twins"):format(n), 2)
end

return M
