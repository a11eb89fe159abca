--- One run of the small model: conditions of the branches, guidance, the sampler's loop. Videos
-- (micro_video) and pictures with their sounds (micro_joint) are runs of the same.
local anchor = require "weft.pipeline.micro_anchor"
local check = require "weft.check"
local core = require "weft.core"
local finite = require "weft.finite"
local guidance = require "weft.guidance"
local host = require "weft.host"
local kept = require "weft.pipeline.micro_kept"
local likely = require "weft.pipeline.micro_likely"
local noises = require "weft.pipeline.micro_noise"
local ops = require "weft.ops"
local options = require "weft.options"
local parts = require "weft.pipeline.micro_parts"
local prompts = require "weft.pipeline.micro_prompt"
local provenance = require "weft.provenance"
local sampler = require "weft.sampler"
local tensor = require "weft.tensor"

local M = {}

local LATENT_SIDE, LATENT_CHANNELS = parts.LATENT_SIDE, parts.LATENT_CHANNELS

---@class weft.MicroTold
---@field feature weft.Tensor  [1,128] what to make
---@field layout? weft.Tensor  [1,8,8,K] what should stand where; what the feature says when nil
---@field words string         in the cross-attention of the branch with the feature
---@field source? weft.Tensor  [1,16,16,8] what the denoiser sees beside its sample
---@field stands? weft.Tensor  [1,8,8,4] how things are to stand, of micro_anchor
---@field map_of? fun(map: weft.Tensor, is_said: boolean): weft.Tensor  of a branch's map

--- Conditions of each branch for one sample: { class_labels, context, mask, map, stands,
-- source }. The negative prompt stands in the branches without the feature.
---@param told weft.MicroTold
local function conditions(m, medium, o, told)
  local said, said_mask = prompts.words(m, told.words)
  local unsaid, unsaid_mask = prompts.words(m, prompts.only_text("negative", o.negative))
  local zero, none = tensor.zeros({ 1, prompts.width(m) }, { device = m.device }),
    tensor.zeros({ 1, LATENT_SIDE, LATENT_SIDE, LATENT_CHANNELS }, { device = m.device })
  local function branch(f, w, k, s)
    local c, is_said = parts.condition(m.parts[medium.conditioner], f, w, k), f == told.feature
    if is_said and told.layout then c.map = parts.with_layout(c.map, told.layout) end
    if told.map_of then c.map = told.map_of(c.map, is_said) end
    c.source = s or none
    c.stands = told.stands and (is_said and told.stands or told.stands * 0)
    return c
  end
  local source = told.source
  local three = source and type(o.guidance) ~= "number"
    and (type(o.guidance) == "function" or o.guidance.concat)
  return {
    full = branch(told.feature, said, said_mask, source),
    source = branch(zero, unsaid, unsaid_mask, source),
    none = branch(zero, unsaid, unsaid_mask, not three and source or nil),
  }
end

--- The conditions of several branches, each repeated for n samples, as one batch.
local function stack(by_name, names, n)
  local out = {}
  for _, key in ipairs { "class_labels", "context", "mask", "map", "stands", "source" } do
    local list = {}
    for _, name in ipairs(names) do
      for _ = 1, n do list[#list + 1] = by_name[name][key] end
    end
    out[key] = list[1] and ops.cat(list, 1)
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

--- The denoiser with guidance of a checked call, for n samples: (z [n,...], t, st, mid_kv?) -> v,
-- where mid_kv is what the connectors tell of another medium.
---@param medium { unet: string, conditioner: string, denoise: fun(...): weft.Tensor }  names of the
--- parts, and what calls the unet, as micro_parts.denoise does
---@param told weft.MicroTold
---@return fun(z: weft.Tensor, t: number, st: table, mid_kv: weft.Tensor?): weft.Tensor
function M.denoiser(m, medium, o, n, told)
  local unet, has_source = m.parts[medium.unet], told.source ~= nil
  local guide = guidance(o.guidance, parts.RESCALE, parts.SCALE)
  local stacked = batches(guide, conditions(m, medium, o, told), n, has_source)
  return function(z, t, st, mid_kv)
    local at = st.steps > 1 and (st.step - 1) / (st.steps - 1) or 0
    local names = guide:branches(at, has_source)
    local c, list = stacked[table.concat(names, " ")], {}
    for i = 1, #names do list[i] = z end
    local v = medium.denoise(unet, #names > 1 and ops.cat(list, 1) or z, t, c.source, c,
      mid_kv and connected(names, mid_kv))
    local p = {}
    for i, name in ipairs(names) do p[name] = v:narrow(1, (i - 1) * n + 1, n) end
    return guide:combine(p)
  end
end

--- The noises that a caller gives for the steps; nil for none.
local function step_noise(m, o)
  if not o.noise then return nil end
  local out = {}
  for i, x in ipairs(o.noise) do
    out[i] = check.tensor(("noise: entry %d"):format(i), x):to(m.device)
  end
  return out
end

--- The medium that an option gives, `concat` or `init`: it, or that of a result; nil for none.
function M.given(medium, what, v)
  if v == nil or v == false then return nil end
  if medium.is(v) then return v end
  local inner = type(v) == "table" and v[medium.kind]
  if not (inner and medium.is(inner)) then check.fail("%s: must be a %s", what, medium.word) end
  return inner
end

--- Its latents.
local function latents_of(m, medium, what, v)
  local given = M.given(medium, what, v)
  return given and parts.latents(m.parts[medium.vae], medium.read(m, given))
end

--- Weights of the latents that a mask stands for; nil for none.
local function mask_of(m, medium, mask)
  if mask == nil then return nil end
  if not medium.is(mask) then check.fail("mask: must be a %s", medium.word) end
  return medium.mask(mask):to(m.device)
end

--- The words beside the feature: what the medium's denoiser was trained with (the paper's reading)
-- or, with mode = "code", the negative prompt, as the official code has it: then the branches
-- differ in the feature only.
---@param words string
function M.words_beside(o, words)
  return o.mode == "code" and prompts.only_text("negative", o.negative) or words
