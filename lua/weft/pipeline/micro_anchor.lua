--- How the things of a source stand, told to the denoiser of what is made beside it: where to the
-- pixel, how large, and whether they call.
--
-- A layout says in which places of 8 px a thing stands, and which of three sizes it has. How far it
-- is off the middle of its cell no feature holds, nor how much a video has made it grow; what is
-- drawn anew of it should be as far off and as large. The part `anchor` reads that from the
-- source's latents. What comes to stand where a thing stood keeps it; what stands where none did
-- has it of what stands nowhere any more. What moves on, grows or is mirrored stands otherwise than
-- before, and a call begins or ends: how, `anchor_out` reads from the language model. The denoiser
-- sees how far off things are in two channels, and what follows from all of it in those of
-- weft.pipeline.micro_frame.
local core = require "weft.core"
local frame = require "weft.pipeline.micro_frame"
local ops = require "weft.ops"
local parts = require "weft.pipeline.micro_parts"
local tensor = require "weft.tensor"

local M = {}

--- So far off, in px, a value of 1 says.
M.UNIT_PX = frame.UNIT_PX

--- Values of M.read.
M.N_READ = 3

--- How things stand, where one does: [B,S,S,3] px right and down of the middle of their cells, and
-- the radius of their bodies in px.
---@param net weft.Model        the part `anchor`, shaped as a denoiser without a time
---@param latents weft.Tensor   [B,S,S,8] of pictures
function M.read(net, latents)
  local B, S = latents:size(1), latents:size(2)
  local place = parts.coordinates(S, latents.device):expand(B, S, S, 6)
  local read = net { sample = ops.cat({ latents, place }, 4),
    timestep = tensor.zeros({ B }, { device = latents.device }) }
  if read:size(4) ~= M.N_READ then
    core.raise("model", ("anchor: it reads %d values of a place"):format(read:size(4)),
      ("out_channels in config.json must be %d: recipes/micro/train/anchor.lua makes it")
        :format(M.N_READ))
  end
  return read
end

--- What kind of thing stands at each place, of a layout.
M.things = frame.things

--- The same in places of 8 px: px right and down, and the logarithm of how much larger things are
-- than their size, 0 where no thing is.
---@param read weft.Tensor    [B,S,S,3] of M.read
---@param layout weft.Tensor  [B,8,8,K] what stands where, and of which size
---@return weft.Tensor  [B,8,8,3]
function M.placed(read, layout)
  read = ops.avg_pool2d(read, read:size(2) / layout:size(2))
  local radius, size = read:narrow(4, 3, 1), frame.radius(frame.sizes(layout):contiguous())
  local there = M.things(layout):max({ 4 }, true) * size:gt(0):to "f32"
  local scale = (radius:clamp(1) / size:clamp(1)):log() * there
  return ops.cat({ read:narrow(4, 1, 2), scale }, 4)
end

--- Values that say what becomes of it.
M.N_CARRY = 6

--- What becomes of it: it is scaled by 1 plus two values, right and down, and moved by two, in
-- units; the logarithm of how large it is grows by one; and it calls where one, a logit, is above
-- 0.
---@param placed weft.Tensor   [B,...,3] of M.placed
---@param carry? weft.Tensor   [B,6] of the part `anchor_out`; nil: it stays, and is silent
---@return weft.Tensor  [B,...,3] the same of what is made
---@return weft.Tensor  [B,...,1] the logit
function M.carried(placed, carry)
  local B, is_flat = placed:size(1), #placed:size() == 2
  carry = carry or tensor.zeros({ B, M.N_CARRY }, { device = placed.device })
  if carry:size(2) ~= M.N_CARRY then
    core.raise("model", ("anchor_out: it says %d values of a picture"):format(carry:size(2)),
      ("out_dim in config.json must be %d: recipes/micro/train/language.lua makes it")
        :format(M.N_CARRY))
  end
  if not is_flat then carry = carry:reshape(B, 1, 1, M.N_CARRY) end
  local axis = #placed:size()
  local function of(x, first, n) return x:narrow(axis, first, n) end
  local off = of(placed, 1, 2) * (of(carry, 1, 2) + 1) + of(carry, 3, 2) * M.UNIT_PX
  return ops.cat({ off, of(placed, 3, 1) + of(carry, 5, 1) }, axis), of(carry, 6, 1)
end

--- How what is to be drawn should stand, as a denoiser is told: [B,8,8,4] in units, as
-- weft.pipeline.micro_frame has them; 0 where no thing is wanted.
---@param placed weft.Tensor  [B,8,8,3] of M.carried
---@param calls weft.Tensor   [B,1,1,1] its logit
---@param shown weft.Tensor   [B,8,8,12] what stands where in the source
---@param wanted weft.Tensor  [B,8,8,12] and what should
function M.standing(placed, calls, shown, wanted)
  local B, S, K = wanted:size(1), wanted:size(2), wanted:size(4)
  local N = S * S
  placed = placed:reshape(B, N, 3)
  local there = shown:max({ 4 }, true):reshape(B, N, 1)
  local kinds = wanted:reshape(B, N, K)
  local left = there * (1 - kinds:max({ 3 }, true))
  local moved = (placed * left):sum({ 2 }, true) / left:sum({ 2 }, true):clamp(1)
  local of_kind = kinds:permute(1, 3, 2):contiguous()
  local n_kept = of_kind:matmul(there)
  local kept = of_kind:matmul(placed * there) / n_kept:clamp(1)
  local stands = kinds:matmul(kept + moved * n_kept:eq(0):to "f32")
    / kinds:sum({ 3 }, true):clamp(1)
  local wants = kinds:max({ 3 }, true)
  return ops.cat({ stands:narrow(3, 1, 2) * (1 / M.UNIT_PX), stands:narrow(3, 3, 1),
    wants * calls:reshape(B, 1, 1):gt(0):to "f32" }, 3):reshape(B, S, S, frame.N_STANDING)
end

--- The same of one picture beside a source; nil for a model or a medium without the part, and where
-- nothing says what is seen.
---@param medium weft.MicroMedium
---@param item weft.MicroWanted  of micro_run.settle
---@param pixels weft.Tensor     [1,64,64,3] the source
function M.beside(m, medium, item, pixels)
  local net = m.parts[medium.anchor]
  if not net or not item.shown then return nil end
  local read = M.read(net, parts.latents(m.parts[medium.vae], pixels))
  local placed, calls = M.carried(M.placed(read, item.shown), item.carry)
  return M.standing(placed, calls, M.things(item.shown), M.things(item.layout))
end

return M
