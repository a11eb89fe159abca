--- Courses of clips, as weft.pipeline.micro_course foretells them.
local weft = require "weft"
local configs = require "configs"
local micro_course = require "weft.pipeline.micro_course"
local micro_video = require "weft.pipeline.micro_video"
local labels = require "labels"
local render = require "world.render"
local video = require "world.video"

local M = {}

local PLACE_PX = render.SIDE_PX / configs.map_size

for _, f in ipairs(labels.PLACE) do
  if f.name == "kind" then assert(f.count == micro_course.N_KINDS) end
  if f.name == "place" then assert(f.first == micro_course.N_OF_THINGS) end
end
assert(labels.PLACE.width == micro_course.N_OF_THINGS + micro_course.N_OF_GROUND)

---@class micro.Told
---@field clip world.Video
---@field motion string        what its motion is told by; "" for nothing
---@field from_first? boolean  its first frame stands for it, not the scene
---@field placed? boolean      where in its cell the thing is, is told too: no first frame shows it

--- The course of a clip, as far as words say it: a row a frame.
---@param e micro.Told
local function course_of(e)
  local v, words, rows, x, y, s = e.clip, e.motion, {}, 0, 0, 1
  local moves, calls = micro_video.says_course(words), words:find "calling"
  local o = v.scene.objects[1]
  if e.from_first then x, y, s = video.course(v, 0) end
  local right, down = e.placed and words ~= "" and o.jx or 0, e.placed and words ~= "" and o.jy or 0
  for k = 1, video.N_FRAMES do
    local dx, dy, scale, is_calling = video.course(v, k - 1)
    if not moves then dx, dy, scale = x, y, s end
    rows[k] = { (dx - x + right) / PLACE_PX, (dy - y + down) / PLACE_PX, math.log(scale / s),
      calls and is_calling and 1 or 0 }
  end
  return rows
end

--- Right and down in places, logarithm of the scale, whether it calls: f32 [n,8,4].
---@param told micro.Told[]
function M.of(told)
  local rows = {}
  for n, e in ipairs(told) do rows[n] = course_of(e) end
  return weft.tensor(rows)
end

--- Whether where the thing is in each frame is told, to the pixel: f32 [n], 0 or 1.
---@param told micro.Told[]
function M.placed(told)
  local list = {}
  for n, e in ipairs(told) do
    list[n] = e.placed and micro_video.says_course(e.motion) and 1 or 0
  end
  return weft.tensor(list)
end

--- Where a call begins: f32 [n,8], 1 in that frame.
---@param clips world.Video[]
function M.starts(clips)
  local rows = {}
  for n, v in ipairs(clips) do
    rows[n] = {}
    for k = 1, video.N_FRAMES do rows[n][k] = v.call == k - 1 and 1 or 0 end
  end
  return weft.tensor(rows)
end

return M
