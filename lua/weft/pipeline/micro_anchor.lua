--- Where the things of a source stand to the pixel, told to the denoiser of what is made beside it.
--
-- A layout says in which places of 8 px a thing stands; how far it is off the middle of its cell no
-- feature holds, and what is drawn anew of it should be off as far. The part `anchor` reads that
-- from the source's latents. What comes to stand where a thing stood keeps it; what stands where
-- none did has it of what stands nowhere any more. What moves on or is mirrored is off otherwise
-- than before: how, `anchor_out` reads from the language model. The denoiser sees it in two
-- channels, and what follows from it in those of weft.pipeline.micro_frame.
local frame = require "weft.pipeline.micro_frame"
local ops = require "weft.ops"
local parts = require "weft.pipeline.micro_parts"
local tensor = require "weft.tensor"

local M = {}

--- So far off, in px, a value of 1 says.
M.UNIT_PX = frame.UNIT_PX

--- How far right and down of the middle of their cells things stand: [B,S,S,2] px; where no thing
-- stands it means nothing.
---@param net weft.Model        the part `anchor`, shaped as a denoiser without a time
---@param latents weft.Tensor   [B,S,S,8] of pictures
function M.read(net, latents)
  local B, S = latents:size(1), latents:size(2)
  local place = parts.coordinates(S, latents.device):expand(B, S, S, 6)
  return net { sample = ops.cat({ latents, place }, 4),
    timestep = tensor.zeros({ B }, { device = latents.device }) }
end

--- What kind of thing stands at each place, of a layout.
M.things = frame.things

--- What becomes of it: scaled by 1 plus two values, right and down, and moved by two, in units.
---@param read weft.Tensor    [B,S,S,2] px, of M.read
---@param carry? weft.Tensor  [B,4] of the part `anchor_out`; nil: it stays
---@return weft.Tensor  [B,S,S,2] px
function M.carried(read, carry)
  if not carry then return read end
  carry = carry:reshape(-1, 1, 1, 4)
  return read * (carry:narrow(4, 1, 2) + 1) + carry:narrow(4, 3, 2) * M.UNIT_PX
end

--- How far off what is to be drawn should stand, as a denoiser is told: [B,8,8,2], 0 where no thing
-- is wanted.
---@param read weft.Tensor    [B,S,S,2] px, of M.read of the source
---@param shown weft.Tensor   [B,8,8,12] what stands where in the source
---@param wanted weft.Tensor  [B,8,8,12] and what should
function M.offsets(read, shown, wanted)
  local B, S, K = wanted:size(1), wanted:size(2), wanted:size(4)
  local N = S * S
  read = ops.avg_pool2d(read, read:size(2) / S):reshape(B, N, 2)
  local there = shown:max({ 4 }, true):reshape(B, N, 1)
  local kinds = wanted:reshape(B, N, K)
  local left = there * (1 - kinds:max({ 3 }, true))
  local moved = (read * left):sum({ 2 }, true) / left:sum({ 2 }, true):clamp(1)
  local of_kind = kinds:permute(1, 3, 2):contiguous()
  local n_kept = of_kind:matmul(there)
  local kept = of_kind:matmul(read * there) / n_kept:clamp(1)
  local off = (kept + moved * n_kept:eq(0):to "f32") * (1 / M.UNIT_PX)
  return kinds:matmul(off):reshape(B, S, S, 2) / wanted:sum({ 4 }, true):clamp(1)
end

--- The same of one picture beside a source, as its features say; nil for a model or a medium
-- without the part.
---@param medium weft.MicroMedium
---@param feature weft.Tensor  [1,128] what to make
---@param pixels weft.Tensor   [1,64,64,3] the source
---@param carry? weft.Tensor    [1,4] as M.carried has it
function M.beside(m, medium, feature, pixels, carry)
  local net = m.parts[medium.anchor]
  if not net or not parts.is_shown(m, medium) then return nil end
  local read = M.read(net, parts.latents(m.parts[medium.vae], pixels))
  return M.offsets(M.carried(read, carry),
    M.things(parts.shown(m, medium, pixels)),
    M.things(parts.layout(m.parts[medium.conditioner], feature)))
end

return M
