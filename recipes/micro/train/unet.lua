--- Stage C: the denoiser of picture latents, conditioned on the aligned feature.
--
--   weft run recipes/micro/train/unet.lua steps=20000 out=recipes/micro/weights
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local weft = require "weft"
local data = require "data"
local kept = require "weft.pipeline.micro_kept"
local layout = require "layout"
local rng = require "world.rng"
local run = require "run"
local scene = require "world.scene"

local p = run.params {
  steps = 20000, batch = 48, lr = 1.2e-3, warmup = 100, seed = 21,
  foreground = { 4, min = 1, help = "weight of the places of things and of changes" },
  foretold = { 0, min = 0, max = 1, help = "share of features as the language model has them" },
  more = { 0, help = "1 goes on from the weights in out" },
  muon = { 0, help = "1 steps matrices by Muon, not AdamW" },
  out = "recipes/micro/weights", work = "checkpoints/unet", stop = 0,
}

-- Share of the pictures without a source that words describe whole.
local SAID = 0.5

--- Whether what should stand where is known. Beside a source it is, unless things move on, grow,
-- are mirrored or call (micro_run).
local function is_whole(e, seed)
  if not e.source then return rng.new("said", seed):chance(SAID) end
  return kept.is_still(weft.tensor { layout.carry(e.source, e.target) })
end

local function twin(r, s) return scene.twins(r, s, 1)[1] end

require "denoiser" {
  p = p, render = data.pictures, layout = layout.of_scenes, standing = layout.standing,
  carry = layout.carry, is_whole = is_whole, twin = twin,
  names = { encoder = "image_encoder", vae = "vae", unet = "unet", conditioner = "conditioner",
    anchor = "anchor" },
  examples = function(i) return data.examples("unet-" .. p.seed, i, p.batch) end,
}
