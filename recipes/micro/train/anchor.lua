--- Stage C-anchor: how far things stand off the middle of their cells, and how large, from latents
-- of pictures.
--
--   weft run recipes/micro/train/anchor.lua steps=2000 out=recipes/micro/weights
--
-- It needs the autoencoder alone. By it the denoiser of pictures is told how, to the pixel, the
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

-- Share of pictures that are frames of videos, whose things stand further off, and of those in
-- which the thing calls: it is larger then, and the arcs of its next frame follow from its edge.
local FRAMES, CALLS = 0.5, 0.5

local p = run.params {
  steps = 2000, batch = 64, lr = 3e-3, warmup = 50, seed = 71,
  more = { 0, help = "1 goes on from the weights in out" },
  out = "recipes/micro/weights", work = "checkpoints/anchor", stop = 0,
}

local vae = run.trained(p.out, "vae")
local anchor = run.begin(p, "anchor", p.seed)
local params = train.parameters(anchor)
local learner = new_learner(p, params,
  { betas = { 0.9, 0.98 }, weight_decay = 0.01, ema = 0.99 })

-- Errors below so many px count by their squares.
local NEARLY_PX = 0.3

--- Straight for what is off, a square for what is nearly right: frames shall not outweigh what
-- stands still, and what repeats in a few px needs the fraction of one.
local function rounded(x) return x:square() / (x:abs() + NEARLY_PX) end

local function frame(r)
  local calls = r:chance(CALLS)
  local clip = video.sample(r, calls and { call = 1 } or nil)
  return video.frame(clip, calls and clip.call + r:int(2) or r:int(video.N_FRAMES))
end

--- Pictures of a batch.
local function draw(i)
  local scenes = {}
  for k = 1, p.batch do
    local r = rng.new("anchor-" .. p.seed, i * p.batch + k)
    scenes[k] = r:chance(FRAMES) and frame(r) or scene.sample(r)
  end
  return scenes
end

local function step(i)
  local scenes = draw(i)
  local stands, there = layout.seen_standing(scenes)
  local z = parts.latents(vae, data.pictures(scenes))
  local loss, grads = weft.grad(function()
    return (rounded(micro_anchor.read(anchor, z) - stands) * there):sum()
      / (there:sum() * stands:size(4))
  end, params)
  local norm = learner:step(i, grads)
  return { loss = loss:item(), norm = norm }
end

run.loop {
  p = p, learner = learner, step = step,
  finish = function() run.save(p.out, "anchor", anchor) end,
}
