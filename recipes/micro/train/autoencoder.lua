--- What the autoencoder stages share: the loss, the loop, and the latents' statistics.
--
-- Loss: L1 + 2 MSE + 3e-4 KL. At the end the latents' mean and deviation per channel go into the
-- config (latents_mean, latents_std), so that the denoiser sees unit latents.
local weft = require "weft"
local configs = require "configs"
local new_learner = require "learner"
local run = require "run"
local train = weft.train

local side, channels = configs.latent_size, configs.latent_channels

--- Mean and deviation of each latent channel over x.
local function latent_statistics(vae, x)
  return weft.scope(function()
    local z = vae:encode(x).mean
    z = z:reshape(-1, channels)
    local mean = z:mean({ 1 })
    return mean:totable(), (z - mean):square():mean({ 1 }):sqrt():totable()
  end)
end

--- Train part `name`.
---@param p table  steps, batch, lr, warmup, seed, out, work, stop
---@param name string
---@param batch fun(step: integer): weft.Tensor  [batch,64,64,C] in -1 ... 1
---@param fresh fun(): weft.Tensor  what the statistics are taken over
return function(p, name, batch, fresh)
  local vae = run.model(name, p.seed)
  local params = train.parameters(vae)
  local learner = new_learner(p, params,
    { betas = { 0.9, 0.99 }, weight_decay = 0.01, ema = 0.999 })

  local function step(i)
    local x = batch(i)
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
    local norm = learner:step(i, grads)
    return { loss = loss:item(), psnr = 10 * math.log10(4 / mse:item()), norm = norm }
  end

  run.loop {
    p = p, learner = learner, step = step,
    finish = function()
      local mean, std = latent_statistics(vae, weft.scope(fresh))
      run.save(p.out, name, vae, { latents_mean = mean, latents_std = std })
    end,
  }
end
