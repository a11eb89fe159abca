--- The judge: what a 64 x 64 picture shows, by rendering what it could show instead.
--
-- O1 (attributes): for every attribute of the expected scene all alternatives are rendered
-- with the rest fixed; right when the expected value is closest. O3 (target): the exact
-- picture must be closer than all single-attribute variants and than the source.
--
-- Pictures are uint8_t 0..255 or float -1..1, [64,64,3]. Uses no model and no labels.
local bit = require "bit"
local ffi = require "ffi"
local edit = require "world.edit"
local names = require "world.names"
local render = require "world.render"
local scenes = require "world.scene"
local statistic = require "world.statistic"

local min, max, abs = math.min, math.max, math.abs

local M = {}

local S = render.SIDE_PX
local N = S * S

-- Alternatives which differ by no more than this many grey levels anywhere are one.
local SAME_LEVELS = 8

-- How far a jitter may be found from the cell's centre.
local REACH_PX = 3

--- Bytes of a picture, rounding floats of -1..1.
---@param picture ffi.cdata*  uint8_t or float [64,64,3]
---@return ffi.cdata* bytes  uint8_t [64,64,3]; the picture itself when it has bytes
function M.to_bytes(picture)
  if tostring(ffi.typeof(picture)):find("uint8_t", 1, true)
    or tostring(ffi.typeof(picture)):find("unsigned char", 1, true) then
    return picture
  end
  local bytes = ffi.new("uint8_t[?]", N * 3)
  for i = 0, N * 3 - 1 do bytes[i] = min(max((picture[i] + 1) * 127.5 + 0.5, 0), 255) end
  return bytes
end

--- Sum of squared differences over the pixels of a mask, or all without one.
---@param a ffi.cdata*
---@param b ffi.cdata*
---@param mask? ffi.cdata*  uint8_t [64,64], non-zero counts
---@return number
function M.sum_squares(a, b, mask)
  local sum = 0
  if not mask then
    for i = 0, N * 3 - 1 do
      local d = a[i] - b[i]
      sum = sum + d * d
    end
    return sum
  end
  for i = 0, N - 1 do
    local r, g, v = a[3 * i] - b[3 * i], a[3 * i + 1] - b[3 * i + 1], a[3 * i + 2] - b[3 * i + 2]
    sum = sum + (r * r + g * g + v * v) * min(mask[i], 1)
  end
  return sum
end

--- Peak signal to noise ratio of a sum of squares over n elements, in dB, at most 99.
local function psnr(sum, n)
  return min(99, 10 * math.log10(255 * 255 * n / max(sum, 1e-3)))
end

-- Room for the renders of one attribute: twelve kinds and none at all.
local pool = {}
for i = 1, 13 do pool[i] = ffi.new("uint8_t[?]", N * 3) end
local scratch = ffi.new("uint8_t[?]", N * 3)
local differs, mask = ffi.new("uint8_t[?]", N), ffi.new("uint8_t[?]", N)

--- Add to `differs` the pixels in which two pictures differ visibly.
local function mark_differences(a, b)
  for i = 0, N - 1 do
    local j = 3 * i
    local d = max(abs(a[j] - b[j]), abs(a[j + 1] - b[j + 1]), abs(a[j + 2] - b[j + 2]))
    differs[i] = bit.bor(differs[i], d > SAME_LEVELS and 1 or 0)
  end
end

--- mask = `differs` grown by two pixels; returns whether any pixel is set.
local function grow_mask()
  local any = false
  ffi.fill(mask, N)
  for i = 0, N - 1 do
    if differs[i] ~= 0 then
      any = true
      local x, y = i % S, math.floor(i / S)
      for v = max(y - 2, 0), min(y + 2, S - 1) do
        for u = max(x - 2, 0), min(x + 2, S - 1) do mask[v * S + u] = 1 end
      end
    end
  end
  return any
end

--- Which of the pool's first n renders is closest to a picture where they differ from each
-- other; nil when they do not.
local function find_closest(bytes, n)
  ffi.fill(differs, N)
  for i = 2, n do mark_differences(pool[1], pool[i]) end
  if not grow_mask() then return nil end
  local best, least = 1, math.huge
  for i = 1, n do
    local e = M.sum_squares(bytes, pool[i], mask)
    if e < least then best, least = i, e end
  end
  return best
