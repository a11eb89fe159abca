--- Named edits of a picture (T1.1): a source, an instruction and the exact target.
--
-- A target is a function of source and instruction: an added object is described in full
-- and stands exactly in its cell, and a style is changed only where the source shows what
-- the target needs.
local ffi = require "ffi"
local caption = require "world.caption"
local names = require "world.names"
local render = require "world.render"
local scenes = require "world.scene"
local template = require "world.template"

---@class world.Edit
---@field op string               a name in edit.OPS
---@field source world.Scene
---@field target world.Scene
---@field index? integer          the object concerned, in the source (add: in the target)
---@field text string             the command without the picture
---@field parts (string|table)[]  the instruction with its picture as {image = source}
---@field caption string          complete caption of the target
---@field form integer            of the instruction, see world.template

---@class world.EditOptions: world.SampleOptions
---@field op? string          one operation instead of a drawn one
---@field source? world.Scene  edit this scene instead of a drawn one
---@field held_forms? boolean  use the held-out forms of the instruction

local M = {}

M.OPS = { "kind", "colour", "size", "pattern", "move", "place", "style", "add", "remove" }
local OP_WEIGHTS = { 18, 14, 10, 11, 14, 10, 9, 8, 6 }
-- In training: patterns, styles, what is added and that nothing is left are learned last.
local TRAIN_WEIGHTS = { 12, 10, 10, 20, 14, 8, 14, 14, 16 }

-- The attribute that an operation changes, where the names differ.
local ATTRIBUTE = { move = "cell" }

--- Whether no other object of a scene has the kind and the attribute of object `index`.
local function is_unique(scene, index, attribute)
  local o = scene.objects[index]
  for i, p in ipairs(scene.objects) do
    if i ~= index and p.kind == o.kind and p[attribute] == o[attribute] then return false end
  end
  return true
end

--- What may be said of an object besides its kind, shortest first.
local REFERENCES = { "kind", "colour", "size", "pattern", "cell" }

--- "cat", "red cat" or "cat at the top".
local function name_by(o, attribute)
  local kind = names.kind[o.kind]
  if attribute == "kind" then return kind end
  local word = names[attribute][o[attribute]]
  if attribute == "cell" then return kind .. " at the " .. word end
  return word .. " " .. kind
end

