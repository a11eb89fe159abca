--- Stage B for sounds: the autoencoder of mels, 64x64x1 <-> 16x16x8.
--
--   weft run recipes/micro/train/vae_audio.lua steps=4000 out=recipes/micro/weights
--
-- A step takes about 0.35 s of one core.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local autoencoder = require "autoencoder"
local data = require "audio_data"
local run = require "run"

local p = run.params {
  steps = 4000, batch = 48, lr = 2e-3, warmup = 50, seed = 111,
  out = "recipes/micro/weights", work = "checkpoints/vae_audio", stop = 0,
}

run.tokenizer(p.out)
autoencoder(p, "audio_vae",
  function(i) return data.mels(data.records("vae-audio", i, p.batch, 0.1)) end,
  function() return data.mels(data.records("vae-audio-statistics", 0, 512)) end)
