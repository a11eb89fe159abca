--- Stages D and E: the language model over words and features, with the projectors that lead in
-- and out.
--
--   weft run recipes/micro/train/language.lua steps=8000 out=recipes/micro/weights
--   weft run recipes/micro/train/language.lua more=1 dm=1 lr=3e-4 steps=2000 work=checkpoints/dm
--
-- L = L_t + alpha MSE(c, C_x(x)) + L_DM (CoDi-2, arXiv 2311.18775, section 3.3). L_t: it learns to
-- say the words, tags and pointers of the reply. MSE: it foretells the feature c of the medium that
-- the reply shows, unit vectors, 128 mean (c - C)^2 = 2 - 2 cos. L_DM: the denoiser's loss under c,
-- whose gradient goes through the frozen denoiser into the language model. Not of the paper, and a
-- small part of the cost of L_DM: the loss of the layout that the denoiser's conditioner reads in c
-- (legible), and that of how a source's things come to stand, which `anchor_out` reads in the same
-- state (carry; weft.pipeline.micro_anchor). text=0, mse=0, dm=0, legible=0 and carry=0
-- leave a loss out; the towers, autoencoders and denoisers stay as they are. phases=1 gives each
-- step replies of one kind, in turns (appendix B.2); lora=8 trains adapters of rank 8 beside the
-- weights of `out`, written into language_adapter and, merged, into language_model. more=1 takes
-- weights with fewer layers, too; with another seed it draws other batches.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local weft = require "weft"
local conversations = require "conversations"
local configs = require "configs"
local denoising = require "denoising"
local diffusion = require "diffusion"
local layout = require "layout"
local legible = require "legible"
local micro_anchor = require "weft.pipeline.micro_anchor"
local new_learner = require "learner"
local run = require "run"
local train = weft.train

local p = run.params {
  steps = 8000, batch = 64, lr = 1.5e-3, warmup = 200, alpha = 5, mse = 1, text = 1, seed = 31,
  dm = { 0, min = 0, help = "weight of the denoiser's loss" },
  dm_batch = { 16, min = 1, help = "pictures, and sounds, of a step that it is taken of" },
  legible = { 2, min = 0, help = "weight of what conditioners read in the features" },
  carry = { 1, min = 0, help = "weight of how a source's things come to stand, px^2" },
  phases = { 0, help = "1 gives each step replies of one kind" },
  lora = { 0, min = 0, help = "rank of adapters; 0 trains the language model's own weights" },
  sounds = { 0, help = "1 trains with sounds and videos too" },
  more = { 0, help = "1 goes on from the weights in out" },
  decay = { 0.4, min = 0, max = 1, help = "share of the steps over which the rate falls" },
  muon = { 0, help = "1 steps matrices by Muon, not AdamW" },
  out = "recipes/micro/weights", work = "checkpoints/language", stop = 0,
}

local tok = run.tokenizer(p.out)
local readers = conversations.readers(p.out, tok, p.sounds == 1)
local NAMES = { lm = "language_model", feature_in = "feature_in", feature_out = "feature_out",
  anchor_out = "anchor_out" }

--- A language model as deep as the config says.
local function deepened(lm)
  return weft.model.deepen(lm, configs.parts.language_model.config, { seed = p.seed })
end

--- Whether weights go on from those in `out`, which may have been made without anchor_out.
local function goes_on(key)
  return key ~= "anchor_out" or run.read_json(p.out .. "/anchor_out/config.json") ~= nil
end

local net, order = {}, { "lm", "feature_in", "feature_out", p.carry > 0 and "anchor_out" or nil }
for i, key in ipairs(order) do
  local name, seed = NAMES[key], p.seed + i - 1
  net[key] = goes_on(key) and run.begin(p, name, seed) or run.model(name, seed)
end
if p.lora > 0 and p.more ~= 1 then
  error("lora: adapters stand beside trained weights: more=1 takes those in out", 0)
end
if p.more == 1 then net.lm = deepened(net.lm) end
local adapter = p.lora > 0 and net.lm:adapt { rank = p.lora, seed = p.seed } or nil
local dm = p.dm > 0 and denoising.new { out = p.out, n = p.dm_batch, sounds = p.sounds == 1,
  tok = tok, text = readers.text } or nil
