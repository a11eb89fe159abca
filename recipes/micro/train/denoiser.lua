--- The denoiser stages of pictures and of sounds: what a step needs, and the loop.
--
-- The feature comes from the tower of the medium, or from the text tower for complete and partial
-- descriptions; it is dropped for one in ten. A share of those of tasks may be as the language
-- model foretells them (foretold). A source's latents are concatenated for edits, zeros otherwise;
-- words stand in the cross-attention. The conditioner's layout learns to say what stands where, so
-- that the denoiser need not find out how the feature says it.
local weft = require "weft"
local configs = require "configs"
local data = require "data"
local diffusion = require "diffusion"
local foretold = require "foretold"
local labels = require "labels"
local new_learner = require "learner"
local micro_anchor = require "weft.pipeline.micro_anchor"
local names = require "world.names"
local parts = require "weft.pipeline.micro_parts"
local run = require "run"
local train = weft.train

---@class micro.DenoiserStage
---@field p table  steps, batch, lr, warmup, seed, foreground, foretold, more, muon, out, work, stop
---@field names table<string, string>      the parts: encoder vae unet conditioner, and anchor with
--- standing
---@field examples fun(step: integer): micro.Example[]
---@field render fun(records: table[]): weft.Tensor  [n,64,64,C], what the tower and the vae read
---@field layout fun(records: table[]): weft.Tensor  [n,8,8,K] of 0 and 1: what stands where
---@field standing? fun(records: table[]): weft.Tensor  [n,8,8,4]: how things stand, where the
--- denoiser is told of it
---@field carry? fun(source: table, target: table): number[]  what becomes of it, with standing

-- Weight of the layout's loss: small beside the denoiser's, which shares its clipping.
local LAYOUT = 0.02

--- Where things stand, of 0 and 1: [B,S,S,1]. Kinds and voices are the first labels of a layout.
local function foreground(layout)
  local size = configs.latent_size
  local kinds = layout:narrow(4, 1, names.kind.count):max({ 4 }, true)
  return weft.resize_nearest(kinds, { height = size, width = size })
end

--- Which examples are so, 1, and which not, 0: [B,1,1,1].
---@param is fun(e: micro.Example): boolean
local function flags(examples, is)
  local rows = {}
  for k, e in ipairs(examples) do rows[k] = { { { is(e) and 1 or 0 } } } end
  return weft.tensor(rows)
end

local function has_source(e) return e.source ~= nil end
local function is_told(e) return e.feature ~= "none" end

--- How much each place of the latents z counts, [B,S,S,1]: those of things and those that an edit
-- changes more, because they are few beside those of the ground, and all that is hard.
local function weights(s, z, source, examples, layout)
  local changed = (z - source):abs():mean({ 4 }, true):gt(configs.edit_change):to "f32"
    * flags(examples, has_source)
  return weft.maximum(changed, foreground(layout)) * (s.p.foreground - 1) + 1
end

--- How things are to stand: [B,8,8,4] as micro_anchor says. It is read from the source, and what
-- becomes of it is known; without one it is what it is.
---@param layout weft.Tensor  [B,8,8,K] of the targets
local function standing(s, trained, examples, source, layout)
  if not s.standing then return nil end
  local shown, targets, carry = {}, {}, {}
  for k, e in ipairs(examples) do
    shown[k], targets[k] = e.source or e.target, e.target
    carry[k] = s.carry(shown[k], e.target)
  end
  local there = s.layout(shown)
  local placed, calls = micro_anchor.carried(
    micro_anchor.placed(micro_anchor.read(trained.anchor, source), there), weft.tensor(carry))
  local given = flags(examples, has_source)
  return micro_anchor.standing(placed, calls, micro_anchor.things(there),
    micro_anchor.things(layout)) * given + s.standing(targets) * (1 - given)
end

--- What a step needs beside the network: latents, noise, times, conditions. No gradient.
---@param s micro.DenoiserStage
---@param trained table  encoder text vae scheduler tok
local function prepare(s, trained, i)
  local examples = s.examples(i)
  local seed = (s.p.seed * 1000000 + i) * 8
  local targets, captions, words = {}, {}, {}
  for k, e in ipairs(examples) do
    targets[k], captions[k], words[k] = e.target, e.caption, e.text
  end
  local x = s.render(targets)
  local ids = data.text_ids(trained.tok, captions)
  local word_ids, word_mask = data.text_ids(trained.tok, words)
  local z = parts.latents(trained.vae, x)
  local source = diffusion.sources(trained.vae, s.render, examples)
  local sample, v, t = diffusion.noised(trained.scheduler, z, seed)
  local layout, told = s.layout(targets), flags(examples, is_told)
  local stands = standing(s, trained, examples, source, layout)
  local media = weft.normalize(trained.encoder { pixels = x }.embeds)
  if trained.foretold then media = trained.foretold:features(media, examples, seed) end
  return {
    sample = sample, v = v, t = t, source = source, layout = layout, told = told,
    stands = stands and stands * told,
    weights = weights(s, z, source, examples, layout),
    feature = diffusion.features(examples, media,
      weft.normalize(trained.text { ids = ids }.embeds), seed),
    words = trained.text { ids = word_ids }.hidden, mask = word_mask,
  }
end

--- Parameters that Muon steps as matrices: not what reads features, and draws the last latents.
local function is_matrix(name, t)
  return #t:size() >= 2 and not name:find "^conditioner" and not name:find "conv_out"
end

--- Train a denoiser and its conditioner.
---@param s micro.DenoiserStage
return function(s)
  local p, part = s.p, s.names
  local trained = {
    tok = run.tokenizer(p.out), encoder = run.trained(p.out, part.encoder),
    text = run.trained(p.out, "text_encoder"), vae = run.trained(p.out, part.vae),
    anchor = part.anchor and run.trained(p.out, part.anchor),
    scheduler = weft.sampler.from_config(configs.parts.scheduler),
  }
  if p.foretold > 0 then
    trained.foretold = foretold.new { out = p.out, share = p.foretold, tok = trained.tok }
  end
  local unet = run.begin(p, part.unet, p.seed)
  local conditioner = run.begin(p, part.conditioner, p.seed + 1)
  local params = train.parameters { unet = unet, conditioner = conditioner }
  local learner = new_learner(p, params,
    { betas = { 0.9, 0.99 }, weight_decay = 0.01, ema = 0.999, rate = diffusion.rate(p),
      is_matrix = is_matrix })

  local function step(i)
    local b = prepare(s, trained, i)
    local _, grads, loss, layout = weft.grad(function()
      local c = parts.condition(conditioner, b.feature, b.words, b.mask)
      c.stands = b.stands
      local mse = ((parts.denoise(unet, b.sample, b.t, b.source, c) - b.v):square() * b.weights)
        :mean()
      local layout = labels.presence(c.layout, b.layout, b.told)
      return mse + layout * LAYOUT, mse, layout
    end, params)
    local norm = learner:step(i, grads)
    return { loss = loss:item(), layout = layout:item(), norm = norm }
  end

  run.loop {
    p = p, learner = learner, step = step,
    finish = function()
      run.save(p.out, part.unet, unet)
      run.save(p.out, part.conditioner, conditioner)
    end,
  }
end
