--- Stage C for sounds: the denoiser of mel latents, conditioned on the aligned feature.
--
--   weft run recipes/micro/train/unet_audio.lua steps=12000 out=recipes/micro/weights
--
-- A step takes about 0.6 s of one core.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local data = require "audio_data"
local layout = require "layout"
local rng = require "world.rng"
local run = require "run"

local p = run.params {
  steps = 12000, batch = 48, lr = 1.2e-3, warmup = 100, seed = 121,
  foreground = { 1, min = 1, help = "weight of the places of things and of changes" },
  foretold = { 0, min = 0, max = 1, help = "share of features as the language model has them" },
  more = { 0, help = "1 goes on from the weights in out" },
  muon = { 0, help = "1 steps matrices by Muon, not AdamW" },
  out = "recipes/micro/weights", work = "checkpoints/unet_audio", stop = 0,
}

-- Share of the sounds without a source of which it is known what is heard when, as it is where
-- words describe one.
local SAID = 0.5

--- Whether what should be heard when is known. Beside a source it is (micro_run).
local function is_whole(e, seed)
  return e.source ~= nil or rng.new("said", seed):chance(SAID)
end

require "denoiser" {
  p = p, render = data.mels, layout = layout.of_sounds, is_whole = is_whole,
  names = { encoder = "audio_encoder", vae = "audio_vae", unet = "audio_unet",
    conditioner = "audio_conditioner" },
  examples = function(i) return data.examples("unet-audio-" .. p.seed, i, p.batch) end,
}
