--- Courses of clips, as weft.pipeline.micro_course foretells them.
local weft = require "weft"
local configs = require "configs"
local micro_course = require "weft.pipeline.micro_course"
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

--- The course of a clip, as far as words say it: a row a frame.
---@param words string      what its motion is told by; "" for nothing
---@param from_first boolean  its first frame stands for it, not the scene
local function course_of(v, words, from_first)
  local rows, x, y, s = {}, 0, 0, 1
  local moves, calls = words ~= "" and not words:find "^and calling", words:find "calling"
  if from_first then x, y, s = video.course(v, 0) end
  for k = 1, video.N_FRAMES do
    local dx, dy, scale, is_calling = video.course(v, k - 1)
    local where = moves and { (dx - x) / PLACE_PX, (dy - y) / PLACE_PX, math.log(scale / s) }
      or { 0, 0, 0 }
    where[4] = calls and is_calling and 1 or 0
    rows[k] = where
  end
  return rows
end

--- Right and down in places, logarithm of the scale, whether it calls: f32 [n,8,4].
---@param told { clip: world.Video, motion: string, from_first: boolean? }[]
function M.of(told)
  local rows = {}
  for n, e in ipairs(told) do rows[n] = course_of(e.clip, e.motion, e.from_first) end
  return weft.tensor(rows)
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
