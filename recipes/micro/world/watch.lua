--- The judge of videos: what is seen, by rendering what it could be instead, and whether sound
-- and picture agree.
--
-- As in world.oracle: for every attribute all alternatives are rendered with the rest fixed, all
-- eight frames of each, and the closest wins where they differ. Place and style are judged by a
-- frame's statistics when the texture is free.
local ffi = require "ffi"
local links = require "world.links"
local listen = require "world.listen"
local names = require "world.names"
local oracle = require "world.oracle"
local render = require "world.render"
local statistic = require "world.statistic"
local videos = require "world.video"
local captions = require "world.video_caption"

local abs, max, min = math.abs, math.max, math.min

local M = {}

local N = render.N_ELEMS
local ALL = videos.N_FRAMES * N

-- Alternatives which differ by no more than this many grey levels anywhere are one.
local SAME_LEVELS = 8

-- How far a jitter may be found from the cell's centre.
local REACH_PX = 3

--- Bytes of frames, rounding floats of -1 .. 1.
---@param frames ffi.cdata*  uint8_t or float [8,64,64,3]
---@return ffi.cdata* bytes  uint8_t [8,64,64,3]; the frames themselves when they have bytes
function M.to_bytes(frames)
  local name = tostring(ffi.typeof(frames))
  if name:find("uint8_t", 1, true) or name:find("unsigned char", 1, true) then return frames end
  local bytes = ffi.new("uint8_t[?]", ALL)
  for i = 0, ALL - 1 do bytes[i] = min(max((frames[i] + 1) * 127.5 + 0.5, 0), 255) end
  return bytes
end

local pool = {}

--- The index of the video in a list that is closest to frames, over the pixels in which those of
-- the list differ; nil when nobody could see a difference.
---@param bytes ffi.cdata*  uint8_t [8,64,64,3]
---@param list world.Video[]
---@return integer? best
---@return number[] errors  sums of squares
local function find_closest(bytes, list)
  for i, v in ipairs(list) do
    pool[i] = pool[i] or ffi.new("uint8_t[?]", ALL)
    videos.into(v, pool[i])
  end
  local first, any, errors = pool[1], false, {}
  local differs = ffi.new("uint8_t[?]", ALL)
  for i = 2, #list do
    local p = pool[i]
    for k = 0, ALL - 1 do
      if abs(p[k] - first[k]) > SAME_LEVELS then differs[k] = 1 end
    end
  end
  local best = 1
  for i = 1, #list do
    local p, sum = pool[i], 0
    for k = 0, ALL - 1 do
      local d = (p[k] - bytes[k]) * differs[k]
      sum = sum + d * d
    end
    errors[i] = sum
    if sum < errors[best] then best = i end
  end
  for k = 0, ALL - 1 do any = any or differs[k] ~= 0 end
  return any and best or nil, errors
end

-- ---- what is seen ----

local FITTED_FRAMES = { 0, 3, 7 }
local scratch = ffi.new("uint8_t[?]", N)

--- Try 5 x 5 offsets of `step` px around the jitter and keep the closest.
local function search_jitter(bytes, v, step)
  local o = v.scene.objects[1]
  local x0, y0, least = o.jx, o.jy, math.huge
  local best_x, best_y = x0, y0
  for i = 0, 24 do
    o.jx = min(max(x0 + (i % 5 - 2) * step, -REACH_PX), REACH_PX)
    o.jy = min(max(y0 + (math.floor(i / 5) - 2) * step, -REACH_PX), REACH_PX)
    local e = 0
    for _, k in ipairs(FITTED_FRAMES) do
      render.into(videos.frame(v, k), scratch)
      e = e + oracle.sum_squares(bytes + k * N, scratch)
    end
    if e < least then least, best_x, best_y = e, o.jx, o.jy end
  end
  o.jx, o.jy = best_x, best_y
end

