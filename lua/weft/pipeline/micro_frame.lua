--- Where in its thing each latent of a picture lies, told to its denoiser.
--
-- What things wear begins at their middle: a stripe that is half a period off is another picture. A
-- layout says in which cell a thing stands and what it wears, weft.pipeline.micro_anchor how far
-- off the middle of the cell, how much larger than its size, and whether it calls; the denoiser
-- sees what follows: how far each latent lies from the middle and the edge of its thing and, as far
-- as the thing wears a pattern, where in its period; and where between the arcs of a call.
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
--- Radii of bodies by size, as the world draws them.
M.RADII_PX = { 6.4, 9.6, 13.4 }
-- Periods of patterns in px: dots along each axis, stripes along both.
local DOTS_PX, STRIPES_PX = 5, 6
-- Of each wave the turns a px, right and down, and the pattern.
local TURNS = { { 1 / DOTS_PX, 0, 1 / STRIPES_PX }, { 0, 1 / DOTS_PX, 1 / STRIPES_PX } }
local OF = { DOTTED, DOTTED, STRIPED }

-- Arcs: from one to the next, and how far beyond a body they lie.
local ARC_PX, ARC_FIRST_PX, ARC_LAST_PX = 3.6, 1, 13

--- Values that say how a thing stands: how far right and down of the middle of its cell, in units;
--- the logarithm of how much larger than its size it is; 1 where it calls, else 0.
M.N_STANDING = 4
--- Channels: distances right and down, sines and cosines, how far beyond the body, two of arcs.
M.N_CHANNELS = 2 + 2 * #OF + 3

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

--- A body covers a place whose middle it all but reaches.
M.NEAR_PX = 2

--- Whether a body covers row or column i, from 0, of so many.
---@param offset number  of its middle from the picture's, px
---@param radius number  px
function M.covers(offset, radius, i, side)
  return math.abs((i + 0.5 - side / 2) * M.SIDE_PX / side - offset) < radius + M.NEAR_PX
end

--- The middles of the cells that places lie in, px right and down of the picture's.
---@param at weft.Tensor  px
function M.cell_middle(at)
  local half = M.CELL_PX / 2
  return (at:gt(half):to "f32" - at:lt(-half):to "f32") * M.CELL_PX
end

--- Radii of bodies that a layout says the size of.
---@param sizes weft.Tensor  [...,3] of 0 to 1, by size
---@return weft.Tensor  [...,1] px, 0 where no size is said
function M.radius(sizes)
  local axis = #sizes:size()
  local radii = tensor(M.RADII_PX, { device = sizes.device })
  return (sizes * radii):sum({ axis }, true) / sizes:sum({ axis }, true):clamp(1e-3)
end

--- What a layout says of sizes, [B,S,S,3], and of what things wear, [B,S,S,3].
function M.sizes(layout)
  local n = #M.RADII_PX
  return layout:narrow(4, course.N_OF_THINGS - M.N_PATTERNS - n + 1, n)
end
function M.worn(layout)
  return layout:narrow(4, course.N_OF_THINGS - M.N_PATTERNS + 1, M.N_PATTERNS)
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

--- Sines and cosines of where between the arcs of a call latents lie, [B,N,2]; zeros elsewhere.
---@param distance weft.Tensor  [B,N,2] px from the middle of the thing
---@param beyond weft.Tensor    [B,N,1] px beyond its body
---@param middle weft.Tensor    [B,1,2] px right and down of the picture's
---@param calls weft.Tensor     [B,1,1] of 0 and 1
function M.arcs(distance, beyond, middle, calls)
  local side = course.side(middle:narrow(3, 1, 1) * (1 / course.PLACE_PX), 1)
  local right, down = distance:narrow(3, 1, 1) * side, distance:narrow(3, 2, 1):abs()
  local inside = (right * course.ARC_SLOPE - down):gt(0):to "f32"
    * beyond:gt(ARC_FIRST_PX):to "f32" * beyond:lt(ARC_LAST_PX):to "f32" * calls * M.WAVE
  local angle = beyond * (2 * math.pi / ARC_PX)
  return ops.cat({ angle:sin() * inside, angle:cos() * inside }, 3)
end

--- How far vectors reach: [...,1] of [...,2].
function M.length(x)
  local axis = #x:size()
  return x:square():sum({ axis }, true):sqrt()
end

--- The thing of each kind: its middle, [B,K,2] px right and down of the picture's, of the cell that
-- is nearest to the places where it stands and as far off that as is said there; its radius,
-- [B,K,1] px; and 1 where it calls, [B,K,1].
---@param kinds weft.Tensor   [B,S,S,K] of 0 and 1
---@param layout weft.Tensor  [B,S,S,C]
---@param stands weft.Tensor  [B,S,S,4] of micro_anchor.standing
local function things_of(kinds, layout, stands)
  local B, S = kinds:size(1), kinds:size(2)
  local of_kind = kinds:reshape(B, S * S, -1):permute(1, 3, 2):contiguous()
  local n = of_kind:sum({ 3 }, true):clamp(1)
  local function mean_of(x) return of_kind:matmul(x:reshape(B, S * S, -1)) / n end
  local at = mean_of(M.places(S, kinds.device):expand(B, S * S, 2):contiguous())
  local stood = mean_of(stands)
  local radius = M.radius(mean_of(M.sizes(layout):contiguous()))
  return M.cell_middle(at) + stood:narrow(3, 1, 2) * M.UNIT_PX,
    radius * stood:narrow(3, 3, 1):exp(), stood:narrow(3, 4, 1):gt(0.5):to "f32"
end

--- Where between the arcs of the thing that calls latents lie, [B,N,2]; zeros where none does.
local function arcs_of(places, middle, radius, calls)
  local function of_caller(x) return (x * calls):sum({ 2 }, true) end
  local n = calls:sum({ 2 }, true)
  local at = of_caller(middle) / n:clamp(1)
  local distance = places - at
  local beyond = M.length(distance) - of_caller(radius) / n:clamp(1)
  return M.arcs(distance, beyond, at, n:gt(0):to "f32")
end

--- What a denoiser sees of it: [B,side,side,11], zeros where no thing is wanted and no arc.
---@param map weft.Tensor     [B,S,S,C] of a conditioner, whose last channels are its layout
---@param stands weft.Tensor  [B,S,S,4] of micro_anchor.standing
---@param side integer
function M.of(map, stands, side)
  local B, N = map:size(1), side * side
  local function at_latents(x)
    return ops.resize_nearest(x, { height = side, width = side }):reshape(B, N, -1)
  end
  local layout, places = M.layout_of(map), M.places(side, map.device):expand(B, N, 2)
  local kinds = M.things(layout)
  local middle, radius, calls = things_of(kinds, layout, stands)
  local standing = at_latents(kinds)
  local n = standing:sum({ 3 }, true)
  local distance = places - standing:matmul(middle) / n:clamp(1)
  local beyond = M.length(distance) - standing:matmul(radius) / n:clamp(1)
  local seen = ops.cat({ distance * (1 / M.DISTANCE_PX),
    M.waves(distance, at_latents(M.worn(layout))), beyond * (1 / M.DISTANCE_PX) }, 3)
    * n:gt(0):to "f32"
  return ops.cat({ seen, arcs_of(places, middle, radius, calls) }, 3)
    :reshape(B, side, side, M.N_CHANNELS)
end

return M
