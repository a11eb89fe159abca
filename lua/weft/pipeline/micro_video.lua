--- Videos of the small model: m:video{ "a small red cat in the snow moving left" } and
-- m:video{ picture, "moving left" }.
--
-- The part of the text that describes a picture becomes the feature, with the pictures of the
-- prompt, as in micro.lua; all its words, those of motion too, stand in the cross-attention. A
-- picture is also the first frame, which the denoiser sees beside every frame.
local core = require "weft.core"
local check = require "weft.check"
local embedding = require "weft.embedding"
local guidance = require "weft.guidance"
local image = require "weft.image"
local options = require "weft.options"
local ops = require "weft.ops"
local parts = require "weft.pipeline.micro_parts"
local prompts = require "weft.pipeline.micro_prompt"
local runs = require "weft.pipeline.micro_run"
local sampler = require "weft.sampler"
local tensor = require "weft.tensor"
local video = require "weft.video"

local M = {}

M.MAX_FRAMES, M.FPS = 8, 8
local SIDE, CHANNELS, SIDE_PX = 16, 8, 64

-- Where what moves begins in a description.
local MOTIONS = { "staying still", "moving left", "moving right", "moving up", "moving down",
  "growing", "shrinking", "bouncing", "and calling" }

--- A text as what a picture shows of it, and the rest: how it moves and calls.
---@param text string
---@return string scene, string motion
function M.split(text)
  local low, first = " " .. text:lower() .. " ", nil
  for _, phrase in ipairs(MOTIONS) do
    local at = low:find("%W" .. phrase .. "%W")
    if at and (not first or at < first) then first = at end
  end
  if not first then return text, "" end
  local scene = text:sub(1, first - 1):gsub("[%s,]+$", "")
  return scene, text:sub(first)
end

--- v of noisy latents [B,L,S,S,8] at times t, beside the latents of a first frame [B,1,S,S,8]
-- (zeros for none).
---@param c table  of micro_parts.condition
function M.denoise(unet, sample, t, source, c)
  local B, L, S = sample:size(1), sample:size(2), sample:size(3)
  local map = ops.resize_nearest(c.map, { height = S, width = S })
  local function frames(x)
    return x:reshape(x:size(1), 1, S, S, x:size(-1)):expand(B, L, S, S, x:size(-1))
  end
  local place = parts.coordinates(S, sample.device)
  return unet {
    sample = ops.cat({ sample, frames(source), frames(place), frames(map) }, 5), timestep = t,
    context = c.context, mask = c.mask, class_labels = c.class_labels,
  }
end

-- ---- one run ----