end

--- Try 5 x 5 offsets of `step` px around an object's jitter and keep the closest.
local function search_jitter(bytes, scene, o, step)
  local x0, y0, least = o.jx, o.jy, math.huge
  local best_x, best_y = x0, y0
  for v = -2, 2 do
    for u = -2, 2 do
      o.jx = min(max(x0 + u * step, -REACH_PX), REACH_PX)
      o.jy = min(max(y0 + v * step, -REACH_PX), REACH_PX)
      render.into(scene, scratch)
      local e = M.sum_squares(bytes, scratch)
      if e < least then least, best_x, best_y = e, o.jx, o.jy end
    end
  end
  o.jx, o.jy = best_x, best_y
end

--- The scene with the jitter of its objects moved to where the picture shows them.
---@param bytes ffi.cdata*  uint8_t [64,64,3]
---@param scene world.Scene
---@return world.Scene
function M.fit(bytes, scene)
  local fitted = scenes.copy(scene)
  for _, o in ipairs(fitted.objects) do
    search_jitter(bytes, fitted, o, 1.5)
    search_jitter(bytes, fitted, o, 0.5)
  end
  return fitted
end

--- Whether the expected value of an object's attribute is the closest; nil when nobody
-- could see it. A kind must also be closer than no object, or an empty place would score by
-- the colours that hide in it.
local function find_object_verdict(bytes, fitted, index, attribute)
  local v = scenes.copy(fitted)
  local o = v.objects[index]
  local expected, jx, jy = o[attribute], o.jx, o.jy
  for id = 0, names[attribute].count - 1 do
    o[attribute] = id
    -- A jitter was found for one cell; in the others the object stands at the centre.
    local keep = attribute ~= "cell" or id == expected
    o.jx, o.jy = keep and jx or 0, keep and jy or 0
    render.into(v, pool[id + 1])
  end
  local n = names[attribute].count
  if attribute == "kind" then
    table.remove(v.objects, index)
    n = n + 1
    render.into(v, pool[n])
  end
  local closest = find_closest(bytes, n)
  return closest and closest == expected + 1
end

--- The same for place and style: on pixels if the texture is the scene's, or by statistics.
local function is_setting_right(bytes, fitted, attribute, free_texture)
  if free_texture then
    return statistic.closest(bytes, fitted, attribute) == fitted[attribute]
  end
  local v = scenes.copy(fitted)
  for id = 0, names[attribute].count - 1 do
    v[attribute] = id
    render.into(v, pool[id + 1])
  end
  return find_closest(bytes, names[attribute].count) == fitted[attribute] + 1
end

---@class world.Verdict
---@field kind boolean[]     one an object, where it can be seen; likewise colour, size,
---@field colour boolean[]   pattern and cell
---@field size boolean[]
---@field pattern boolean[]
---@field cell boolean[]
---@field place boolean[]    at most one element
---@field style boolean[]    at most one element
---@field all boolean        every one of them

---@class world.JudgeOptions
---@field free_texture? boolean  the picture may draw its own texture: place and style are
--- judged by statistics that do not see the draw. For text to picture and for new places.
---@field said? table  judge only attributes present here: {objects = {...}, place, style}, the
--- objects in the scene's order

--- O1: which attributes of the expected scene a picture has right.
---@param picture ffi.cdata*  uint8_t or float [64,64,3]
---@param scene world.Scene
---@param opts? world.JudgeOptions
---@return world.Verdict
function M.attributes(picture, scene, opts)
  opts = opts or {}
  local said = opts.said or scene
  local bytes = M.to_bytes(picture)
  local fitted = M.fit(bytes, scene)
  local verdict = { place = {}, style = {} }
  for _, attribute in ipairs(names.OBJECT_ATTRIBUTES) do
    verdict[attribute] = {}
    local hidden = attribute == "colour" and names.colourless[scene.style]
    for i, o in ipairs(said.objects) do
      local right
      if o[attribute] and not hidden then
        right = find_object_verdict(bytes, fitted, i, attribute)
      end
      if right ~= nil then table.insert(verdict[attribute], right) end
    end
  end
  for _, attribute in ipairs { "place", "style" } do
    if said[attribute] then
      verdict[attribute][1] = is_setting_right(bytes, fitted, attribute, opts.free_texture)
    end
  end
  verdict.all = M.is_all_right(verdict)
  return verdict
