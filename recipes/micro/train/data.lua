--- Batches of the small world as tensors. Batch `step` of a stage is a pure function of the two,
-- so a run that stopped goes on with the very batches it would have seen.
local ffi = require "ffi"
local weft = require "weft"
local caption = require "world.caption"
local configs = require "configs"
local render = require "world.render"
local rng = require "world.rng"
local scene = require "world.scene"
local sound_tasks = require "world.sound_tasks"
local tasks = require "world.tasks"

local M = {}

-- Share of next frames in which the thing calls: arcs are learned last.
local CALLS = 0.75

local function next_frame(r) return sound_tasks.next_frame(r, { calls = CALLS }) end

-- Share of the denoiser's examples that are made of a source, and how often each task gives it.
local SOURCES = 0.6
local TASKS = { tasks.edit, tasks.exemplar, tasks.next, tasks.compose, sound_tasks.took_place,
  next_frame }
local TASK_WEIGHTS = { 42, 20, 10, 5, 9, 24 }

--- Pictures of scenes: f32 [n,64,64,3] in -1 ... 1.
---@param scenes world.Scene[]
function M.pictures(scenes)
  local t = weft.tensor.empty({ #scenes, 64, 64, 3 })
  local p = ffi.cast("float *", t:ptr())
  for i, s in ipairs(scenes) do render.float_into(s, p + (i - 1) * render.N_ELEMS) end
  return t
end

local N_DEPTH_ELEMS = render.SIDE_PX * render.SIDE_PX

--- Depth maps of scenes: f32 [n,64,64,1] in -1 ... 1, 1 being farthest; and a key of each: maps of
-- one key are equal, as those of scenes that differ in colours, patterns, place or style are.
---@param scenes world.Scene[]
---@return weft.Tensor maps
---@return string[] keys
function M.depths(scenes)
  local t, keys = weft.tensor.empty({ #scenes, 64, 64, 1 }), {}
  local p = ffi.cast("float *", t:ptr())
  for i, s in ipairs(scenes) do
    local map = p + (i - 1) * N_DEPTH_ELEMS
    render.depth_into(s, map)
    keys[i] = ("%08x"):format(rng.hash(ffi.string(map, N_DEPTH_ELEMS * 4)))
  end
  return t * 2 - 1, keys
end

--- Ids of texts as the text tower takes them: i64 [n,T], each ended by </text> and padded with 0;
-- and the mask of what is not padding: bool-like f32 [n,T].
---@param tok weft.Tokenizer
---@param texts string[]
function M.text_ids(tok, texts)
  local T = configs.text_tokens
  local last = tok:id "</text>"
  local rows, masks = {}, {}
  for i, text in ipairs(texts) do
    local ids = tok:encode(text, { special = false })
    local n = math.min(#ids, T - 1)
    local row, mask = {}, {}
    for k = 1, T do
      row[k] = k <= n and ids[k] or k == n + 1 and last or 0
      mask[k] = k <= n + 1 and 1 or 0
    end
    rows[i], masks[i] = row, mask
  end
  return weft.tensor(rows, { dtype = "i64" }), weft.tensor(masks)
end

--- groups of scenes, each with size - 1 twins, and a complete caption each, objects in random
-- order.
---@return world.Scene[] scenes
---@return string[] captions
function M.twins(stage, step, groups, size)
  local scenes, texts = {}, {}
  for g = 1, groups do
    local r = rng.new(stage, step * groups + g)
    local base = scene.sample(r)
    local list = scene.twins(r, base, size - 1)
    table.insert(list, 1, base)
    for _, s in ipairs(list) do
      scenes[#scenes + 1] = s
      texts[#texts + 1] = caption.complete(s, r)
    end
  end
  return scenes, texts
end

--- n scenes for the autoencoder; quality: share of corrupted ones.
function M.scenes(stage, step, n, quality)
  local out = {}
  for i = 1, n do out[i] = scene.sample(rng.new(stage, step * n + i), { quality = quality }) end
  return out
end

---@class micro.Example
---@field target world.Scene|world.Sound|world.Music
---@field source? world.Scene|world.Sound  concatenated; none: zeros
---@field task? world.Example    that has this source and target
---@field text string           of the target, for the cross-attention; "" for none
---@field feature "image"|"audio"|"text"|"partial"|"none"  where the condition comes from
---@field caption string        the text of a text feature

--- A picture that a task makes of another.
---@return { source: world.Scene, target: world.Scene, task: world.Example }
function M.sourced(r)
  local task = TASKS[r:weighted(TASK_WEIGHTS)](r)
  return { source = task.media[task.source], target = task.image, task = task }
end

--- One training example of the denoiser.
---@return micro.Example
function M.example(r)
  local e = r:chance(SOURCES) and M.sourced(r)
    or { target = scene.sample(r, { quality = 0.1 }) }
  local draw = r:uniform(0, 1)
  e.feature = draw < 0.1 and "none" or draw < 0.62 and "image" or draw < 0.86 and "text"
    or "partial"
  e.caption = e.feature == "partial" and caption.partial(e.target, r)
    or caption.complete(e.target, r)
  if e.target.quality then
    e.caption = caption.with_quality(e.caption, e.target)
    e.text = r:chance(0.5) and caption.NEGATIVE or scene.names.quality[e.target.quality]
  else
    e.text = r:chance(0.5) and e.caption or ""
  end
  return e
end

--- n examples of batch `step`.
function M.examples(stage, step, n)
  local out = {}
  for i = 1, n do out[i] = M.example(rng.new(stage, step * n + i)) end
  return out
end

return M
