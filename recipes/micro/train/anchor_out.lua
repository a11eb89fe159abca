--- Stage E-anchor: what becomes of how far off a source's things stand, from the state of the
-- language model that foretells a picture's feature.
--
--   weft run recipes/micro/train/anchor_out.lua steps=600 out=recipes/micro/weights
--
-- Most things stay as far off as they were; what is mirrored, or moves on to the next frame of a
-- video, is not, and no feature says so (weft.pipeline.micro_anchor). The language model stays as
-- it is: after it was trained further, this is trained anew.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local weft = require "weft"
local configs = require "configs"
local conversations = require "conversations"
local data = require "data"
local dialogue = require "world.dialogue"
local micro_anchor = require "weft.pipeline.micro_anchor"
local new_learner = require "learner"
local rng = require "world.rng"
local run = require "run"
local train = weft.train

-- Share of conversations of several rounds.
local DIALOGUES = 0.2

local p = run.params {
  steps = 600, batch = 64, lr = 3e-3, warmup = 50, seed = 81,
  out = "recipes/micro/weights", work = "checkpoints/anchor_out", stop = 0,
}

local tok = run.tokenizer(p.out)
local towers = { image = run.trained(p.out, "image_encoder"),
  text = run.trained(p.out, "text_encoder"), audio = run.trained(p.out, "audio_encoder") }
local net = { lm = run.trained(p.out, "language_model"),
  feature_in = run.trained(p.out, "feature_in") }
local anchor_out = run.model("anchor_out", p.seed)
local params = train.parameters(anchor_out)
local learner = new_learner(p, params,
  { betas = { 0.9, 0.98 }, weight_decay = 0.01, ema = 0.99 })

--- Prompts whose reply is a picture made of another.
local function sequences(i)
  local list = {}
  for k = 1, p.batch do
    local r = rng.new("anchor_out-" .. p.seed, i * p.batch + k)
    list[k] = r:chance(DIALOGUES) and conversations.dialogue(tok, dialogue.sample(r))
      or conversations.sequence(tok, data.sourced(r).task, r)
  end
  return list
end

--- Of each thing that a reply and its source both show: the reply's row, and how far off it stood,
-- and stands, in px.
---@param replies { target: table, source: table? }[]
local function things(replies)
  local rows, before, after = {}, {}, {}
  for k, reply in ipairs(replies) do
    local old, new = reply.source and reply.source.objects, reply.target.objects
    for j = 1, old and new and #old == #new and #new or 0 do
      rows[#rows + 1] = k - 1
      before[#rows], after[#rows] = { old[j].jx, old[j].jy }, { new[j].jx, new[j].jy }
    end
  end
  return weft.tensor(rows, { dtype = "i64" }),
    weft.tensor(before):reshape(-1, 1, 1, configs.off_channels),
    weft.tensor(after):reshape(-1, 1, 1, configs.off_channels)
end

local function step(i)
  local b = conversations.batch(tok, towers, sequences(i))
  local states = conversations.states(net, b):index_select(b.reply_at, 1)
  local rows, before, after = things(b.replies)
  local loss, grads = weft.grad(function()
    local carry = anchor_out { x = states }:index_select(rows, 1)
    return (micro_anchor.carried(before, carry) - after):square():mean()
  end, params)
  local norm = learner:step(i, grads)
  return { loss = loss:item(), off_px = math.sqrt(loss:item()),
    kept_px = math.sqrt((before - after):square():mean():item()), norm = norm }
end

run.loop {
  p = p, learner = learner, step = step,
  finish = function() run.save(p.out, "anchor_out", anchor_out) end,
}
