--- What every stage that trains a denoiser shares: the feature it is told, what it should say of
-- noisy latents beside which source, and its learning rate.
--
-- v-prediction on the cosine schedule.
local weft = require "weft"
local configs = require "configs"
local parts = require "weft.pipeline.micro_parts"
local train = weft.train

local M = {}

M.NOISE = 0.3         -- most of what a unit feature is shaken by

--- The unit features [B,D] that examples are told: of the medium, of the words ("text" or
-- "partial"), or zeros ("none"); with noise added on the unit sphere.
---@param examples { feature: string }[]
---@param media weft.Tensor  [B,D] unit features of the targets
---@param texts weft.Tensor  [B,D] unit features of the words
function M.features(examples, media, texts, seed)
  local B, width = #examples, media:size(2)
  local from_text, level, keep = {}, {}, {}
  local draws = weft.tensor.rand({ B }, { seed = seed }):totable()
  for i, e in ipairs(examples) do
    from_text[i] = { (e.feature == "text" or e.feature == "partial") and 1 or 0 }
    level[i] = { M.NOISE / math.sqrt(width) * draws[i] }
    keep[i] = { e.feature == "none" and 0 or 1 }
  end
  local f = media + (texts - media) * weft.tensor(from_text)
  local noise = weft.tensor.randn({ B, width }, { seed = seed + 1 })
  return weft.normalize(f + noise * weft.tensor(level)) * weft.tensor(keep)
end

--- Latents [B,S,S,8] of the examples' sources, zeros where there is none.
---@param render fun(records: table[]): weft.Tensor
---@param examples { source: table? }[]
function M.sources(vae, render, examples)
  local sources, rows = {}, {}
  for k, e in ipairs(examples) do
    if e.source then sources[#sources + 1] = e.source end
    rows[k] = e.source and #sources or 0
  end
  local size, channels = configs.latent_size, configs.latent_channels
  local z = weft.tensor.zeros { 1, size, size, channels }
  if #sources > 0 then z = weft.cat({ z, parts.latents(vae, render(sources)) }, 1) end
  return weft.index_select(z, weft.tensor(rows, { dtype = "i64" }))
end

--- Latents z [B,...] at random times: what the denoiser sees, what it should say, and when.
---@return weft.Tensor sample
---@return weft.Tensor v
---@return weft.Tensor t  [B]
function M.noised(scheduler, z, seed)
  local shape, ones = z:size(), {}
  for i = 2, #shape do ones[i] = 1 end
  ones[1] = shape[1]
  local t = parts.training_times(shape[1], seed + 4)
  local a, sigma = parts.alpha_sigma(scheduler, t)
  a, sigma = a:reshape(unpack(ones)), sigma:reshape(unpack(ones))
  local noise = weft.tensor.randn(shape, { seed = seed + 2 })
  return z * a + noise * sigma, noise * a - z * sigma, weft.tensor(t)
end

--- Learning rates by step: a warm-up, constant, then a cosine over the last steps.
---@param p { steps: integer, warmup: integer, lr: number }
---@param share? number  of the steps over which they fall; half of them when not given
---@param final? number  the last rate; a fortieth when not given
function M.rate(p, share, final)
  local n_late = math.ceil(p.steps * (share or 0.5))
  local late = train.schedule { "cosine", lr = p.lr, steps = math.max(n_late, 1),
    final = final or p.lr / 40 }
  return function(i)
    if i <= p.warmup then return p.lr * i / p.warmup end
    local before = p.steps - n_late
    return i <= before and p.lr or late(i - before)
  end
end

return M
