--- The judge of identity: which kind, colour and pattern a picture shows, wherever it stands and in
-- whatever style. Its feature of 128 values gives ID and FID.
--
--   weft run recipes/micro/train/judge_identity.lua steps=3000 out=recipes/micro/judges
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local data = require "data"
local judging = require "judging"
local labels = require "labels"
local run = require "run"
local scene = require "world.scene"

local p = run.plain_params {
  steps = 3000, batch = 96, lr = 2e-3, warmup = 100, seed = 201, n = 1000,
  out = "recipes/micro/judges", work = "checkpoints/judge_identity", stop = 0,
}

local judge = judging.tower { channels = 3, width = 128, out = labels.IDENTITY.width,
  seed = p.seed }

judging.train_labels("identity", p, judge, {
  draw = function(r) return scene.sample(r, { split = "all", objects = 1, quality = 0.15 }) end,
  pixels = data.pictures, set = labels.IDENTITY,
  labels = function(list) return labels.scenes(list, labels.IDENTITY) end,
})
