--- Scenes: the record, its sampler and its variants.
--
-- A scene says everything a picture shows, nuisances included, so rendering is a pure
-- function of it. Scene i of a split is a pure function of (split, i, options).
local holdout = require "world.holdout"
local names = require "world.names"
local rng = require "world.rng"

---@class world.Object
---@field kind integer     0..11
---@field colour integer   0..7
---@field size integer     0..2
---@field pattern integer  0..2
---@field cell integer     0..8, row by row
---@field jx number        px off the cell's centre, never described
---@field jy number        px
---@field scale? number     of the body, in a frame of a video
---@field calling? boolean  with arcs beside it, in a frame of a video

---@class world.Scene
---@field objects world.Object[]  1..3, the first painted last; none where all were removed
---@field place integer    0..9
---@field style integer    0..5, 0 = photo
---@field texture integer  seed of the place's texture, never described
---@field quality? integer  0..3, a corruption of the finished picture
---@field effect? "hue"|"flip"  a pixel function which has no word

---@class world.SampleOptions
---@field split? "train"|"val"|"heldout"|"all"  default "train"; only "heldout" shows held-out
--- items; "all", for judges, whatever is drawn
---@field objects? integer|number[]  how many, or the weights of 1, 2 and 3; default {.6, .4, 0}
---@field style? number      probability of a style other than photo, default 0.25
---@field quality? number    probability of a corruption, default 0
---@field hold? "H1"|"H2"|"H3"|"H4"  what a held-out scene must contain; default H1 or H2
---@field fixed? table       place, style, or attributes of the first object, as ids

local M = { names = names, holdout = holdout }

--- Distance between neighbouring cells and body radius by size.
M.PITCH_PX = 17.6
M.RADIUS_PX = { [0] = 6.4, 9.6, 13.4 }
M.JITTER_PX = 2

--- How far a cell's middle lies from the picture's.
---@param cell integer
---@return number x_px
---@return number y_px
function M.offset(cell)
  return M.PITCH_PX * (cell % 3 - 1), M.PITCH_PX * (math.floor(cell / 3) - 1)
end

-- Two bodies may overlap by at most this share of the sum of their radii.
local CLOSEST = 0.86

-- Texture seeds stay below 2^31, so that a double times a small constant remains exact.
local TEXTURES = 2 ^ 31

--- Whether two objects stand far enough apart; jitter does not count.
---@param a world.Object
---@param b world.Object
---@return boolean
function M.is_apart(a, b)
  local ax, ay = M.offset(a.cell)
  local bx, by = M.offset(b.cell)
  local dx, dy = ax - bx, ay - by
  local least = CLOSEST * (M.RADIUS_PX[a.size] + M.RADIUS_PX[b.size])
  return dx * dx + dy * dy >= least * least
end

--- Whether all objects of a scene stand apart.
---@param scene world.Scene
---@return boolean
function M.is_valid(scene)
  local objects = scene.objects
  for i = 2, #objects do
    for j = 1, i - 1 do
      if not M.is_apart(objects[i], objects[j]) then return false end
    end
  end
  return true
end

--- A deep copy of an object.
---@param o world.Object
---@return world.Object
function M.copy_object(o)
  return { kind = o.kind, colour = o.colour, size = o.size, pattern = o.pattern,
           cell = o.cell, jx = o.jx, jy = o.jy, scale = o.scale, calling = o.calling }
end

--- A deep copy of a scene.
---@param scene world.Scene
---@return world.Scene
function M.copy(scene)
  local objects = {}
  for i = 1, #scene.objects do objects[i] = M.copy_object(scene.objects[i]) end
  return { objects = objects, place = scene.place, style = scene.style,
           texture = scene.texture, quality = scene.quality, effect = scene.effect }
end

