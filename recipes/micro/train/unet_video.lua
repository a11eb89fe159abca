--- Stage C-video: layers over frames on top of the denoiser of pictures.
--
--   weft run recipes/micro/train/unet_video.lua steps=8000 out=recipes/micro/weights
--
-- The network starts as the picture model frame by frame; the share `freeze` of the steps trains
-- what lies over frames alone, the rest everything. The feature comes from the part of the caption
-- that describes a picture, or from a frame; the words of the caption, those of motion too, stand
-- in the cross-attention. Half of the clips have their first frame concatenated. Where the words
-- say how the thing moves, the maps of the frames follow its course (weft.pipeline.micro_course),
-- and without a first frame the denoiser is told where it is to the pixel
-- (weft.pipeline.micro_frames).
-- more=1 goes on from the part in `out`.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local ffi = require "ffi"
local weft = require "weft"
local batches = require "denoiser_batch"
local captions = require "world.video_caption"
local configs = require "configs"
local courses = require "courses"
local micro_frames = require "weft.pipeline.micro_frames"
local data = require "data"
local diffusion = require "diffusion"
local layout = require "layout"
local new_learner = require "learner"
local micro_video = require "weft.pipeline.micro_video"
local parts = require "weft.pipeline.micro_parts"
local render = require "world.render"
local rng = require "world.rng"
local run = require "run"
local train = weft.train
local video = require "world.video"

local p = run.params {
  steps = 8000, batch = 6, lr = 8e-4, warmup = 100, freeze = 0.5, seed = 31, foreground = 4,
  calls = { 0.5, min = 0, max = 1, help = "share of the clips in which the thing calls" },
  more = { 0, help = "1 goes on from the weights in out" },
  muon = { 0, help = "1 steps matrices by Muon, not AdamW" },
  out = "recipes/micro/weights", work = "checkpoints/unet_video", stop = 0,
}

local tok = run.tokenizer(p.out)
local image, text = run.trained(p.out, "image_encoder"), run.trained(p.out, "text_encoder")
local vae, conditioner = run.trained(p.out, "vae"), run.trained(p.out, "conditioner")
local scheduler = weft.sampler.from_config(configs.parts.scheduler)
local before = p.more == 1 and run.further(p, "unet_video") or run.trained(p.out, "unet")
local unet = weft.model.inflate(before, configs.parts.unet_video.config, { seed = p.seed })
local params = train.parameters(unet)

-- The step after which everything learns, and rates that warm up anew there: the first steps of
-- parameters without a history are as large as the rate.
local FREED = math.floor(p.freeze * p.steps)
local rate_of = diffusion.rate(p)
local function rate(i)
  return i > FREED and math.min(rate_of(i), p.lr * (i - FREED) / p.warmup) or rate_of(i)
end

local learner = new_learner(p, params,
  { betas = { 0.9, 0.99 }, weight_decay = 0.01, ema = 0.999, rate = rate })
local side, channels = configs.latent_size, configs.latent_channels
local L = video.N_FRAMES

