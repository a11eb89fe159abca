--- Connectors between the denoisers of pictures and of sounds, so that both are made together.
--
--   weft run recipes/micro/train/joint.lua steps=4000 out=recipes/micro/weights bf16=1
--
-- CoDi's alignment in miniature (arXiv:2305.11846, section 3.4). A scene and its sound are noised
-- to the same time; each denoiser sees its own latents, is told something of the pair, and reads
-- the other's environment. The denoisers stay as they are. What one is not told it can only learn
-- from the other, so one of them, or both, is told little. A contrastive loss draws together the
-- environments of a scene and its sound, among twins that differ in one attribute. `alone`, every
-- 50 steps, is the loss without connectors.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local weft = require "weft"
local audio_data = require "audio_data"
local caption = require "world.caption"
local configs = require "configs"
local contrast = require "contrast"
local data = require "data"
local diffusion = require "diffusion"
local layout = require "layout"
local new_learner = require "learner"
local nn = require "weft.nn"
local parts = require "weft.pipeline.micro_parts"
local rng = require "world.rng"
local run = require "run"
local train = weft.train

local p = run.params {
  steps = 4000, groups = 12, twins = 4, lr = 1e-3, warmup = 100, contrast = 0.1, seed = 41,
  out = "recipes/micro/weights", work = "checkpoints/joint", stop = 0,
}

local B, channels, side = p.groups * p.twins, configs.latent_channels, configs.latent_size
local tok, text = run.tokenizer(p.out), run.trained(p.out, "text_encoder")
local scheduler = weft.sampler.from_config(configs.micro.scheduler)

--- The trained parts of a medium.
local function medium(kind, prefix)
  return { kind = kind, encoder = run.trained(p.out, kind .. "_encoder"),
    vae = run.trained(p.out, prefix .. "vae"), unet = run.trained(p.out, prefix .. "unet"),
    conditioner = run.trained(p.out, prefix .. "conditioner") }
end
local image, audio = medium("image", ""), medium("audio", "audio_")

local joint, extra = run.model("joint", p.seed), nn.new { seed = p.seed + 1 }
local log_scale = extra:param("log_scale", { 1 }, nn.constant(math.log(1 / 0.07)))
local params = train.parameters { joint = joint, extra = extra }
local learner = new_learner(p, params,
  { betas = { 0.9, 0.99 }, weight_decay = 0.01, ema = 0.999, rate = diffusion.rate(p) })

-- What the two are told: of the medium itself, by its own words, or by one description of the
-- scene for both, as one prompt of a call is; and how often, in twentieths.
local TOLD = {
  { "partial", "same" }, { "none", "none" }, { "partial", "partial" }, { "image", "none" },
  { "image", "partial" }, { "none", "audio" }, { "partial", "audio" },
}
local WEIGHTS = { 7, 2, 3, 2, 2, 2, 2 }
local DROP = 0.5       -- of an attribute, in descriptions: they leave some out

--- What the denoisers of a scene and of its sound are told: each a feature and a caption.
local function told(r, scene, sound)
  local row = TOLD[r:weighted(WEIGHTS)]
  local seen = { feature = row[1], caption = caption.partial(scene, r, DROP) }
  if row[2] == "same" then return seen, seen end
  return seen, { feature = row[2], caption = audio_data.partial(sound, r) }
end

--- The conditions of one medium: x its pixels, list what its denoiser is told.
local function condition(m, x, list, seed)
  local captions, words = {}, {}
  for i, e in ipairs(list) do captions[i], words[i] = e.caption, "" end
  local feature = diffusion.features(list, weft.normalize(m.encoder { pixels = x }.embeds),
    weft.normalize(text { ids = (data.text_ids(tok, captions)) }.embeds), seed)
  local ids, mask = data.text_ids(tok, words)
  return parts.condition(m.conditioner, feature, text { ids = ids }.hidden, mask)
end

--- What a step needs beside the connectors; latents of both media side by side. No gradient.
local function prepare(i)
  local scenes, sounds = audio_data.pairs("joint", i, p.groups, p.twins)
  local seen, heard, keys, seed = {}, {}, {}, (p.seed * 1000000 + i) * 16
  for k, s in ipairs(sounds) do
    seen[k], heard[k] = told(rng.new("joint-told", i * B + k), scenes[k], s)
    keys[k] = audio_data.key(s)
  end
  local x, y = data.pictures(scenes), audio_data.mels(sounds)
  local image_c, audio_c = condition(image, x, seen, seed), condition(audio, y, heard, seed + 8)
  image_c.stands = layout.standing(scenes)
  local z = weft.cat({ parts.latents(image.vae, x), parts.latents(audio.vae, y) }, 4)
  local sample, v, t = diffusion.noised(scheduler, z, seed)
  return {
    image = sample:narrow(4, 1, channels):contiguous(), v = v, t = t,
    audio = sample:narrow(4, channels + 1, channels):contiguous(),
    none = weft.tensor.zeros { B, side, side, channels },
    image_c = image_c, audio_c = audio_c, match = contrast.matches(keys),
  }
end

--- The loss of both denoisers, which read what the connectors told; of each alone for none.
local function denoising(b, told_by)
  local v = {}
  for i, m in ipairs { image, audio } do
    v[i] = parts.denoise(m.unet, b[m.kind], b.t, b.none, b[m.kind .. "_c"],
      told_by and told_by[m.kind .. "_kv"])
  end
  return train.mse(weft.cat(v, 4), b.v)
end

local function step(i)
  local b = prepare(i)
  local loss, grads, made, nce, hits = weft.grad(function()
    local said = joint { image = b.image, audio = b.audio, timestep = b.t }
    local close, share = contrast.info_nce(weft.normalize(said.image_environment:mean(2)),
      weft.normalize(said.audio_environment:mean(2)), b.match, log_scale)
    local mse = denoising(b, said)
    return mse + close * p.contrast, mse, close, share
  end, params)
  local norm = learner:step(i, grads)
  return { loss = made:item(), total = loss:item(), contrast = nce:item(), hits = hits:item(),
    norm = norm, alone = i % 50 == 0 and denoising(b):item() or nil }
end

run.loop {
  p = p, learner = learner, step = step, finish = function() run.save(p.out, "joint", joint) end,
}
