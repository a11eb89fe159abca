--- Stage A for sounds: the audio tower, aligned with pictures and with captions of sounds.
--
--   weft run recipes/micro/train/tower_audio.lua steps=3000 out=recipes/micro/weights
--
-- A step takes about 1.1 s of one core.
--
-- The image tower stays as it is: sounds of scenes are drawn to its features. Most sounds have no
-- picture, so the text tower goes on learning, now with captions of sounds; what it makes of
-- captions of pictures is held where it was (states and features), because the denoiser of
-- pictures knows them. The first text tower is kept in `work`, so a run can go on where it
-- stopped. The caption loss has the audio feature say slots and roots too, which no caption does.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local weft = require "weft"
local caption = require "world.caption"
local audio_data = require "audio_data"
local contrast = require "contrast"
local data = require "data"
local decoder = require "decoder"
local new_learner = require "learner"
local nn = require "weft.nn"
local rng = require "world.rng"
local run = require "run"
local scene = require "world.scene"
local train = weft.train

local p = run.params {
  steps = 3000, groups = 16, twins = 6, lr = 1e-3, warmup = 100, keep = 4, seed = 31,
  out = "recipes/micro/weights", work = "checkpoints/tower_audio", stop = 0,
}

local tok = run.tokenizer(p.out)
local image = run.trained(p.out, "image_encoder")
local text, before = run.further(p, "text_encoder")
local audio = run.model("audio_encoder", p.seed)
local extra = nn.new { seed = p.seed + 1 }
local log_scale = {
  text = extra:param("log_scale_text", { 1 }, nn.constant(math.log(1 / 0.07))),
  image = extra:param("log_scale_image", { 1 }, nn.constant(math.log(1 / 0.07))),
}
local caption_loss = decoder(extra, tok)
local params = train.parameters { audio = audio, text = text, extra = extra }
local learner = new_learner(p, params, { betas = { 0.9, 0.98 }, weight_decay = 0.05 })

-- Texts that the cross-attention of the picture denoiser reads beside captions.
local WORDS = { "", caption.NEGATIVE, "blurry", "noisy", "dim", "blocky" }

--- Ids of picture captions, whole and partial, and of WORDS; the mask of what is not padding.
local function picture_texts(i, scenes)
  local texts = {}
  for k, s in ipairs(scenes) do
    local r = rng.new("tower-audio-captions", i * #scenes + k)
    if r:chance(0.5) then s = scene.sample(r) end
    texts[k] = r:chance(0.3) and caption.partial(s, r) or caption.complete(s, r)
  end
  for _, word in ipairs(WORDS) do texts[#texts + 1] = word end
  return data.text_ids(tok, texts)
end

--- How far the text tower is from what it was: squared distances of features and of states.
local function drift(ids, mask)
  local now, was = text { ids = ids }, before { ids = ids }
  local feature = (weft.normalize(now.embeds) - weft.normalize(was.embeds)):square()
  local states = (now.hidden - was.hidden):square():mean(3) * mask
  return feature:sum() / ids:size(1), states:sum() / mask:sum()
end

--- The sounds of a step: free ones with twins, then those of scenes.
local function batch(i)
  local records = audio_data.twins("tower-audio", i, p.groups, p.twins)
  local n, scenes, heard = #records, audio_data.pairs("tower-audio", i, p.groups, p.twins)
  local texts, everything, sounding = {}, {}, {}
  for k, s in ipairs(heard) do records[n + k], sounding[k] = s, audio_data.key(s) end
  for k, s in ipairs(records) do
    texts[k], everything[k] = audio_data.complete(s), audio_data.everything(s)
  end
  local b = { mels = audio_data.mels(records), n_free = n, said = contrast.matches(texts),
    sounding = contrast.matches(sounding), ids = data.text_ids(tok, texts),
    everything = data.text_ids(tok, everything) }
  b.seen = weft.normalize(image { pixels = data.pictures(scenes) }.embeds)
  b.picture_ids, b.picture_mask = picture_texts(i, scenes)
  return b
end

local function step(i)
  local b = batch(i)
  local loss, grads, parts, hits = weft.grad(function()
    local a = weft.normalize(audio { pixels = b.mels }.embeds)
    local t = weft.normalize(text { ids = b.ids }.embeds)
    local by_text, text_hits = contrast.info_nce(a, t, b.said, log_scale.text)
    local of_scenes = a:narrow(1, b.n_free + 1, b.seen:size(1))
    local by_image, image_hits = contrast.info_nce(of_scenes, b.seen, b.sounding, log_scale.image)
    local seed = p.seed * 1000000 + i
    local words = i % 2 == 0 and caption_loss(a, b.everything, seed)
      or caption_loss(t, b.ids, seed)
    local moved, states = drift(b.picture_ids, b.picture_mask)
    local total = by_text + by_image + words + (moved * 10 + states) * p.keep
    return total, weft.stack { by_text, by_image, words, moved, states },
      weft.stack { text_hits, image_hits }
  end, params)
  local norm = learner:step(i, grads)
  local v, h = parts:totable(), hits:totable()
  return { loss = loss:item(), text = v[1], image = v[2], words = v[3], moved = v[4],
    states = v[5], text_hits = h[1], image_hits = h[2], norm = norm }
end

run.loop {
  p = p, learner = learner, step = step,
  finish = function()
    run.save(p.out, "audio_encoder", audio)
    run.save(p.out, "text_encoder", text)
  end,
}
