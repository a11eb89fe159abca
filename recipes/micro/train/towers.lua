--- Stage A: the image and text towers, aligned by InfoNCE, with a caption loss beside it.
--
--   weft run recipes/micro/train/towers.lua steps=6000 out=recipes/micro/weights
--
-- A batch is groups of twins: scenes that differ in one attribute, so no attribute can be left
-- out. The caption loss is over features of image and text in turn.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local weft = require "weft"
local data = require "data"
local decoder = require "decoder"
local new_learner = require "learner"
local nn = require "weft.nn"
local run = require "run"
local train = weft.train

local p = run.params {
  steps = 6000, groups = 32, twins = 6, lr = 1.5e-3, warmup = 100, seed = 1,
  out = "recipes/micro/weights", work = "checkpoints/towers", stop = 0,
}

local tok = run.tokenizer(p.out)
local towers = {
  image = run.model("image_encoder", p.seed), text = run.model("text_encoder", p.seed + 1),
}

-- The temperature as CLIP learns it, and the caption decoder.
local extra = nn.new { seed = p.seed + 2 }
local log_scale = extra:param("log_scale", { 1 }, nn.constant(math.log(1 / 0.07)))
local caption_loss = decoder(extra, tok)

local params = train.parameters { image = towers.image, text = towers.text, extra = extra }
local learner = new_learner(p, params, { betas = { 0.9, 0.98 }, weight_decay = 0.05 })

local function step(i)
  local scenes, texts = data.twins("towers", i, p.groups, p.twins)
  local pixels, ids = data.pictures(scenes), data.text_ids(tok, texts)
  local loss, grads, nce, words, hits = weft.grad(function()
    local a = weft.normalize(towers.image { pixels = pixels }.embeds)
    local b = weft.normalize(towers.text { ids = ids }.embeds)
    local logits = a:matmul(b:t()) * log_scale:exp():clamp(0, 100)
    local rows = weft.tensor.arange(0, #scenes - 1, 1, { dtype = "i64" })
    local nce = (weft.cross_entropy(logits, rows) + weft.cross_entropy(logits:t(), rows)) * 0.5
    local hits = logits:argmax(2):eq(rows):to("f32"):mean()
    local words = caption_loss(i % 2 == 0 and a or b, ids, p.seed * 1000000 + i)
    return nce + words, nce, words, hits
  end, params)
  local norm = learner:step(i, grads)
  return { loss = loss:item(), nce = nce:item(), words = words:item(), hits = hits:item(),
    norm = norm }
end

run.loop {
  p = p, learner = learner, step = step,
  finish = function()
    run.save(p.out, "image_encoder", towers.image)
    run.save(p.out, "text_encoder", towers.text)
  end,
}
