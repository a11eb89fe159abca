--- Stage C: the denoiser of picture latents, conditioned on the aligned feature.
--
--   weft run recipes/micro/train/unet.lua steps=20000 out=recipes/micro/weights
--
-- v-prediction on the cosine schedule. The feature comes from the image tower, or from the text
-- tower for complete and partial descriptions, with noise added on the unit sphere; it is dropped
-- for one in ten. A source's latents are concatenated for edits, zeros otherwise; words stand in
-- the cross-attention.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local weft = require "weft"
local configs = require "configs"
local data = require "data"
local parts = require "weft.pipeline.micro_parts"
local run = require "run"
local train = weft.train

local p = run.params {
  steps = 20000, batch = 48, lr = 1.2e-3, warmup = 100, seed = 21,
  out = "recipes/micro/weights", work = "checkpoints/unet", stop = 0,
}

local tok = run.tokenizer(p.out)
local image, text = run.trained(p.out, "image_encoder"), run.trained(p.out, "text_encoder")
local vae = run.trained(p.out, "vae")
local scheduler = weft.sampler.from_config(configs.micro.scheduler)
local unet, conditioner = run.model("unet", p.seed), run.model("conditioner", p.seed + 1)
local params = train.parameters { unet = unet, conditioner = conditioner }
local opt = train.adamw { params, lr = p.lr, betas = { 0.9, 0.99 }, weight_decay = 0.01 }
local ema = train.ema(params, { decay = 0.999 })
local late = train.schedule { "cosine", lr = p.lr, steps = math.ceil(p.steps / 2),
  final = p.lr / 40 }
local side, channels, width = configs.latent_size, configs.latent_channels, configs.feature_width

--- Constant over the first half, a cosine over the second.
local function rate(i)
  if i <= p.warmup then return p.lr * i / p.warmup end
  return i <= p.steps / 2 and p.lr or late(i - math.floor(p.steps / 2))
end

--- The unit features [B,128] of the examples, each from the source its example names; zeros for
-- none.
local function features(examples, pixels, ids, seed)
  local B = #examples
  local from_text, level, keep = {}, {}, {}
  local draws = weft.tensor.rand({ B }, { seed = seed }):totable()
  for i, e in ipairs(examples) do
    from_text[i] = { (e.feature == "text" or e.feature == "partial") and 1 or 0 }
    level[i] = { 0.3 / math.sqrt(width) * draws[i] }
    keep[i] = { e.feature == "none" and 0 or 1 }
  end
  local a = weft.normalize(image { pixels = pixels }.embeds)
  local b = weft.normalize(text { ids = ids }.embeds)
  local f = a + (b - a) * weft.tensor(from_text)
  local noise = weft.tensor.randn({ B, width }, { seed = seed + 1 })
  return weft.normalize(f + noise * weft.tensor(level)) * weft.tensor(keep)
end

--- What a step needs beside the network: latents, noise, times, conditions. No gradient.
local function prepare(i)
  local examples = data.examples("unet", i, p.batch)
  local B, seed = p.batch, (p.seed * 1000000 + i) * 8
  local targets, sources, captions, words, has_source = {}, {}, {}, {}, {}
  for k, e in ipairs(examples) do
    targets[k], sources[k] = e.target, e.source or e.target
    captions[k], words[k] = e.caption, e.text
    has_source[k] = { { { e.source and 1 or 0 } } }
  end
  local pixels = data.pictures(targets)
  local ids = data.text_ids(tok, captions)
  local word_ids, word_mask = data.text_ids(tok, words)
  local z = parts.latents(vae, pixels)
  local t = parts.training_times(B, seed + 4)
  local a, s = parts.alpha_sigma(scheduler, t)
  local noise = weft.tensor.randn({ B, side, side, channels }, { seed = seed + 2 })
  return {
    sample = z * a + noise * s, v = noise * a - z * s, t = weft.tensor(t),
    source = parts.latents(vae, data.pictures(sources)) * weft.tensor(has_source),
    feature = features(examples, pixels, ids, seed), words = text { ids = word_ids }.hidden,
    mask = word_mask,
  }
end

local function step(i)
  local b = prepare(i)
  local loss, grads = weft.grad(function()
    local c = parts.condition(conditioner, b.feature, b.words, b.mask)
    return train.mse(parts.denoise(unet, b.sample, b.t, b.source, c), b.v)
  end, params)
  local norm = train.clip(grads, 1)
  opt:step(grads, { lr = rate(i) })
  ema:update()
  return { loss = loss:item(), norm = norm }
end

run.loop {
  params = params, optim = opt, ema = ema, steps = p.steps, stop = p.stop, work = p.work,
  step = step,
  finish = function()
    unet:save(p.out .. "/unet", { dtype = "f16" })
    conditioner:save(p.out .. "/conditioner", { dtype = "f16", file = "model.safetensors" })
  end,
}
