--- Stage B2: the decoder of pictures goes on, on latents as the denoiser leaves them.
--
--   weft run recipes/micro/train/vae_decoder.lua steps=2400 out=recipes/micro/weights
--
-- The encoder stays, so that latents keep their meaning and no other part need follow. Half of a
-- batch are pictures whose latents are exact or a little off, half what the denoiser makes of noise
-- beside a source, told the picture's own feature. The loss is of squares, as is the judge's eye:
-- one of amounts leaves out the stars of a night.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local weft = require "weft"
local batches = require "denoiser_batch"
local data = require "data"
local layout = require "layout"
local new_learner = require "learner"
local parts = require "weft.pipeline.micro_parts"
local rng = require "world.rng"
local run = require "run"
local train = weft.train

local p = run.params {
  steps = 2400, batch = 24, lr = 1e-3, warmup = 50, seed = 171,
  out = "recipes/micro/weights", work = "checkpoints/vae_decoder", stop = 0,
}

-- Most noise of the latents that no denoiser made, and the share of those that are exact.
local NOISE, EXACT = 0.5, 0.3
-- Times, of 1, of the two steps in which the denoiser makes latents.
local FIRST, SECOND = { 0.5, 0.98 }, { 0.1, 0.45 }
local N_TIMES = 1000
-- Weight of amounts beside squares.
local AMOUNTS = 0.1

--- A picture made of another that shows its ground: one that is drawn anew may lie otherwise.
local function sourced(r)
  local e
  repeat e = data.sourced(r)
  until e.source.place == e.target.place and e.source.texture == e.target.texture
  return weft.with(e, { feature = "image", caption = "", text = "" })
end

local stage = {
  p = weft.with(p, { foretold = 0, foreground = 1 }),
  render = data.pictures, layout = layout.of_scenes, standing = layout.standing,
  carry = layout.carry,
  names = { encoder = "image_encoder", vae = "vae", anchor = "anchor" },
  examples = function(i)
    local out = {}
    for k = 1, p.batch do out[k] = sourced(rng.new("vae-decoder-" .. p.seed, i * p.batch + k)) end
    return out
  end,
}

local vae = run.further(p, "vae")
local learned = {}
for name, t in vae:parameters() do
  if name:find "^decoder" then learned[name] = t end
end
local params = train.parameters(learned)
local trained = batches.trained(stage)
local net = { unet = run.trained(p.out, "unet"), conditioner = run.trained(p.out, "conditioner") }

--- A time of each of B examples between the ends of a range of 1.
local function times(range, seed)
  local out = weft.tensor.rand({ p.batch }, { seed = seed }):totable()
  for i, u in ipairs(out) do
    out[i] = math.floor((range[1] + (range[2] - range[1]) * u) * N_TIMES)
  end
  return out
end

--- What the denoiser takes the latents to be, and their noise, at times t.
local function estimate(b, c, z, t)
  local a, sigma = parts.alpha_sigma(trained.scheduler, t)
  local v = parts.denoise(net.unet, z, weft.tensor(t), b.source, c)
  return z * a - v * sigma, z * sigma + v * a
end

--- The latents of step i's examples as the denoiser makes them in two steps (DDIM).
local function denoised(b, seed)
  local c = parts.condition(net.conditioner, b.feature, b.words, b.mask)
  c.stands = b.stands
  local t = times(FIRST, seed)
  local a, sigma = parts.alpha_sigma(trained.scheduler, t)
  local noise = weft.tensor.randn(b.z:size(), { seed = seed + 1 })
  local x0, eps = estimate(b, c, b.z * a + noise * sigma, t)
  t = times(SECOND, seed + 2)
  a, sigma = parts.alpha_sigma(trained.scheduler, t)
  return (estimate(b, c, x0 * a + eps * sigma, t))
end

--- Latents of pictures, more or less off.
local function shaken(x, seed)
  local z, level = parts.latents(trained.vae, x), {}
  for k, u in ipairs(weft.tensor.rand({ p.batch }, { seed = seed }):totable()) do
    level[k] = { { { math.max(u - EXACT, 0) / (1 - EXACT) * NOISE } } }
  end
  return z + weft.tensor.randn(z:size(), { seed = seed + 1 }) * weft.tensor(level)
end

local learner = new_learner(p, params, { betas = { 0.9, 0.99 }, weight_decay = 0.01, ema = 0.999 })

local function step(i)
  local seed = (p.seed * 1000000 + i) * 8
  local b = batches.prepare(stage, trained, i)
  local plain = data.pictures(data.scenes("vae-decoder-" .. p.seed, i, p.batch, 0.1))
  local z = weft.cat({ denoised(b, seed), shaken(plain, seed + 4) }, 1)
  local x = weft.cat({ b.x, plain }, 1)
  local loss, grads, mse = weft.grad(function()
    local d = parts.pictures(vae, z) - x
    local mse = d:square():mean { 2, 3, 4 }
    return mse:mean() + d:abs():mean() * AMOUNTS, mse
  end, params)
  local norm = learner:step(i, grads)
  local function psnr(from)
    return 10 * math.log10(4 / mse:narrow(1, from, p.batch):mean():item())
  end
  return { loss = loss:item(), made = psnr(1), shown = psnr(p.batch + 1), norm = norm }
end

run.loop {
  p = p, learner = learner, step = step,
  finish = function() run.save(p.out, "vae", vae) end,
}
