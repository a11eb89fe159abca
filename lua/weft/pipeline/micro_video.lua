--- Videos of the small model: m:video{ "a small red cat in the snow moving left" } and
-- m:video{ picture, "moving left" }.
--
-- The part of the text that describes a picture becomes the feature, with the pictures of the
-- prompt, as in micro.lua; all its words, those of motion too, stand in the cross-attention. A
-- picture that stands alone is also the first frame, which the denoiser sees beside every frame;
-- several show a subject. The words of motion, where there are any, also say the course of the
-- thing (micro_course), which the maps of the frames follow.
local core = require "weft.core"
local check = require "weft.check"
local micro_course = require "weft.pipeline.micro_course"
local micro_frames = require "weft.pipeline.micro_frames"
local image = require "weft.image"
local media = require "weft.pipeline.micro_media"
local noises = require "weft.pipeline.micro_noise"
local ops = require "weft.ops"
local parts = require "weft.pipeline.micro_parts"
local prompts = require "weft.pipeline.micro_prompt"
local runs = require "weft.pipeline.micro_run"
local scenes = require "weft.pipeline.micro_scene"
local tensor = require "weft.tensor"
local video = require "weft.video"

local M = {}

M.MAX_FRAMES, M.FPS = 8, 8
local SIDE, CHANNELS = parts.LATENT_SIDE, parts.LATENT_CHANNELS

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
---@param c table  of micro_parts.condition, with the maps of weft.pipeline.micro_frames
function M.denoise(unet, sample, t, source, c)
  local B, L, S = sample:size(1), sample:size(2), sample:size(3)
  local function frames(x)
    return x:reshape(x:size(1), -1, S, S, x:size(-1)):expand(B, L, S, S, x:size(-1))
  end
  local place = parts.coordinates(S, sample.device)
  local seen = ops.cat({ sample, frames(source), frames(place), c.map }, 5)
  local n = unet.config.in_channels
  if seen:size(5) ~= n then
    core.raise("model", ("unet_video: in_channels in config.json is %d"):format(n),
      ("latents, places and maps are %d"):format(seen:size(5)))
  end
  return unet {
    sample = seen, timestep = t, context = c.context, mask = c.mask, class_labels = c.class_labels,
  }
end

-- ---- one run ----

