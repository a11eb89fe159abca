--- Outcomes of tasks: the right oracle for each kind of example.
local ffi = require "ffi"
local caption = require "world.caption"
local names = require "world.names"
local oracle = require "world.oracle"
local render = require "world.render"
local scenes = require "world.scene"
local statistic = require "world.statistic"

local M = {}

-- Sweeps over what a caption leaves open; the second corrects choices made before the place
-- was known.
local SWEEPS = 2

local scratch = ffi.new("uint8_t[?]", render.N_ELEMS)

--- Try all combinations of an object's free attributes from free[n] on; `best` keeps the
-- error and the values of the closest render.
local function try_all(bytes, scene, o, free, n, best)
  local attribute = free[n]
  if not attribute then
    render.into(scene, scratch)
    local e = oracle.sum_squares(bytes, scratch)
    if e < best.error then
      best.error = e
      for _, name in ipairs(free) do best[name] = o[name] end
    end
    return
  end
  for id = 0, names[attribute].count - 1 do
    o[attribute] = id
    try_all(bytes, scene, o, free, n + 1, best)
  end
end

--- A scene whose object `index` has a given size and, of what else was not said of it, the
-- combination closest to a picture; jitter fitted. Jointly, for a body in the wrong place
-- hides the right colour.
local function settle_sized(bytes, scene, index, said, size)
  local v = scenes.copy(scene)
  local o, free, best = v.objects[index], {}, { error = math.huge }
  o.size = size
  for _, attribute in ipairs(names.OBJECT_ATTRIBUTES) do
    if not said[attribute] and attribute ~= "size" then free[#free + 1] = attribute end
  end
  for _ = 1, 2 do -- stripes and dots look right only once the jitter is
    best.error = math.huge
    try_all(bytes, v, o, free, 1, best)
    for _, attribute in ipairs(free) do o[attribute] = best[attribute] end
    v = oracle.fit(bytes, v)
    o = v.objects[index]
  end
  render.into(v, scratch)
  return v, oracle.sum_squares(bytes, scratch)
end

--- The scene with what was not said of object `index` taken from a picture.
local function settle_object(bytes, scene, index, said)
  if said.size then return (settle_sized(bytes, scene, index, said, said.size)) end
  local best, least = scene, math.huge
  for size = 0, names.size.count - 1 do
    local v, e = settle_sized(bytes, scene, index, said, size)
    if e < least then best, least = v, e end
  end
  return best
end

--- The scene that a caption describes, what it leaves open taken from a picture.
local function complete_from(bytes, said)
  local scene = { objects = {}, place = said.place or 0, style = said.style, texture = 0 }
  for i, o in ipairs(said.objects) do
    scene.objects[i] = { kind = o.kind, colour = o.colour or 0, size = o.size or 1,
                         pattern = o.pattern or 0, cell = o.cell or 4, jx = 0, jy = 0 }
  end
  for _ = 1, SWEEPS do
    if not said.place then scene.place = statistic.closest(bytes, scene, "place") end
    for i, o in ipairs(said.objects) do scene = settle_object(bytes, scene, i, o) end
  end
  return scene
end

--- Whether a picture shows what a caption says; what it does not say may be anything.
---@param picture ffi.cdata*  uint8_t or float [64,64,3]
---@param text string         a caption of the grammar
---@return boolean success
---@return world.Verdict verdict
---@return world.Scene scene   of the caption, what it does not say read from the picture
function M.caption(picture, text)
  local said = caption.parse(text)
  if not said.ok then error("judge: not a caption: " .. text, 2) end
  local bytes = oracle.to_bytes(picture)
  local scene = complete_from(bytes, said)
  local verdict = oracle.attributes(bytes, scene, { free_texture = true, said = said })
  return verdict.all, verdict, scene
end

--- Only these attributes of a scene, as `said` of oracle.attributes.
local function only(scene, attributes)
  local said = { objects = {}, place = scene.place }
  for i, o in ipairs(scene.objects) do
    said.objects[i] = {}
    for _, attribute in ipairs(attributes) do said.objects[i][attribute] = o[attribute] end
  end
  return said
end

-- Tasks whose target is one picture.
local EXACT = { edit = true, towards = true, exemplar = true, next = true }
local IDENTITY = { "kind", "colour", "pattern" }

--- Whether a picture is what an example wants.
---   edit, towards, exemplar, next   the exact target
---   compose, together      identity of the objects, and the place
---   the rest               what the example's caption says
---@param picture ffi.cdata*  uint8_t or float [64,64,3]
---@param example world.Example
---@return boolean success
---@return world.Verdict|world.TargetVerdict verdict
function M.example(picture, example)
  local task, target = example.task, example.image
  if EXACT[task] then
    return oracle.edit(picture, example.media[example.source], target)
  elseif task == "compose" or task == "together" then
    local opts = { free_texture = true, said = only(target, IDENTITY) }
    local verdict = oracle.attributes(picture, scenes.copy(target), opts)
    return verdict.all, verdict
  end
  return M.caption(picture, example.caption)
end

--- Whether the picture of a conversation's round shows all that it should. Its texture is free: the
-- model goes on from its own pictures, whose textures are its own.
---@param picture ffi.cdata*  uint8_t or float [64,64,3]
---@param round world.Round   one that makes a picture
---@return boolean success
function M.round(picture, round)
  return oracle.attributes(picture, round.image, { free_texture = true }).all
end

--- The copy baseline: whether handing back the source already succeeds.
---@param example world.Example  with a source
---@return boolean
function M.copy_succeeds(example)
  return (M.example(render.new(example.media[example.source]), example))
end

--- Words only, one space between them.
local function plain(text)
  return (text:lower():gsub("[^%a]+", " "):match("^ ?(.-) ?$"))
end

--- Whether an answer in words is right: captions by their attributes, others word for word.
---@param text string
---@param example world.Example  one with `text`
---@return boolean success
---@return table? verdict  of a caption, its attributes
function M.answer(text, example)
  if example.task ~= "describe" then return plain(text) == plain(example.text) end
  local verdict = caption.score(text, example.media[1])
  return verdict.all, verdict
end

return M
