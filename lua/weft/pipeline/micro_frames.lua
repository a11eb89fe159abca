--- What the denoiser of videos sees of each frame: its map, and where in its thing, and in the arcs
-- of a call, each latent lies.
--
-- Where no first frame shows otherwise, the thing stands in the middle of its cell and follows the
-- course that the words say (weft.pipeline.micro_course): its middle in every frame is then known
-- to the pixel. What repeats begins there, as weft.pipeline.micro_frame has it of pictures:
-- stripes, dots, and the arcs of a call, which half a period off count as none.
local course = require "weft.pipeline.micro_course"
local frame = require "weft.pipeline.micro_frame"
local ops = require "weft.ops"

local M = {}

-- Ears and tails reach beyond a body by this factor; distances are told a little farther than arcs.
local SPREAD, NEAR_PX = 1.15, 16

--- Channels beside a map's, as the denoiser of pictures has them: how far right and down of its
--- place in the picture the thing is, in the units of weft.pipeline.micro_frame, and its channels.
M.N_CHANNELS = 2 + frame.N_CHANNELS

--- Mean of values over the places of things: [B,C].
---@param values weft.Tensor  [B,N,C]
---@param there weft.Tensor   [B,N,1] of 0 and 1
local function mean_of(values, there)
  return (values * there):sum { 2 } / there:sum { 2 }:clamp(1)
end

--- The middle, radius and pattern of things as layouts say them, and whether there is one.
---@param layout weft.Tensor  [B,8,8,K]
---@return table { middle: weft.Tensor, radius: weft.Tensor, worn: weft.Tensor, has: weft.Tensor }
--- [B,1,2] px right and down of the picture's middle, [B,1], [B,3], [B,1,1] of 0 and 1
local function read(layout)
  local B, S = layout:size(1), layout:size(2)
  local there = frame.things(layout):max({ 4 }, true):reshape(B, S * S, 1)
  local at = mean_of(frame.places(S, layout.device):expand(B, S * S, 2), there)
  local function told(x) return mean_of(x:reshape(B, S * S, -1), there) end
  return {
    middle = frame.cell_middle(at):reshape(B, 1, 2),
    radius = frame.radius(told(frame.sizes(layout))), worn = told(frame.worn(layout)),
    has = there:max({ 2 }, true),
  }
end

--- The thing of maps of pictures, and where its middle is in each frame, [B,L,2] px.
---@param map weft.Tensor   [B,S,S,C] what a conditioner makes, the layout last
---@param path weft.Tensor  [B,L,4] as weft.pipeline.micro_course has it
local function thing_of(map, path)
  local thing = read(frame.layout_of(map))
  return thing, thing.middle + path:narrow(3, 1, 2) * course.PLACE_PX
end

--- Where each latent lies, of frames that follow a course: [B,L,side,side,13], zeros where there is
--- no thing.
---@param map weft.Tensor     [B,S,S,C] what a conditioner makes, the layout last
---@param path weft.Tensor    [B,L,4] as weft.pipeline.micro_course has it
---@param side integer
function M.standing(map, path, side)
  local B, L, N = map:size(1), path:size(2), side * side
  local thing, middle = thing_of(map, path)
  middle = middle:reshape(B * L, 1, 2)
  local calls = path:narrow(3, 4, 1):reshape(B * L, 1, 1)
  local radius = (thing.radius:reshape(B, 1, 1) * course.scale(path)):reshape(B * L, 1, 1)
  local distance = frame.places(side, map.device):expand(B * L, N, 2) - middle
  local beyond = frame.length(distance) - radius
  local near = beyond:lt(NEAR_PX):to "f32"
  local moved = (path:narrow(3, 1, 2) * (course.PLACE_PX / frame.UNIT_PX)):reshape(B * L, 1, 2)
  local worn = thing.worn:reshape(B, 1, 1, -1):expand(B, L, N, frame.N_PATTERNS)
    :reshape(B * L, N, -1) * (beyond - radius * (SPREAD - 1)):lt(0):to "f32"
  local seen = ops.cat({ near * moved, distance * near * (1 / frame.DISTANCE_PX),
    frame.waves(distance, worn), beyond * near * (1 / frame.DISTANCE_PX),
    frame.arcs(distance, beyond, middle, calls) }, 3)
  return seen:reshape(B, L, side, side, M.N_CHANNELS) * thing.has:reshape(B, 1, 1, 1, 1)
end

--- What a denoiser sees of frames, [B,L,side,side,13+C+1], of maps of pictures.
---@param map weft.Tensor     [B,S,S,C]
---@param path weft.Tensor    [B,L,4]
---@param placed weft.Tensor  [B] 1 where the path says where the thing is, to the pixel; else 0
---@param side integer
function M.maps(map, path, placed, side)
  local B, L = map:size(1), path:size(2)
  local _, middle = thing_of(map, path)
  local maps = course.maps(map, path,
    { at = middle * (1 / course.PLACE_PX) + (map:size(2) - 1) / 2, placed = placed })
  local C = maps:size(5)
  maps = ops.resize_nearest(maps:reshape(B * L, maps:size(3), maps:size(4), C),
    { height = side, width = side }):reshape(B, L, side, side, C)
  return ops.cat({ M.standing(map, path, side) * placed:reshape(B, 1, 1, 1, 1), maps }, 5)
end

return M
