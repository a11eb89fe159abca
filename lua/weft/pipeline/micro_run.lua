--- One run of the small model: conditions of the branches, guidance, the sampler's loop.
local check = require "weft.check"
local guidance = require "weft.guidance"
local ops = require "weft.ops"
local options = require "weft.options"
local parts = require "weft.pipeline.micro_parts"
local prompts = require "weft.pipeline.micro_prompt"
local provenance = require "weft.provenance"
local sampler = require "weft.sampler"
local tensor = require "weft.tensor"

local M = {}

local LATENT_SIDE, LATENT_CHANNELS = 16, 8

--- Conditions of each branch for one sample: { class_labels, context, mask, map, source }. The
-- negative prompt stands in the branches without the feature (the paper's reading) or, with mode =
-- "code", in all of them, as the official code has it: then they differ in the feature only.
local function conditions(m, medium, o, feature, source)
  local negative = type(o.negative) == "table" and prompts.split(o.negative) or o.negative
  local empty, empty_mask = prompts.words(m, "")
  local words, mask = prompts.words(m, negative)
  local zero, none = tensor.zeros({ 1, prompts.width(m) }, { device = m.device }),
    tensor.zeros({ 1, LATENT_SIDE, LATENT_SIDE, LATENT_CHANNELS }, { device = m.device })
  local function branch(f, w, k, s)
    local c = parts.condition(m.parts[medium.conditioner], f, w, k)
    c.source = s
    return c
  end
  local three = source and type(o.guidance) ~= "number"
    and (type(o.guidance) == "function" or o.guidance.concat)
  return {
    full = o.mode == "code" and branch(feature, words, mask, source or none)
      or branch(feature, empty, empty_mask, source or none),
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

--- What the branches of a batch read of another medium: the one of the prompt alone reads it, so
-- that guidance pulls towards it as towards the prompt. Values of zero tell nothing.
local function connected(names, mid_kv)
  local list = {}
  for i, name in ipairs(names) do list[i] = name == "full" and mid_kv or mid_kv * 0 end
  return ops.cat(list, 1)
end

--- The denoiser with guidance: (z [n,...], t, st, mid_kv?) -> v.
local function denoiser(unet, o, by_name, n, has_source)
  local guide = guidance(o.guidance, parts.RESCALE)
  local stacked = batches(guide, by_name, n, has_source)
  return function(z, t, st, mid_kv)
    local at = st.steps > 1 and (st.step - 1) / (st.steps - 1) or 0
    local names = guide:branches(at, has_source)
    local c, list = stacked[table.concat(names, " ")], {}
    for i = 1, #names do list[i] = z end
    local v = parts.denoise(unet, #names > 1 and ops.cat(list, 1) or z, t, c.source, c,
      mid_kv and connected(names, mid_kv))
    local p = {}
    for i, name in ipairs(names) do p[name] = v:narrow(1, (i - 1) * n + 1, n) end
    return guide:combine(p)
  end
end

--- Unit noise [n,16,16,8], or of several media [n,media,16,16,8], of which the first is that of one
-- alone: sample i depends on seed + i - 1. PyTorch's generators draw it channels first, as its
-- pipelines do.
---@param o table  rng, seed
---@param n_media? integer
function M.noise(o, n, n_media)
  local list, is_torch, k = {}, o.rng and o.rng ~= "philox", n_media or 1
  local sizes = is_torch and { k, LATENT_CHANNELS, LATENT_SIDE, LATENT_SIDE }
    or { k, LATENT_SIDE, LATENT_SIDE, LATENT_CHANNELS }
  for i = 1, n do
    local x = tensor.randn(sizes, { seed = o.seed + i - 1, rng = o.rng })
    list[i] = is_torch and x:permute(1, 3, 4, 2):contiguous() or x
  end
  return n_media and ops.stack(list, 1) or ops.cat(list, 1)
end

--- The noise that a run starts from.
local function first_noise(m, o, n)
  if not o.latents then return M.noise(o, n):to(m.device) end
  local want = { n, LATENT_SIDE, LATENT_SIDE, LATENT_CHANNELS }
  local got = table.concat(o.latents:size(), ",")
  if got ~= table.concat(want, ",") then
    check.fail("latents are [%s], wanted [%s]", got, table.concat(want, ","))
  end
  return o.latents:to(m.device)
end

--- The noises that a caller gives for the steps; nil for none.
local function step_noise(m, o)
  if not o.noise then return nil end
  local out = {}
  for i, x in ipairs(o.noise) do out[i] = x:to(m.device) end
  return out
end

--- An input that stands for its medium's latents: `concat` or `init`, of this medium.
local function latents_of(m, medium, what, v)
  if v == nil or v == false then return nil end
  if not medium.is(v) then
    local other = type(v) == "table" and v[medium.kind]
    if not (other and medium.is(other)) then
      check.fail("%s: must be a %s", what, medium.word)
    end
    v = other
  end
  return parts.latents(m.parts[medium.vae], medium.read(m, v))
end

--- Weights of the latents that a mask stands for; nil for none.
local function mask_of(m, medium, mask)
  if mask == nil then return nil end
  if not medium.is(mask) then check.fail("mask: must be a %s", medium.word) end
  return medium.mask(mask):to(m.device)
end

--- One medium's side of a checked call: its denoiser with guidance, (z [n,16,16,8], t, st, mid_kv?)
-- -> v, where mid_kv is what the connectors tell of another medium; and its source's latents.
---@param feature weft.Tensor  [1,128] what to make
---@param concat any  what the denoiser sees beside its sample; nil or false for nothing
---@return fun(z: weft.Tensor, t: number, st: table, mid_kv: weft.Tensor?): weft.Tensor
---@return weft.Tensor? source  [1,16,16,8]
function M.denoiser(m, medium, o, n, feature, concat)
  local source = latents_of(m, medium, "concat", concat)
  local by_name = conditions(m, medium, o, feature, source)
  return denoiser(m.parts[medium.unet], o, by_name, n, source ~= nil), source
end

--- n latents of a checked call, and whether a callback ended the run early.
---@param medium weft.MicroMedium
---@param o table  what options.check returned
---@param feature weft.Tensor  [1,128] what to make
---@param concat any  what the denoiser sees beside its sample; nil or false for nothing
---@return weft.Tensor z  [n,16,16,8]
---@return boolean stopped
function M.sample(m, medium, o, n, feature, concat)
  local denoise, source = M.denoiser(m, medium, o, n, feature, concat)
  local start = source and o.init == concat and source or latents_of(m, medium, "init", o.init)
  local s = sampler.new(o.sampler, { schedule = o.schedule, config = m.noise })
  local stopped = false
  local z = s:run {
    steps = o.steps, latents = first_noise(m, o, n), seed = o.seed, noise = step_noise(m, o),
    init = start and start:expand(n, LATENT_SIDE, LATENT_SIDE, LATENT_CHANNELS):contiguous(),
    strength = start and o.strength, mask = start and mask_of(m, medium, o.mask),
    denoise = denoise, progress = o.progress,
    on_step = o.on_step and function(st)
      st.preview = function()
        local x = parts.pictures(m.parts[medium.vae], st:x0():narrow(1, 1, 1))
        return M.write(m, medium, x, o)[1]
      end
      local go_on = o.on_step(st)
      stopped = go_on == false
      return go_on
    end,
  }
  return z, stopped
end

--- The pictures or sounds that an autoencoder decoded, [n,64,64,C].
---@param o table  of the call: seed, vocoder
---@return any[]
function M.write(m, medium, x, o)
  local out = {}
  for i = 1, x:size(1) do out[i] = medium.write(m, x:select(1, i), o.seed + i - 1, o) end
  return out
end

--- What the file of the ith medium that a call makes carries.
---@param o table   what options.check returned
---@param fn string  the verb
function M.describe(m, o, fn, i)
  m.sha256 = m.sha256 or m.hash and m.hash()
  return provenance.new {
    model = { name = m.name, sha256 = m.sha256 }, call = options.describe(fn, o),
    seed = o.seed + i - 1, index = i, rng = provenance.generator(o.rng),
    device = provenance.device(m.device), dtype = m.dtype,
  }
end

return M
