--- Questions about pictures, answered in words (Q1). Naming a difference in words is what
-- teaches a model to apply one.
local edit = require "world.edit"
local example_of = require "world.example"
local names = require "world.names"
local scenes = require "world.scene"
local template = require "world.template"

local M = {}

-- The form in which answers are worded: no opener, the first verb.
local PLAIN_FORM = 0

local NUMBERS = { [0] = "none", "one", "two", "three" }

--- Plural of a kind.
local function plural(kind)
  if kind == "fish" then return "fish" end
  return kind .. (kind:find("s$") and "es" or "s")
end

local function with_objects(opts, weights)
  local with = {}
  for k, v in pairs(opts or {}) do with[k] = v end
  with.objects = with.objects or weights
  return with
end

--- "what changed from [0] to [1]?": the answer is the edit as a command.
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.changed(r, opts)
  local e = edit.sample(r, opts)
  local slots = edit.slots(nil, e.op, e.source, e.target, e.index)
  local answer = template.command(e.op, PLAIN_FORM, slots)
  return example_of(r, opts, { text = answer, exact = true, op = e.op }, "changed", {},
                    { e.source, e.target })
end

--- "how many stars are in [0]?"
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.count(r, opts)
  local scene = scenes.sample(r, with_objects(opts, { 0.3, 0.4, 0.3 }))
  local kind = r:chance(0.75) and r:pick(scene.objects).kind or r:int(12)
  local n = 0
  for _, o in ipairs(scene.objects) do n = n + (o.kind == kind and 1 or 0) end
  local slots = { kind = plural(names.kind[kind]), one = names.kind[kind] }
  return example_of(r, opts, { text = NUMBERS[n], exact = true }, "count", slots, { scene })
end

--- Whether a value of an attribute belongs to object `index` alone.
local function is_only(scene, index, attribute)
  for i, o in ipairs(scene.objects) do
    if i ~= index and o[attribute] == scene.objects[index][attribute] then return false end
  end
  return true
end

--- "which one is striped?"
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.which(r, opts)
  while true do
    local scene = scenes.sample(r, with_objects(opts, { 0, 0.6, 0.4 }))
    local index, attribute = 1 + r:int(#scene.objects), r:pick { "pattern", "colour", "size" }
    local visible = not (attribute == "colour" and names.colourless[scene.style])
    if visible and is_only(scene, index, attribute) and is_only(scene, index, "kind") then
      local o = scene.objects[index]
      return example_of(r, opts, { text = "the " .. names.kind[o.kind], exact = true }, "which",
                        { adj = names[attribute][o[attribute]] }, { scene })
    end
  end
end

return M
