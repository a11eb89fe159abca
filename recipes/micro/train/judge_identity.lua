--- The judge of identity: which kind, colour and pattern a picture shows, wherever it stands and in
-- whatever style. Its feature of 128 values gives ID and FID.
--
--   weft run recipes/micro/train/judge_identity.lua steps=3000 out=recipes/micro/judges
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local weft = require "weft"
local data = require "data"
local judging = require "judging"
local labels = require "labels"
local rng = require "world.rng"
local run = require "run"
local scene = require "world.scene"

local p = run.params {
  steps = 3000, batch = 96, lr = 2e-3, warmup = 100, seed = 201, n = 1000,
  out = "recipes/micro/judges", work = "checkpoints/judge_identity", stop = 0,
}

local judge = judging.tower { channels = 3, width = 128, out = labels.IDENTITY.width,
  seed = p.seed }

local function scenes(stage, i, n)
  local out = {}
  for k = 1, n do
    out[k] = scene.sample(rng.new(stage, i * n + k), { split = "all", objects = 1, quality = 0.15 })
  end
  return out
end

local function batch(i)
  local list = scenes("judge-identity", i, p.batch)
  return { pixels = data.pictures(list), has = labels.scenes(list, labels.IDENTITY) }
end

judging.train(p, { identity = judge }, nil, batch, function(b)
  local logits = judge { pixels = b.pixels }.embeds
  local right = logits:gt(0):to("f32"):eq(b.has):to("f32"):min({ 2 }):mean()
  return labels.loss(logits, b.has), right
end)

local list = scenes("judge-identity-check", 0, p.n)
weft.scope(function()
  judging.show("identity", labels.accuracy(labels.IDENTITY,
    judge { pixels = data.pictures(list) }.embeds, labels.scenes(list, labels.IDENTITY)))
end)