--- What a prompt says: its text, what becomes the feature, and its picture where it has just one.
local function read_prompt(prompt)
  local texts, others, pictures = {}, {}, {}
  for _, part in ipairs(prompt) do
    local inner = prompts.weight_of(part)
    if type(inner) == "string" then texts[#texts + 1] = inner
    else others[#others + 1] = part end
    if image.is(inner) then pictures[#pictures + 1] = inner end
  end
  local text = table.concat(texts):gsub("^%s+", ""):gsub("%s+$", "")
  local scene = M.split(text)
  return text, { scene, unpack(others) }, #pictures == 1 and pictures[1] or nil
end

--- The picture that is the first frame; nil for none.
local function first_frame(o, picture)
  if o.concat == false then return nil end
  if o.concat == nil or o.concat == true then return picture end
  if image.is(o.concat) then return o.concat end
  if video.is(o.concat) then return o.concat[1] end
  return check.fail("video: concat must be a picture or a video, got %s", type(o.concat))
end

-- The parts of its denoiser, as micro_run asks for those of a medium.
local medium = { unet = "unet_video", conditioner = "conditioner", denoise = M.denoise }

--- How many frames, of the options.
local function count_frames(o)
  local n = o.frames or o.seconds and math.floor(o.seconds * o.fps + 0.5) or M.MAX_FRAMES
  if n < 1 or n > M.MAX_FRAMES then
    core.raise("usage",
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

--- What the words say of the course, [1,8,4]; nil where they say nothing.
local function foretold_by(model, words)
  local _, motion = M.split(words)
  if motion == "" or not model.parts.motion then return nil end
  return micro_course.foretell(model.parts.motion, prompts.words(model, motion))
end

--- Whether words of motion, of M.split, say how the thing moves, and not just that it calls.
---@param motion string
function M.says_course(motion)
  return motion ~= "" and not motion:lower():find "^%s*and calling"
end

--- What makes maps of frames of those of pictures: those of the prompt follow the course that the
-- words say.
---@param has_first boolean   a first frame shows where the thing is
---@param from_first boolean  the feature is that of the first frame
local function map_of(model, o, words, has_first, from_first)
  local device = { device = model.device }
  local still = tensor.zeros({ 1, o.frames, micro_course.N_VALUES }, device)
  local foretold = foretold_by(model, words)
  local course = foretold and micro_course.of(foretold,
    { seed = o.seed, frames = o.frames, from_first = from_first }) or still
  local _, motion = M.split(words)
  local is_placed = foretold ~= nil and not has_first and M.says_course(motion)
  return function(map, is_said)
    local placed = tensor({ is_said and is_placed and 1 or 0 }, device)
    return micro_frames.maps(map, is_said and course or still, placed, SIDE)
  end
end

--- What makes the map of the sound that goes with a video: it has the call in the video's slot.
---@param o table  the checked call
---@param wanted weft.MicroWanted  the video
---@return (fun(map: weft.Tensor, is_said: boolean): weft.Tensor)?  nil where nothing calls
function M.sound_map_of(model, o, wanted)
  local foretold = wanted.words and foretold_by(model, wanted.words)
  local call = foretold and micro_course.draw_call(foretold, o.seed)
  local seen = call and model.parts.conditioner { feature = wanted.feature }.layout
  if not seen then return nil end
  return function(map, is_said)
    return is_said and micro_course.sound_map(map, seen, call) or map
  end
end

--- What should stand where, as words say it; nil where they say less than all, and for a model
-- whose maps hold no layout.
local function layout_of(model, words)
  if not parts.is_shown(model, media.media.image) then return nil end
  local scene = words and scenes.of_words((M.split(words)))
  return scene and scenes.layout(scene, model.device)
end

local function sample(model, o, wanted)
  local text, prompt, picture = read_prompt(o.prompt)
  local start, words = first_frame(o, picture), runs.words_beside(o, wanted.words or text)
  local told = {
    feature = wanted.feature or prompts.feature(model, prompt, o.mix), words = words,
    layout = layout_of(model, wanted.words),
    source = start and parts.latents(model.parts.vae, model:pixels(start)),
    map_of = map_of(model, o, words, start ~= nil,
      start ~= nil and wanted.feature == nil and prompt[1] == ""),
  }
  return runs.run(model, o, {
    kind = "video", latents = noises.first(model, o, { 1, o.frames, SIDE, SIDE, CHANNELS },
      noises.scale_of_frames(o, start ~= nil)),
    denoise = runs.denoiser(model, medium, o, 1, told),
    preview = function(st) return video.from(pictures(model, st:x0()), o.fps):strip() end,
  })
end

--- Raise for options that make no sense here; fill in the rate and the number of frames.
local function settle(o)
  for _, name in ipairs { "init", "mask", "noise" } do
    if o[name] ~= nil then check.fail("video: this model takes no '%s'", name) end
  end
  media.media.image.check("video", o)
  o.fps = o.fps or M.FPS
  o.frames = count_frames(o)
end

--- A video of a checked call.
---@param fn string              the verb
---@param wanted weft.MicroWanted  feature and words, those of the prompt when not given
---@return weft.Video
---@return boolean stopped
---@return table? err  as micro_run.run says
function M.make(model, o, fn, wanted)
  if not model.parts.unet_video then
    core.raise("unsupported", ("video: model %s has no part 'unet_video'"):format(model.name),
      "recipes/micro/train/unet_video.lua makes it")
  end
  settle(o)
  local stopped, err
  local frames = core.scope(function()
    local z
    z, stopped, err = sample(model, o, wanted)
    return pictures(model, z)
  end)
  local v = video.from(frames, o.fps)
  v.meta = runs.describe(model, o, fn, 1, "video")
  return v, stopped, err
end

return M
