--- The picture that a layout says most likely, as things: what is made of a source differs from it
-- in little.
--
-- Where a feature is unsure whose colour is meant, the layout that is read from it says a little of
-- both, place by place, and a denoiser draws both. But a picture is made of whole things, and most
-- of what a source shows stays. From the source, one change at a time is taken that makes the
-- layout likelier: a thing takes another value, goes, comes or stands elsewhere, or the ground is
-- another.
local scenes = require "weft.pipeline.micro_scene"
local things = require "weft.pipeline.micro_things"

local M = {}

-- How much likelier, as a logarithm, each change after the first must make it, for one is expected;
-- and changes at most.
M.MORE, M.MOST = 9, 8
local N_CELLS = #things.CELL

--- How likely a layout's logits, rows of places, make a scene, up to a constant.
local function score(logits, scene)
  local sum = 0
  for at, row in ipairs(logits) do
    scenes.each_value(scene, at, function(i) sum = sum + row[i] end)
  end
  return sum
end

local function copy(scene)
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
  for _, f in ipairs(scenes.OF_THINGS) do
    local best = -math.huge
    for id = 1, f.name == "size" and 0 or f.count do
      local sum = 0
      for at, row in ipairs(logits) do
        if scenes.thing_at(alone, at) then sum = sum + row[f.first + id] end
      end
      if sum > best then best, o[f.name] = sum, id end
    end
  end
  return o
end

--- Call see(scene) for each scene that differs in one thing from another. It is changed meanwhile.
local function each_change(logits, scene, see)
  local function try(holder, name, id)
    local was = holder[name]
    if was == nil or was == id then return end
    holder[name] = id
    see(scene)
    holder[name] = was
  end
  for _, f in ipairs(scenes.OF_GROUND) do
    for id = 1, f.count do try(scene, f.name, id) end
  end
  local free, list = free_cells(scene), scene.things
  for i, o in ipairs(list) do
    for _, f in ipairs(scenes.OF_THINGS) do
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
end

--- The likeliest scene that is some changes away from another.
---@param layout weft.Tensor       [1,8,8,42] logits of what stands where
---@param source weft.MicroScene   what it is made from
---@return weft.MicroScene
function M.scene(layout, source)
  local logits = layout:reshape(scenes.SIDE * scenes.SIDE, layout:size(4)):totable()
  local now = copy(source)
  local before = score(logits, now)
  for n = 1, M.MOST do
    local most, found = -math.huge, nil
    each_change(logits, now, function(scene)
      local s = score(logits, scene)
      if s > most then most, found = s, copy(scene) end
    end)
    if most - before < (n == 1 and 0 or M.MORE) then break end
    before, now = most, found
  end
  return now
end

return M
