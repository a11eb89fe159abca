--- The small model: pictures from descriptions, from pictures, and from both; edits beside a
-- source.
--
-- A prompt becomes one feature of the aligned space: the text's and the pictures' features,
-- weighted and summed on the unit sphere. The feature conditions the denoiser; a source given as
-- `concat` is seen by it as latents; words of the negative prompt stand in the cross-attention of
-- the branch without condition.
local core = require "weft.core"
local check = require "weft.check"
local embedding = require "weft.embedding"
local guidance = require "weft.guidance"
local image = require "weft.image"
local options = require "weft.options"
local ops = require "weft.ops"
local parts = require "weft.pipeline.micro_parts"
local provenance = require "weft.provenance"
local result = require "weft.result"
local sampler = require "weft.sampler"
local tensor = require "weft.tensor"

local M = {}
---@class weft.Micro
local Micro = {}
Micro.__index = Micro
M.class = Micro

M.SIDE_PX = 64
local LATENT_SIDE, LATENT_CHANNELS, WIDTH = 16, 8, 128

M.defaults = {
  steps = 25, guidance = 2, sampler = "ddim", schedule = "discrete", size = { 64, 64 },
  strength = 0.6, negative = "",
}

--- What any sampler must know of the noise that the denoiser was trained with.
local function noise_of(scheduler)
  local config = scheduler.config
  return {
    num_train_timesteps = config.num_train_timesteps, beta_schedule = config.beta_schedule,
    prediction_type = config.prediction_type, timestep_spacing = config.timestep_spacing,
  }
end

--- A model over loaded parts.
---@param name string
---@param list table  unet vae image_encoder text_encoder conditioner tokenizer scheduler
function M.new(name, list)
  return setmetatable({
    name = name, kind = "micro", parts = list, defaults = M.defaults, dtype = "f32", device = "cpu",
    noise = noise_of(list.scheduler),
    caps = { input = { "text", "image" }, output = { "image" } },
  }, Micro)
end

-- ---- prompts ----

--- Pixels [1,64,64,3] in -1 ... 1 of any picture; another size is resized and noted.
function Micro:pixels(im)
  if im.width ~= M.SIDE_PX or im.height ~= M.SIDE_PX then
    self:warn("picture of %dx%d resized to %dx%d", im.width, im.height, M.SIDE_PX, M.SIDE_PX)
    im = im:resize(M.SIDE_PX, M.SIDE_PX, { fit = "cover", filter = "bicubic" })
  end
  return (im:as(3):tensor() * 2 - 1):reshape(1, M.SIDE_PX, M.SIDE_PX, 3)
end

function Micro:warn(fmt, ...)
  if self.on_warning then
    self.on_warning(fmt:format(...))
  else
    io.stderr:write("weft: ", fmt:format(...), "\n")
  end
end

