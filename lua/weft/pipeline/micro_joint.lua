--- A picture and its sound made together: both denoisers at the same times, step by step, each
-- reading what the connectors (the part `joint`) make of the other's latents at that time.
--
-- The sampler sees one sample whose channels are those of both. The picture's noise is that of a
-- picture made alone; with connectors that say nothing it is that picture.
local core = require "weft.core"
local media = require "weft.pipeline.micro_media"
local noises = require "weft.pipeline.micro_noise"
local ops = require "weft.ops"
local parts = require "weft.pipeline.micro_parts"
local runs = require "weft.pipeline.micro_run"

local M = {}

local CHANNELS = parts.LATENT_CHANNELS
local image, audio = media.media.image, media.media.audio

---@class weft.MicroWanted
---@field kind string             "image", "audio", "video"
---@field feature? weft.Tensor    [1,128]; of the prompt when not given
---@field is_foretold? boolean   whether the language model foretold the feature
---@field words? string           what the language model said of it
---@field direct? weft.Tensor     [1,128] the feature that it foretells without those words
---@field layout? weft.Tensor     [1,8,8,K] what should stand where; nil where the model cannot say
---@field shown? weft.Tensor      [1,8,8,K] what stands where in what it is made from
---@field redrawn? weft.Tensor    [1,16,16,1] where it differs from its source, of micro_kept
---@field concat? any             what the denoiser sees; the call's concat when nil
---@field carry? weft.Tensor      [1,6] what becomes of how its things stand

--- Whether a model has what makes pictures and sounds together.
function M.is_in(list)
  if not list.joint then return false end
  for _, medium in ipairs { image, audio } do
    if not (list[medium.unet] and list[medium.conditioner] and list[medium.vae]) then
      return false
    end
  end
  return true
end

-- What a call may give that belongs to the run of one medium.
local OF_ONE = { "init", "mask", "latents", "noise" }

--- Why a call's picture and sound cannot be made together; nil when they can.
local function find_obstacle(m, o)
  if not M.is_in(m.parts) then
    return ("the model '%s' has no part 'joint'"):format(m.name),
      "recipes/micro/train/joint.lua makes it"
  end
  for _, name in ipairs(OF_ONE) do
    if o[name] ~= nil then return ("'%s' belongs to the run of one medium"):format(name) end
  end
  return nil
end

--- Which of the media that a call wants are made together: the one picture and the one sound, if
-- they can be; joint = true raises where they cannot.
---@param wanted weft.MicroWanted[]
---@return { image: integer, audio: integer }?  where they stand in wanted
function M.find_pair(m, o, wanted)
  local at, count = {}, {}
  for i, item in ipairs(wanted) do
    at[item.kind], count[item.kind] = i, (count[item.kind] or 0) + 1
  end
  if o.joint == false or count.image ~= 1 or count.audio ~= 1 then return nil end
  local obstacle, hint = find_obstacle(m, o)
  if obstacle and o.joint then core.raise("unsupported", "joint: " .. obstacle, hint) end
  return not obstacle and { image = at.image, audio = at.audio } or nil
end

--- One medium's side of a run.
---@return table { item, denoise, source?, scale }  scale: how much of the first noise
local function side_of(m, medium, o, n, item)
  local side = { item = runs.settle(m, medium, o, item) }
  side.denoise, side.source = runs.side(m, medium, o, n, side.item)
  side.scale = noises.scale(medium, o, side.item, side.source ~= nil)
  return side
end

--- Latents of a picture and of a sound side by side [n,16,16,16], apart.
local function apart(z) return z:narrow(4, 1, CHANNELS), z:narrow(4, CHANNELS + 1, CHANNELS) end

local function sample(m, o, n, wanted)
  local seen = side_of(m, image, o, n, wanted.image)
  local heard = side_of(m, audio, o, n, wanted.audio)
  local noise = noises.of_media(o, n, 2):to(m.device)
  local z, stopped, err = runs.run(m, o, {
    kind = "image",
    latents = ops.cat({ noise:select(2, 1) * seen.scale, noise:select(2, 2) * heard.scale }, 4),
    denoise = function(z, t, st)
      local x, y = apart(z)
      x, y = x:contiguous(), y:contiguous()
      local told = m.parts.joint { image = x, audio = y, timestep = t }
      return ops.cat({ seen.denoise(x, t, st, told.image_kv),
        heard.denoise(y, t, st, told.audio_kv) }, 4)
    end,
    preview = function(st)
      return runs.preview(m, image, o, (apart(st:x0())):contiguous())
    end,
  })
  local picture, sound = apart(z)
  return runs.keep(o, picture, seen.source, seen.item), sound, stopped, err
end

--- n pictures and n sounds of a checked call, as their autoencoders decode them.
---@param wanted table<string, weft.MicroWanted>  by kind
---@return table<string, weft.Tensor> made  by kind, [n,64,64,C]
---@return boolean stopped  whether a callback ended the run early
---@return table? err       as micro_run.run says
function M.make(m, o, n, fn, wanted)
  for _, medium in ipairs { image, audio } do medium.check(fn, o) end
  local stopped, err
  local x, y = core.scope(function()
    local picture, sound
    picture, sound, stopped, err = sample(m, o, n, wanted)
    return parts.pictures(m.parts[image.vae], picture:contiguous()),
      parts.pictures(m.parts[audio.vae], sound:contiguous())
  end)
  return { image = x, audio = y }, stopped, err
end

return M
