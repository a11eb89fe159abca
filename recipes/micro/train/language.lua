--- Stages D and E: the language model over words and features, with the projectors that lead in
-- and out.
--
--   weft run recipes/micro/train/language.lua steps=8000 out=recipes/micro/weights
--   weft run recipes/micro/train/language.lua more=1 dm=1 lr=3e-4 steps=2000 work=checkpoints/joint
--
-- L = L_t + alpha MSE(c, C_x(x)) + L_DM (CoDi-2, arXiv 2311.18775, section 3.3). L_t: it learns to
-- say the words, tags and pointers of the reply. MSE: it foretells the feature c of the medium that
-- the reply shows, unit vectors, 128 mean (c - C)^2 = 2 - 2 cos. L_DM: the denoiser's loss under c,
-- whose gradient goes through the frozen denoiser into the language model. text=0, mse=0 and dm=0
-- leave a loss out; the towers, the autoencoder and the denoiser stay as they are.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local weft = require "weft"
local conversations = require "conversations"
local data = require "data"
local diffusion = require "diffusion"
local new_learner = require "learner"
local micro = require "weft.pipeline.micro_parts"
local run = require "run"
local train = weft.train

local p = run.params {
  steps = 8000, batch = 64, lr = 1.5e-3, warmup = 200, alpha = 5, mse = 1, text = 1, seed = 31,
  dm = { 0, min = 0, help = "weight of the denoiser's loss" },
  dm_batch = { 16, min = 1, help = "pictures of a step that it is taken of" },
  sounds = { 0, help = "1 trains with sounds and videos too" },
  more = { 0, help = "1 goes on from the weights in out" },
  out = "recipes/micro/weights", work = "checkpoints/language", stop = 0,
}

local tok = run.tokenizer(p.out)
local towers = { image = run.trained(p.out, "image_encoder"),
  text = run.trained(p.out, "text_encoder"),
  audio = p.sounds == 1 and run.trained(p.out, "audio_encoder") or nil }
local NAMES = { lm = "language_model", feature_in = "feature_in", feature_out = "feature_out" }
local net, order = {}, { "lm", "feature_in", "feature_out" }
for i, key in ipairs(order) do
  if p.more == 1 then
    net[key] = run.further(p, NAMES[key])
  else
    net[key] = run.model(NAMES[key], p.seed + i - 1)
  end
end
local frozen = p.dm > 0 and {
  vae = run.trained(p.out, "vae"), unet = run.trained(p.out, "unet"),
  conditioner = run.trained(p.out, "conditioner"),
  scheduler = weft.sampler.load(p.out .. "/scheduler"),
}
local params = train.parameters(net)
local late = train.schedule { "cosine", lr = p.lr, steps = math.ceil(p.steps * 0.4),
  final = p.lr / 50 }

--- Constant over the first 60 %, then a cosine.
local function rate(i)
  if i <= p.warmup then return p.lr * i / p.warmup end
  local before = p.steps - math.ceil(p.steps * 0.4)
  return i <= before and p.lr or late(i - before)
end
local learner = new_learner(p, params,
  { betas = { 0.9, 0.98 }, weight_decay = 0.05, ema = 0.999, rate = rate })

local words_of
for name, t in net.lm:parameters() do
  if name == "model.embed_tokens.weight" then words_of = t end
end

--- Noisy latents of the first replies' pictures, what the denoiser should make of them, and what
-- stands in its cross-attention: nothing. No gradient.
local function noised(b, i)
  local n, seed = math.min(p.dm_batch, #b.replies), (p.seed * 1000000 + i) * 8
  local targets, sources, has = {}, {}, {}
  for k = 1, n do
    local reply = b.replies[k]
    targets[k], sources[k] = reply.target, reply.source or reply.target
    has[k] = { { { reply.source and 1 or 0 } } }
  end
  local z = micro.latents(frozen.vae, data.pictures(targets))
  local sample, v, t = diffusion.noised(frozen.scheduler, z, seed)
  local ids, mask = data.text_ids(tok, { "" })
  local T = ids:size(2)
  local words = towers.text { ids = ids }.hidden
  return {
    n = n, sample = sample, v = v, t = t,
    source = micro.latents(frozen.vae, data.pictures(sources)) * weft.tensor(has),
    words = words:expand(n, T, words:size(3)):contiguous(), mask = mask:expand(n, T):contiguous(),
  }
end

--- The denoiser's loss under features c [n,D].
local function denoiser_loss(c, d)
  local conditions = micro.condition(frozen.conditioner, c, d.words, d.mask)
  return train.mse(micro.denoise(frozen.unet, d.sample, d.t, d.source, conditions), d.v)
end

local function step(i)
  local b = conversations.batch(tok, towers,
    conversations.sequences(tok, "language", i, p.batch, p.sounds == 1))
  local wanted = b.features:index_select(b.reply_of, 1)
  local d = frozen and noised(b, i)
  local loss, grads, l_text, cosine, l_dm = weft.grad(function()
    local states = conversations.states(net, b)
    local logits = states:index_select(b.say_at, 1):matmul(words_of:t())
    local l_text = weft.cross_entropy(logits, b.say)
    local c = weft.normalize(net.feature_out { x = states:index_select(b.reply_at, 1) })
    local cosine = (c * wanted):sum() / wanted:size(1)
    local total = l_text * p.text + (2 - cosine * 2) * (p.alpha * p.mse)
    if not d then return total, l_text, cosine end
    local l_dm = denoiser_loss(c:narrow(1, 1, d.n), d)
    return total + l_dm * p.dm, l_text, cosine, l_dm
  end, params)
  local norm = learner:step(i, grads)
  return { loss = loss:item(), text = l_text:item(), cosine = cosine:item(),
    dm = l_dm and l_dm:item(), norm = norm }
end

run.loop {
  p = p, learner = learner, step = step,
  finish = function()
    for _, key in ipairs(order) do run.save(p.out, NAMES[key], net[key]) end
  end,
}
