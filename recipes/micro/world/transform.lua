--- Transformations shown by example (T1.4), in four levels of honesty.
--
--   L0  an attribute set to a value: also a named edit
--   L1  taught by example only, there is no word for it: colours rotated by one or two,
--       the layout mirrored, small and large swapped, the objects' colours exchanged
--   L2  two transformations which training never composes, or colours rotated by three
--   L3  a pixel function that occurs nowhere else
--   pair  two transformations which training does compose
--
-- One example must suffice, so a change which two transformations explain is never drawn.
local holdout = require "world.holdout"
local names = require "world.names"
local scenes = require "world.scene"

---@class world.Step
---@field family integer  0..10, below
---@field value integer   the value set, or how far to rotate

---@class world.Transform
---@field level "L0"|"L1"|"L2"|"L3"|"pair"
---@field steps world.Step[]
---@field effect? "hue"|"flip"

local M = {}

local KIND, COLOUR, CELL, PLACE, STYLE = 0, 1, 4, 5, 6
local ROTATE, MIRROR, SWAP_SIZES, SWAP_COLOURS = 7, 8, 9, 10
local SIZE = 2

--- What each family changes; two steps of one transformation change different attributes.
local ATTRIBUTE = { [0] = "kind", "colour", "size", "pattern", "cell", "place", "style",
                    "colour", "cell", "size", "colour" }

-- Differences of colours that mean a rotation; setting a colour avoids them.
local LARGEST_ROTATION = 3

local function mirrored(cell)
  return cell - cell % 3 + 2 - cell % 3
end

local function exchange_colours(scene)
  local first, last = scene.objects[1], scene.objects[#scene.objects]
  first.colour, last.colour = last.colour, first.colour
end

--- One step on one object.
local function change_object(o, step)
  local family = step.family
  if family < PLACE then
    o[ATTRIBUTE[family]] = step.value
  elseif family == ROTATE then
    o.colour = (o.colour + step.value) % 8
  elseif family == MIRROR then
    o.cell, o.jx = mirrored(o.cell), -o.jx
  elseif family == SWAP_SIZES then
    o.size = 2 - o.size
  end
end

--- Whether another transformation explains what this step does to its example.
local function is_ambiguous(scene, step)
  local o = scene.objects[1]
  if step.family == COLOUR then
    local turn = (step.value - o.colour) % 8
    return turn >= 1 and turn <= LARGEST_ROTATION
  elseif step.family == SIZE then
    return step.value + o.size == 2
  end
  return step.family == CELL and step.value == mirrored(o.cell)
end

--- Apply one step to a copy; nil when it does not show or breaks the rule of overlap.
local function find_step(scene, step)
  local family = step.family
  local hidden = ATTRIBUTE[family] == "colour" and names.colourless[scene.style]
    or family == STYLE and not names.shows_all[scene.style]
    or family == SWAP_COLOURS and #scene.objects < 2
  if hidden then return nil end
  local v = scenes.copy(scene)
  if family == PLACE or family == STYLE then
    v[ATTRIBUTE[family]] = step.value
  elseif family == SWAP_COLOURS then
    exchange_colours(v)
  else
    for _, o in ipairs(v.objects) do change_object(o, step) end
  end
  if not scenes.is_valid(v) or scenes.key(v) == scenes.key(scene) then return nil end
  return v
end

--- Apply a transformation to a copy of a scene; nil when a step of it would not show.
---@param t world.Transform
---@param scene world.Scene
---@param as_example? boolean  refuse scenes in which another transformation looks the same
---@return world.Scene?
function M.find_result(t, scene, as_example)
  local v = scene
  -- Style goes last, or it would hide what the other step shows.
  for _, last in ipairs { false, true } do
    for _, step in ipairs(t.steps) do
      if (step.family == STYLE) == last then
        if as_example and is_ambiguous(scene, step) then return nil end
        v = find_step(v, step)
        if not v then return nil end
      end
    end
  end
  if t.effect then
    if t.effect == "hue" and names.colourless[v.style] then return nil end
    v = scenes.copy(v)
    v.effect = t.effect
  end
  return v
end

local function draw_named(r)
  local family = r:int(ROTATE)
  return { family = family, value = r:int(names[ATTRIBUTE[family]].count) }
end

-- How often training draws each of what has no name, from ROTATE on: which colour goes where, and
-- what is mirrored to the pixel, is learned last.
local LEARNED_LAST = { 2, 4, 1, 5 }

local function draw_unnamed(r, in_training)
  local k = in_training and r:weighted(LEARNED_LAST) - 1 or r:int(4)
  return { family = ROTATE + k, value = 1 + r:int(2) }
end

--- Two steps on different attributes, of a pair that is held out or is not.
local function draw_pair(r, held, in_training)
  while true do
    local a = r:chance(0.6) and draw_named(r) or draw_unnamed(r, in_training)
    local b = r:chance(0.6) and draw_named(r) or draw_unnamed(r, in_training)
    local apart = ATTRIBUTE[a.family] ~= ATTRIBUTE[b.family]
    if apart and holdout.transform_pair(a.family, b.family) == held then return { a, b } end
  end
end

--- Draw a transformation of a level.
---@param r world.Rng
---@param level "L0"|"L1"|"L2"|"L3"|"pair"
---@param in_training? boolean  draw more often what is learned last
---@return world.Transform
function M.draw(r, level, in_training)
  local t = { level = level, steps = {} }
  if level == "L0" then
    t.steps[1] = draw_named(r)
  elseif level == "L1" then
    t.steps[1] = draw_unnamed(r, in_training)
  elseif level == "L3" then
    t.effect = r:chance(0.5) and "hue" or "flip"
  elseif level == "L2" and r:chance(0.2) then
    t.steps[1] = { family = ROTATE, value = LARGEST_ROTATION }
  else
    t.steps = draw_pair(r, level == "L2", in_training)
  end
  return t
end

--- The named edit that does the same to any picture, or nil where there is no word.
---@param t world.Transform
---@return string? op    a task of world.forms
---@return table<string, string>? slots
function M.find_words(t)
  local step = t.steps[1]
  if t.level ~= "L0" or not step then return nil end
  local attribute = ATTRIBUTE[step.family]
  local op = attribute == "cell" and "move" or attribute
  local word = names[attribute][step.value]
  return op, { [attribute] = step.family == KIND and "a " .. word or word, obj = "it" }
end

return M