--- Parameters over frames, and where each stands in params.
local over_frames = { at = {} }
for i, name in ipairs(params.names) do
  if name:find "temp_" or name:find "frame_embedding" then
    over_frames[#over_frames + 1], over_frames.at[#over_frames.at + 1] = params[i], i
  end
end

-- Share of the clips of which words say the whole scene, so that what stands where is not read from
-- a feature.
local WHOLE = 0.6

--- Clip k of batch i, and what the denoiser is told of it.
---@return { clip: world.Video, scene: string, words: string, motion: string,
--- feature: "image"|"text"|"none", has_source: boolean, from_first: boolean, placed: boolean,
--- whole: boolean }
local function example(i, k)
  local r = rng.new("unet-video-" .. p.seed, i * p.batch + k)
  local e = { clip = video.sample(r, { call = p.calls }), has_source = r:chance(0.5) }
  local caption = captions.sample(e.clip, r)
  local scene, motion = micro_video.split(caption)
  local draw = r:uniform(0, 1)
  e.scene = scene
  e.feature = draw < 0.1 and "none" or draw < (e.has_source and 0.6 or 0.3) and "image" or "text"
  draw = r:uniform(0, 1)
  e.words = (e.feature == "none" or draw < 0.1) and "" or draw < 0.35 and motion or caption
  e.motion = e.words == "" and "" or motion
  e.from_first, e.placed = e.has_source and e.feature == "image", not e.has_source
  e.whole = e.feature ~= "none" and r:chance(WHOLE)
  return e
end

--- Frames of the clips: f32 [n*8,64,64,3] in -1 ... 1.
local function frames_of(examples)
  local t = weft.tensor.empty({ #examples * L, 64, 64, 3 })
  local to = ffi.cast("float *", t:ptr())
  for k, e in ipairs(examples) do
    video.float_into(e.clip, to + (k - 1) * L * render.N_ELEMS)
  end
  return t
end

--- The unit features [B,D] that the clips are told: of the scene's words, or of a frame (the
-- first where it is the source, else the middle one, which shows the scene itself).
local function features(examples, pixels, seed)
  local scenes, frames = {}, {}
  for k, e in ipairs(examples) do
    scenes[k] = e.scene
    frames[k] = pixels:narrow(1, (k - 1) * L + (e.has_source and 1 or 5), 1)
  end
  return diffusion.features(examples, weft.normalize(image { pixels = weft.cat(frames, 1) }.embeds),
    weft.normalize(text { ids = (data.text_ids(tok, scenes)) }.embeds), seed)
end

--- How much each place of the latents counts, [B,8,S,S,1]: more where the thing is that moves.
local function weights(examples)
  local frames = {}
  for _, e in ipairs(examples) do
    for k = 0, L - 1 do frames[#frames + 1] = video.frame(e.clip, k) end
  end
  return layout.seen(frames, side):reshape(#examples, L, side, side, 1) * (p.foreground - 1) + 1
end

--- What a step needs beside the network: latents, noise, times, conditions. No gradient.
local function prepare(i)
  local B, seed = p.batch, (p.seed * 1000000 + i) * 8
  local examples, words, has_source, scenes, whole = {}, {}, {}, {}, {}
  for k = 1, B do
    local e = example(i, k)
    examples[k], words[k] = e, e.words
    has_source[k] = { { { { e.has_source and 1 or 0 } } } }
    scenes[k], whole[k] = e.clip.scene, { { { e.whole and 1 or 0 } } }
  end
  local pixels = frames_of(examples)
  local z = parts.latents(vae, pixels):reshape(B, L, side, side, channels)
  local sample, v, t = diffusion.noised(scheduler, z, seed)
  local ids, mask = data.text_ids(tok, words)
  local c = parts.condition(conditioner, features(examples, pixels, seed),
    text { ids = ids }.hidden, mask)
  c.map = batches.told_whole(c.map, layout.of_scenes(scenes), weft.tensor(whole))
  c.map = micro_frames.maps(c.map, courses.of(examples), courses.placed(examples), side)
  return {
    sample = sample, v = v, t = t, weights = weights(examples), c = c,
    source = z:narrow(2, 1, 1) * weft.tensor(has_source),
  }
end

--- Gradients of all parameters; false where they are frozen.
local function spread(grads)
  local all = {}
  for i = 1, #params do all[i] = false end
  for k, i in ipairs(over_frames.at) do all[i] = grads[k] end
  return all
end

local function step(i)
  local b, frozen = prepare(i), i <= FREED
  local loss, grads = weft.grad(function()
    local off = micro_video.denoise(unet, b.sample, b.t, b.source, b.c) - b.v
    return (off:square() * b.weights):mean()
  end, frozen and over_frames or params)
  if frozen then grads = spread(grads) end
  local norm = learner:step(i, grads)
  return { loss = loss:item(), norm = norm }
end

run.loop {
  p = p, learner = learner, step = step,
  finish = function()
    run.save(p.out, "unet_video", unet)
  end,
}
