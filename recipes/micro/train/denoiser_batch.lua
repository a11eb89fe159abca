--- What a step of a denoiser needs beside the network: latents of examples, their sources, how
-- things stand, and the features and words that tell what to make.
local weft = require "weft"
local configs = require "configs"
local data = require "data"
local diffusion = require "diffusion"
local foretold = require "foretold"
local micro_anchor = require "weft.pipeline.micro_anchor"
local names = require "world.names"
local parts = require "weft.pipeline.micro_parts"
local rng = require "world.rng"
local run = require "run"

local M = {}

---@class micro.DenoiserStage
---@field p table  steps, batch, lr, warmup, seed, foreground, foretold, more, muon, out, work, stop
---@field names table<string, string>      the parts: encoder vae unet conditioner, and anchor with
--- standing
---@field examples fun(step: integer): micro.Example[]
---@field render fun(records: table[]): weft.Tensor  [n,64,64,C], what the tower and the vae read
---@field layout fun(records: table[]): weft.Tensor  [n,8,8,K] of 0 and 1: what stands where
---@field standing? fun(records: table[]): weft.Tensor  [n,8,8,4]: how things stand, where the
--- denoiser is told of it
---@field carry? fun(source: table, target: table): number[]  what becomes of it, with standing
---@field is_whole? fun(e: micro.Example, seed: integer): boolean  whether what should stand where
--- is known, as it is of words and of most sources, and not read from the feature
---@field twin? fun(r: world.Rng, record: table): table  what differs from a target in little, with
--- is_whole

--- What stands already where a denoiser is trained: encoder, text, vae, scheduler, tok, and anchor
-- and foretold where they are wanted.
---@param s micro.DenoiserStage
function M.trained(s)
  local p, part = s.p, s.names
  local trained = {
    tok = run.tokenizer(p.out), encoder = run.trained(p.out, part.encoder),
    text = run.trained(p.out, "text_encoder"), vae = run.trained(p.out, part.vae),
    anchor = part.anchor and run.trained(p.out, part.anchor),
    scheduler = weft.sampler.from_config(configs.parts.scheduler),
  }
  if p.foretold > 0 then
    trained.foretold = foretold.new { out = p.out, share = p.foretold, tok = trained.tok }
  end
  return trained
end

--- Where things stand, of 0 and 1: [B,S,S,1]. Kinds and voices are the first labels of a layout.
local function foreground(layout)
  local size = configs.latent_size
  local kinds = layout:narrow(4, 1, names.kind.count):max({ 4 }, true)
  return weft.resize_nearest(kinds, { height = size, width = size })
end

--- Which examples are so, 1, and which not, 0: [B,1,1,1].
---@param is fun(e: micro.Example, k: integer): boolean
local function flags(examples, is)
  local rows = {}
  for k, e in ipairs(examples) do rows[k] = { { { is(e, k) and 1 or 0 } } } end
  return weft.tensor(rows)
end

local function has_source(e) return e.source ~= nil end
local function is_told(e) return e.feature ~= "none" end

--- How much each place of the latents z counts, [B,S,S,1]: those of things and those that an edit
-- changes more, because they are few beside those of the ground, and all that is hard.
local function weights(s, z, source, examples, layout)
  local changed = (z - source):abs():mean({ 4 }, true):gt(configs.edit_change):to "f32"
    * flags(examples, has_source)
  return weft.maximum(changed, foreground(layout)) * (s.p.foreground - 1) + 1
end

--- How things are to stand: [B,8,8,4] as micro_anchor says. It is read from the source, and what
-- becomes of it is known; without one it is what it is.
---@param layout weft.Tensor  [B,8,8,K] of the targets
local function standing(s, trained, examples, source, layout)
  if not s.standing then return nil end
  local shown, targets, carry = {}, {}, {}
  for k, e in ipairs(examples) do
    shown[k], targets[k] = e.source or e.target, e.target
    carry[k] = s.carry(shown[k], e.target)
  end
  local there = s.layout(shown)
  local placed, calls = micro_anchor.carried(
    micro_anchor.placed(micro_anchor.read(trained.anchor, source), there), weft.tensor(carry))
  local given = flags(examples, has_source)
  return micro_anchor.standing(placed, calls, micro_anchor.things(there),
    micro_anchor.things(layout)) * given + s.standing(targets) * (1 - given)
