--- The vocoder: samples of mels, a second choice beside Griffin-Lim.
--
--   weft run recipes/micro/train/vocoder.lua steps=6000 out=recipes/micro/weights
--
-- Loss: L1 of the mels (HiFi-GAN, arXiv:2010.05646, equation 4) and the short-time spectra at three
-- resolutions (Parallel WaveGAN, arXiv:1910.11480, section 2.2): phases are free. No adversary.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local weft = require "weft"
local core = require "weft.core"
local data = require "audio_data"
local front = require "weft.pipeline.micro_mel"
local hearing = require "world.hearing"
local new_learner = require "learner"
local run = require "run"
local train = weft.train

local p = run.params {
  steps = 6000, batch = 16, lr = 2e-3, warmup = 100, seed = 131,
  out = "recipes/micro/weights", work = "checkpoints/vocoder", stop = 0,
}

run.tokenizer(p.out)
local vocoder = run.model("vocoder", p.seed)
local params = train.parameters(vocoder)
local learner = new_learner(p, params,
  { betas = { 0.8, 0.99 }, weight_decay = 0.01, ema = 0.999, clip = 10 })

-- Points and hop of each resolution; what is added to a squared magnitude.
local RESOLUTIONS, EPS = { { 1024, 256 }, { 512, 128 }, { 128, 32 } }, 1e-6

--- Magnitudes [B,T,F] of samples [B,S].
local function spectrum(x, n, hop)
  local padded = weft.pad(x, { 0, 0, n / 2, n / 2 }, { mode = "reflect" })
  return (weft.stft(padded, core.hann(n, true), hop):square():sum(4) + EPS):sqrt()
end

--- Spectral convergence and the difference of logarithms, over all resolutions.
local function spectral_loss(y, x)
  local sum = 0
  for _, r in ipairs(RESOLUTIONS) do
    local a, b = spectrum(y, r[1], r[2]), spectrum(x, r[1], r[2])
    local convergence = (a - b):square():sum():sqrt() / b:square():sum():sqrt()
    sum = sum + convergence + (a:log() - b:log()):abs():mean()
  end
  return sum * (1 / #RESOLUTIONS)
end

local function step(i)
  local x = hearing.samples(data.records("vocoder", i, p.batch, 0.1))
  local wanted = front.of(x)
  local loss, grads, mel = weft.grad(function()
    local y = vocoder(wanted)
    local mel = (front.of(y, EPS) - wanted):abs():mean()
    return mel * 10 + spectral_loss(y, x), mel
  end, params)
  local norm = learner:step(i, grads)
  return { loss = loss:item(), mel = mel:item(), norm = norm }
end

run.loop {
  p = p, learner = learner, step = step,
  finish = function() run.save(p.out, "vocoder", vocoder) end,
}
