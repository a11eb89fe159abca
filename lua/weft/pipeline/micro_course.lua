--- How the thing of a video moves: its course, and the maps of frames that follow it.
--
-- A conditioner's map says where a thing stands in one picture, and the denoiser draws it there; in
-- the frames of a video it stands elsewhere. The part `motion` foretells from the words of a motion
-- how far, and the layout in the map of each frame is moved so. One channel more than a picture's
-- map has says where the arcs of a call are, beside the thing on the side that has more room. When
-- it calls the seed draws, of the frames that the words allow; a sound beside the video is told so.
local core = require "weft.core"
local ops = require "weft.ops"
local tensor = require "weft.tensor"

local M = {}

-- What the layout says of a place: first the kinds, then what else is true of the thing there,
-- then what is true of the ground, first its places (recipes/micro/train/labels.lua, PLACE).
M.N_KINDS, M.N_OF_THINGS, M.N_OF_GROUND, M.N_PLACES = 12, 26, 16, 10
-- And of a slot of a sound: first the voices, which are those of the kinds, then the pitches.
M.N_PITCHES, M.N_OF_SOUND = 3, 32
-- Of a frame: right and down in places, logarithm of the scale; then whether it calls, or, of what
-- is foretold, the logit of a call that begins there.
M.N_VALUES = 4
-- How many frames a call is seen in, and how much larger the thing is there.
M.CALL_FRAMES, M.SWELL = 2, 1.15
--- Side of a place in px; how wide an angle arcs have.
M.PLACE_PX, M.ARC_SLOPE = 8, 0.7
-- Arcs, in places: how far beyond what a layout says is the thing, and room beside their angle.
local ARC_FIRST, ARC_LAST, ARC_MARGIN = -0.5, 1.75, 0.5

--- What the part foretells of motions: [B,L,4].
---@param net weft.Model       the part `motion`
---@param states weft.Tensor   [B,T,W] the text tower's states of the words
---@param mask weft.Tensor     [B,T] 1 for a word, 0 for padding
function M.foretell(net, states, mask)
  local weights = mask:reshape(mask:size(1), mask:size(2), 1)
  local mean = (states * weights):sum { 2 } / weights:sum { 2 }
  return net { x = mean }:reshape(mask:size(1), -1, M.N_VALUES)
end

--- Frame in which the call of a video begins, from 1, drawn by a seed; nil for none.
---@param foretold weft.Tensor  [1,8,4] of M.foretell
---@param seed integer
---@return integer?
function M.draw_call(foretold, seed)
  local u = tensor.rand({ 1 }, { seed = seed }):item()
  for k, row in ipairs(foretold:totable()[1]) do
    u = u - 1 / (1 + math.exp(-row[4]))
    if u < 0 then return k end
  end
end

--- Number of the largest of a list.
local function argmax(list)
  local best = 1
  for i = 2, #list do if list[i] > list[best] then best = i end end
  return best
end

--- What the layout of a sound says at one place, the voice and pitch of a call put there or taken
-- away.
local function with_call(place, voice, pitch, is_calling)
  local others = 0
  for v = 1, M.N_KINDS do
    if v == voice or is_calling then place[v] = 0 end
    others = math.max(others, place[v])
  end
  for i = 1, M.N_PITCHES do place[M.N_KINDS + i] = place[M.N_KINDS + i] * others end
  if is_calling then place[voice], place[M.N_KINDS + pitch] = 1, 1 end
end

--- The map of a sound whose call is heard in a frame of its video: the voice of what is seen is
-- there and nowhere else, whatever slot the feature left it in. Other voices stay.
---@param map weft.Tensor   [1,8,8,C] what the conditioner of sounds makes, the layout last
---@param seen weft.Tensor  [1,8,8,K] what the conditioner of pictures lays out
---@param call integer      frame in which it begins, from 1
function M.sound_map(map, seen, call)
  local C = map:size(4)
  local n_before = C - M.N_OF_SOUND
  local kinds = seen:narrow(4, 1, M.N_KINDS):max({ 2, 3 }):reshape(-1):totable()
  local voice, rows = argmax(kinds), map:narrow(4, n_before + 1, M.N_OF_SOUND):totable()[1]
  local loudness = {}
  for slot, row in ipairs(rows) do loudness[slot] = row[1][voice] end
  local pitch = argmax { unpack(rows[argmax(loudness)][1], M.N_KINDS + 1,
    M.N_KINDS + M.N_PITCHES) }
  for slot, row in ipairs(rows) do
    local is_calling = slot >= call and slot < call + M.CALL_FRAMES
    for _, place in ipairs(row) do with_call(place, voice, pitch, is_calling) end
  end
  return ops.cat({ map:narrow(4, 1, n_before), tensor({ rows }, { device = map.device }) }, 4)
end

--- The course of one video: [1,L,4].
---@param foretold weft.Tensor  [1,8,4] of M.foretell
---@param o { seed: integer, frames: integer, from_first: boolean? }
--- from_first: the map is that of the first frame, not of the middle of the course
function M.of(foretold, o)
  local rows = foretold:totable()[1]
  local first, call = rows[1], M.draw_call(foretold, o.seed)
  local out = {}
  for k = 1, o.frames do
    out[k] = { 0, 0, 0, call and k >= call and k < call + M.CALL_FRAMES and 1 or 0 }
    for i = 1, 3 do out[k][i] = rows[k][i] - (o.from_first and first[i] or 0) end
  end
  return tensor({ out }, { device = foretold.device })
end

