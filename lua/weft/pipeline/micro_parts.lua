--- How the parts of the small model meet: latents, times, conditions, the denoiser's call. The
-- pipeline samples with these, the training recipe trains with them.
local core = require "weft.core"
local finite = require "weft.finite"
local frame = require "weft.pipeline.micro_frame"
local ops = require "weft.ops"
local tensor = require "weft.tensor"

local M = {}

local TRAIN_STEPS = 1000

--- Side of a picture, and side and channels of its latents. Those of mels and frames are the same.
M.SIDE_PX, M.LATENT_SIDE, M.LATENT_CHANNELS = frame.SIDE_PX, 16, 8

--- Guidance where a call does not say: its scale, and how far it is rescaled, so that the contrast
-- it adds goes back.
M.SCALE, M.RESCALE = 3, 0.7

--- Mean and deviation of the latents per channel, from the autoencoder's config.
local function statistics(vae)
  local mean, std = vae.config.latents_mean, vae.config.latents_std
  if not mean or not std then
    core.raise("model", "vae: config.json has no latents_mean and latents_std")
  end
  local n = vae.config.latent_channels
  for i = 1, n do
    local is_number = type(mean[i]) == "number" and type(std[i]) == "number"
    if not is_number or std[i] <= 0 or #mean ~= n or #std ~= n then
      core.raise("model", ("vae: latents_mean and latents_std in config.json must be %d numbers "
        .. "each, deviations above 0"):format(n))
    end
  end
  return tensor(mean, { device = vae.device }), tensor(std, { device = vae.device })
end

--- Unit latents [B,16,16,8] of pictures [B,64,64,3] in -1 ... 1, or of mels [B,64,64,1].
function M.latents(vae, pixels)
  local mean, std = statistics(vae)
  return (vae:encode(pixels).mean - mean) / std
end

--- Pictures [B,64,64,3] in -1 ... 1, or mels, of unit latents.
function M.pictures(vae, z)
  local mean, std = statistics(vae)
  return finite.check("decoding", function() return vae:decode(z * std + mean) end)
end

--- sqrt(alpha_bar) and sqrt(1 - alpha_bar) of times, as [B,1,1,1].
---@param scheduler weft.Sampler
---@param times integer[]
function M.alpha_sigma(scheduler, times)
  local a, s = {}, {}
  for i, t in ipairs(times) do
    local bar = scheduler:alpha_bar(t)
    a[i] = { { { math.sqrt(bar) } } }
    s[i] = { { { math.sqrt(1 - bar) } } }
  end
  return tensor(a), tensor(s)
end

--- B training times; half of them from the middle half, where shapes are drawn: above it they are
-- a blur, below it they stand.
---@return integer[]
function M.training_times(B, seed)
  local draws = tensor.rand({ B, 2 }, { seed = seed }):totable()
  local out = {}
  for i, d in ipairs(draws) do
    local u = d[1] < 0.5 and 0.25 + 0.5 * d[2] or d[2]
    out[i] = math.min(math.floor(u * TRAIN_STEPS), TRAIN_STEPS - 1)
  end
  return out
end

--- Where each latent stands: x, y and two waves of each, [1,S,S,6].
---@param device? string
function M.coordinates(S, device)
  local rows = {}
  for y = 1, S do
    rows[y] = {}
    for x = 1, S do
      local u, v = -1 + 2 * (x - 1) / (S - 1), -1 + 2 * (y - 1) / (S - 1)
      local pi = math.pi
      rows[y][x] = { u, v, math.cos(pi * u), math.cos(pi * v), math.sin(pi * u), math.sin(pi * v) }
    end
  end
  return tensor({ rows }, { device = device })
end

--- What stands where, as a conditioner reads it from a feature: [B,8,8,K] of 0 to 1.
function M.layout(conditioner, feature)
  return ops.sigmoid(conditioner { feature = feature }.layout)
end

--- Whether a model can say what stands where in a medium of this kind.
---@param medium weft.MicroMedium
function M.is_shown(m, medium)
  return m.parts[medium.encoder] ~= nil
    and (m.parts[medium.conditioner].config.layout_channels or 0) > 0
end

--- Logits of what stands where in pixels that a model can say it of: M.layout is their sigmoid.
---@param medium weft.MicroMedium
function M.shown(m, medium, pixels)
  return m.parts[medium.conditioner] {
    feature = ops.normalize(m.parts[medium.encoder] { pixels = pixels }.embeds) }.layout
end

--- The conditions of a denoiser call.
---@param feature weft.Tensor  [B,D] unit rows, zeros for no condition
---@param words weft.Tensor    [B,T,96] the text tower's states of the words
---@param mask weft.Tensor     [B,T] 1 for a word, 0 for padding
---@return table { class_labels, context, mask, map, layout }  layout where the conditioner has one
function M.condition(conditioner, feature, words, mask)
  local c = conditioner { feature = feature }
  local ones = tensor.ones({ feature:size(1), c.context:size(2) }, { device = feature.device })
  return {
    class_labels = feature * math.sqrt(feature:size(2)), map = c.map, layout = c.layout,
    context = ops.cat({ c.context, words }, 2), mask = ops.cat({ ones, mask }, 2),
  }
end

--- A map of conditions whose last channels, the layout, are those of another.
---@param map weft.Tensor     [B,S,S,C]
---@param layout weft.Tensor  [B,S,S,K]
function M.with_layout(map, layout)
  return ops.cat({ map:narrow(4, 1, map:size(4) - layout:size(4)), layout }, 4)
end

--- Input channels of a denoiser beyond those of what is given.
---@param list weft.Tensor[]
local function spare(unet, list)
  local n = unet.config.in_channels
  for _, x in ipairs(list) do n = n - x:size(-1) end
  return n
end

-- Channels of how far off the middle of their cells things are to stand.
local OFF = 2

--- How things are to stand: how far off the middle of their cells, and where in its thing each
-- latent lies, [B,S,S,13]; nil for a denoiser that is not told.
---@param c table  of M.denoise
local function standing(unet, list, c, S)
  local n, all = spare(unet, list) - c.map:size(4), OFF + frame.N_CHANNELS
  if n == 0 then return nil end
  if n ~= all then
    local given = unet.config.in_channels - n
    core.raise("model", ("unet: in_channels in config.json is %d; latents, places and map are %d")
      :format(unet.config.in_channels, given),
      ("it must be %d or %d"):format(given, given + all))
  end
  local map = c.map
  local stands = c.stands or tensor.zeros(
    { map:size(1), map:size(2), map:size(3), frame.N_STANDING }, { device = map.device })
  local off = ops.resize_nearest(stands:narrow(4, 1, OFF), { height = S, width = S })
  return ops.cat({ off, frame.of(map, stands, S) }, 4)
end

--- v of noisy latents: sample [B,S,S,8] at times t, beside a source's latents (zeros for none).
---@param c table             of M.condition; stands [B,8,8,4] of micro_anchor.standing, or nil
---@param mid_kv? weft.Tensor  [B,T,N,2C] what the connectors tell of another medium
function M.denoise(unet, sample, t, source, c, mid_kv)
  local B, S = sample:size(1), sample:size(2)
  local place = M.coordinates(S, sample.device):expand(B, S, S, 6)
  local list = { sample, source, place }
  list[#list + 1] = standing(unet, list, c, S)
  list[#list + 1] = ops.resize_nearest(c.map, { height = S, width = S })
  return unet {
    sample = ops.cat(list, 4),
    timestep = t, context = c.context, mask = c.mask, class_labels = c.class_labels,
    mid_kv = mid_kv,
  }
end

return M
