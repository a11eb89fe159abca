--- Stage C-motion: the course of a video's thing, from the words of its motion.
--
--   weft run recipes/micro/train/motion.lua steps=1500 out=recipes/micro/weights
--
-- It needs the text tower alone. A motion that is left unsaid is none.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local weft = require "weft"
local captions = require "world.video_caption"
local courses = require "courses"
local micro_course = require "weft.pipeline.micro_course"
local data = require "data"
local micro_video = require "weft.pipeline.micro_video"
local new_learner = require "learner"
local rng = require "world.rng"
local run = require "run"
local train = weft.train
local video = require "world.video"

local p = run.params {
  steps = 1500, batch = 64, lr = 2e-3, warmup = 50, seed = 51,
  out = "recipes/micro/weights", work = "checkpoints/motion", stop = 0,
}

local tok, text = run.tokenizer(p.out), run.trained(p.out, "text_encoder")
local motion = run.model("motion", p.seed)
local params = train.parameters(motion)
local learner = new_learner(p, params, { betas = { 0.9, 0.98 }, weight_decay = 0.01 })

--- Clips, their words of motion, and what is true of each.
local function batch(i)
  local told, clips, words = {}, {}, {}
  for k = 1, p.batch do
    local r = rng.new("motion", i * p.batch + k)
    clips[k] = video.sample(r)
    words[k] = select(2, micro_video.split(captions.sample(clips[k], r)))
    told[k] = { clip = clips[k], motion = words[k] }
  end
  return words, courses.of(told):narrow(3, 1, 3), courses.starts(clips)
end

local function step(i)
  local words, moves, starts = batch(i)
  local ids, mask = data.text_ids(tok, words)
  local states = text { ids = ids }.hidden
  local loss, grads, off, calls = weft.grad(function()
    local y = micro_course.foretell(motion, states, mask)
    local off = (y:narrow(3, 1, 3) - moves):square():mean()
    local logits = y:narrow(3, 4, 1):reshape(p.batch, -1)
    local calls = (weft.softplus(logits) - logits * starts):mean()
    return off + calls, off, calls
  end, params)
  local norm = learner:step(i, grads)
  return { loss = loss:item(), off = off:item(), calls = calls:item(), norm = norm }
end

run.loop {
  p = p, learner = learner, step = step,
  finish = function() run.save(p.out, "motion", motion) end,
}
