--- What the denoiser stages share: features, noise, the loss and the loop.
--
-- v-prediction on the cosine schedule. The feature comes from the tower of the medium, or from the
-- text tower for complete and partial descriptions, with noise added on the unit sphere; it is
-- dropped for one in ten. A source's latents are concatenated for edits, zeros otherwise; words
-- stand in the cross-attention.
local weft = require "weft"
local configs = require "configs"
local data = require "data"
local parts = require "weft.pipeline.micro_parts"
local run = require "run"
local train = weft.train

local side, channels, width = configs.latent_size, configs.latent_channels, configs.feature_width

---@class micro.DenoiserStage
---@field p table                          steps, batch, lr, warmup, seed, out, work, stop
---@field names table<string, string>      the parts: encoder vae unet conditioner
---@field examples fun(step: integer): micro.Example[]
---@field render fun(records: table[]): weft.Tensor  [n,64,64,C], what the tower and the vae read

--- The unit features [B,128] of the examples, each from the source its example names; zeros for
-- none.
---@param media weft.Tensor  [B,128] unit features of the targets
---@param texts weft.Tensor  [B,128] unit features of the captions
local function features(examples, media, texts, seed)
  local B = #examples
  local from_text, level, keep = {}, {}, {}
  local draws = weft.tensor.rand({ B }, { seed = seed }):totable()
  for i, e in ipairs(examples) do
    from_text[i] = { (e.feature == "text" or e.feature == "partial") and 1 or 0 }
    level[i] = { 0.3 / math.sqrt(width) * draws[i] }
    keep[i] = { e.feature == "none" and 0 or 1 }
  end
  local f = media + (texts - media) * weft.tensor(from_text)
  local noise = weft.tensor.randn({ B, width }, { seed = seed + 1 })
  return weft.normalize(f + noise * weft.tensor(level)) * weft.tensor(keep)
end

--- Constant over the first half, a cosine over the second.
local function rate_of(p)
  local late = train.schedule { "cosine", lr = p.lr, steps = math.ceil(p.steps / 2),
    final = p.lr / 40 }
  return function(i)
    if i <= p.warmup then return p.lr * i / p.warmup end
    return i <= p.steps / 2 and p.lr or late(i - math.floor(p.steps / 2))
  end
end

--- What a step needs beside the network: latents, noise, times, conditions. No gradient.
---@param s micro.DenoiserStage
---@param trained table  encoder text vae scheduler tok
local function prepare(s, trained, i)
  local examples = s.examples(i)
  local B, seed = s.p.batch, (s.p.seed * 1000000 + i) * 8
  local targets, sources, captions, words, has_source = {}, {}, {}, {}, {}
  for k, e in ipairs(examples) do
    targets[k], sources[k] = e.target, e.source or e.target
    captions[k], words[k] = e.caption, e.text
    has_source[k] = { { { e.source and 1 or 0 } } }
  end
  local x = s.render(targets)
  local ids = data.text_ids(trained.tok, captions)
  local word_ids, word_mask = data.text_ids(trained.tok, words)
  local z = parts.latents(trained.vae, x)
  local t = parts.training_times(B, seed + 4)
  local a, sigma = parts.alpha_sigma(trained.scheduler, t)
  local noise = weft.tensor.randn({ B, side, side, channels }, { seed = seed + 2 })
  return {
    sample = z * a + noise * sigma, v = noise * a - z * sigma, t = weft.tensor(t),
    source = parts.latents(trained.vae, s.render(sources)) * weft.tensor(has_source),
    feature = features(examples, weft.normalize(trained.encoder { pixels = x }.embeds),
      weft.normalize(trained.text { ids = ids }.embeds), seed),
    words = trained.text { ids = word_ids }.hidden, mask = word_mask,
  }
end

--- Train a denoiser and its conditioner.
---@param s micro.DenoiserStage
return function(s)
  local p, names = s.p, s.names
  local trained = {
    tok = run.tokenizer(p.out), encoder = run.trained(p.out, names.encoder),
    text = run.trained(p.out, "text_encoder"), vae = run.trained(p.out, names.vae),
    scheduler = weft.sampler.from_config(configs.micro.scheduler),
  }
  local unet, conditioner = run.model(names.unet, p.seed), run.model(names.conditioner, p.seed + 1)
  local params = train.parameters { unet = unet, conditioner = conditioner }
  local opt = train.adamw { params, lr = p.lr, betas = { 0.9, 0.99 }, weight_decay = 0.01 }
  local ema, rate = train.ema(params, { decay = 0.999 }), rate_of(p)

  local function step(i)
    local b = prepare(s, trained, i)
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
      run.save(p.out, names.unet, unet)
      run.save(p.out, names.conditioner, conditioner)
    end,
  }
end
