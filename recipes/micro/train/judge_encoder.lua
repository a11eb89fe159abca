--- The judge of words and pictures: two towers into a space of their own, for CLIP-I, CLIP-T and
-- directional similarity.
--
--   weft run recipes/micro/train/judge_encoder.lua steps=2500 out=recipes/micro/judges
--
-- InfoNCE over groups of twins, as the towers of the small model learn; a linear head says which
-- attributes a feature has, and is dropped after the training. In half of the groups the captions
-- leave attributes out, the same in all of a group; twins of one caption match alike. What the
-- features hold: weft run recipes/micro/eval/towers.lua out=recipes/micro/judges/encoder
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local weft = require "weft"
local caption = require "world.caption"
local configs = require "configs"
local contrast = require "contrast"
local data = require "data"
local judging = require "judging"
local labels = require "labels"
local nn = require "weft.nn"
local probe = require "eval.probe"
local rng = require "world.rng"
local run = require "run"
local scene = require "world.scene"
local tokenizer = require "weft.tokenizer"

local p = run.plain_params {
  steps = 2500, groups = 24, twins = 4, lr = 2e-3, warmup = 100, seed = 223, n = 1000,
  out = "recipes/micro/judges", work = "checkpoints/judge_encoder", stop = 0,
}

local path = p.out .. "/encoder/tokenizer"
run.mkdir(path)
require("tokenizer").write(path)
local tok = tokenizer.load(path)

local image = judging.tower { channels = 3, width = 96, out = configs.feature_width,
  seed = p.seed }
local text = weft.model.new("clip_text", weft.with(configs.micro.text_encoder.config, {
  hidden_size = 64, intermediate_size = 96, num_hidden_layers = 1 }), { seed = p.seed + 1 })
local extra = nn.new { seed = p.seed + 2 }
local log_scale = extra:param("log_scale", { 1 }, nn.constant(math.log(1 / 0.07)))
local head = extra:linear("head", configs.feature_width, labels.SCENE.width)

local function is_anything() return true end

--- A group of twins, hold-outs among them, and their captions.
local function add_group(stage, g, scenes, texts)
  local r = rng.new(stage, g)
  local list = scene.twins(r, scene.sample(r, { split = "all" }), p.twins, is_anything)
  local is_partial = r:chance(0.5)
  for _, s in ipairs(list) do
    local same = rng.new(stage .. "-words", g)
    scenes[#scenes + 1] = s
    texts[#texts + 1] = is_partial and caption.partial(s, same) or caption.complete(s, same)
  end
end

local function batch_of(stage, i, groups)
  local scenes, texts, said = {}, {}, {}
  for g = 1, groups do add_group(stage, i * groups + g, scenes, texts) end
  for k, t in ipairs(texts) do said[k] = caption.parse(t) end
  return {
    pixels = data.pictures(scenes), ids = (data.text_ids(tok, texts)),
    texts = texts, match = contrast.matches(texts), seen = labels.scenes(scenes, labels.SCENE),
    said = labels.scenes(said, labels.SCENE),
  }
end

local function features(b)
  return weft.normalize(image { pixels = b.pixels }.embeds),
    weft.normalize(text { ids = b.ids }.embeds)
end

local function told(unit) return head(unit * math.sqrt(configs.feature_width)) end

judging.train(p, { ["encoder/image_encoder"] = image, ["encoder/text_encoder"] = text }, extra,
  function(i) return batch_of("judge-encoder", i, p.groups) end,
  function(b)
    local a, t = features(b)
    local nce, hits = contrast.info_nce(a, t, b.match, log_scale)
    return nce + (labels.loss(told(a), b.seen) + labels.loss(told(t), b.said)) * 0.1, hits
  end)

weft.scope(function()
  local b = batch_of("judge-encoder-check", 0, math.floor(p.n / p.twins))
  local a, t = features(b)
  judging.show("encoder", { ["words among twins"] = probe.retrieval(a, t, p.twins, b.texts) })
end)
