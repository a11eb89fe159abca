--- How the thing of a video moves: its course, and the maps of frames that follow it.
--
-- A conditioner's map says where a thing stands in one picture, and the denoiser draws it there; in
-- the frames of a video it stands elsewhere. The part `motion` foretells from the words of a motion
-- how far, and the layout in the map of each frame is moved so. One channel more than a picture's
-- map has says where the arcs of a call are, beside the thing on the side that has more room.
local core = require "weft.core"
local ops = require "weft.ops"
local tensor = require "weft.tensor"

local M = {}

-- What the layout says of a place: first the kinds, then what else is true of the thing there,
-- then what is true of the ground (recipes/micro/train/labels.lua, PLACE).
M.N_KINDS, M.N_OF_THINGS, M.N_OF_GROUND = 12, 26, 16
-- Of a frame: right and down in places, logarithm of the scale; then whether it calls, or, of what
-- is foretold, the logit of a call that begins there.
M.N_VALUES = 4
-- How many frames a call is seen in, and how much larger the thing is there.
M.CALL_FRAMES, M.SWELL = 2, 1.15
-- Arcs, in places: how far beyond what a layout says is the thing, and how wide an angle.
local ARC_FIRST, ARC_LAST, ARC_SLOPE, ARC_MARGIN = -0.5, 1.75, 0.7, 0.5
-- Least logit of a call that may begin in a frame, where a sound decides.
local LIKELY = -2

--- What the part foretells of motions: [B,L,4].
---@param net weft.Model       the part `motion`
---@param states weft.Tensor   [B,T,W] the text tower's states of the words
---@param mask weft.Tensor     [B,T] 1 for a word, 0 for padding
function M.foretell(net, states, mask)
  local weights = mask:reshape(mask:size(1), mask:size(2), 1)
  local mean = (states * weights):sum { 2 } / weights:sum { 2 }
  return net { x = mean }:reshape(mask:size(1), -1, M.N_VALUES)
end

--- Frame in which a call begins, from 1, drawn by a seed; nil for none.
---@param logits number[]  of each frame
local function draw_call(logits, seed)
  local u = tensor.rand({ 1 }, { seed = seed }):item()
  for k, logit in ipairs(logits) do
    u = u - 1 / (1 + math.exp(-logit))
    if u < 0 then return k end
  end
end

--- Frame, of those in which a call may begin, in which a voice rises most; nil for none.
---@param voice number[]  how much of one is in the slot of each frame
local function heard_call(logits, voice)
  local best, most = nil, -math.huge
  for k, logit in ipairs(logits) do
    local rise = voice[k] - (voice[k - 1] or 0)
    if logit > LIKELY and rise > most then best, most = k, rise end
  end
  return best
end

--- How much of its voice a sound shall have in each of its slots, as its conditioner lays it out:
-- of the voice of what is seen, since a bounce is heard too.
---@param seen weft.Model     the conditioner of pictures
---@param heard weft.Model    that of sounds
---@param feature weft.Tensor  [1,D] of what is seen
---@param of_sound weft.Tensor  [1,D] of the sound
---@return number[]
function M.voice(seen, heard, feature, of_sound)
  local kinds = seen { feature = feature }.layout:narrow(4, 1, M.N_KINDS):max { 2, 3 }
  local voices = heard { feature = of_sound }.layout:narrow(4, 1, M.N_KINDS)
  return voices:index_select(kinds:reshape(1, -1):argmax(), 4):sigmoid():mean({ 3 }):reshape(-1)
    :totable()
end

--- The course of one video: [1,L,4].
---@param foretold weft.Tensor  [1,8,4] of M.foretell
---@param o { seed: integer, frames: integer, from_first: boolean?, voice: number[]? }
--- from_first: the map is that of the first frame, not of the middle of the course; voice: that of
--- its sound, with which a call begins
function M.of(foretold, o)
  local rows = foretold:totable()[1]
  local logits, first = {}, rows[1]
  for k, row in ipairs(rows) do logits[k] = row[4] end
  local call = o.voice and heard_call(logits, o.voice) or draw_call(logits, o.seed)
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

--- Where the arcs of a call would be beside things: [N,S,S,1], 0 elsewhere.
---@param things weft.Tensor  [N,S,S,C]
local function arcs(things)
  local N, S = things:size(1), things:size(2)
  local there = things:narrow(4, 1, M.N_KINDS):max({ 4 })
  local at = tensor.arange(0, S - 1, { device = things.device })
  local x, y = middle(there:sum { 2 }), middle(there:sum { 3 })
  local side = x:lt((S - 1) / 2):to "f32" * 2 - 1
  local dx = (at:reshape(1, 1, S) - x) * side
  local dy = (at:reshape(1, S, 1) - y):abs()
  local out = (dx:square() + dy:square()):sqrt() - there:sum({ 2, 3 }, true):sqrt() * 0.5
  local inside = dx:gt(0):to "f32" * (dx * ARC_SLOPE + ARC_MARGIN - dy):gt(0):to "f32"
  inside = inside * out:gt(ARC_FIRST):to "f32" * out:lt(ARC_LAST):to "f32"
  return (inside * there:max({ 2, 3 }, true)):reshape(N, S, S, 1)
end

--- Maps of frames, [B,L,S,S,C+1], from those of pictures.
---@param map weft.Tensor     [B,S,S,C] what a conditioner makes, the layout last
---@param course weft.Tensor  [B,L,4]
function M.maps(map, course)
  local B, S, C, L = map:size(1), map:size(2), map:size(4), course:size(2)
  local n_before = C - M.N_OF_THINGS - M.N_OF_GROUND
  return core.scope(function()
    local function still(first, n)
      return map:narrow(4, first, n):reshape(B, 1, S, S, n):expand(B, L, S, S, n)
    end
    local calling = course:narrow(3, 4, 1)
    local scale = course:narrow(3, 3, 1):exp() * (calling * (M.SWELL - 1) + 1)
    local things = moved(map:narrow(4, n_before + 1, M.N_OF_THINGS):contiguous(), course, scale)
    local calls = arcs(things) * calling:reshape(B * L, 1, 1, 1)
    return ops.cat({ still(1, n_before), things:reshape(B, L, S, S, -1),
      still(C - M.N_OF_GROUND + 1, M.N_OF_GROUND), calls:reshape(B, L, S, S, 1) }, 5)
  end)
end

return M
