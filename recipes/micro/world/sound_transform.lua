--- Transformations of sounds shown by example (T2.2), in the levels of world.transform.
--
--   L0    a voice overlaid, an ambience, echo, reverse, louder or softer: also named edits
--   L1    taught by example only: every event one slot later or earlier (training: or further, but
--         never two slots later), every voice the next one
--   pair  two transformations which training composes
--   L2    two which it never composes, or events two slots later
local holdout = require "world.holdout"
local names = require "world.names"
local sounds = require "world.sound"

---@class world.SoundStep
---@field family integer  0..6, below
---@field value any

---@class world.SoundTransform
---@field level "L0"|"L1"|"L2"|"pair"
---@field steps world.SoundStep[]

local M = {}

local VOICE, AMBIENCE, ECHO, REVERSE, LEVEL, SHIFT, NEXT = 0, 1, 2, 3, 4, 5, 6
local HELD_SHIFT = 2        -- slots later, by which only L2 shifts
-- Slots that training shifts by: from others than its own two a model learns that shifts go on.
local SHIFTS = { 1, -1, 1, -1, -2, 3, -3, 4, -4 }
local WEIGHTS = { 45, 20, 15, 10, 10 }       -- of the families with a name

-- What a step does to a copy of a sound; false where it would not show.
local apply = {
  [VOICE] = function(s, value)
    for _, e in ipairs(s.events) do
      if e.slot == value.slot then return false end
    end
    s.events[#s.events + 1] = sounds.copy_event(value)
    sounds.sort(s)
  end,
  [AMBIENCE] = function(s, value)
    if s.ambience > 0 then return false end
    s.ambience = value
  end,
  [ECHO] = function(s)
    if s.echo or #s.events == 0 then return false end
    s.echo = true
  end,
  [REVERSE] = function(s)
    if s.reverse or #s.events == 0 then return false end
    s.reverse = true
  end,
  [LEVEL] = function(s, value)
    if s.gain_db then return false end
    s.gain_db = value
  end,
  [SHIFT] = function(s, value)
    if #s.events == 0 then return false end
    for _, e in ipairs(s.events) do
      e.slot = e.slot + value
      if e.slot < 0 or e.slot > sounds.LAST_SLOT then return false end
    end
  end,
  [NEXT] = function(s)
    if #s.events == 0 then return false end
    for _, e in ipairs(s.events) do e.voice = (e.voice + 1) % names.voice.count end
  end,
}

--- Apply a transformation to a copy of a sound; nil when a step of it would not show.
---@param t world.SoundTransform
---@param sound world.Sound
---@return world.Sound?
function M.find_result(t, sound)
  local s = sounds.copy(sound)
  for _, step in ipairs(t.steps) do
    if apply[step.family](s, step.value) == false then return nil end
  end
  return sounds.is_valid(s) and s or nil
end

local function draw_named(r)
  local family = r:weighted(WEIGHTS) - 1
  local value
  if family == VOICE then
    value = { voice = r:int(12), pitch = r:int(3), slot = r:int(sounds.LAST_SLOT + 1) }
  elseif family == AMBIENCE then
    value = 1 + r:int(names.ambience.count - 1)
  elseif family == LEVEL then
    value = r:pick { 6, -6 }
  end
  return { family = family, value = value }
end

local function draw_unnamed(r, in_training)
  if r:chance(0.5) then return { family = NEXT } end
  return { family = SHIFT, value = r:pick(in_training and SHIFTS or { 1, -1 }) }
end

--- Two steps of different families, of a pair that is held out or is not. The one that moves or
-- renames what is there goes first, or it would change what the other adds.
local function draw_pair(r, held, in_training)
  while true do
    local a = r:chance(0.6) and draw_named(r) or draw_unnamed(r, in_training)
    local b = r:chance(0.6) and draw_named(r) or draw_unnamed(r, in_training)
    if a.family > b.family and holdout.transform_pair(a.family, b.family) == held then
      return { a, b }
    end
  end
end

--- Draw a transformation of a level.
---@param r world.Rng
---@param level "L0"|"L1"|"L2"|"pair"
---@param in_training? boolean  shift farther, too, than tests of the level do
---@return world.SoundTransform
function M.draw(r, level, in_training)
  local t = { level = level, steps = {} }
  if level == "L0" then
    t.steps[1] = draw_named(r)
  elseif level == "L1" then
    t.steps[1] = draw_unnamed(r, in_training)
  elseif level == "L2" and r:chance(0.3) then
    t.steps[1] = { family = SHIFT, value = HELD_SHIFT }
  else
    t.steps = draw_pair(r, level == "L2", in_training)
  end
  return t
end

--- Whether a transformation adds a voice and nothing else: "we overlaid a new sound".
---@param t world.SoundTransform
---@return boolean
function M.is_overlay(t) return #t.steps == 1 and t.steps[1].family == VOICE end

return M
