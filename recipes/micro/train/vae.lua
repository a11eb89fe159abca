--- Stage B: the autoencoder of pictures, 64x64x3 <-> 16x16x8.
--
--   weft run recipes/micro/train/vae.lua steps=6000 out=recipes/micro/weights
--
-- Loss: L1 + 2 MSE + 3e-4 KL. At the end the latents' mean and deviation per channel go into the
-- config (latents_mean, latents_std), so that the denoiser sees unit latents.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local weft = require "weft"
local configs = require "configs"
local data = require "data"
local run = require "run"
local train = weft.train

local p = run.params {
  steps = 6000, batch = 48, lr = 2e-3, warmup = 50, seed = 11,
  out = "recipes/micro/weights", work = "checkpoints/vae", stop = 0,
}

local vae = run.model("vae", p.seed)
local params = train.parameters(vae)
local opt = train.adamw { params, lr = p.lr, betas = { 0.9, 0.99 }, weight_decay = 0.01 }
local ema = train.ema(params, { decay = 0.999 })
local rate = train.schedule { "cosine", lr = p.lr, warmup = p.warmup, steps = p.steps,
  final = p.lr / 50 }
local side, channels = configs.latent_size, configs.latent_channels

local function step(i)
  local x = data.pictures(data.scenes("vae", i, p.batch, 0.1))
  local noise = weft.tensor.randn({ p.batch, side, side, channels },
    { seed = p.seed * 1000000 + i })
  local loss, grads, mse = weft.grad(function()
    local z = vae:encode(x)
    local y = vae:decode(z.mean + noise * (z.logvar * 0.5):exp())
    local d = y - x
    local mse = d:square():mean()
    local kl = (z.mean:square() + z.logvar:exp() - z.logvar - 1):mean() * 0.5
    return d:abs():mean() + mse * 2 + kl * 3e-4, mse
  end, params)
  local norm = train.clip(grads, 1)
  opt:step(grads, { lr = rate(i) })
  ema:update()
  return { loss = loss:item(), psnr = 10 * math.log10(4 / mse:item()), norm = norm }
end

--- Mean and deviation of each latent channel over fresh scenes.
local function latent_statistics()
  return weft.scope(function()
    local z = vae:encode(data.pictures(data.scenes("vae-statistics", 0, 512))).mean
    z = z:reshape(-1, channels)
    local mean = z:mean({ 1 })
    return mean:totable(), (z - mean):square():mean({ 1 }):sqrt():totable()
  end)
end

run.loop {
  params = params, optim = opt, ema = ema, steps = p.steps, stop = p.stop, work = p.work,
  step = step,
  finish = function()
    local folder = p.out .. "/vae"
    vae:save(folder, { dtype = "f16" })
    local mean, std = latent_statistics()
    run.set_config(folder, { latents_mean = mean, latents_std = std })
  end,
}
