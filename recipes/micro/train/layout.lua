--- What stands where in pictures and sounds: maps of 8 x 8 places, which the layout of a
-- conditioner learns to say from a feature. A picture's are squares of 8 px; a sound's rows are
-- slots, and all its places of a row are the same.
local ffi = require "ffi"
local weft = require "weft"
local configs = require "configs"
local labels = require "labels"
local micro_anchor = require "weft.pipeline.micro_anchor"
local micro_frame = require "weft.pipeline.micro_frame"
local render = require "world.render"
local scene = require "world.scene"
local sound = require "world.sound"
local synth = require "world.synth"

local M = {}

local S = configs.map_size
local VOICE_SLOTS = synth.N_SLOTS - sound.LAST_SLOT

assert(micro_frame.CELL_PX == scene.PITCH_PX and micro_frame.SIDE_PX == render.SIDE_PX)
assert(2 + micro_frame.N_CHANNELS == configs.standing_channels)
assert(micro_anchor.N_READ == configs.anchor_channels)
assert(micro_anchor.N_CARRY == configs.carry_channels)
for size, px in ipairs(micro_frame.RADII_PX) do assert(px == scene.RADIUS_PX[size - 1]) end

--- The object whose body covers a place; the last of them, which is painted on top.
local function object_at(s, row, column)
  for k = #s.objects, 1, -1 do
    local o = s.objects[k]
    local x, y = scene.offset(o.cell)
    local radius, covers = scene.RADIUS_PX[o.size], micro_frame.covers
    if covers(x, radius, column, S) and covers(y, radius, row, S) then return o end
  end
end