--- Ids and mask of one text as the text tower takes them.
function Micro:ids(text)
  local tok, T = self.parts.tokenizer, self.parts.text_encoder.config.max_position_embeddings
  local ids, mask = tok:encode(text), {}
  if #ids > T - 1 then self:warn("text of %d tokens cut to %d", #ids, T - 1) end
  local n = math.min(#ids, T - 1)
  for k = n + 1, #ids do ids[k] = nil end
  for k = n + 1, T do ids[k] = k == n + 1 and tok:id "</text>" or 0 end
  for k = 1, T do mask[k] = k <= n + 1 and 1 or 0 end
  return tensor({ ids }, { dtype = "i64" }), tensor({ mask })
end

--- The text tower's states of a text and their mask.
function Micro:words(text)
  local ids, mask = self:ids(text)
  return self.parts.text_encoder { ids = ids }.hidden, mask
end

--- The unit feature [1,128] of one part.
function Micro:feature_of(part)
  if type(part) == "string" then
    return ops.normalize(self.parts.text_encoder { ids = (self:ids(part)) }.embeds)
  elseif image.is(part) then
    return ops.normalize(self.parts.image_encoder { pixels = self:pixels(part) }.embeds)
  elseif embedding.is(part) then
    return part.tensor
  end
  return check.fail("prompt: a %s is no part of a picture's prompt", type(part))
end

--- Texts of a prompt joined, and the other parts with their weights.
local function split(prompt)
  local texts, media = {}, {}
  for _, part in ipairs(prompt) do
    local weight = 1
    if type(part) == "table" and part.weft_weight then
      part, weight = part.part, part.weft_weight
    end
    if type(part) == "string" then texts[#texts + 1] = part
    else media[#media + 1] = { part, weight } end
  end
  local text = table.concat(texts):gsub("^%s+", ""):gsub("%s+$", "")
  return text, media
end

--- The feature of a whole prompt, [1,128]; zeros for an empty one.
function Micro:feature(prompt)
  local text, media = split(prompt)
  if text:find "%w" then table.insert(media, 1, { text, 1 }) end
  local sum
  for _, item in ipairs(media) do
    local f = self:feature_of(item[1]) * item[2]
    sum = sum and sum + f or f
  end
  if not sum then return tensor.zeros({ 1, WIDTH }) end
  return ops.normalize(sum)
end

--- The feature of a part or a prompt, for arithmetic and as a part of other prompts.
---@return weft.Embedding
function Micro:encode(prompt)
  if type(prompt) ~= "table" or image.is(prompt) or embedding.is(prompt) then
    prompt = { prompt }
  end
  return embedding.new(core.scope(function() return self:feature(prompt) end))
end

--- Cosine of two parts' features.
function Micro:similarity(a, b)
  return core.scope(
    function() return (self:encode(a).tensor * self:encode(b).tensor):sum():item() end)
end

--- How many tokens a prompt's text takes.
function Micro:tokens(prompt)
  return #self.parts.tokenizer:encode((split(type(prompt) == "table" and prompt or { prompt })))
end

-- ---- one run ----

--- Conditions of each branch for one sample: { class_labels, context, mask, map, source }.
local function conditions(self, o, feature, source)
  local negative = type(o.negative) == "table" and split(o.negative) or o.negative
  local empty, empty_mask = self:words ""
  local words, mask = self:words(negative)
  local zero, none = tensor.zeros({ 1, WIDTH }),
    tensor.zeros({ 1, LATENT_SIDE, LATENT_SIDE, LATENT_CHANNELS })
  local function branch(f, w, m, s)
    local c = parts.condition(self.parts.conditioner, f, w, m)
    c.source = s
    return c
  end
  local three = source and type(o.guidance) ~= "number"
    and (type(o.guidance) == "function" or o.guidance.concat)
  return {
    full = branch(feature, empty, empty_mask, source or none),
    source = branch(zero, words, mask, source or none),
    none = branch(zero, words, mask, source and not three and source or none),
  }
end

--- The conditions of several branches, each repeated for n samples, as one batch.
local function stack(by_name, names, n)
  local out = {}
  for _, key in ipairs { "class_labels", "context", "mask", "map", "source" } do
    local list = {}
    for _, name in ipairs(names) do
      for _ = 1, n do list[#list + 1] = by_name[name][key] end
    end
    out[key] = ops.cat(list, 1)
  end
  return out
end

--- The batches of conditions that the steps of a run ask for, by the branches in them. Made before
-- the first step, because a step frees what it makes.
local function batches(guide, by_name, n, has_source)
  local out = {}
  for _, names in ipairs { { "full" }, guide:branches(guide.first, has_source) } do
    local key = table.concat(names, " ")
    out[key] = out[key] or stack(by_name, names, n)
  end
  return out
end

--- The denoiser with guidance: (z [n,...], t, st) -> v.
local function denoiser(self, o, by_name, n, has_source)
  local guide = guidance(o.guidance)
  local stacked = batches(guide, by_name, n, has_source)
  return function(z, t, st)
    local at = st.steps > 1 and (st.step - 1) / (st.steps - 1) or 0
    local names = guide:branches(at, has_source)
    local c, list = stacked[table.concat(names, " ")], {}
    for i = 1, #names do list[i] = z end
    local v = parts.denoise(self.parts.unet, #names > 1 and ops.cat(list, 1) or z, t, c.source, c)
    local p = {}
    for i, name in ipairs(names) do p[name] = v:narrow(1, (i - 1) * n + 1, n) end
    return guide:combine(p)
  end
end

--- Unit noise [n,16,16,8]: sample i depends on seed + i - 1 alone.
local function noise(seed, n)
  local list = {}
  for i = 1, n do
    list[i] = tensor.randn({ 1, LATENT_SIDE, LATENT_SIDE, LATENT_CHANNELS },
      { seed = seed + i - 1 })
  end
  return ops.cat(list, 1)
end

--- A mask picture as weights of the latents [1,16,16,1], 1 where to repaint.
local function latent_mask(mask)
  local t = mask:resize(LATENT_SIDE, LATENT_SIDE, { filter = "box" }):as(1):tensor()
  return t:reshape(1, LATENT_SIDE, LATENT_SIDE, 1)
end

--- Latents of the pictures, and whether a callback ended the run early.
local function sample(self, o, n)
  local feature = self:feature(o.prompt)
  local source = o.concat and parts.latents(self.parts.vae, self:pixels(o.concat))
  local start = o.init and parts.latents(self.parts.vae, self:pixels(o.init))
  local by_name = conditions(self, o, feature, source)
  local s = sampler.new(o.sampler, { schedule = o.schedule, config = self.noise })
  local stopped = false
  local z = s:run {
    steps = o.steps, latents = noise(o.seed, n), seed = o.seed,
    init = start and start:expand(n, LATENT_SIDE, LATENT_SIDE, LATENT_CHANNELS):contiguous(),
    strength = start and o.strength, mask = start and o.mask and latent_mask(o.mask),
    denoise = denoiser(self, o, by_name, n, source ~= nil), progress = o.progress,
    on_step = o.on_step and function(st)
      st.preview = function() return M.picture(self, st:x0()) end
      local go_on = o.on_step(st)
      stopped = go_on == false
      return go_on
    end,
  }
  return z, stopped
end

--- The first picture of latents.
function M.picture(self, z)
  local t = parts.pictures(self.parts.vae, z:narrow(1, 1, 1))
  return image.from(((t + 1) * 0.5):clamp(0, 1):reshape(M.SIDE_PX, M.SIDE_PX, 3))
end

--- What a file made from this call carries.
local function describe(self, o, fn, i)
  return provenance.new {
    model = { name = self.name, sha256 = self.sha256 }, call = options.describe(fn, o),
    seed = o.seed + i - 1, index = i, rng = "philox4x32-10", device = "cpu " .. core.cpu_level(),
    dtype = self.dtype,
  }
end

--- n pictures of one prompt.
local function make(self, o, fn)
  local images, stopped = {}, false
  local n = o.n or 1
  local t = core.scope(function()
    local z
    z, stopped = sample(self, o, n)
    return ((parts.pictures(self.parts.vae, z) + 1) * 0.5):clamp(0, 1)
  end)
  for i = 1, n do
    images[i] = image.from(t:select(1, i):clone())
    images[i].meta = describe(self, o, fn, i)
  end
  return images, stopped
end

--- One picture.
---@param opts table  the prompt, then options; see weft.spec
---@return weft.Image
function Micro:image(opts)
  local o = options.check("image", opts, self)
  if o.n and o.n > 1 then
    check.fail "image: makes one picture; generate{ ..., n = } returns several"
  end
  return make(self, o, "image")[1]
end

--- Several pictures: a Result with images, seeds and params.
function Micro:generate(opts)
  local o = options.check("generate", opts, self)
  local images, stopped = make(self, o, "generate")
  local seeds = {}
  for i = 1, #images do seeds[i] = o.seed + i - 1 end
  return result.new { parts = images, seeds = seeds, params = o, stopped = stopped }
end

--- A picture changed towards a description: the source is concatenated; with strength or mask the
-- run also starts from it.
---@param src weft.Image
function Micro:edit(src, opts)
  if not image.is(src) then check.fail("edit: the source must be a picture, got %s", type(src)) end
  local more = { concat = opts.concat == nil and src or opts.concat }
  if opts.strength or opts.mask then more.init = opts.init or src end
  local o = options.check("edit", require("weft").with(opts, more), self)
  return make(self, o, "edit")[1]
end

--- A picture through the autoencoder and back: the ceiling of what the model can draw.
---@param im weft.Image
function Micro:decode_encode(im)
  local t = core.scope(function()
    local z = parts.latents(self.parts.vae, self:pixels(im))
    return ((parts.pictures(self.parts.vae, z) + 1) * 0.5):clamp(0, 1):select(1, 1):clone()
  end)
  return image.from(t)
end

--- Facts about the model.
function Micro:info()
  local info = { name = self.name, kind = self.kind, dtype = self.dtype, bytes = 0, parts = {} }
  for name, part in pairs(self.parts) do
    if type(part.report) == "function" then
      info.parts[name] = part:report().bytes
      info.bytes = info.bytes + info.parts[name]
    end
  end
  return info
end

Micro.__tostring = function(self)
  return ("Model %s %.1f MB %s %s | text image -> image"):format(self.name,
    self:info().bytes / 1e6, self.dtype, self.device)
end

return M
