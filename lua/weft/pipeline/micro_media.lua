--- The media of the small model: which parts each needs, and how it becomes what they read and
-- back. A medium is a row here; prompts, runs and verbs go by the rows.
local core = require "weft.core"
local audio = require "weft.audio"
local check = require "weft.check"
local course = require "weft.pipeline.micro_course"
local heard = require "weft.pipeline.micro_heard"
local image = require "weft.image"
local mel = require "weft.pipeline.micro_mel"
local parts = require "weft.pipeline.micro_parts"
local reader = require "weft.pipeline.reader"
local scenes = require "weft.pipeline.micro_scene"

local M = {}

local SIDE_PX, LATENT_SIDE = parts.SIDE_PX, parts.LATENT_SIDE

---@class weft.MicroMedium
---@field kind string    "image", "audio"
---@field word string    as messages say it
---@field mixes string   whose weight in a mix it has
---@field encoder string the part that makes features of it
---@field vae string     the parts that draw it
---@field unet string
---@field conditioner string
---@field anchor? string what reads how far off its things stand
---@field sense weft.MicroSense  what a layout of it shows
---@field places? integer[] of its layout, the first channel that says a place, and how many
---@field denoise fun(...): weft.Tensor  how the unet is called: weft.pipeline.micro_parts.denoise
---@field is fun(v: any): boolean
---@field read fun(m: weft.Micro, v: any): weft.Tensor  [1,64,64,C] on the model's device, what
--- encoder and vae take
---@field write fun(m: weft.Micro, x: weft.Tensor, seed: integer, o: table): any  x [64,64,C] from
--- the vae, o the call's options
---@field mask fun(v: any): weft.Tensor  [1,16,16,1], 1 where to make anew
---@field length? fun(v: any): number  seconds of an edit of it
---@field check fun(what: string, o: table)  raises for options that it cannot follow

--- Warn of what was changed of a medium, once of each.
local function note(m, v, fmt, ...)
  m.told_media = m.told_media or setmetatable({}, { __mode = "k" })
  local told = m.told_media[v] or {}
  m.told_media[v] = told
  if not told[fmt] then m:warn(fmt, ...) end
  told[fmt] = true
end

-- ---- pictures ----

--- Pixels in -1 ... 1 of any picture, of so many channels; another size is resized and noted.
local function read_pixels(m, im, channels)
  if im.width ~= SIDE_PX or im.height ~= SIDE_PX then
    note(m, im, "picture of %dx%d resized to %dx%d", im.width, im.height, SIDE_PX, SIDE_PX)
    im = im:resize(SIDE_PX, SIDE_PX, { fit = "cover", filter = "bicubic" })
  end
  return (im:as(channels):tensor() * 2 - 1):reshape(1, SIDE_PX, SIDE_PX, channels):to(m.device)
end

local function read_picture(m, im) return read_pixels(m, im, 3) end

local function write_picture(_, x)
  return image.from(core.scope(function() return ((x + 1) * 0.5):clamp(0, 1) end))
end

local function check_picture(what, o)
  if o.size and (o.size[1] ~= SIDE_PX or o.size[2] ~= SIDE_PX) then
    check.fail("%s: this model makes %dx%d, not %dx%d", what, SIDE_PX, SIDE_PX, o.size[1],
      o.size[2])
  end
end

local function picture_mask(mask)
  local t = mask:resize(LATENT_SIDE, LATENT_SIDE, { filter = "box" }):as(1):tensor()
  return t:reshape(1, LATENT_SIDE, LATENT_SIDE, 1)
end

-- ---- sounds ----

local LONGEST_S = mel.N_SAMPLES / mel.RATE_HZ

local function check_sound(what, o)
  if o.seconds and o.seconds > LONGEST_S then
    check.fail("%s: makes sounds of %.3f s at most, asked for %g s", what, LONGEST_S, o.seconds)
  end
end

--- Samples [1,8192] of any sound at 8 kHz; what had to be changed is noted.
local function fit_sound(m, given)
  local a = given
  if a.rate ~= mel.RATE_HZ or a.channels ~= 1 then
    note(m, given, "sound of %d channel%s at %g Hz heard as one at %d Hz", a.channels,
      a.channels > 1 and "s" or "", a.rate, mel.RATE_HZ)
    a = a:mono():resample(mel.RATE_HZ)
  end
  local n = mel.N_SAMPLES
  if a.samples > n then
    note(m, given, "sound of %.3f s cut to %.3f s", a.seconds, LONGEST_S)
  end
  if a.samples < n then
    note(m, given, "sound of %.3f s followed by silence, to %.3f s", a.seconds, LONGEST_S)
  end
  return core.fit_audio(a.data:t():contiguous(), n, "pad")
end