--- Of scenes: f32 [n,8,8,42], the labels of labels.PLACE.
---@param scenes world.Scene[]
function M.of_scenes(scenes)
  local places = {}
  for _, s in ipairs(scenes) do
    for at = 0, S * S - 1 do
      places[#places + 1] = { objects = { object_at(s, math.floor(at / S), at % S) },
        place = s.place, style = s.style }
    end
  end
  return labels.scenes(places, labels.PLACE):reshape(#scenes, S, S, -1)
end

--- Fill [n,side,side,width], which is zeros elsewhere, with what values_of says of the object that
-- stands at each place; and [n,side,side,1], 1 there.
---@param values_of fun(o: table): number, number, number, number?
local function of_places(scenes, side, width, values_of)
  local values = weft.tensor.zeros { #scenes, side, side, width }
  local there = weft.tensor.zeros { #scenes, side, side, 1 }
  local to, is = ffi.cast("float *", values:ptr()), ffi.cast("float *", there:ptr())
  for n, s in ipairs(scenes) do
    for at = 0, side * side - 1 do
      local row, column = math.floor(at / side), at % side
      local o = object_at(s, math.floor(row * S / side), math.floor(column * S / side))
      local k = (n - 1) * side * side + at
      if o then
        is[k] = 1
        for i, v in ipairs { values_of(o) } do to[k * width + i - 1] = v end
      end
    end
  end
  return values, there
end

local function scale_of(o) return math.log(o.scale or 1) end

--- How the thing at each latent's place stands, as micro_anchor.read has it: f32 [n,16,16,3] px
-- right and down of the middle of its cell, and its radius; and [n,16,16,1] whether one is there.
---@param scenes world.Scene[]
function M.seen_standing(scenes)
  return of_places(scenes, configs.latent_size, 3, function(o)
    return o.jx, o.jy, scene.RADIUS_PX[o.size] * (o.scale or 1)
  end)
end

--- What becomes of how a source's things stand in a target, as micro_anchor.carried has it: they
-- are mirrored, or the one thing moves on, grows or calls, or nothing.
---@param source world.Scene
---@param target world.Scene
---@return number[]  six
function M.carry(source, target)
  local a, b = source.objects, target.objects
  local is_mirrored = #a == #b
  for k = 1, is_mirrored and #a or 0 do
    is_mirrored = is_mirrored and a[k].jx == -b[k].jx and a[k].jy == b[k].jy
  end
  if is_mirrored then return { -2, 0, 0, 0, 0, -1 } end
  if #a ~= 1 or #b ~= 1 then return { 0, 0, 0, 0, 0, -1 } end
  local unit, was, is = micro_anchor.UNIT_PX, a[1], b[1]
  return { 0, 0, (is.jx - was.jx) / unit, (is.jy - was.jy) / unit, scale_of(is) - scale_of(was),
    is.calling and 1 or -1 }
end

local function placed(o) return { o.jx, o.jy, scale_of(o) } end

--- Of each thing that replies and their sources both show: the row of its reply, i64 [N]; how it
-- stood and stands, as micro_anchor.placed says, [N,3]; and 1 where it calls, else 0, [N,1]; nil
-- where there is none.
---@param replies { target: table, source: table? }[]
function M.carried_things(replies)
  local rows, before, after, calls = {}, {}, {}, {}
  for k, reply in ipairs(replies) do
    local old, new = reply.source and reply.source.objects, reply.target.objects
    for j = 1, old and new and #old == #new and #new or 0 do
      rows[#rows + 1] = k - 1
      before[#rows], after[#rows] = placed(old[j]), placed(new[j])
      calls[#rows] = { new[j].calling and 1 or 0 }
    end
  end
  if not rows[1] then return nil end
  return weft.tensor(rows, { dtype = "i64" }), weft.tensor(before), weft.tensor(after),
    weft.tensor(calls)
end

--- How things stand, as a denoiser is told: [n,8,8,4] of weft.pipeline.micro_anchor.
---@param scenes world.Scene[]
function M.standing(scenes)
  local unit = micro_anchor.UNIT_PX
  return (of_places(scenes, S, micro_frame.N_STANDING, function(o)
    return o.jx / unit, o.jy / unit, scale_of(o), o.calling and 1 or 0
  end))
end

--- How far from its middle what an object shows may reach, the arcs of a call too.
local function reach_of(o)
  local radius = scene.RADIUS_PX[o.size] * (o.scale or 1)
  return radius * render.SPREAD + (o.calling and render.CALL_PX or 0)
end

--- Whether what an object shows reaches place (row, column) of side x side.
local function reaches(o, side, row, column)
  local px, reach = render.SIDE_PX / side, reach_of(o) + micro_frame.NEAR_PX
  local x, y = scene.offset(o.cell)
  return math.abs((column + 0.5 - side / 2) * px - x - o.jx) < reach
    and math.abs((row + 0.5 - side / 2) * px - y - o.jy) < reach
end

--- Where the first object of scenes is seen, as it moves and calls: f32 [n,side,side,1], 0 or 1.
---@param scenes world.Scene[]
---@param side integer
function M.seen(scenes, side)
  local t = weft.tensor.zeros { #scenes, side, side, 1 }
  local p = ffi.cast("float *", t:ptr())
  for n, s in ipairs(scenes) do
    for at = 0, side * side - 1 do
      if reaches(s.objects[1], side, math.floor(at / side), at % side) then
        p[(n - 1) * side * side + at] = 1
      end
    end
  end
  return t
end

--- What is heard in one slot of a sound.
local function heard_at(s, slot)
  if s.reverse then slot = S - 1 - slot end
  local events = {}
  for _, e in ipairs(s.events) do
    if slot >= e.slot and slot < e.slot + VOICE_SLOTS then events[1] = e end
  end
  local at = sound.copy(s)
  at.events = events
  return at
end

--- Of sounds and music: f32 [n,8,8,32], the labels of labels.SOUND.
---@param records (world.Sound|world.Music)[]
function M.of_sounds(records)
  local slots, n = {}, #records
  for _, s in ipairs(records) do
    for slot = 0, S - 1 do slots[#slots + 1] = s.instrument and s or heard_at(s, slot) end
  end
  return labels.sounds(slots):reshape(n, S, 1, -1):expand(n, S, S, labels.SOUND.width):contiguous()
end

return M