--- A string of all that a caption can say: equal for scenes which differ in nuisances only.
---@param scene world.Scene
---@return string
function M.key(scene)
  local parts = {}
  for i, o in ipairs(scene.objects) do
    parts[i] = ("%d.%d.%d.%d.%d"):format(o.kind, o.colour, o.size, o.pattern, o.cell)
  end
  table.sort(parts)
  return ("%s p%d s%d q%s"):format(table.concat(parts, " "), scene.place, scene.style,
                                   tostring(scene.quality))
end

local PATTERN_WEIGHTS = { 0.5, 0.25, 0.25 }

--- An object of random attributes in a cell.
---@param r world.Rng
---@param cell integer
---@return world.Object
function M.draw_object(r, cell)
  return {
    kind = r:int(12), colour = r:int(8), size = r:int(3),
    pattern = r:weighted(PATTERN_WEIGHTS) - 1, cell = cell,
    jx = r:uniform(-M.JITTER_PX, M.JITTER_PX), jy = r:uniform(-M.JITTER_PX, M.JITTER_PX),
  }
end

--- A cell that none of the first n objects stands in.
local function free_cell(r, objects, n)
  while true do
    local cell, taken = r:int(9), false
    for i = 1, n do taken = taken or objects[i].cell == cell end
    if not taken then return cell end
  end
end

--- Sort objects by cell (insertion sort: three at most).
local function sort_objects(objects)
  for i = 2, #objects do
    local j = i
    while j > 1 and objects[j].cell < objects[j - 1].cell do
      objects[j], objects[j - 1] = objects[j - 1], objects[j]
      j = j - 1
    end
  end
end

--- Set what the caller fixed: place, style, and attributes of the first object.
local function apply_fixed(scene, fixed)
  for name, value in pairs(fixed) do
    if name == "place" or name == "style" then
      scene[name] = value
    else
      scene.objects[1][name] = value
    end
  end
end

--- Draw a scene of n objects without looking at hold-outs.
local function draw(r, n, opts)
  local objects = {}
  for i = 1, n do objects[i] = M.draw_object(r, free_cell(r, objects, i - 1)) end
  local scene = {
    objects = objects, place = r:int(10), texture = r:int(TEXTURES),
    style = r:chance(opts.style or 0.25) and 1 + r:int(5) or 0,
  }
  if opts.fixed then apply_fixed(scene, opts.fixed) end
  return scene
end

--- Make the first object, or place and style, an item of hold-out `hold`.
local function force_hold(r, scene, hold)
  local o = scene.objects[1]
  if hold == "H1" then
    while not holdout.kind_colour(o.kind, o.colour) do o.colour = (o.colour + 1) % 8 end
  elseif hold == "H2" then
    while not holdout.kind_place(o.kind, scene.place) do scene.place = (scene.place + 1) % 10 end
  elseif hold == "H3" then
    scene.style = 1 + r:int(5)
    while not holdout.style_place(scene.style, scene.place) do
      scene.place = (scene.place + 1) % 10
    end
  elseif not holdout.subject(o.kind, o.colour, o.pattern) then
    local subject = r:pick(holdout.SUBJECTS)
    o.kind, o.colour, o.pattern = subject.kind, subject.colour, subject.pattern
  end
end

--- Whether a scene contains hold-out `hold` and no other.
local function holds_only(scene, hold)
  local h1, h2, h3, h4 = holdout.of_scene(scene)
  return h1 == (hold == "H1") and h2 == (hold == "H2")
    and h3 == (hold == "H3") and h4 == (hold == "H4")
end

local DEFAULTS = {}
local COUNT_WEIGHTS = { 0.6, 0.4, 0 }