local function read_sound(m, a)
  return mel.of(fit_sound(m, a)):reshape(1, mel.N_FRAMES, mel.N_BANDS, 1):to(m.device)
end

--- A whole sound of a mel: by Griffin-Lim from phases of this seed, or by the model's vocoder.
local function vocode(m, x, seed, name)
  if name ~= "hifigan" then return mel.sound(x:reshape(mel.N_FRAMES, mel.N_BANDS), seed) end
  local voc = m.parts.vocoder
  if not voc then
    core.raise("model", ("audio: the model '%s' has no vocoder"):format(m.name),
      'vocoder = "griffin-lim" needs none')
  end
  local y = core.scope(function() return voc(x:reshape(1, mel.N_FRAMES, mel.N_BANDS)) end)
  return audio.from(y:reshape(-1), mel.RATE_HZ)
end

--- The sound of a mel, made softer where its peaks are above full scale.
local function write_sound(m, x, seed, o)
  local a = vocode(m, x, seed, o.vocoder)
  local over_db = a:peak()
  if over_db > 0 then a = a:gain(-over_db) end
  if not o.seconds or o.seconds >= LONGEST_S then return a end
  return a:slice(0, math.max(o.seconds, 1 / a.rate))
end

--- A sound as a mask: 1 over the stretches of time to make anew, all bands of them.
local function sound_mask(mask)
  local step = mel.N_SAMPLES / LATENT_SIDE
  local x = core.fit_audio(mask:mono():resample(mel.RATE_HZ).data:t():contiguous(), mel.N_SAMPLES,
    "pad")
  local t = x:reshape(LATENT_SIDE, step):mean(2):gt(0.5):to "f32"
  return t:reshape(1, LATENT_SIDE, 1, 1):expand(1, LATENT_SIDE, LATENT_SIDE, 1):contiguous()
end

---@type table<string, weft.MicroMedium>
M.media = {
  image = {
    kind = "image", mixes = "image", word = "picture", encoder = "image_encoder",
    vae = "vae", unet = "unet", conditioner = "conditioner", anchor = "anchor",
    denoise = parts.denoise, sense = scenes,
    places = { course.N_OF_THINGS + 1, course.N_PLACES },
    is = image.is, read = read_picture, write = write_picture, mask = picture_mask,
    check = check_picture,
  },
  audio = {
    kind = "audio", mixes = "audio", word = "sound", encoder = "audio_encoder", vae = "audio_vae",
    unet = "audio_unet", conditioner = "audio_conditioner", denoise = parts.denoise, sense = heard,
    is = audio.is, read = read_sound, write = write_sound, mask = sound_mask, check = check_sound,
    length = function(a) return math.min(a.seconds, LONGEST_S) end,
  },
}

--- In the order in which they are told and made.
M.order = { "image", "audio" }

--- Pictures of distances (weft.depth) are read and never made: the row has an encoder alone.
M.depth = {
  kind = "depth", mixes = "image", word = "picture of distances", encoder = "depth_encoder",
  is = function(v) return type(v) == "table" and rawget(v, "kind") == "depth" end,
  read = function(m, v) return read_pixels(m, v.picture, 1) end,
}

--- The medium of a value; nil for none.
---@return weft.MicroMedium?
function M.find(v)
  for _, kind in ipairs(M.order) do
    if M.media[kind].is(v) then return M.media[kind] end
  end
  return nil
end

--- The same for a part of a prompt, which may be one that can only be read.
function M.find_part(v) return M.find(v) or M.depth.is(v) and M.depth or nil end

--- Kinds that a model's parts can hear or see, and those that they can make.
---@return string[] input
---@return string[] output
function M.kinds(list)
  local input, output = { "text" }, {}
  for _, kind in ipairs(M.order) do
    local medium = M.media[kind]
    if list[medium.encoder] then input[#input + 1] = kind end
    if list[medium.vae] and list[medium.unet] and list[medium.conditioner] then
      output[#output + 1] = kind
    end
  end
  if list[M.depth.encoder] then input[#input + 1] = M.depth.kind end
  if list.unet_video then output[#output + 1] = "video" end
  if reader.is_in(list) then output[#output + 1] = "text" end
  return input, output
end

--- Raise when a model lacks one of the parts (fields of the medium) that a call needs.
---@param what string  the call, for the message
function M.need(m, what, medium, fields)
  for _, field in ipairs(fields) do
    local name = medium[field]
    if not m.parts[name] then
      core.raise("model", ("%s: the model '%s' has no %s"):format(what, m.name, name),
        ("it reads %s and makes %s"):format(table.concat(m.caps.input, ", "),
          #m.caps.output > 0 and table.concat(m.caps.output, ", ") or "nothing"))
    end
  end
end

return M
