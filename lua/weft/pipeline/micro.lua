--- The small model: pictures, sounds, videos and words from prompts in which words and media are
-- interleaved; edits beside a source; conversations.
--
-- A prompt with words is read by the language model, which foretells the feature of what is to be
-- made and points at its source (micro_reply); a prompt of features and media alone, or a folder
-- without a language model, becomes one feature of the aligned space directly (micro_prompt). The
-- feature conditions the medium's denoiser (micro_run); a source given as `concat` is seen by it as
-- latents; words of the negative prompt stand in the cross-attention of the branch without
-- condition.
local core = require "weft.core"
local chat = require "weft.chat"
local check = require "weft.check"
local embedding = require "weft.embedding"
local joint = require "weft.pipeline.micro_joint"
local media = require "weft.pipeline.micro_media"
local options = require "weft.options"
local parts = require "weft.pipeline.micro_parts"
local prompts = require "weft.pipeline.micro_prompt"
local reply = require "weft.pipeline.micro_reply"
local result = require "weft.result"
local runs = require "weft.pipeline.micro_run"
local sequence = require "weft.pipeline.sequence"

local M = {}
---@class weft.Micro
local Micro = {}
Micro.__index = Micro
M.class = Micro

M.defaults = {
  steps = 25, guidance = parts.SCALE, sampler = "ddim", schedule = "discrete",
  size = { parts.SIDE_PX, parts.SIDE_PX }, strength = 0.6, negative = "",
}

--- What any sampler must know of the noise that the denoiser was trained with.
local function noise_of(scheduler)
  local config = scheduler.config
  return {
    num_train_timesteps = config.num_train_timesteps, beta_schedule = config.beta_schedule,
    prediction_type = config.prediction_type, timestep_spacing = config.timestep_spacing,
  }
end

--- The dtype of the weights: the denoiser's, or that of any part.
local function dtype_of(list)
  local part = list.unet or list.audio_unet
  for _, other in pairs(list) do
    if not part and type(other) == "table" and other.report then part = other end
  end
  return part and part:report().dtype or "f32"
end

--- A model over loaded parts. What it can do follows from the parts that are there.
---@param name string
---@param list table  tokenizer text_encoder scheduler; image_encoder vae unet conditioner;
--- audio_encoder audio_vae audio_unet audio_conditioner, vocoder, joint
---@param device? string  where the parts lie, "cpu" when not given
function M.new(name, list, device)
  local input, output = media.kinds(list)
  return setmetatable({
    name = name, kind = "micro", parts = list, defaults = M.defaults,
    dtype = dtype_of(list),
    device = device or "cpu",
    noise = list.scheduler and noise_of(list.scheduler),
    caps = { input = input, output = output, joint = joint.is_in(list) },
  }, Micro)
end

function Micro:warn(fmt, ...)
  if self.on_warning then
    self.on_warning(fmt:format(...))
  else
    io.stderr:write("weft: ", fmt:format(...), "\n")
  end
end

-- ---- features ----

--- The feature of a whole prompt, [1,D]; zeros for an empty one.
function Micro:feature(prompt) return prompts.feature(self, prompt) end

--- The unit feature [1,D] of one part of a prompt.
function Micro:feature_of(part) return (prompts.feature_of(self, part)) end

--- The text tower's states [1,T,96] of a text, and their mask [1,T].
function Micro:words(text) return prompts.words(self, text) end

--- Pixels [1,64,64,3] in -1 ... 1 of any picture; another size is resized and noted.
function Micro:pixels(im) return media.media.image.read(self, im) end

--- The feature of a part or a prompt, for arithmetic and as a part of other prompts.
---@return weft.Embedding
function Micro:encode(prompt)
  return embedding.new(core.scope(prompts.feature, self, prompts.list("encode", prompt)))
end

--- Cosine of two parts' features.
function Micro:similarity(a, b)
  return core.scope(
    function() return (self:encode(a).tensor * self:encode(b).tensor):sum():item() end)
end

--- How many tokens a prompt's text takes.
function Micro:tokens(prompt)
  return #sequence.encode(self.parts.tokenizer, prompts.text(prompts.list("tokens", prompt)))
end

-- ---- making ----

--- What was decoded, as pictures or sounds of the call.
local function finish(self, medium, x, o, fn)
  local list = runs.write(self, medium, x, o)
  for i, made in ipairs(list) do made.meta = runs.describe(self, o, fn, i, medium.kind) end
  return list
end

--- What was made; of a run that was cancelled, the error with it.
local function whole(made, stopped, err)
  if not err then return made, stopped end
  local first = made.meta and made or made[1]
  err.partial, first.meta.stopped = first, true
  return error(err, 0)
end