--- Draw a scene. The number of objects and the hold-out are drawn once; what breaks the
-- rules of overlap or of the split is drawn again.
---@param r world.Rng
---@param opts? world.SampleOptions
---@return world.Scene
function M.sample(r, opts)
  opts = opts or DEFAULTS
  local n = opts.objects or COUNT_WEIGHTS
  if type(n) == "table" then n = r:weighted(n) end
  local hold
  if opts.split == "heldout" then hold = opts.hold or (r:chance(0.5) and "H1" or "H2") end
  for _ = 1, 2000 do
    local scene = draw(r, n, opts)
    if hold then force_hold(r, scene, hold) end
    if M.is_valid(scene) and (opts.split == "all" or holds_only(scene, hold)) then
      sort_objects(scene.objects)
      if opts.quality and r:chance(opts.quality) then scene.quality = r:int(4) end
      return scene
    end
  end
  error("scene: no scene satisfies the options; the fixed attributes may be held out", 2)
end

--- Scene `index` of a split: the same on every machine and in every order.
---@param split string
---@param index integer
---@param opts? world.SampleOptions  its split is set from the name when it has none
---@return world.Scene
function M.at(split, index, opts)
  local with = {}
  for k, v in pairs(opts or DEFAULTS) do with[k] = v end
  with.split = with.split or split
  return M.sample(rng.new(split, index), with)
end

--- A value of an attribute other than the present one.
local function other(r, present, count)
  return (present + 1 + r:int(count - 1)) % count
end

--- A copy of a scene with one attribute changed, or nil when the draw broke a rule or no object has
-- the attribute.
---@param r world.Rng
---@param scene world.Scene
---@param attribute "kind"|"colour"|"size"|"pattern"|"cell"|"place"|"style"
---@param index? integer  which object; a random one without it
---@return world.Scene?
function M.find_variant(r, scene, attribute, index)
  local v = M.copy(scene)
  if attribute == "place" or attribute == "style" then
    v[attribute] = other(r, v[attribute], names[attribute].count)
    return v
  end
  local hidden = attribute == "colour" and names.colourless[v.style]
  if hidden or #v.objects == 0 then return nil end
  local o = v.objects[index or 1 + r:int(#v.objects)]
  o[attribute] = other(r, o[attribute], names[attribute].count)
  return M.is_valid(v) and v or nil
end

--- How often the cells are what two objects exchange: which of them stands where is learned last.
local CELLS = 0.6

--- A copy of a scene whose first two objects have exchanged one attribute, or nil when there are no
-- two, or the draw broke a rule.
local function find_exchange(r, scene)
  if #scene.objects < 2 then return nil end
  local attribute = r:chance(CELLS) and "cell" or r:pick(names.OBJECT_ATTRIBUTES)
  if attribute == "colour" and names.colourless[scene.style] then return nil end
  local v = M.copy(scene)
  local a, b = v.objects[1], v.objects[2]
  a[attribute], b[attribute] = b[attribute], a[attribute]
  return M.is_valid(v) and v or nil
end

--- Attributes in which twins differ, and how often: shape is learned last, so it leads. Without
-- exchanges nothing would teach which of two objects has which value: the set of them would do.
local TWIN_ATTRIBUTES = {
  "kind", "cell", "colour", "pattern", "size", "place", "style", "exchange",
}
local TWIN_WEIGHTS = { 50, 11, 10, 13, 8, 4, 4, 70 }

--- n variants of a scene, each differing from it in one described attribute or by an exchange of
-- one between two objects, all of them distinct, with its texture and jitter.
---@param r world.Rng
---@param scene world.Scene
---@param n integer
---@param allow? fun(s: world.Scene): boolean  default: what training may see
---@return world.Scene[]
function M.twins(r, scene, n, allow)
  allow = allow or holdout.is_seen
  local twins, known = {}, { [M.key(scene)] = true }
  for _ = 1, 1000 + 100 * n do
    if #twins == n then return twins end
    local attribute = TWIN_ATTRIBUTES[r:weighted(TWIN_WEIGHTS)]
    local find = attribute == "exchange" and find_exchange or M.find_variant
    local v = find(r, scene, attribute)
    local key = v and M.key(v)
    if v and not known[key] and allow(v) then
      known[key] = true
      twins[#twins + 1] = v
    end
  end
  error(("scene: a scene has fewer than %d twins"):format(n), 2)
end

return M
