--- Stage C-anchor: how far things stand off the middle of their cells, from latents of pictures.
--
--   weft run recipes/micro/train/anchor.lua steps=2000 out=recipes/micro/weights
--
-- It needs the autoencoder alone. By it the denoiser of pictures is told where to the pixel the
-- things of a source stand (weft.pipeline.micro_anchor).
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local weft = require "weft"
local data = require "data"
local layout = require "layout"
local micro_anchor = require "weft.pipeline.micro_anchor"
local new_learner = require "learner"
local parts = require "weft.pipeline.micro_parts"
local rng = require "world.rng"
local run = require "run"
local scene = require "world.scene"
local train = weft.train
local video = require "world.video"

-- Share of pictures that are frames of videos, whose things stand further off.
local FRAMES = 0.25

local p = run.params {
  steps = 2000, batch = 64, lr = 3e-3, warmup = 50, seed = 71,
  out = "recipes/micro/weights", work = "checkpoints/anchor", stop = 0,
}

local vae = run.trained(p.out, "vae")
local anchor = run.model("anchor", p.seed)
local params = train.parameters(anchor)
local learner = new_learner(p, params,
  { betas = { 0.9, 0.98 }, weight_decay = 0.01, ema = 0.99 })

--- A square for what is nearly right, straight for what is far off: frames shall not outweigh what
-- stands still.
local function rounded(x) return x:square() / (x:abs() + 1) end

--- Pictures of a batch.
local function draw(i)
  local scenes = {}
  for k = 1, p.batch do
    local r = rng.new("anchor-" .. p.seed, i * p.batch + k)
    scenes[k] = r:chance(FRAMES) and video.frame(video.sample(r), r:int(video.N_FRAMES))
      or scene.sample(r)
  end
  return scenes
end

local function step(i)
  local scenes = draw(i)
  local off, there = layout.offsets(scenes)
  local z = parts.latents(vae, data.pictures(scenes))
  local loss, grads = weft.grad(function()
    return (rounded(micro_anchor.read(anchor, z) - off) * there):sum() / (there:sum() * 2)
  end, params)
  local norm = learner:step(i, grads)
  return { loss = loss:item(), norm = norm }
end

run.loop {
  p = p, learner = learner, step = step,
  finish = function() run.save(p.out, "anchor", anchor) end,
}
