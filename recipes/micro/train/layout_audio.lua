--- Stage C-layout: what the conditioner of sounds lays out of a feature, taught alone.
--
--   weft run recipes/micro/train/layout_audio.lua steps=3000 out=recipes/micro/weights
--
-- The denoiser's stage teaches it too, but a step of this one runs no denoiser. The rest of the
-- conditioner stays as it is: as it begins or, with more=1, as it is in `out`.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local weft = require "weft"
local audio_data = require "audio_data"
local data = require "data"
local diffusion = require "diffusion"
local labels = require "labels"
local layout = require "layout"
local new_learner = require "learner"
local run = require "run"
local train = weft.train

local p = run.params {
  steps = 3000, batch = 96, lr = 2e-3, warmup = 50, seed = 131,
  more = { 0, help = "1 goes on from the weights in out" },
  out = "recipes/micro/weights", work = "checkpoints/layout_audio", stop = 0,
}

local tok = run.tokenizer(p.out)
local encoder, text = run.trained(p.out, "audio_encoder"), run.trained(p.out, "text_encoder")
local conditioner = run.begin(p, "audio_conditioner", p.seed)

--- The parameters of the layout.
local function of_layout(all)
  local out = { names = {} }
  for i, name in ipairs(all.names) do
    if name:find "^layout" then out[#out + 1], out.names[#out.names + 1] = all[i], name end
  end
  return out
end
local params = of_layout(train.parameters(conditioner))
local learner = new_learner(p, params,
  { betas = { 0.9, 0.98 }, weight_decay = 1e-3, ema = 0.99 })

--- Sounds, what is told of them, and where they have it; those that are told nothing are left out.
local function examples(i)
  local out = {}
  for _, e in ipairs(audio_data.examples("layout-audio-" .. p.seed, i, p.batch)) do
    if e.feature ~= "none" then out[#out + 1] = e end
  end
  return out
end

local function step(i)
  local list, sounds, captions = examples(i), {}, {}
  for k, e in ipairs(list) do sounds[k], captions[k] = e.target, e.caption end
  local heard = weft.normalize(encoder { pixels = audio_data.mels(sounds) }.embeds)
  local read = weft.normalize(text { ids = (data.text_ids(tok, captions)) }.embeds)
  local feature = diffusion.features(list, heard, read, (p.seed * 1000000 + i) * 8)
  local has = layout.of_sounds(sounds)
  local loss, grads = weft.grad(function()
    return labels.presence(conditioner { feature = feature }.layout, has)
  end, params)
  local norm = learner:step(i, grads)
  return { loss = loss:item(), norm = norm }
end

run.loop {
  p = p, learner = learner, step = step,
  finish = function() run.save(p.out, "audio_conditioner", conditioner) end,
}
