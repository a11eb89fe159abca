--- The judge of sounds: which voices, pitches, ambiences, instruments and effects are heard. Its 32
-- logits give KL, its feature of 128 values gives FD, as those of Cnn14 do for real sounds.
--
--   weft run recipes/micro/train/judge_sound.lua steps=2500 out=recipes/micro/judges
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local data = require "audio_data"
local judging = require "judging"
local labels = require "labels"
local run = require "run"

local p = run.plain_params {
  steps = 2500, batch = 64, lr = 2e-3, warmup = 100, seed = 221, n = 1000,
  out = "recipes/micro/judges", work = "checkpoints/judge_sound", stop = 0,
}

local judge = judging.tower { channels = 1, width = 128, out = labels.SOUND.width, seed = p.seed }

judging.train_labels("sound", p, judge, {
  draw = function(r) return data.draw(r, { split = "all", defect = 0.05 }) end,
  pixels = data.mels, set = labels.SOUND, labels = labels.sounds,
})