end

--- What a picture of things that stay shows, or a sound, as words say it or, of a feature that the
-- language model foretold, its layout: beside a source, as that says most likely. Words of two
-- things may exchange what each is: what the model foretells without them says which is likelier.
-- Nil where neither does, for a feature that a call gives may be a mixture.
---@param item weft.MicroWanted
---@param logits weft.Tensor  of the layout of its feature
---@param shown? table        what the source shows
---@return table?
local function known(m, medium, o, item, logits, shown)
  local sense = medium.sense
  if not kept.is_still(item.carry) then return nil end
  local said = item.words and sense.of_words(item.words, o.seed)
  if said and item.direct then
    local direct = m.parts[medium.conditioner] { feature = item.direct }.layout
    return likely.near(sense.said, direct, said)
  end
  if said and not (shown and sense.DRAWS) then return said end
  if shown then return likely.near(sense, logits, shown) end
  return item.is_foretold and sense.of_layout(logits)
end

--- Say of what is wanted what should stand where, what stands where in what it is made from, and
-- where of a source it is drawn anew; nothing where the model can say nothing of it.
---@param item weft.MicroWanted
local function lay_out(m, medium, o, item)
  if not parts.is_shown(m, medium) then return end
  local source = M.given(medium, "concat", item.concat)
  local from, sense = source or M.given(medium, "init", o.init), medium.sense
  local shown = from and parts.shown(m, medium, medium.read(m, from))
  local seen = source and sense.of_layout(shown)
  local logits = m.parts[medium.conditioner] { feature = item.feature }.layout
  local wanted = known(m, medium, o, item, logits, seen)
  item.shown = shown and ops.sigmoid(shown)
  item.layout = wanted and sense.layout(wanted, m.device) or ops.sigmoid(logits)
  if wanted and seen then
    item.shown = sense.layout(seen, m.device)
    item.redrawn = kept.mask(item.shown, item.layout)
  end
end

--- What is wanted of a checked call, whole: the feature of the prompt and the call's concat where
-- it has none of its own, and the layout.
---@param item weft.MicroWanted
---@return weft.MicroWanted
function M.settle(m, medium, o, item)
  local whole = { feature = item.feature, words = item.words, concat = item.concat,
    carry = item.carry, direct = item.direct, is_foretold = item.feature ~= nil }
  if whole.concat == nil then whole.concat = o.concat end
  whole.feature = finite.check("reading the prompt", function()
    return whole.feature or prompts.feature(m, o.prompt, o.mix)
  end)
  lay_out(m, medium, o, whole)
  return whole
end

--- One medium's side of a checked call: its denoiser, as M.denoiser says, and its source's latents.
---@param medium weft.MicroMedium
---@param item weft.MicroWanted  of M.settle; without a concat the denoiser sees nothing
---@param map_of? fun(map: weft.Tensor, is_said: boolean): weft.Tensor  of a branch's map
---@return fun(z: weft.Tensor, t: number, st: table, mid_kv: weft.Tensor?): weft.Tensor
---@return weft.Tensor? source  [1,16,16,8]
function M.side(m, medium, o, n, item, map_of)
  local source = latents_of(m, medium, "concat", item.concat)
  local words = M.words_beside(o, "")
  local from = M.given(medium, "concat", item.concat) or M.given(medium, "init", o.init)
  return M.denoiser(m, medium, o, n, {
    feature = item.feature, layout = item.layout, words = words, source = source,
    map_of = map_of,
    stands = from and anchor.beside(m, medium, item, medium.read(m, from)),
  }), source
end

--- The latents z of a run, and those of its source where nothing changes: a run from an init or a
-- mask says itself what stays.
---@param source? weft.Tensor  [1,16,16,8]
---@param item weft.MicroWanted  of M.settle
function M.keep(o, z, source, item)
  if not source or not item.redrawn or o.init then return z end
  return z * item.redrawn + source * (1 - item.redrawn)
