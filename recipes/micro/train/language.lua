--- Stage D: the language model over words and features, with the projectors that lead in and out.
--
--   weft run recipes/micro/train/language.lua steps=8000 out=recipes/micro/weights
--
-- L = L_t + alpha MSE(c, C_x(x)): it learns to say the words, tags and pointers of the reply, and
-- to foretell the feature c of the medium that the reply shows, unit vectors, 128 mean (c - C)^2
-- = 2 - 2 cos. The towers C are frozen. mse=0 or text=0 leaves a loss out.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local weft = require "weft"
local conversations = require "conversations"
local run = require "run"
local train = weft.train

local p = run.params {
  steps = 8000, batch = 64, lr = 1.5e-3, warmup = 200, alpha = 5, mse = 1, text = 1, seed = 31,
  out = "recipes/micro/weights", work = "checkpoints/language", stop = 0,
}

local tok = run.tokenizer(p.out)
local towers = { image = run.trained(p.out, "image_encoder"),
  text = run.trained(p.out, "text_encoder") }
local net = {
  lm = run.model("language_model", p.seed), feature_in = run.model("feature_in", p.seed + 1),
  feature_out = run.model("feature_out", p.seed + 2),
}
local params = train.parameters(net)
local opt = train.adamw { params, lr = p.lr, betas = { 0.9, 0.98 }, weight_decay = 0.05 }
local ema = train.ema(params, { decay = 0.999 })
local late = train.schedule { "cosine", lr = p.lr, steps = math.ceil(p.steps * 0.4),
  final = p.lr / 50 }

--- Constant over the first 60 %, then a cosine.
local function rate(i)
  if i <= p.warmup then return p.lr * i / p.warmup end
  local before = p.steps - math.ceil(p.steps * 0.4)
  return i <= before and p.lr or late(i - before)
end

local words_of
for name, t in net.lm:parameters() do
  if name == "model.embed_tokens.weight" then words_of = t end
end

local function step(i)
  local b = conversations.batch(tok, towers,
    conversations.sequences(tok, "language", i, p.batch))
  local wanted = b.features:index_select(b.reply_of, 1)
  local loss, grads, l_text, cosine = weft.grad(function()
    local states = conversations.states(net, b)
    local logits = states:index_select(b.say_at, 1):matmul(words_of:t())
    local l_text = weft.cross_entropy(logits, b.say)
    local c = weft.normalize(net.feature_out { x = states:index_select(b.reply_at, 1) })
    local cosine = (c * wanted):sum() / wanted:size(1)
    return l_text * p.text + (2 - cosine * 2) * (p.alpha * p.mse), l_text, cosine
  end, params)
  local norm = train.clip(grads, 1)
  opt:step(grads, { lr = rate(i) })
  ema:update()
  return { loss = loss:item(), text = l_text:item(), cosine = cosine:item(), norm = norm }
end

run.loop {
  params = params, optim = opt, ema = ema, steps = p.steps, stop = p.stop, work = p.work,
  step = step,
  finish = function()
    run.save(p.out, "language_model", net.lm)
    run.save(p.out, "feature_in", net.feature_in)
    run.save(p.out, "feature_out", net.feature_out)
  end,
}
