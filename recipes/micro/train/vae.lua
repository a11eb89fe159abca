--- Stage B: the autoencoder of pictures, 64x64x3 <-> 16x16x8.
--
--   weft run recipes/micro/train/vae.lua steps=6000 out=recipes/micro/weights
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local autoencoder = require "autoencoder"
local data = require "data"
local run = require "run"

local p = run.params {
  steps = 6000, batch = 48, lr = 2e-3, warmup = 50, seed = 11,
  out = "recipes/micro/weights", work = "checkpoints/vae", stop = 0,
}

autoencoder(p, "vae",
  function(i) return data.pictures(data.scenes("vae", i, p.batch, 0.1)) end,
  function() return data.pictures(data.scenes("vae-statistics", 0, 512)) end)