--- What a prompt says: its text, what becomes the feature, and its first picture.
local function read_prompt(prompt)
  local texts, media, picture = {}, {}, nil
  for _, part in ipairs(prompt) do
    local inner = type(part) == "table" and part.weft_weight and part.part or part
    if type(inner) == "string" then texts[#texts + 1] = inner
    else media[#media + 1] = part end
    if image.is(inner) then picture = picture or inner end
  end
  local text = table.concat(texts):gsub("^%s+", ""):gsub("%s+$", "")
  local scene = M.split(text)
  return text, { scene, unpack(media) }, picture
end

--- The picture that is the first frame; nil for none.
local function first_frame(o, picture)
  if o.concat == false then return nil end
  if o.concat == nil or o.concat == true then return picture end
  if image.is(o.concat) then return o.concat end
  if video.is(o.concat) then return o.concat[1] end
  return check.fail("video: concat must be a picture or a video, got %s", type(o.concat))
end

--- The prompt with the picture's feature in its place, so that its pixels are made once.
local function with_feature(model, prompt, picture, pixels)
  local e = embedding.new(ops.normalize(model.parts.image_encoder { pixels = pixels }.embeds))
  local out = {}
  for i, part in ipairs(prompt) do
    local is_weighted = type(part) == "table" and part.weft_weight and part.part == picture
    out[i] = part == picture and e
      or is_weighted and { weft_weight = part.weft_weight, part = e } or part
  end
  return out
end

--- Conditions of each branch, the ones of both samplers' batches: context, map, first frame.
local function conditions(model, o, text, feature, source)
  local none = tensor.zeros({ 1, SIDE, SIDE, CHANNELS }, { device = model.device })
  local three = source and type(o.guidance) ~= "number"
    and (type(o.guidance) == "function" or o.guidance.concat)
  local function branch(f, words, s)
    local states, mask = model:words(words)
    local c = parts.condition(model.parts.conditioner, f, states, mask)
    c.source = s or none
    return c
  end
  local negative = type(o.negative) == "table" and read_prompt(o.negative) or o.negative
  local zero = tensor.zeros({ 1, prompts.width(model) }, { device = model.device })
  return {
    full = branch(feature, text, source), source = branch(zero, negative, source),
    none = branch(zero, negative, not three and source or nil),
  }
end

--- The denoiser with guidance: (z [1,L,...], t, st) -> v.
local function denoiser(model, o, by_name, has_source)
  local guide = guidance(o.guidance, parts.RESCALE)
  return function(z, t, st)
    local at = st.steps > 1 and (st.step - 1) / (st.steps - 1) or 0
    local names, p, c = guide:branches(at, has_source), {}, {}
    for _, key in ipairs { "class_labels", "context", "mask", "map", "source" } do
      local list = {}
      for i, name in ipairs(names) do list[i] = by_name[name][key] end
      c[key] = ops.cat(list, 1)
    end
    local list = {}
    for i = 1, #names do list[i] = z end
    local v = M.denoise(model.parts.unet_video, ops.cat(list, 1), t, c.source, c)
    for i, name in ipairs(names) do p[name] = v:narrow(1, i, 1) end
    return guide:combine(p)
  end
end

--- How many frames, of the options.
local function count_frames(o)
  local n = o.frames or o.seconds and math.floor(o.seconds * o.fps + 0.5) or M.MAX_FRAMES
  if n < 1 or n > M.MAX_FRAMES then
    core.raise("unsupported",
      ("video: %d frames, this model makes 1 to %d"):format(n, M.MAX_FRAMES),
      "go on from the last frame: m:video{ v[#v], \"moving left\" }")
  end
  return n
end

--- Frames [L,64,64,3] in 0 ... 1 of latents [1,L,16,16,8].
local function pictures(model, z)
  local t = parts.pictures(model.parts.vae, z:reshape(z:size(2), SIDE, SIDE, CHANNELS))
  return ((t + 1) * 0.5):clamp(0, 1)
end

--- Unit noise [1,L,16,16,8].
local function first_noise(o)
  local sizes = { 1, o.frames, SIDE, SIDE, CHANNELS }
  if not o.latents and o.rng and o.rng ~= "philox" then
    local x = tensor.randn({ 1, CHANNELS, o.frames, SIDE, SIDE }, { seed = o.seed, rng = o.rng })
    return x:permute(1, 3, 4, 5, 2):contiguous()
  end
  if not o.latents then return tensor.randn(sizes, { seed = o.seed }) end
  local got = table.concat(o.latents:size(), ",")
  if got ~= table.concat(sizes, ",") then
    check.fail("video: latents are [%s], wanted [%s]", got, table.concat(sizes, ","))
  end
  return o.latents
end

local function sample(model, o, feature)
  local text, prompt, picture = read_prompt(o.prompt)
  local start = first_frame(o, picture)
  local pixels = start and model:pixels(start)
  local source = pixels and parts.latents(model.parts.vae, pixels)
  if start and start == picture then prompt = with_feature(model, prompt, start, pixels) end
  local by_name = conditions(model, o, text, feature or model:feature(prompt), source)
  local s = sampler.new(o.sampler, { schedule = o.schedule, config = model.noise })
  return s:run {
    steps = o.steps, seed = o.seed, progress = o.progress,
    latents = first_noise(o):to(model.device),
    denoise = denoiser(model, o, by_name, source ~= nil),
    on_step = o.on_step and function(st)
      st.preview = function() return video.from(pictures(model, st:x0()), o.fps):strip() end
      return o.on_step(st)
    end,
  }
end

--- Raise for options that make no sense here; fill in the rate and the number of frames.
local function settle(o)
  for _, name in ipairs { "init", "mask", "noise" } do
    if o[name] ~= nil then check.fail("video: this model takes no '%s'", name) end
  end
  if o.size[1] ~= SIDE_PX or o.size[2] ~= SIDE_PX then
    check.fail("video: this model makes %dx%d, not %dx%d", SIDE_PX, SIDE_PX, o.size[1],
      o.size[2])
  end
  o.fps = o.fps or M.FPS
  o.frames = count_frames(o)
end

--- A video of a checked call.
---@param fn string              the verb
---@param feature? weft.Tensor  [1,D]; of the prompt when not given
---@return weft.Video
function M.make(model, o, fn, feature)
  if not model.parts.unet_video then
    core.raise("unsupported", ("video: model %s has no part 'unet_video'"):format(model.name),
      "recipes/micro/train/unet_video.lua makes it")
  end
  settle(o)
  local v = video.from(core.scope(function()
    return pictures(model, (sample(model, o, feature)))
  end), o.fps)
  v.meta = runs.describe(model, o, fn, 1)
  return v
end

--- Model:video{ ... } of the small model.
---@param model weft.Micro
---@param opts table  the prompt, then options; see weft.spec
---@return weft.Video
function M.video(model, opts)
  return M.make(model, options.check("video", opts, model), "video")
end

return M