--- The pictures or sounds of a checked call, and whether a callback ended the run early.
---@param item? weft.MicroWanted  of the prompt when not given
---@param map_of? fun(map: weft.Tensor, is_said: boolean): weft.Tensor  of a branch's map
local function make(self, medium, o, fn, item, map_of)
  media.need(self, fn, medium, { "unet", "conditioner", "vae" })
  medium.check(fn, o)
  local stopped, err
  local x = core.scope(function()
    local z
    z, stopped, err = runs.sample(self, medium, o, o.n or 1,
      runs.settle(self, medium, o, item or {}), map_of)
    return parts.pictures(self.parts[medium.vae], z)
  end)
  return whole(finish(self, medium, x, o, fn), stopped, err)
end

--- The video of a checked call, as `make` says.
---@param item? weft.MicroWanted  its feature and words are those of the prompt when not given
local function make_video(self, o, fn, item)
  return whole(require("weft.pipeline.micro_video").make(self, o, fn, item or {}))
end

--- What makes the map of a sound beside a video, which calls when the video does; nil for another.
---@param wanted weft.MicroWanted[]
local function map_beside(self, o, kind, wanted)
  for _, item in ipairs(kind == "audio" and wanted or {}) do
    if item.kind == "video" then
      return require("weft.pipeline.micro_video").sound_map_of(self, o, item)
    end
  end
end

--- All that a checked call wants, a list for each; and whether a callback ended a run early. A
-- picture and a sound are made together where the model can (micro_joint), else one by one; a sound
-- calls when its video does.
---@param wanted weft.MicroWanted[]
local function make_all(self, o, fn, wanted)
  local lists, has_stopped = {}, false
  local pair = joint.find_pair(self, o, wanted)
  if pair then
    local x, err
    x, has_stopped, err = joint.make(self, o, o.n or 1, fn,
      { image = wanted[pair.image], audio = wanted[pair.audio] })
    for kind, i in pairs(pair) do lists[i] = finish(self, media.media[kind], x[kind], o, fn) end
    whole(lists[pair.image], has_stopped, err)
  end
  for i, item in ipairs(wanted) do
    local stopped = false
    if item.kind == "video" then
      local v
      v, stopped = make_video(self, o, fn, item)
      lists[i] = { v }
    elseif not lists[i] then
      lists[i], stopped = make(self, media.media[item.kind], o, fn, item,
        map_beside(self, o, item.kind, wanted))
    end
    has_stopped = has_stopped or stopped
  end
  return lists, has_stopped
end

--- What the language model makes of a checked call: r, the answer as a turn, whether a callback
-- ended a run early.
---@param to string|string[]  kinds wanted, or "auto"
local function respond(self, turns, o, fn, to)
  local stopped
  local r, answer = reply.respond(self, turns, o, to, function(wanted)
    local lists
    lists, stopped = make_all(self, o, fn, wanted)
    return lists
  end)
  r.stopped = stopped
  return r, answer
end

local function ask(prompt) return { { role = "user", parts = prompt } } end

--- The options of a verb, checked; a prompt that says nothing is told.
local function checked(self, which, opts)
  local o = options.check(which, opts, self)
  prompts.note_empty(self, o.prompt)
  return o
end

local function make_one(self, kind, opts)
  local o = checked(self, kind, opts)
  if reply.reads(self, o.prompt) then return respond(self, ask(o.prompt), o, kind, kind)[1], o end
  return make(self, media.media[kind], o, kind)[1], o
end

--- One picture.
---@param opts table  the prompt, then options; see weft.spec
---@return weft.Image
function Micro:image(opts) return (make_one(self, "image", opts)) end

--- One sound, of 1.024 s or of `seconds` less.
---@param opts table  the prompt, then options; see weft.spec
---@return weft.Audio
function Micro:audio(opts) return (make_one(self, "audio", opts)) end

--- The kinds that a call of generate is to make, in order.
local function kinds_of(self, to)
  if to == nil or to == "auto" then to = self.caps.output[1] or "image" end
  local list, made = type(to) == "table" and to or { to }, {}
  for _, kind in ipairs(self.caps.output) do made[kind] = true end
  for _, kind in ipairs(list) do
    if not made[kind] then
      local what = ("generate: the model '%s' makes no %s"):format(self.name, tostring(kind))
      core.raise("model", what, "it makes " .. table.concat(self.caps.output, ", "))
    end
  end
  return list
end

--- A video, for models with the part `unet_video`; see weft.pipeline.micro_video.
---@param opts table  the prompt, then options; see weft.spec
---@return weft.Video
function Micro:video(opts)
  local o = checked(self, "video", opts)
  if reply.reads(self, o.prompt) then
    return respond(self, ask(o.prompt), o, "video", "video")[1]
  end
  return (make_video(self, o, "video"))
end

--- An answer in words.
---@return string
function Micro:text(opts)
  local o = checked(self, "text", opts)
  return respond(self, ask(o.prompt), o, "text", "text").text or ""
end