end

-- Steps between previews where preview is true, and the least time between them.
local PREVIEW_STEPS, PREVIEW_S = 5, 0.25

--- Shows every o.preview-th step on a terminal that can show pictures; nil where none is asked for.
local function shower(o, preview)
  local every = o.preview == true and PREVIEW_STEPS or o.preview or 0
  local show, last = require "weft.show", nil
  if every == 0 or show.protocol() == "none" then return nil end
  return function(st)
    local now = host.clock()
    if st.step % every ~= 0 or last and now - last < PREVIEW_S then return end
    local x = preview(st)
    show.picture(x.kind == "audio" and x:picture { spectrogram = true } or x)
    last = now
  end
end

--- What is called after each step of a run: the caller's function, with a preview.
---@param kind string  of what is made
---@param seen table   seen.last becomes the step, seen.stopped whether the caller ended the run
---@param preview fun(st: table): any
local function watcher(o, kind, seen, preview)
  local show, started = shower(o, preview), host.clock()
  return function(st)
    seen.last = st
    if show then show(st) end
    if not o.on_step then return nil end
    st.preview = function() return preview(st) end
    st.kind, st.elapsed = kind, host.clock() - started
    st.eta = st.elapsed / st.step * (st.steps - st.step)
    local go_on = o.on_step(st)
    seen.stopped = go_on == false
    return go_on
  end
end

--- Do f. When it is cancelled after a step, at the prompt, what that step took the result to be,
-- and the error to raise once it is decoded.
local function as_far_as(seen, f)
  if not require("weft.config").keeps_partial then return f() end
  local ok, got = pcall(f)
  if ok then return got end
  local is_cancelled = type(got) == "table" and rawget(got, "kind") == "cancelled"
  if not is_cancelled or not seen.last then error(got, 0) end
  return seen.last:x0(), got
end

--- The latents that the sampler of a checked call makes, and whether a callback ended it early.
---@param how { kind: string, latents: weft.Tensor, denoise: function,
--- preview: (fun(st: table): any), noise: weft.Tensor[]?, init: weft.Tensor?, mask: weft.Tensor? }
---@return weft.Tensor z
---@return boolean stopped
---@return table? err      the run was cancelled: to be raised when what is there is decoded
function M.run(m, o, how)
  if not m.noise then
    core.raise("model", ("%s: the model '%s' has no scheduler"):format(how.kind, m.name),
      "it says what noise the denoiser was trained with")
  end
  local s, seen = sampler.of(o.sampler, o.schedule, m.noise), { stopped = false }
  local z, err = as_far_as(seen, function()
    return s:run {
      steps = o.steps, latents = how.latents, seed = o.seed, noise = how.noise, init = how.init,
      strength = how.init and o.strength, mask = how.mask, denoise = how.denoise,
      progress = o.progress, on_step = watcher(o, how.kind, seen, how.preview),
    }
  end)
  return z, seen.stopped, err
end

--- What stands in the first of the latents z: a picture or a sound.
function M.preview(m, medium, o, z)
  local x = parts.pictures(m.parts[medium.vae], z:narrow(1, 1, 1))
  return M.write(m, medium, x, o)[1]
end

--- n latents of a checked call, as M.run says.
---@param medium weft.MicroMedium
---@param o table  what options.check returned
---@param item weft.MicroWanted  of M.settle
---@param map_of? fun(map: weft.Tensor, is_said: boolean): weft.Tensor  of a branch's map
---@return weft.Tensor z  [n,16,16,8]
---@return boolean stopped
---@return table? err
function M.sample(m, medium, o, n, item, map_of)
  local concat = item.concat
  local denoise, source = M.side(m, medium, o, n, item, map_of)
  local start = source and o.init == concat and source or latents_of(m, medium, "init", o.init)
  local sizes = { n, LATENT_SIDE, LATENT_SIDE, LATENT_CHANNELS }
  local scale = noises.scale(medium, o, item, source ~= nil)
  local z, stopped, err = M.run(m, o, {
    kind = medium.kind, latents = noises.first(m, o, sizes, scale),
    noise = step_noise(m, o), denoise = denoise,
    init = start and start:expand(unpack(sizes)):contiguous(),
    mask = start and mask_of(m, medium, o.mask),
    preview = function(st) return M.preview(m, medium, o, st:x0()) end,
  })
  return M.keep(o, z, source, item), stopped, err
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
---@param o table     what options.check returned
---@param fn string   the verb
---@param kind string  of the medium
function M.describe(m, o, fn, i, kind)
  m.sha256 = m.sha256 or m.hash and m.hash()
  return provenance.new {
    model = { name = m.name, sha256 = m.sha256 }, call = options.describe(fn, o, kind),
    seed = o.seed + i - 1, index = i, rng = provenance.generator(o.rng),
    device = provenance.device(m.device), dtype = m.dtype,
  }
end

return M
