--- Where in its thing each latent of a picture lies, told to its denoiser.
--
-- What things wear begins at their middle: a stripe that is half a period off is another picture. A
-- layout says in which cell a thing stands and what it wears, weft.pipeline.micro_anchor how far
-- off the middle of the cell; the denoiser sees what follows: how far each latent lies from the
-- middle of its thing and, as far as the thing wears a pattern, where in its period.
local course = require "weft.pipeline.micro_course"
local ops = require "weft.ops"
local tensor = require "weft.tensor"

local M = {}

--- Side of a picture, and from the middle of a cell to that of the next.
M.SIDE_PX, M.CELL_PX = 64, 17.6
--- So far off the middle of its cell, in px, a value of 1 says.
M.UNIT_PX = 2
--- The same of distances; and how large waves are: few latents of few things have any, and what
--- learns from them begins at zero.
M.DISTANCE_PX, M.WAVE = 16, 4
-- What the layout says last of a thing: plain, striped, dotted.
local STRIPED, DOTTED = 2, 3
M.N_PATTERNS = 3
-- Periods of patterns in px: dots along each axis, stripes along both.
local DOTS_PX, STRIPES_PX = 5, 6
-- Of each wave the turns a px, right and down, and the pattern.
local TURNS = { { 1 / DOTS_PX, 0, 1 / STRIPES_PX }, { 0, 1 / DOTS_PX, 1 / STRIPES_PX } }
local OF = { DOTTED, DOTTED, STRIPED }

--- Channels: distances right and down, then sines and cosines.
M.N_CHANNELS = 2 + 2 * #OF

--- What kind of thing stands at each place: [B,8,8,12] of 0 and 1.
---@param layout weft.Tensor  [B,8,8,K] values of 0 to 1
function M.things(layout)
  return layout:narrow(4, 1, course.N_KINDS):gt(0.5):to "f32"
end

--- How far right and down of the picture's middle the places of S x S are, in px: [1,S*S,2].
---@return weft.Tensor
function M.places(S, device)
  local rows = {}
  for at = 0, S * S - 1 do
    rows[at + 1] = { ((at % S + 0.5) / S - 0.5) * M.SIDE_PX,
      ((math.floor(at / S) + 0.5) / S - 0.5) * M.SIDE_PX }
  end
  return tensor({ rows }, { device = device })
end

--- What a conditioner's map says of what stands where: its last channels, [B,S,S,K].
function M.layout_of(map)
  local n = course.N_OF_THINGS + course.N_OF_GROUND
  return map:narrow(4, map:size(4) - n + 1, n)
end

--- The middles of the cells that places lie in, px right and down of the picture's.
---@param at weft.Tensor  px
function M.cell_middle(at)
  local half = M.CELL_PX / 2
  return (at:gt(half):to "f32" - at:lt(-half):to "f32") * M.CELL_PX
end

--- The middle of the thing of each kind, [B,K,2] px right and down of the picture's: of the cell
-- that is nearest to the places where it stands, and as far off that as is said there.
---@param of_kind weft.Tensor  [B,K,N] of 0 and 1
---@param off weft.Tensor      [B,N,2] in units
local function middles(of_kind, off)
  local B, N = of_kind:size(1), of_kind:size(3)
  local n = of_kind:sum({ 3 }, true):clamp(1)
  local at = of_kind:matmul(M.places(math.sqrt(N), of_kind.device):expand(B, N, 2)) / n
  return M.cell_middle(at) + of_kind:matmul(off) / n * M.UNIT_PX
end

--- Sines and cosines of where in the period of each pattern latents lie, as far as it is worn.
---@param distance weft.Tensor  [B,N,2] px
---@param worn weft.Tensor      [B,N,3] of 0 to 1, by pattern
---@return weft.Tensor  [B,N,6]
function M.waves(distance, worn)
  local turns = tensor(TURNS, { device = distance.device }):expand(distance:size(1), 2, #OF)
  local angle, gates = distance:matmul(turns) * (2 * math.pi), {}
  for k, pattern in ipairs(OF) do gates[k] = worn:narrow(3, pattern, 1) end
  local gate = ops.cat(gates, 3) * M.WAVE
  return ops.cat({ angle:sin() * gate, angle:cos() * gate }, 3)
end

--- What a denoiser sees of it: [B,side,side,8], zeros where no thing is wanted.
---@param map weft.Tensor   [B,S,S,C] of a conditioner, whose last channels are its layout
---@param off weft.Tensor   [B,S,S,2] of micro_anchor.offsets
---@param side integer
function M.of(map, off, side)
  local B, S = map:size(1), map:size(2)
  local function at_latents(x)
    return ops.resize_nearest(x, { height = side, width = side }):reshape(B, side * side, -1)
  end
  local layout = M.layout_of(map)
  local kinds = M.things(layout)
  local of_kind = kinds:reshape(B, S * S, -1):permute(1, 3, 2):contiguous()
  local middle = middles(of_kind, off:reshape(B, S * S, 2))
  local standing = at_latents(kinds)
  local n = standing:sum({ 3 }, true)
  local distance = M.places(side, map.device) - standing:matmul(middle) / n:clamp(1)
  local worn = at_latents(layout:narrow(4, course.N_OF_THINGS - M.N_PATTERNS + 1, M.N_PATTERNS))
  local seen = ops.cat({ distance * (1 / M.DISTANCE_PX), M.waves(distance, worn) }, 3)
  return (seen * n:gt(0):to "f32"):reshape(B, side, side, M.N_CHANNELS)
end

return M
