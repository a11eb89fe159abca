--- Series of pictures that follow a rule (T1.3): what comes next?
--
-- Rules: 0 the object moves along a line, 1 it grows or shrinks, 2 objects come or go, 3 its
-- colour goes round, 4 its pattern goes round, 5 two pictures take turns. Pairs of rule and
-- kind are held out (H8), and no two rules are ever composed in training.
local holdout = require "world.holdout"
local names = require "world.names"
local scenes = require "world.scene"

---@class world.Sequence
---@field inputs world.Scene[]  two or three
---@field target world.Scene
---@field rules integer[]       one, or two when composed

---@class world.SequenceOptions
---@field split? string
---@field composed? boolean  two rules at once; only for the held-out split

local M = {}

M.N_RULES = 6
local MOVE, GROW, COUNT, COLOUR, PATTERN, TURNS = 0, 1, 2, 3, 4, 5

-- Rules that change one attribute of one object, so that two of them compose.
local COMPOSABLE = { MOVE, GROW, COLOUR, PATTERN }

--- Start and step of a line of three cells.
local function draw_line(r)
  local dx, dy = 0, 0
  while dx == 0 and dy == 0 do dx, dy = r:int(3) - 1, r:int(3) - 1 end
  local function start(d)
    if d == 0 then return r:int(3) end
    return d > 0 and 0 or 2
  end
  return start(dy) * 3 + start(dx), dy * 3 + dx
end

--- First value and step of a rule.
local function draw_course(r, rule)
  if rule == MOVE or rule == COUNT then return draw_line(r) end
  if rule == GROW then
    if r:chance(0.5) then return 0, 1 end
    return 2, -1
  end
  if rule == COLOUR then return r:int(8), r:pick { 1, 2, -1, -2 } end
  return r:int(3), r:chance(0.5) and 1 or -1
end

local ATTRIBUTE = { [MOVE] = "cell", [GROW] = "size", [COLOUR] = "colour", [PATTERN] = "pattern" }

--- Frames 0..n of a scene whose first object follows one or two rules.
local function follow(r, base, rules, n)
  local frames = {}
  local courses = {}
  for k, rule in ipairs(rules) do courses[k] = { draw_course(r, rule) } end
  for i = 0, n do
    local frame = scenes.copy(base)
    for k, rule in ipairs(rules) do
      local attribute = ATTRIBUTE[rule]
      local value = courses[k][1] + i * courses[k][2]
      frame.objects[1][attribute] = value % names[attribute].count
    end
    frames[i + 1] = frame
  end
  return frames
end

--- Frames with one, two and three equal objects in a line, or the other way round.
local function gather(r, base)
  local cell, step = draw_course(r, COUNT)
  local frames, objects = {}, {}
  for i = 0, 2 do
    local o = scenes.copy_object(base.objects[1])
    o.cell = cell + i * step
    objects[i + 1] = o
    local frame = scenes.copy(base)
    frame.objects = {}
    for k = 1, i + 1 do frame.objects[k] = scenes.copy_object(objects[k]) end
    frames[i + 1] = frame
  end
  if r:chance(0.5) then frames[1], frames[3] = frames[3], frames[1] end
  return frames
end

--- Two scenes in turn.
local function alternate(a, b)
  return { a, b, scenes.copy(a), scenes.copy(b) }
end

--- Frames of a rule or a composition; the last is the target.
local function make_frames(r, base, rules, sample)
  if #rules == 2 then return follow(r, base, rules, 2) end
  local rule = rules[1]
  if rule == COUNT then return gather(r, base) end
  if rule == TURNS then return alternate(base, sample()) end
  return follow(r, base, rules, (rule == MOVE or rule == GROW) and 2 or 3)
end

--- Whether every frame is a scene of training that obeys the rule of overlap, and neighbours
-- differ visibly.
local function is_good(frames, rules)
  for i, frame in ipairs(frames) do
    if not scenes.is_valid(frame) or not holdout.is_seen(frame) then return false end
    if i > 1 and scenes.key(frame) == scenes.key(frames[i - 1]) then return false end
  end
  for _, rule in ipairs(rules) do
    if rule == COLOUR and names.colourless[frames[1].style] then return false end
  end
  return true
end

local function draw_rules(r, opts)
  if not opts.composed then return { r:int(M.N_RULES) } end
  local first = r:int(#COMPOSABLE)
  local second = (first + 1 + r:int(#COMPOSABLE - 1)) % #COMPOSABLE
  return { COMPOSABLE[first + 1], COMPOSABLE[second + 1] }
end

--- Draw a series.
---@param r world.Rng
---@param opts? world.SequenceOptions
---@return world.Sequence
function M.sample(r, opts)
  opts = opts or {}
  local held = opts.split == "heldout"
  if opts.composed and not held then error("sequence: composed rules are held out", 2) end
  local rules = draw_rules(r, opts)
  local function sample() return scenes.sample(r, { split = "val", objects = 1, style = 0.15 }) end
  for _ = 1, 5000 do
    local base = sample()
    local pair_held = holdout.rule_kind(rules[1], base.objects[1].kind)
    if opts.composed or pair_held == held then
      local frames = make_frames(r, base, rules, sample)
      if is_good(frames, rules) then
        return { target = table.remove(frames), inputs = frames, rules = rules }
      end
    end
  end
  error("sequence: no series satisfies the options", 2)
end

return M
