--- The judge of sounds: which voices, pitches, ambiences, instruments and effects are heard. Its 32
-- logits give KL, its feature of 128 values gives FD, as those of Cnn14 do for real sounds.
--
--   weft run recipes/micro/train/judge_sound.lua steps=2500 out=recipes/micro/judges
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local weft = require "weft"
local data = require "audio_data"
local judging = require "judging"
local labels = require "labels"
local rng = require "world.rng"
local run = require "run"

local p = run.params {
  steps = 2500, batch = 64, lr = 2e-3, warmup = 100, seed = 221, n = 1000,
  out = "recipes/micro/judges", work = "checkpoints/judge_sound", stop = 0,
}

local judge = judging.tower { channels = 1, width = 128, out = labels.SOUND.width, seed = p.seed }

local function records(stage, i, n)
  local out = {}
  for k = 1, n do
    out[k] = data.draw(rng.new(stage, i * n + k), { split = "all", defect = 0.05 })
  end
  return out
end

local function batch(i)
  local list = records("judge-sound", i, p.batch)
  return { mels = data.mels(list), has = labels.sounds(list) }
end

judging.train(p, { sound = judge }, nil, batch, function(b)
  local logits = judge { pixels = b.mels }.embeds
  local right = logits:gt(0):to("f32"):eq(b.has):to("f32"):min({ 2 }):mean()
  return labels.loss(logits, b.has), right
end)

local list = records("judge-sound-check", 0, p.n)
weft.scope(function()
  judging.show("sound", labels.accuracy(labels.SOUND, judge { pixels = data.mels(list) }.embeds,
    labels.sounds(list)))
end)
