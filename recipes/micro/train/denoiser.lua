--- The denoiser stages of pictures and of sounds: what a step needs, and the loop.
--
-- The feature comes from the tower of the medium, or from the text tower for complete and partial
-- descriptions; it is dropped for one in ten. A share of those of tasks may be as the language
-- model foretells them (foretold). A source's latents are concatenated for edits, zeros otherwise;
-- words stand in the cross-attention. The conditioner's layout learns to say what stands where, so
-- that the denoiser need not find out how the feature says it.
local weft = require "weft"
local batches = require "denoiser_batch"
local diffusion = require "diffusion"
local labels = require "labels"
local new_learner = require "learner"
local parts = require "weft.pipeline.micro_parts"
local run = require "run"
local train = weft.train

-- Weight of the layout's loss: small beside the denoiser's, which shares its clipping.
local LAYOUT = 0.02

--- Parameters that Muon steps as matrices: not what reads features, and draws the last latents.
local function is_matrix(name, t)
  return #t:size() >= 2 and not name:find "^conditioner" and not name:find "conv_out"
end

--- Train a denoiser and its conditioner.
---@param s micro.DenoiserStage
return function(s)
  local p, part = s.p, s.names
  local trained = batches.trained(s)
  local unet = run.begin(p, part.unet, p.seed)
  local conditioner = run.begin(p, part.conditioner, p.seed + 1)
  local params = train.parameters { unet = unet, conditioner = conditioner }
  local learner = new_learner(p, params,
    { betas = { 0.9, 0.99 }, weight_decay = 0.01, ema = 0.999, rate = diffusion.rate(p),
      is_matrix = is_matrix })

  local function step(i)
    local b = batches.prepare(s, trained, i)
    local _, grads, loss, layout = weft.grad(function()
      local c = parts.condition(conditioner, b.feature, b.words, b.mask)
      c.stands = b.stands
      if b.whole then c.map = batches.told_whole(c.map, b.layout, b.whole) end
      local mse = ((parts.denoise(unet, b.sample, b.t, b.source, c) - b.v):square() * b.weights)
        :mean()
      local layout = labels.presence(c.layout, b.layout, b.read)
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