--- "the cat", or "the red cat" where there are several; with a generator now and then longer
-- than needed, without one as short as possible.
---@param r? world.Rng
---@param scene world.Scene
---@param index integer
---@return string
function M.refer(r, scene, index)
  local first = (not r or r:chance(0.75)) and 1 or 2 + r:int(#REFERENCES - 1)
  for n = 0, #REFERENCES - 1 do
    local attribute = REFERENCES[(first - 1 + n) % #REFERENCES + 1]
    local visible = not (attribute == "colour" and names.colourless[scene.style])
    if visible and is_unique(scene, index, attribute) then
      return "the " .. name_by(scene.objects[index], attribute)
    end
  end
  error("edit: two objects share a cell", 2)
end

--- Add an object that stands apart from the others, or nil.
local function find_added(r, scene)
  if #scene.objects >= 3 then return nil end
  local target = scenes.copy(scene)
  local o = scenes.draw_object(r, r:int(9))
  o.jx, o.jy = 0, 0
  target.objects[#target.objects + 1] = o
  return scenes.is_valid(target) and target or nil, #target.objects
end

--- Remove one object; the only one where the picture may be left empty.
local function find_removed(r, scene, may_empty)
  if #scene.objects < (may_empty and 1 or 2) then return nil end
  local target, index = scenes.copy(scene), 1 + r:int(#scene.objects)
  table.remove(target.objects, index)
  return target, index
end

--- The target of an operation on a scene and the object concerned, or nil.
---@param r world.Rng
---@param scene world.Scene
---@param op string
---@param may_empty? boolean  whether the only object may be removed
---@return world.Scene? target
---@return integer? index
function M.find_target(r, scene, op, may_empty)
  if op == "add" then return find_added(r, scene) end
  if op == "remove" then return find_removed(r, scene, may_empty) end
  if op == "place" then return scenes.find_variant(r, scene, op) end
  if op == "style" then
    if not names.shows_all[scene.style] then return nil end
    return scenes.find_variant(r, scene, op)
  end
  local index = 1 + r:int(#scene.objects)
  return scenes.find_variant(r, scene, ATTRIBUTE[op] or op, index), index
end

--- What an operation's template wants to know.
---@param r? world.Rng  see M.refer
---@param op string
---@param source world.Scene
---@param target world.Scene
---@param index? integer
---@return table<string, string>
function M.slots(r, op, source, target, index)
  if op == "style" then return { style = names.style[target.style] } end
  if op == "place" then return { place = names.place[target.place] } end
  if op == "add" then return { new = caption.object(target.objects[index]) } end
  local slots = { obj = M.refer(r, source, index) }
  if op == "remove" then return slots end
  local o = target.objects[index]
  if op == "kind" then
    local kind = names.kind[o.kind]
    slots.kind = caption.article(kind) .. " " .. kind
  else
    local attribute = ATTRIBUTE[op] or op
    slots[attribute] = names[attribute][o[attribute]]
  end
  return slots
end

--- Whether source and target may appear together in a split.
local function is_allowed(split, source, target)
  local seen = scenes.holdout.is_seen
  if split == "heldout" then return not seen(target) end
  return seen(source) and seen(target)
end

--- A source for an edit: held-out edits start from either kind of scene.
local function draw_source(r, opts)
  if opts.split ~= "heldout" or r:chance(0.5) then return scenes.sample(r, opts) end
  local with = {}
  for k, v in pairs(opts) do with[k] = v end
  with.split = "val"
  return scenes.sample(r, with)
end

local DEFAULTS = {}

--- Draw an edit. In training, where no split is named, it may take the only object away.
---@param r world.Rng
---@param opts? world.EditOptions
---@return world.Edit
function M.sample(r, opts)
  opts = opts or DEFAULTS
  local in_training = not opts.split
  local weights = in_training and TRAIN_WEIGHTS or OP_WEIGHTS
  local op = opts.op or M.OPS[r:weighted(weights)]
  for try = 1, 2000 do
    local source = opts.source or draw_source(r, opts)
    if opts.source and not opts.op and try > 1 then op = M.OPS[r:weighted(weights)] end
    local target, index = M.find_target(r, source, op, in_training)
    if target and is_allowed(opts.split, source, target) then
      local form = template.draw(r, opts.held_forms)
      local slots = M.slots(r, op, source, target, index)
      return {
        op = op, source = source, target = target, index = index, form = form,
        text = template.command(op, form, slots),
        parts = template.parts(template.expand(op, form, slots), { { image = source } }),
        caption = caption.complete(target, r),
      }
    end
  end
  error(("edit: no %s edit satisfies the options"):format(op), 2)
end

--- Mark the pixels in which two pictures differ.
---@param a ffi.cdata*     uint8_t [64,64,3]
---@param b ffi.cdata*     uint8_t [64,64,3]
---@param mask ffi.cdata*  uint8_t [64,64], written whole with 0 and 1
---@return integer n_changed
function M.mask_into(a, b, mask)
  local n = 0
  for i = 0, render.SIDE_PX * render.SIDE_PX - 1 do
    local j = 3 * i
    local same = a[j] == b[j] and a[j + 1] == b[j + 1] and a[j + 2] == b[j + 2]
    mask[i] = same and 0 or 1
    n = n + mask[i]
  end
  return n
end

--- The pixels that an edit changes.
---@param source world.Scene
---@param target world.Scene
---@return ffi.cdata* mask  uint8_t [64,64], owned by the caller
---@return integer n_changed
function M.mask(source, target)
  local mask = ffi.new("uint8_t[?]", render.SIDE_PX * render.SIDE_PX)
  return mask, M.mask_into(render.new(source), render.new(target), mask)
end

return M
