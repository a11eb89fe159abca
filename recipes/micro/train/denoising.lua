--- L_DM of the language model: what frozen denoisers lose under the features that it foretells
-- (CoDi-2, arXiv 2311.18775, equation 1). The gradient goes through them into the features.
local weft = require "weft"
local data = require "data"
local diffusion = require "diffusion"
local parts = require "weft.pipeline.micro_parts"
local rng = require "world.rng"
local run = require "run"
local SENSES = require "senses"

local M = {}
---@class micro.Denoising
local Denoising = {}
Denoising.__index = Denoising

--- The denoisers of pictures and, with sounds, of sounds.
---@param o { out: string, n: integer, sounds: boolean, tok: weft.Tokenizer, text: weft.Model }
---@return micro.Denoising
function M.new(o)
  local senses = {}
  for i = 1, o.sounds and 2 or 1 do
    local prefix = SENSES[i].prefix
    senses[i] = weft.with(SENSES[i], { vae = run.trained(o.out, prefix .. "vae"),
      unet = run.trained(o.out, prefix .. "unet"),
      conditioner = run.trained(o.out, prefix .. "conditioner") })
  end
  local ids, mask = data.text_ids(o.tok, { "" })
  return setmetatable({ senses = senses, n = o.n, words = o.text { ids = ids }.hidden, mask = mask,
    scheduler = weft.sampler.load(o.out .. "/scheduler") }, Denoising)
end

--- Numbers of at most n replies of a sense, drawn: a batch lies in order of length.
local function draw(replies, has, n, seed)
  local at = {}
  for k, reply in ipairs(replies) do
    if has(reply.target) then at[#at + 1] = k end
  end
  rng.new("denoising", seed):shuffle(at)
  for k = #at, n + 1, -1 do at[k] = nil end
  return at
end

--- One tensor for n, of one for all.
local function for_all(x, n)
  local sizes = x:size()
  return x:expand(n, unpack(sizes, 2)):contiguous()
end

local function prepare(self, sense, replies, seed)
  local rows, examples, targets = {}, {}, {}
  for i, k in ipairs(draw(replies, sense.has, self.n, seed)) do
    local reply = replies[k]
    rows[i], targets[i] = k - 1, reply.target
    examples[i] = { source = reply.source and sense.has(reply.source) and reply.source or nil }
  end
  if not rows[1] then return nil end
  local z = parts.latents(sense.vae, sense.render(targets))
  local sample, v, t = diffusion.noised(self.scheduler, z, seed)
  return { sense = sense, rows = weft.tensor(rows, { dtype = "i64" }), sample = sample, v = v,
    t = t, source = diffusion.sources(sense.vae, sense.render, examples),
    words = for_all(self.words, #rows), mask = for_all(self.mask, #rows),
    stands = sense.stands and sense.stands(targets) }
end

--- What a step needs beside the features: noisy latents of some of the replies' media, what the
-- denoisers should make of them, their sources. No words stand in the cross-attention.
---@param replies { target: table, source: table? }[]
function Denoising:prepare(replies, seed)
  local list = {}
  for i, sense in ipairs(self.senses) do
    list[#list + 1] = prepare(self, sense, replies, seed + 4 * (i - 1))
  end
  return list
end

--- The loss under the features c [M,D] of all replies, the mean over senses.
---@param list table[]  of prepare
function M.loss(c, list)
  local sum = 0
  for _, d in ipairs(list) do
    local conditions = parts.condition(d.sense.conditioner, c:index_select(d.rows, 1), d.words,
      d.mask)
    conditions.stands = d.stands
    sum = sum + weft.train.mse(
      parts.denoise(d.sense.unet, d.sample, d.t, d.source, conditions), d.v)
  end
  return sum * (1 / #list)
end

return M
