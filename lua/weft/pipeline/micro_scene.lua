--- What a picture shows, thing by thing: of words that describe it whole, and of a layout; and the
-- layout of it.
local course = require "weft.pipeline.micro_course"
local frame = require "weft.pipeline.micro_frame"
local ops = require "weft.ops"
local tensor = require "weft.tensor"
local things = require "weft.pipeline.micro_things"

local M = {}

--- Side of a layout.
M.SIDE = 8
local N_PLACES, N_CELLS = M.SIDE * M.SIDE, #things.CELL

--- How much likelier each change after the first must make it: see weft.pipeline.micro_likely.
M.MORE = 20

---@class weft.MicroThing   ids from 1, as the words of micro_things are counted
---@field kind integer
---@field colour integer?   nil where no style shows it
---@field size integer
---@field pattern integer
---@field cell integer

---@class weft.MicroScene
---@field things weft.MicroThing[]  of two that lie over each other the later one is seen
---@field place integer
---@field style integer

--- Attributes of a thing and of the ground: how many values each has and where in a layout they
-- begin, from 0.
M.OF_THINGS, M.OF_GROUND = {}, {}
do
  local first = 0
  local function lay(list, name, words)
    list[#list + 1] = { name = name, first = first, count = #words }
    first = first + #words
  end
  lay(M.OF_THINGS, "kind", things.KIND)
  lay(M.OF_THINGS, "colour", things.COLOUR)
  lay(M.OF_THINGS, "size", things.SIZE)
  lay(M.OF_THINGS, "pattern", things.PATTERN)
  lay(M.OF_GROUND, "place", things.PLACE)
  lay(M.OF_GROUND, "style", things.STYLE)
end

-- Styles in which no colour is seen.
local COLOURLESS = { sketch = true, gray = true }

--- Whether a style shows colours.
---@param style integer
local function has_colours(style) return not COLOURLESS[things.STYLE[style]] end

-- ---- words ----

-- What captions say of a picture without things.
local NOTHING = "nothing"

--- Take the last words of a text where they are of a list: what is before them, and which.
---@param words string[]
---@return string rest
---@return integer?  from 1
local function take_last(text, words)
  local best
  for i, word in ipairs(words) do
    local is_end = (" " .. text):sub(-#word - 1) == " " .. word
    if is_end and (not best or #word > #words[best]) then best = i end
  end
  if not best then return text end
  return (text:sub(1, -#words[best] - 1):gsub("%s+$", "")), best
end

--- A phrase, "a small plain red cat at the top left"; nil for another.
---@return weft.MicroThing?
local function thing_of(phrase)
  local rest, cell = take_last(phrase, things.CELL)
  local body = cell and rest:match "^an? (.*) at the$"
  if not body then return nil end
  local o = { cell = cell }
  body, o.kind = take_last(body, things.KIND)
  body, o.colour = take_last(body, things.COLOUR)
  body, o.pattern = take_last(body, things.PATTERN)
  body, o.size = take_last(body, things.SIZE)
  return body == "" and o.kind and o.size and o.pattern and o or nil
end

--- What words say of a picture; nil where they say less than all.
---@param text string
---@return weft.MicroScene?
function M.of_words(text)
  local rest = text:lower():gsub("^%s+", ""):gsub("%s+$", "")
  local scene = { things = {}, style = 1 }
  local before = rest:match "^(.*) style$"
  if before then
    rest, scene.style = take_last(before, things.STYLE)
    rest = rest:match "^(.*) in$"
    if not scene.style or not rest then return nil end
  end
  rest, scene.place = take_last(rest, things.PLACE)
  if not scene.place then return nil end
  if rest == NOTHING then return scene end
  for phrase in (rest .. " and "):gmatch "(.-) and " do
    local o = thing_of(phrase)
    if not o then return nil end
    scene.things[#scene.things + 1] = o
  end
  return scene
end

-- ---- layouts ----

-- Whether a thing of a size in a cell covers a place.
local cover = {}
for cell = 1, N_CELLS do
  cover[cell] = {}
  local right, down = (cell - 1) % 3 - 1, math.floor((cell - 1) / 3) - 1
  for size, radius in ipairs(frame.RADII_PX) do
    local at = {}
    for k = 0, N_PLACES - 1 do
      at[k + 1] = frame.covers(right * frame.CELL_PX, radius, k % M.SIDE, M.SIDE)
        and frame.covers(down * frame.CELL_PX, radius, math.floor(k / M.SIDE), M.SIDE)
    end
    cover[cell][size] = at
  end
end

--- The thing that is seen at a place, from 1; nil for the ground.
---@param list weft.MicroThing[]
---@return weft.MicroThing?
function M.thing_at(list, at)
  for k = #list, 1, -1 do
    local o = list[k]
    if cover[o.cell][o.size][at] then return o end
  end
end

--- What logits of a layout say of the values at each of its places.
---@param layout weft.Tensor  [1,8,8,42]
---@return number[][]
function M.rows(layout) return layout:reshape(N_PLACES, layout:size(4)):totable() end

--- Call see(i) for each value i of a layout, from 1, that is true at a place of a scene.
---@param scene weft.MicroScene
---@param see fun(i: integer)
function M.each_value(scene, at, see)
  local o, shows_colours = M.thing_at(scene.things, at), has_colours(scene.style)
  for _, f in ipairs(o and M.OF_THINGS or {}) do
    if o[f.name] and (f.name ~= "colour" or shows_colours) then see(f.first + o[f.name]) end
  end
  for _, f in ipairs(M.OF_GROUND) do see(f.first + scene[f.name]) end
end

--- The layout of what a picture shows: [1,8,8,42] of 0 and 1.
---@param scene weft.MicroScene
---@param device? string
---@return weft.Tensor
function M.layout(scene, device)
  local rows = {}
  for at = 1, N_PLACES do
    local row = {}
    for i = 1, course.N_OF_THINGS + course.N_OF_GROUND do row[i] = 0 end
    M.each_value(scene, at, function(i) row[i] = 1 end)
    rows[at] = row
  end
  return tensor(rows, { device = device }):reshape(1, M.SIDE, M.SIDE, -1)
end

--- Number of the largest of count values of a list from `first`, from 0.
local function largest(list, first, count)
  local best = 1
  for i = 2, count do
    if list[first + i] > list[first + best] then best = i end
  end
  return best
end

--- What a layout shows.
---@param logits weft.Tensor  [1,8,8,42]
---@return weft.MicroScene
function M.of_layout(logits)
  local layout = ops.sigmoid(logits)
  local ground = layout:narrow(4, course.N_OF_THINGS + 1, course.N_OF_GROUND):sum { 1, 2, 3 }
    :totable()
  local scene = { things = {} }
  for _, f in ipairs(M.OF_GROUND) do
    scene[f.name] = largest(ground, f.first - course.N_OF_THINGS, f.count)
  end
  local cells, there = things.cells(layout)
  local rows = cells:totable()[1]
  for cell, is in ipairs(there:totable()[1]) do
    if is > 0 then
      local o = { cell = cell }
      for _, f in ipairs(M.OF_THINGS) do o[f.name] = largest(rows[cell], f.first, f.count) end
      if not has_colours(scene.style) then o.colour = nil end
      scene.things[#scene.things + 1] = o
    end
  end
  return scene
end

-- ---- changes ----

--- A copy of its own.
---@param scene weft.MicroScene
---@return weft.MicroScene
function M.copy(scene)
  local out = { things = {}, place = scene.place, style = scene.style }
  for i, o in ipairs(scene.things) do
    out.things[i] = { kind = o.kind, colour = o.colour, size = o.size, pattern = o.pattern,
      cell = o.cell }
  end
  return out
end

--- Cells in which nothing stands.
local function free_cells(scene)
  local free, list = {}, {}
  for cell = 1, N_CELLS do free[cell] = true end
  for _, o in ipairs(scene.things) do free[o.cell] = false end
  for cell = 1, N_CELLS do if free[cell] then list[#list + 1] = cell end end
  return list
end

--- The likeliest thing of a size in a cell.
local function likeliest_thing(logits, cell, size)
  local o, alone = { cell = cell, size = size }, {}
  alone[1] = o
  for _, f in ipairs(M.OF_THINGS) do
    local best = -math.huge
    for id = 1, f.name == "size" and 0 or f.count do
      local sum = 0
      for at, row in ipairs(logits) do
        if M.thing_at(alone, at) then sum = sum + row[f.first + id] end
      end
      if sum > best then best, o[f.name] = sum, id end
    end
  end
  return o
end

--- Call see with a copy of a scene, of each of whose things one attribute is what value_of says.
local function try_all(scene, name, value_of, see)
  local s = M.copy(scene)
  for i, o in ipairs(s.things) do o[name] = o[name] and value_of(o[name], i) end
  see(s)
end

--- The cell that one is in a mirror.
local function mirrored(cell) return cell + 2 - 2 * ((cell - 1) % 3) end

--- Call see(s) for each scene s in which two or more things change alike: they take one value, or
-- each that which lies so many further, round; two exchange theirs; all are mirrored; small ones
-- become large and large ones small.
local function each_change_alike(scene, see)
  local list = scene.things
  if #list < 2 then return end
  for _, f in ipairs(M.OF_THINGS) do
    for k = 1, f.count do
      try_all(scene, f.name, function() return k end, see)
      try_all(scene, f.name, function(v) return (v - 1 + k) % f.count + 1 end, see)
    end
    if list[1][f.name] and list[2][f.name] then
      try_all(scene, f.name, function(v, i) return i <= 2 and list[3 - i][f.name] or v end, see)
    end
  end
  try_all(scene, "cell", mirrored, see)
  try_all(scene, "size", function(v) return #things.SIZE + 1 - v end, see)
end

--- Call see(scene) for each scene that differs in one thing from another, which is changed
-- meanwhile, or in all alike. A thing more is the likeliest that logits, rows of places, say of its
-- cell.
---@param scene weft.MicroScene
---@param see fun(scene: weft.MicroScene)
---@param logits number[][]
function M.each_change(scene, see, logits)
  local function try(holder, name, id)
    local was = holder[name]
    if was == nil or was == id then return end
    holder[name] = id
    see(scene)
    holder[name] = was
  end
  for _, f in ipairs(M.OF_GROUND) do
    for id = 1, f.count do try(scene, f.name, id) end
  end
  local free, list = free_cells(scene), scene.things
  for i, o in ipairs(list) do
    for _, f in ipairs(M.OF_THINGS) do
      for id = 1, f.count do try(o, f.name, id) end
    end
    for _, cell in ipairs(free) do try(o, "cell", cell) end
    table.remove(list, i)
    see(scene)
    table.insert(list, i, o)
  end
  for _, cell in ipairs(free) do
    for size = 1, #things.SIZE do
      list[#list + 1] = likeliest_thing(logits, cell, size)
      see(scene)
      list[#list] = nil
    end
  end
  each_change_alike(scene, see)
end

--- Call see(s) for each scene s in which two things have exchanged some of their attributes.
local function each_exchange(scene, see)
  local names = { "kind", "colour", "size", "pattern", "cell" }
  for set = 1, 2 ^ #names - 1 do
    local s = M.copy(scene)
    local a, b = s.things[1], s.things[2]
    for k, name in ipairs(names) do
      if math.floor(set / 2 ^ (k - 1)) % 2 == 1 then a[name], b[name] = b[name], a[name] end
    end
    see(s)
  end
end

--- Call see(s) for each scene s in which words of two things were wrong: which of them is red, or a
-- value, or a cell.
local function each_slip(scene, see)
  if #scene.things ~= 2 then return end
  each_exchange(scene, see)
  for k, o in ipairs(scene.things) do
    local function try(name, count)
      for v = 1, o[name] and count or 0 do
        local s = M.copy(scene)
        s.things[k][name] = v
        if s.things[1].cell ~= s.things[2].cell then see(s) end
      end
    end
    for _, f in ipairs(M.OF_THINGS) do try(f.name, f.count) end
    try("cell", N_CELLS)
  end
end

--- Scenes as words said them, which may have slipped: a sense of weft.pipeline.micro_likely.
M.said = { MORE = 10, FIRST = 10, rows = M.rows, each_value = M.each_value, copy = M.copy,
  each_change = each_slip }

return M