--- Rows of weights that read a line of S places where it is moved and scaled about a centre:
-- [B,L,S,S], place by place it is read from.
---@param centre weft.Tensor  [B,1,1]
---@param shift weft.Tensor   [B,L,1]
---@param scale weft.Tensor   [B,L,1]
local function readers(centre, shift, scale, S)
  local at = tensor.arange(0, S - 1, { device = centre.device })
  local from = ((at:reshape(1, 1, S) - centre - shift) / scale + centre)
  return ops.clamp(1 - (from:reshape(from:size(1), from:size(2), S, 1) - at):abs(), 0)
end

--- Middle of what is there along one axis: [B,1,1].
---@param there weft.Tensor  [B,S] how much of the thing is at each line
local function middle(there)
  local at = tensor.arange(0, there:size(2) - 1, { device = there.device })
  local mean = (there * at):sum({ 2 }) / ops.clamp(there:sum({ 2 }), 1e-6)
  return mean:reshape(-1, 1, 1)
end

--- What the layout says of the thing, [B,S,S,C], along courses: [B*L,S,S,C].
---@param scale weft.Tensor  [B,L,1]
local function moved(things, course, scale)
  local B, S, C, L = things:size(1), things:size(2), things:size(4), course:size(2)
  local there = things:narrow(4, 1, M.N_KINDS):max({ 4 })
  local down = readers(middle(there:sum { 3 }), course:narrow(3, 2, 1), scale, S)
  local right = readers(middle(there:sum { 2 }), course:narrow(3, 1, 1), scale, S)
  local x = down:reshape(B, L * S, S):matmul(things:reshape(B, S, S * C))
  x = x:reshape(B * L, S, S, C):permute(1, 3, 2, 4):contiguous():reshape(B * L, S, S * C)
  x = right:reshape(B * L, S, S):matmul(x)
  return x:reshape(B * L, S, S, C):permute(1, 3, 2, 4):contiguous()
end

--- Middles of things, [N,1,2] places right and down: where the layout has them or, where that is
-- known better, as is said.
---@param there weft.Tensor  [N,S,S]
---@param known? { at: weft.Tensor, placed: weft.Tensor }  of M.maps
local function middles(there, known)
  local soft = ops.cat({ middle(there:sum { 2 }), middle(there:sum { 3 }) }, 3)
  if not known then return soft end
  local N, B = there:size(1), known.placed:size(1)
  local is_known = known.placed:reshape(B, 1, 1):expand(B, N / B, 1):reshape(N, 1, 1)
  return known.at:reshape(N, 1, 2) * is_known + soft * (is_known * -1 + 1)
end

--- Whether things stand left of the middle of S places, as 1 and -1: a picture's middle lies half a
-- pixel right of that of its pixels' numbers.
---@param x weft.Tensor  in places
function M.side(x, S) return x:lt((S - 1) / 2 + 0.5 / M.PLACE_PX):to "f32" * 2 - 1 end

--- Where the arcs of a call would be beside things: [N,S,S,1], 0 elsewhere.
---@param things weft.Tensor  [N,S,S,C]
---@param known? table        of M.maps
local function arcs(things, known)
  local N, S = things:size(1), things:size(2)
  local there = things:narrow(4, 1, M.N_KINDS):max({ 4 })
  local at = tensor.arange(0, S - 1, { device = things.device })
  local mid = middles(there, known)
  local x, y = mid:narrow(3, 1, 1), mid:narrow(3, 2, 1)
  local side = M.side(x, S)
  local dx = (at:reshape(1, 1, S) - x) * side
  local dy = (at:reshape(1, S, 1) - y):abs()
  local out = (dx:square() + dy:square()):sqrt() - there:sum({ 2, 3 }, true):sqrt() * 0.5
  local inside = dx:gt(0):to "f32" * (dx * M.ARC_SLOPE + ARC_MARGIN - dy):gt(0):to "f32"
  inside = inside * out:gt(ARC_FIRST):to "f32" * out:lt(ARC_LAST):to "f32"
  return (inside * there:max({ 2, 3 }, true)):reshape(N, S, S, 1)
end

--- How much larger the thing is in each frame, a call's swelling too: [B,L,1].
---@param course weft.Tensor  [B,L,4]
function M.scale(course)
  return course:narrow(3, 3, 1):exp() * (course:narrow(3, 4, 1) * (M.SWELL - 1) + 1)
end

--- Maps of frames, [B,L,S,S,C+1], from those of pictures.
---@param map weft.Tensor     [B,S,S,C] what a conditioner makes, the layout last
---@param course weft.Tensor  [B,L,4]
---@param known? { at: weft.Tensor, placed: weft.Tensor }  the thing's middle in each frame, [B,L,2]
--- places right and down, and [B] 1 where it is known, else 0
function M.maps(map, course, known)
  local B, S, C, L = map:size(1), map:size(2), map:size(4), course:size(2)
  local n_before = C - M.N_OF_THINGS - M.N_OF_GROUND
  return core.scope(function()
    local function still(first, n)
      return map:narrow(4, first, n):reshape(B, 1, S, S, n):expand(B, L, S, S, n)
    end
    local calling = course:narrow(3, 4, 1)
    local things = moved(map:narrow(4, n_before + 1, M.N_OF_THINGS):contiguous(), course,
      M.scale(course))
    local calls = arcs(things, known) * calling:reshape(B * L, 1, 1, 1)
    return ops.cat({ still(1, n_before), things:reshape(B, L, S, S, -1),
      still(C - M.N_OF_GROUND + 1, M.N_OF_GROUND), calls:reshape(B, L, S, S, 1) }, 5)
  end)
end

return M