end

-- Share of the features of what is known whole that are unsure, and the most that they then are of
-- what a twin shows.
local UNSURE, MOST_UNSURE = 0.5, 0.8

--- Features [B,D], some of them mixed with those of twins: a language model that is unsure which of
-- two things is red foretells such, and where it is known the denoiser should not ask the feature.
---@param f weft.Tensor      [B,D] unit features
---@param is_whole boolean[]
---@return weft.Tensor f
---@return weft.Tensor sure  [B,1,1,1] 1 for those that are as they were
local function unsure(s, trained, f, examples, is_whole, seed)
  local r, twins, rows, shares = rng.new("unsure", seed), {}, {}, {}
  for k, e in ipairs(examples) do
    local is = s.twin and is_whole[k] and r:chance(UNSURE)
    if is then twins[#twins + 1] = s.twin(r, e.target) end
    rows[k], shares[k] = is and #examples + #twins - 1 or k - 1,
      { is and r:uniform(0, MOST_UNSURE) or 0 }
  end
  local sure = flags(examples, function(_, k) return rows[k] == k - 1 end)
  if not twins[1] then return f, sure end
  local of_twins = weft.normalize(trained.encoder { pixels = s.render(twins) }.embeds)
  local other = weft.cat({ f, of_twins }, 1):index_select(weft.tensor(rows, { dtype = "i64" }), 1)
  return weft.normalize(f + (other - f) * weft.tensor(shares)), sure
end

--- A map of conditions whose layout is, where it is known whole, what should stand where.
---@param map weft.Tensor     [B,8,8,C]
---@param layout weft.Tensor  [B,8,8,K] of 0 and 1
---@param whole weft.Tensor   [B,1,1,1] of 0 and 1
function M.told_whole(map, layout, whole)
  local read = map:narrow(4, map:size(4) - layout:size(4) + 1, layout:size(4))
  return parts.with_layout(map, read + (layout - read) * whole)
end

--- What step i needs: the latents z of its examples, noise and times, conditions. No gradient.
---@param s micro.DenoiserStage
---@param trained table  of M.trained
function M.prepare(s, trained, i)
  local examples = s.examples(i)
  local seed = (s.p.seed * 1000000 + i) * 8
  local targets, captions, words = {}, {}, {}
  for k, e in ipairs(examples) do
    targets[k], captions[k], words[k] = e.target, e.caption, e.text
  end
  local x = s.render(targets)
  local ids = data.text_ids(trained.tok, captions)
  local word_ids, word_mask = data.text_ids(trained.tok, words)
  local z = parts.latents(trained.vae, x)
  local source = diffusion.sources(trained.vae, s.render, examples)
  local sample, v, t = diffusion.noised(trained.scheduler, z, seed)
  local layout, told = s.layout(targets), flags(examples, is_told)
  local stands = standing(s, trained, examples, source, layout)
  local media, is_whole = weft.normalize(trained.encoder { pixels = x }.embeds), {}
  for k, e in ipairs(examples) do
    is_whole[k] = is_told(e) and s.is_whole ~= nil and s.is_whole(e, seed + k)
  end
  if trained.foretold then media = trained.foretold:features(media, examples, seed) end
  local feature, sure = unsure(s, trained, diffusion.features(examples, media,
    weft.normalize(trained.text { ids = ids }.embeds), seed), examples, is_whole, seed)
  return {
    x = x, z = z, sample = sample, v = v, t = t, source = source, layout = layout,
    stands = stands and stands * told,
    whole = s.is_whole and flags(examples, function(_, k) return is_whole[k] end),
    weights = weights(s, z, source, examples, layout),
    feature = feature, read = told * sure,
    words = trained.text { ids = word_ids }.hidden, mask = word_mask,
  }
end

return M