local reading = p.legible > 0 and legible.new { out = p.out, sounds = p.sounds == 1 } or nil
local params = train.parameters { lm = adapter or net.lm, feature_in = net.feature_in,
  feature_out = net.feature_out, anchor_out = net.anchor_out }
local learner = new_learner(p, params,
  { betas = { 0.9, 0.98 }, weight_decay = 0.05, ema = 0.999,
    rate = diffusion.rate(p, p.decay, p.lr / 50) })

local words_of
for name, t in net.lm:parameters() do
  if name == "model.embed_tokens.weight" then words_of = t end
end

-- Of ten steps: two in words, four of pictures, three of sounds, one of videos.
local PHASES = { "image", "text", "image", "audio", "image", "audio", "text", "image", "audio",
  "video" }
local phases = p.sounds == 1 and PHASES or { "image", "text", "image" }

-- What is off by a pixel where things stand weighs as much as what is off by one at their edge.
local PX = weft.tensor { { 1, 1, 10 } }

--- How far off, in px^2, the things of sources come to stand, as states [M,C] have it, and whether
-- they call; nil where no reply shows those of its source.
local function carry_loss(states, replies)
  local rows, before, after, calls = layout.carried_things(replies)
  if not rows then return nil end
  local carry = net.anchor_out { x = states:index_select(rows, 1) }
  local placed, logit = micro_anchor.carried(before, carry)
  return (((placed - after) * PX):square():sum() / 2
    + (weft.softplus(logit) - logit * calls):sum()) / rows:size(1)
end

local function step(i)
  local b = conversations.batch(tok, readers,
    conversations.sequences(tok, "language-" .. p.seed, i, p.batch,
      { sounding = p.sounds == 1, kind = p.phases == 1 and phases[(i - 1) % #phases + 1] or nil }))
  local wanted = b.reply_of and b.features:index_select(b.reply_of, 1)
  local d = dm and dm:prepare(b.replies, (p.seed * 1000000 + i) * 8) or {}
  local loss, grads, l_text, cosine, l_read, l_carry, l_dm = weft.grad(function()
    local states = conversations.states(net, b)
    local logits = states:index_select(b.say_at, 1):matmul(words_of:t())
    local l_text = weft.cross_entropy(logits, b.say)
    if not wanted then return l_text * p.text, l_text end
    local at_reply = states:index_select(b.reply_at, 1)
    local c = weft.normalize(net.feature_out { x = at_reply })
    local cosine = (c * wanted):sum() / wanted:size(1)
    local total = l_text * p.text + (2 - cosine * 2) * (p.alpha * p.mse)
    local l_read = reading and reading:loss(c, b.replies) or nil
    if l_read then total = total + l_read * p.legible end
    local l_carry = p.carry > 0 and carry_loss(at_reply, b.replies) or nil
    if l_carry then total = total + l_carry * p.carry end
    if not d[1] then return total, l_text, cosine, l_read, l_carry end
    local l_dm = denoising.loss(c, d)
    return total + l_dm * p.dm, l_text, cosine, l_read, l_carry, l_dm
  end, params)
  local norm = learner:step(i, grads)
  return { loss = loss:item(), text = l_text:item(), cosine = cosine and cosine:item(),
    legible = l_read and l_read:item(), carry = l_carry and l_carry:item(),
    dm = l_dm and l_dm:item(), norm = norm }
end

--- The adapter, and the language model with it merged.
local function save_merged()
  local folder = p.out .. "/language_adapter"
  adapter:save(folder)
  local merged = deepened((run.further(p, NAMES.lm)))
  merged:merge(folder)
  run.save(p.out, NAMES.lm, merged)
end

run.loop {
  p = p, learner = learner, step = step,
  finish = function()
    for _, key in ipairs(order) do
      if key ~= "lm" or not adapter then run.save(p.out, NAMES[key], net[key]) end
    end
    if adapter then save_merged() end
  end,
}
