--- What is true of scenes, captions and sounds as rows of 0 and 1: what judges learn to tell, and
-- conditioners where it stands.
local ffi = require "ffi"
local weft = require "weft"
local names = require "world.names"

local M = {}

---@class micro.Labels  fields that lie one after the other in a row
---@field [integer] { name: string, first: integer, count: integer }  first counts from 0
---@field width integer

--- Fields of so many values each.
local function fields(list)
  local out = { width = 0 }
  for i, f in ipairs(list) do
    out[i] = { name = f[1], first = out.width, count = f[2] }
    out.width = out.width + f[2]
  end
  return out
end

local function of_names(list)
  local out = {}
  for i, name in ipairs(list) do out[i] = { name, names[name].count } end
  return fields(out)
end

--- Who a subject is; everything that words can say of a scene; and of one place of it.
M.IDENTITY = of_names { "kind", "colour", "pattern" }
M.SCENE = of_names { "kind", "colour", "size", "pattern", "cell", "place", "style" }
M.PLACE = of_names { "kind", "colour", "size", "pattern", "place", "style" }

--- 32 classes of what is heard. Silence is no class.
M.SOUND = fields { { "voice", 12 }, { "pitch", 3 }, { "ambience", 5 }, { "instrument", 4 },
  { "mode", 2 }, { "tempo", 2 }, { "effect", 4 } }

--- Rows [n,width]: ids_of(item, name) gives the list of an item's ids in a field.
---@param labels micro.Labels
---@return weft.Tensor
local function rows(items, labels, ids_of)
  local t = weft.tensor.zeros { #items, labels.width }
  local p = ffi.cast("float *", t:ptr())
  for i, item in ipairs(items) do
    for _, f in ipairs(labels) do
      for _, id in ipairs(ids_of(item, f.name)) do
        p[(i - 1) * labels.width + f.first + id] = 1
      end
    end
  end
  return t
end

local function of_scene(s, name)
  if name == "place" or name == "style" then return { s[name] } end
  local ids = {}
  if name == "colour" and names.colourless[s.style] then return ids end
  for _, o in ipairs(s.objects) do ids[#ids + 1] = o[name] end
  return ids
end

--- What can be seen of scenes, or is said in parsed captions.
---@param scenes (world.Scene|world.Parsed)[]
---@param labels micro.Labels  M.IDENTITY, M.SCENE or M.PLACE
function M.scenes(scenes, labels) return rows(scenes, labels, of_scene) end

-- Ids of the field "effect".
local function effects(s)
  local ids = {}
  if s.echo then ids[1] = 0 end
  if s.reverse then ids[#ids + 1] = 1 end
  if s.gain_db then ids[#ids + 1] = s.gain_db > 0 and 2 or 3 end
  return ids
end

local function of_sound(s, name)
  if name == "effect" then return effects(s) end
  if s.instrument then return { s[name] } end
  if name == "ambience" then return s.ambience > 0 and { s.ambience - 1 } or {} end
  local ids = {}
  for _, e in ipairs(s.events) do ids[#ids + 1] = e[name] end
  return ids
end

--- What can be heard in sounds and music.
---@param records (world.Sound|world.Music)[]
function M.sounds(records) return rows(records, M.SOUND, of_sound) end

--- Binary cross-entropy of each of many things being there, few of which are: a thing that is.
---@param logits weft.Tensor
---@param has weft.Tensor       of 0 and 1
---@param counted? weft.Tensor  of 0 and 1: what is asked for; all when not given
function M.presence(logits, has, counted)
  local each = weft.softplus(logits) - logits * has
  if counted then each, has = each * counted, has * counted end
  return each:sum() / has:sum():clamp(1)
end

--- Binary cross-entropy of every label, summed over a row, mean of the rows.
---@param logits weft.Tensor  [n,width]
---@param has weft.Tensor     [n,width] of 0 and 1
function M.loss(logits, has)
  return (weft.softplus(logits) - logits * has):sum() * (1 / has:size(1))
end

--- Share of the rows in which a field's labels are all right, by its name.
---@param labels micro.Labels
---@return table<string, number>
function M.accuracy(labels, logits, has)
  local wrong, out = logits:gt(0):to("f32"):ne(has):to("f32"), {}
  for _, f in ipairs(labels) do
    out[f.name] = 1 - wrong:narrow(2, f.first + 1, f.count):max({ 2 }):mean():item()
  end
  return out
end

return M