--- The video with its object's jitter moved to where the frames show it.
---@param bytes ffi.cdata*  uint8_t [8,64,64,3]
---@param v world.Video
---@return world.Video
function M.fit(bytes, v)
  local fitted = videos.copy(v)
  search_jitter(bytes, fitted, 1.5)
  search_jitter(bytes, fitted, 0.5)
  return fitted
end

--- Copies of a video with each value of an attribute, and which of them is the expected one.
local function alternatives(v, attribute)
  local list, expected = {}, nil
  local function add(value, present, set)
    local copy = videos.copy(v)
    set(copy, value)
    list[#list + 1] = copy
    if value == present then expected = #list end
  end
  if attribute == "motion" then
    for id = 0, names.motion.count - 1 do
      add(id, v.motion, function(c, value) c.motion = value end)
    end
  elseif attribute == "call" then
    for k = 0, videos.LAST_CALL do
      add(k, v.call or 0, function(c, value) c.call = value > 0 and value or nil end)
    end
  elseif attribute == "place" or attribute == "style" then
    for id = 0, names[attribute].count - 1 do
      add(id, v.scene[attribute], function(c, value) c.scene[attribute] = value end)
    end
  else
    for id = 0, names[attribute].count - 1 do
      add(id, v.scene.objects[1][attribute],
        function(c, value) c.scene.objects[1][attribute] = value end)
    end
  end
  return list, expected
end

--- The frame in which a call begins, nil when none is seen; the rest of the video is known.
---@param frames ffi.cdata*  uint8_t or float [8,64,64,3]
---@param v world.Video
---@return integer?
function M.call(frames, v)
  local bytes = M.to_bytes(frames)
  local best = find_closest(bytes, (alternatives(M.fit(bytes, v), "call")))
  return best and best > 1 and best - 1 or nil
end

-- ---- what a caption leaves open ----

--- All places, sizes and motions that were not said, together: one hides the other.
local function joint_alternatives(v, said)
  local list = { v }
  for _, attribute in ipairs { "motion", "cell", "size" } do
    if said[attribute] == nil then
      local more = {}
      for _, w in ipairs(list) do
        for _, x in ipairs((alternatives(w, attribute))) do more[#more + 1] = x end
      end
      list = more
    end
  end
  local valid = {}
  for _, w in ipairs(list) do
    if videos.is_valid(w) then valid[#valid + 1] = w end
  end
  return valid
end

--- The closest video of a list, keeping one rendering at a time.
local function closest_of(bytes, list)
  local best, least = list[1], math.huge
  local frames = ffi.new("uint8_t[?]", ALL)
  for _, v in ipairs(list) do
    videos.into(v, frames)
    local sum = 0
    for k = 0, ALL - 1 do
      local d = frames[k] - bytes[k]
      sum = sum + d * d
    end
    if sum < least then best, least = v, sum end
  end
  return best
end

--- A video with what was not said of it taken from frames.
---@param bytes ffi.cdata*  uint8_t [8,64,64,3]
---@param v world.Video     anything where nothing was said
---@param said table<string, any>  attributes that are kept
---@return world.Video
function M.settle(bytes, v, said)
  v = videos.copy(v)
  if said.place == nil then v.scene.place = statistic.closest(bytes, v.scene, "place") end
  for sweep = 1, 2 do
    if sweep == 1 or said.cell == nil then v = closest_of(bytes, joint_alternatives(v, said)) end
    v = M.fit(bytes, v)
    for _, attribute in ipairs { "colour", "pattern", "size", "call", "motion" } do
      if said[attribute] == nil then
        local list = alternatives(v, attribute)
        local best = find_closest(bytes, list)
        if best and videos.is_valid(list[best]) then v = list[best] end
      end
    end
  end
  return v
end

---@class world.WatchOptions
---@field free_texture? boolean  place and style are judged by statistics, as in world.oracle
---@field said? table<string, boolean>  judge these attributes only

local ATTRIBUTES = { "motion", "call", "kind", "colour", "size", "pattern", "cell", "place",
                     "style" }

--- Which attributes of the expected video are seen.
---@param frames ffi.cdata*  uint8_t or float [8,64,64,3]
---@param v world.Video
---@param opts? world.WatchOptions
---@return table<string, boolean[]|boolean> verdict  a list for each attribute, and `all`
function M.attributes(frames, v, opts)
  opts = opts or {}
  local bytes = M.to_bytes(frames)
  local fitted, verdict, all = M.fit(bytes, v), {}, true
  for _, attribute in ipairs(ATTRIBUTES) do
    verdict[attribute] = {}
    local hidden = attribute == "colour" and names.colourless[v.scene.style]
    if not hidden and (not opts.said or opts.said[attribute]) then
      local right
      if opts.free_texture and (attribute == "place" or attribute == "style") then
        local frame = videos.frame(fitted, 0)
        right = statistic.closest(bytes, frame, attribute) == v.scene[attribute]
      else
        local list, expected = alternatives(fitted, attribute)
        local best = find_closest(bytes, list)
        if best then right = best == expected end
      end
      verdict[attribute][1] = right
      if right == false then all = false end
    end
  end
  verdict.all = all
  return verdict
end

--- Whether frames show what a caption says; what it does not say may be anything.
---@param frames ffi.cdata*  uint8_t or float [8,64,64,3]
---@param text string         a caption of videos
---@return boolean success
---@return table verdict  and `video`, what was taken to be shown
function M.caption(frames, text)
  local parsed = captions.parse(text)
  if not parsed.ok or #parsed.scene.objects ~= 1 then error("watch: not a caption: " .. text, 2) end
  local bytes, o = M.to_bytes(frames), parsed.scene.objects[1]
  local said = { motion = parsed.motion, place = parsed.scene.place, style = parsed.scene.style,
                 kind = o.kind, colour = o.colour, size = o.size, pattern = o.pattern,
                 cell = o.cell }
  local v = { motion = parsed.motion or 0, scene = { texture = 0,
    place = said.place or 0, style = said.style, objects = { {
      kind = o.kind, colour = o.colour or 0, size = o.size or 1, pattern = o.pattern or 0,
      cell = o.cell or 4, jx = 0, jy = 0 } } } }
  v = M.settle(bytes, v, said)
  local verdict = M.attributes(bytes, v, { free_texture = true, said = said })
  verdict.call = { (v.call and captions.time(v.call)) == parsed.call }
  verdict.all = verdict.all and verdict.call[1]
  verdict.video = v
  return verdict.all, verdict
end

-- ---- sound and picture ----

---@class world.Sync
---@field success boolean  the call is seen and heard in the same slot
---@field loose boolean    or one apart
---@field seen? integer    frame of the call
---@field heard? integer   slot of its voice

--- Whether a video and its sound call at the same time, whenever that is.
---@param frames ffi.cdata*  uint8_t or float [8,64,64,3]
---@param heard any           see hearing.to_mel
---@param v world.Video       with a call; its frame is not looked at
---@return world.Sync
function M.sync(frames, heard, v)
  local o = v.scene.objects[1]
  local seen = M.call(frames, v)
  local event = { voice = o.kind, pitch = links.pitch(o.size) }
  local slot = listen.onset(heard, videos.find_sound(v, 0), event)
  local apart = seen and abs(seen - slot) or math.huge
  return { seen = seen, heard = slot, success = apart == 0, loose = apart <= 1 }
end

--- Whether a scene and a sound belong together (image to sound and back): voices, pitches, slots
-- and ambience that the scene has.
---@param heard any
---@param scene world.Scene
---@return boolean success
---@return world.SoundVerdict verdict
function M.belongs(heard, scene)
  local verdict = listen.attributes(heard, assert(links.find_sound(scene, scene.texture)))
  return verdict.all, verdict
end

return M