end

--- Whether every list of a verdict holds only true.
---@param verdict table<string, boolean[]>
---@return boolean
function M.is_all_right(verdict)
  for _, list in pairs(verdict) do
    if type(list) == "table" then
      for _, right in ipairs(list) do
        if not right then return false end
      end
    end
  end
  return true
end

--- Shares of right answers over many verdicts (also those of caption.score).
---@param verdicts table[]
---@return table<string, number> rates  by attribute, and `all`; n of an attribute in n_<name>
function M.rates(verdicts)
  local right, count = {}, {}
  for _, verdict in ipairs(verdicts) do
    for name, list in pairs(verdict) do
      for _, yes in ipairs(type(list) == "table" and list or { list }) do
        right[name] = (right[name] or 0) + (yes and 1 or 0)
        count[name] = (count[name] or 0) + 1
      end
    end
  end
  local rates = {}
  for name, n in pairs(count) do
    rates[name], rates["n_" .. name] = right[name] / n, n
  end
  return rates
end

--- Call f(variant) for every scene that differs from a scene in one attribute.
local function each_variant(scene, f)
  local v = scenes.copy(scene)
  local function try(holder, attribute)
    local present = holder[attribute]
    for id = 0, names[attribute].count - 1 do
      if id ~= present then
        holder[attribute] = id
        f(v)
      end
    end
    holder[attribute] = present
  end
  for _, o in ipairs(v.objects) do
    for _, attribute in ipairs(names.OBJECT_ATTRIBUTES) do try(o, attribute) end
  end
  try(v, "place")
  try(v, "style")
end

--- Whether two pictures differ visibly anywhere.
local function is_different(a, b)
  for i = 0, N * 3 - 1 do
    if abs(a[i] - b[i]) > SAME_LEVELS then return true end
  end
  return false
end

---@class world.TargetVerdict
---@field success boolean        closest of all, closer than the source, and psnr_db >= 18
---@field is_closest boolean     closer than every single-attribute variant of the target
---@field is_changed boolean     closer to the target than to the unedited source
---@field psnr_db number         to the exact target
---@field preserved_db? number   outside the pixels that the edit changes; nil if it changes all

-- Least PSNR of a picture that counts as the target.
local LEAST_DB = 18

--- O3: whether a picture is the exact target of an edit, an exemplar or a sequence.
---@param picture ffi.cdata*  uint8_t or float [64,64,3]
---@param target world.Scene
---@param source? world.Scene  the unedited picture, if there is one
---@return world.TargetVerdict
function M.target(picture, target, source)
  local bytes = M.to_bytes(picture)
  local exact = render.new(target)
  local e = M.sum_squares(bytes, exact)
  local verdict = { is_closest = true, is_changed = true, psnr_db = psnr(e, N * 3) }
  each_variant(target, function(v)
    render.into(v, scratch)
    if M.sum_squares(bytes, scratch) <= e and is_different(exact, scratch) then
      verdict.is_closest = false
    end
  end)
  if source then
    render.into(source, scratch)
    verdict.is_changed = M.sum_squares(bytes, scratch) > e
    local n_kept = N - edit.mask_into(scratch, exact, mask)
    if n_kept > 0 then
      for i = 0, N - 1 do mask[i] = 1 - mask[i] end
      verdict.preserved_db = psnr(M.sum_squares(bytes, exact, mask), n_kept * 3)
    end
  end
  verdict.success = verdict.is_closest and verdict.is_changed and verdict.psnr_db >= LEAST_DB
  return verdict
end

--- Judge the outcome of an edit: O3, or where the new place or style draws a texture that
-- the source did not show, O1 with free texture.
---@param picture ffi.cdata*
---@param source world.Scene
---@param target world.Scene
---@return boolean success
---@return world.TargetVerdict|world.Verdict verdict
function M.edit(picture, source, target)
  if source.place == target.place then
    local verdict = M.target(picture, target, source)
    return verdict.success, verdict
  end
  local verdict = M.attributes(picture, target, { free_texture = true })
  return verdict.all, verdict
end

return M
