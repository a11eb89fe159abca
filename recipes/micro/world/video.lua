--- Videos: eight frames of a scene whose one object moves and may call, in step with eight slots of
-- sound.
--
-- Motions are centred on the object's cell in time, so a frame halfway shows the scene itself. A
-- call swells the object and puts arcs beside it for two frames; a bounce touches the ground in
-- frames 2 and 6. Both are heard in the slot of their frame.
local ffi = require "ffi"
local holdout = require "world.holdout"
local links = require "world.links"
local names = require "world.names"
local render = require "world.render"
local rng = require "world.rng"
local scenes = require "world.scene"
local sounds = require "world.sound"

---@class world.Video
---@field scene world.Scene  of one object
---@field motion integer     0..7
---@field call? integer      1..5, the frame in which it begins

---@class world.VideoOptions: world.SampleOptions
---@field call? number|integer[]  probability of a call, default 0.5
---@field motions? integer[]      to draw from

local M = {}

M.N_FRAMES, M.FPS = 8, 8
M.FIRST_CALL, M.LAST_CALL = 1, 5
M.CONTACTS = { 2, 6 }
M.DRUM = { voice = 0, pitch = 1 }       -- what a contact sounds like

local LEFT, RIGHT, UP, DOWN, GROW, SHRINK, BOUNCE = 1, 2, 3, 4, 5, 6, 7    -- 0 stays still
M.BOUNCE = BOUNCE

local STEP_PX, GROWTH, SWELL, HEIGHT_PX = 4.4, 1.09, 1.15, 10
local MIDDLE = (M.N_FRAMES - 1) / 2

--- Shift in px and scale of a motion in frame k, 0..7.
local function course(motion, k)
  local t = k - MIDDLE
  if motion == LEFT then return -STEP_PX * t, 0, 1 end
  if motion == RIGHT then return STEP_PX * t, 0, 1 end
  if motion == UP then return 0, -STEP_PX * t, 1 end
  if motion == DOWN then return 0, STEP_PX * t, 1 end
  if motion == GROW then return 0, 0, GROWTH ^ t end
  if motion == SHRINK then return 0, 0, GROWTH ^ -t end
  if motion == BOUNCE then return 0, -HEIGHT_PX * math.abs(math.cos(math.pi * k / 4)), 1 end
  return 0, 0, 1
end

--- Whether a motion has room in a cell: along the middle, or not against the top.
---@param motion integer
---@param cell integer
---@return boolean
function M.has_room(motion, cell)
  local column, row = cell % 3, math.floor(cell / 3)
  if motion == LEFT or motion == RIGHT then return column == 1 end
  if motion == UP or motion == DOWN then return row == 1 end
  return motion ~= BOUNCE or row > 0
end

---@return world.Video
function M.copy(v) return { scene = scenes.copy(v.scene), motion = v.motion, call = v.call } end

---@return string
function M.key(v) return ("%s m%d c%s"):format(scenes.key(v.scene), v.motion, tostring(v.call)) end

--- Where the object is in frame k, from where the scene has it.
---@param v world.Video
---@param k integer  0..7
---@return number right  in px
---@return number down
---@return number scale  before a call swells it
---@return boolean calls
function M.course(v, k)
  local dx, dy, scale = course(v.motion, k)
  return dx, dy, scale, v.call ~= nil and (k == v.call or k == v.call + 1)
end

--- Frame k as a scene.
---@param v world.Video
---@param k integer  0..7
---@return world.Scene
function M.frame(v, k)
  local scene = scenes.copy(v.scene)
  local o = scene.objects[1]
  local dx, dy, scale, calls = M.course(v, k)
  o.jx, o.jy, o.scale = o.jx + dx, o.jy + dy, scale
  if calls then o.scale, o.calling = scale * SWELL, true end
  return scene
end

--- What a video sounds like; nil when it is silent.
---@param v world.Video
---@param seed integer
---@return world.Sound?
function M.find_sound(v, seed)
  local o = v.scene.objects[1]
  local s = { events = {}, ambience = links.ambience(v.scene.place), seed = seed }
  if v.call then
    s.events[1] = { voice = o.kind, pitch = links.pitch(o.size), slot = v.call }
  end
  for _, slot in ipairs(v.motion == BOUNCE and M.CONTACTS or {}) do
    s.events[#s.events + 1] = { voice = M.DRUM.voice, pitch = M.DRUM.pitch, slot = slot }
  end
  sounds.sort(s)
  return sounds.is_valid(s) and s or nil
end

--- Whether the motion has room and no two things sound at once.
---@param v world.Video
---@return boolean
function M.is_valid(v)
  local clash = v.motion == BOUNCE and (v.call == M.CONTACTS[1] or v.call == M.CONTACTS[2])
  return M.has_room(v.motion, v.scene.objects[1].cell) and not clash
end

--- Whether training may see and hear a video. The two drums of a bounce are no pair of H7.
---@param v world.Video
---@return boolean
function M.is_seen(v)
  local s = M.find_sound(v, 0)
  if s and v.motion == BOUNCE then table.remove(s.events) end
  return holdout.is_seen(v.scene) and (s == nil or sounds.is_seen(s))
end

local DEFAULTS = {}

--- Draw a video of one object.
---@param r world.Rng
---@param opts? world.VideoOptions
---@return world.Video
function M.sample(r, opts)
  opts = opts or DEFAULTS
  local with = {}
  for k, value in pairs(opts) do with[k] = value end
  with.objects, with.style = 1, opts.style or 0.15
  for _ = 1, 2000 do
    local v = { motion = opts.motions and r:pick(opts.motions) or r:int(names.motion.count) }
    v.call = r:chance(opts.call or 0.5) and M.FIRST_CALL + r:int(M.LAST_CALL) or nil
    v.scene = scenes.sample(r, with)
    if M.is_valid(v) and M.is_seen(v) == (opts.split ~= "heldout") then return v end
  end
  error("video: no video satisfies the options", 2)
end

--- Video `index` of a split.
---@param split string
---@param index integer
---@param opts? world.VideoOptions
---@return world.Video
function M.at(split, index, opts)
  local with = {}
  for k, value in pairs(opts or DEFAULTS) do with[k] = value end
  with.split = with.split or split
  return M.sample(rng.new(split, index, 3), with)
end

--- Render the frames.
---@param v world.Video
---@param out ffi.cdata*  uint8_t [8,64,64,3], written whole
function M.into(v, out)
  for k = 0, M.N_FRAMES - 1 do render.into(M.frame(v, k), out + k * render.N_ELEMS) end
end

--- Render the frames to floats of -1 .. 1.
---@param v world.Video
---@param out ffi.cdata*  float [8,64,64,3], written whole
function M.float_into(v, out)
  for k = 0, M.N_FRAMES - 1 do render.float_into(M.frame(v, k), out + k * render.N_ELEMS) end
end

--- Render to bytes of its own.
---@param v world.Video
---@return ffi.cdata* frames  uint8_t [8,64,64,3], owned by the caller
function M.new(v)
  local out = ffi.new("uint8_t[?]", M.N_FRAMES * render.N_ELEMS)
  M.into(v, out)
  return out
end

return M
