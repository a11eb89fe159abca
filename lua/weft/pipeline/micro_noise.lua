--- The noise that a run of the small model starts from: what a call gives, else drawn by its seed,
-- and how much of it.
local check = require "weft.check"
local ops = require "weft.ops"
local parts = require "weft.pipeline.micro_parts"
local tensor = require "weft.tensor"

local M = {}

local SIDE, CHANNELS = parts.LATENT_SIDE, parts.LATENT_CHANNELS

-- How much there is where a call does not say: beside a source half of it, which strays less from
-- what is to be kept, but more than all where another place is to be seen than the source shows,
-- or that comes out too smooth: a night without its stars.
local BESIDE_SOURCE, NEW_PLACE = 0.5, 1.2

--- Unit noise of n samples, a list: sample i depends on seed + i - 1. PyTorch's generators draw it
-- channels first, as its pipelines do.
---@param o table          rng, seed
---@param sizes integer[]  of one, { k, ..., 8 }
local function draw(o, n, sizes)
  local list, is_torch = {}, o.rng and o.rng ~= "philox"
  local drawn, order = { sizes[1], sizes[#sizes] }, { 1 }
  for d = 2, #sizes - 1 do drawn[d + 1], order[d] = sizes[d], d + 1 end
  order[#sizes] = 2
  for i = 1, n do
    local x = tensor.randn(is_torch and drawn or sizes, { seed = o.seed + i - 1, rng = o.rng })
    list[i] = is_torch and x:permute(order):contiguous() or x
  end
  return list
end

--- Unit noise of n samples of several media side by side, [n,media,16,16,8], of which the first is
-- that of one alone.
function M.of_media(o, n, n_media)
  return ops.stack(draw(o, n, { n_media, SIDE, SIDE, CHANNELS }), 1)
end

--- Where another place should be seen than a source shows, 1, elsewhere 0: [1,16,16,1]. Nil for a
-- medium that says nothing of places, and where nothing says what is seen.
local function new_place(medium, item)
  if not medium.places or not item.shown then return nil end
  local off = (item.layout - item.shown):narrow(4, unpack(medium.places)):abs()
  return ops.resize_nearest(off:max({ 4 }, true):gt(0.5):to "f32", { height = SIDE, width = SIDE })
end

--- How much of the first noise a checked call wants: a number, or place by place [1,16,16,1].
---@param item weft.MicroWanted  of micro_run.settle
---@param has_source boolean     whether the denoiser sees one beside its sample
---@return number|weft.Tensor
function M.scale(medium, o, item, has_source)
  if o.noise_scale then return o.noise_scale end
  if not has_source or o.init then return 1 end
  local new = new_place(medium, item)
  return new and new * (NEW_PLACE - BESIDE_SOURCE) + BESIDE_SOURCE or BESIDE_SOURCE
end

--- The same of a video's frames, of which only the first may be given.
function M.scale_of_frames(o, has_source)
  return o.noise_scale or has_source and BESIDE_SOURCE or 1
end

--- The noise that a run starts from: what the call gives, else drawn.
---@param sizes integer[]  { n, ..., 8 }
---@param scale number|weft.Tensor  how much of what is drawn
---@return weft.Tensor z   of these sizes
function M.first(m, o, sizes, scale)
  if not o.latents then
    return ops.cat(draw(o, sizes[1], { 1, unpack(sizes, 2) }), 1):to(m.device) * scale
  end
  if o.noise_scale then
    check.fail "noise_scale is of drawn noise, and latents are given: scale those instead"
  end
  local got, want = table.concat(o.latents:size(), ","), table.concat(sizes, ",")
  if got ~= want then check.fail("latents are [%s], wanted [%s]", got, want) end
  return o.latents:to(m.device)
end

return M