--- A reply to a conversation's turns, the last of which is the user's; for weft.chat.
---@return weft.Result r
---@return weft.Turn answer
---@return table o  the options as they were used
function Micro:respond(turns, opts)
  local o = checked(self, "chat", opts)
  turns[#turns].parts = o.prompt
  local read = { unpack(turns) }
  if (o.system or "") ~= "" then            -- read before the first words, and no turn of its own
    read[1] = { role = "user", parts = { o.system .. " ", unpack(read[1].parts) } }
  end
  local r, answer = respond(self, read, o, "chat", o.to or "auto")
  return r, answer, o
end

--- A conversation: rounds that remember each other; the options are defaults of every round.
---@return weft.Chat
function Micro:chat(opts)
  if type(opts) == "table" then options.each("chat", opts) end      -- wrong ones raise now
  return chat.new(self, opts)
end

--- The replies to a prompt by o.n seeds, each as one call by its seed gives it: where the prompt
-- leaves something open, the language model decides for each anew.
---@return weft.Result
local function variants(self, o)
  local all, seeds, stopped = {}, {}, false
  for i = 1, o.n do
    local one = require("weft").with(o, { n = 1, seed = o.seed + i - 1 })
    local r = respond(self, ask(o.prompt), one, "generate", o.to or "auto")
    for _, part in ipairs(r) do all[#all + 1] = part end
    for _, seed in ipairs(r.seeds) do seeds[#seeds + 1] = seed end
    stopped = r.stopped
    if stopped then break end
  end
  return result.new { parts = all, seeds = seeds, params = o, stopped = stopped }
end

--- Several of a kind, or of several kinds: a Result with images, audios, seeds and params. A model
-- with the part `joint` makes a picture and a sound together, unless joint = false.
function Micro:generate(opts)
  local o = checked(self, "generate", opts)
  if reply.reads(self, o.prompt, o.to) then
    if (o.n or 1) > 1 then return variants(self, o) end
    return (respond(self, ask(o.prompt), o, "generate", o.to or "auto"))
  end
  local wanted, all, seeds = {}, {}, {}
  for i, kind in ipairs(kinds_of(self, o.to)) do wanted[i] = { kind = kind } end
  local lists, stopped = make_all(self, o, "generate", wanted)
  for _, list in ipairs(lists) do
    for i, made in ipairs(list) do
      all[#all + 1], seeds[#seeds + 1] = made, o.seed + i - 1
    end
  end
  return result.new { parts = all, seeds = seeds, params = o, stopped = stopped }
end

--- A picture or sound changed towards a description: the source is concatenated; with strength or
-- mask the run also starts from it.
---@param src weft.Image|weft.Audio
---@return weft.Image|weft.Audio  as src
function Micro:edit(src, opts)
  local medium = media.find(src)
  if not medium then
    check.fail("edit: the source must be a picture or a sound, got %s", type(src))
  end
  if type(opts) ~= "table" then options.check("edit", opts) end
  local more = { concat = opts.concat == nil and src or opts.concat }
  if opts.strength or opts.mask then more.init = opts.init or src end
  if medium.length then more.seconds = opts.seconds or medium.length(src) end
  local o = options.check("edit", require("weft").with(opts, more), self)
  if reply.reads(self, o.prompt) then
    local asked = { has_example = o.prompt.has_example, src, unpack(o.prompt) }
    return respond(self, ask(asked), o, "edit", medium.kind)[1]
  end
  return make(self, medium, o, "edit")[1]
end

--- A picture or sound through its autoencoder and back: the ceiling of what the model can make.
---@param v weft.Image|weft.Audio
---@param opts? { vocoder: string }
function Micro:decode_encode(v, opts)
  local medium = media.find(v)
  if not medium then check.fail("decode_encode: a picture or a sound, got %s", type(v)) end
  media.need(self, "decode_encode", medium, { "vae" })
  local vae = self.parts[medium.vae]
  local x = core.scope(function()
    return parts.pictures(vae, parts.latents(vae, medium.read(self, v)))
  end)
  return runs.write(self, medium, x, { seed = 0, vocoder = opts and opts.vocoder })[1]
end

--- What loading found, of all parts together: { used, missing = {names}, unexpected = {names},
-- bytes, dtype }, names with their part's before them.
function Micro:report()
  local all = { used = 0, missing = {}, unexpected = {}, bytes = 0, dtype = self.dtype }
  for name, part in pairs(self.parts) do
    local r = type(part.report) == "function" and part:report()
    if r then
      all.used, all.bytes = all.used + r.used, all.bytes + r.bytes
      for _, list in ipairs { "missing", "unexpected" } do
        for _, tensor in ipairs(r[list]) do all[list][#all[list] + 1] = name .. "." .. tensor end
      end
    end
  end
  return all
end

--- Facts about the model.
function Micro:info()
  local info = { name = self.name, kind = self.kind, dtype = self.dtype, parts = {},
    bytes = self:report().bytes }
  for name, part in pairs(self.parts) do
    if type(part.report) == "function" then info.parts[name] = part:report().bytes end
  end
  return info
end

Micro.__tostring = function(self)
  return ("Model %s %.1f MB %s %s | %s -> %s"):format(self.name, self:info().bytes / 1e6,
    self.dtype, self.device, table.concat(self.caps.input, " "),
    table.concat(self.caps.output, " "))
end

return M
