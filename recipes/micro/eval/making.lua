--- How the metrics have the model make things: one place for options, for what a prompt becomes and
-- for what a model lacks.
local weft = require "weft"
local common = require "eval.common"

local M = {}
---@class micro.Making
---@field m weft.Micro
---@field judges micro.Judges
---@field p table  n, steps, guidance, seed, via, split, examples
local Making = {}
Making.__index = Making

---@return micro.Making
function M.new(m, judges, p) return setmetatable({ m = m, judges = judges, p = p }, Making) end

local PICTURES = { "text_encoder", "image_encoder", "conditioner", "unet", "vae" }
local SOUNDS = { "text_encoder", "audio_encoder", "audio_conditioner", "audio_unet", "audio_vae" }
local needs = { image = PICTURES, audio = SOUNDS }

--- The parts that a kind of output needs and the model has not, as a list in words; nil where
-- there is nothing missing.
---@param kind "image"|"audio"
---@param by_language? boolean  a prompt that only the language model reads
---@return string?
function Making:missing(kind, by_language)
  local missing = {}
  for _, name in ipairs(needs[kind]) do
    if not self.m.parts[name] then missing[#missing + 1] = name end
  end
  local is_read = by_language or self.p.via == "language"
  if is_read and not self.m.parts.language_model then missing[#missing + 1] = "language_model" end
  return missing[1] and table.concat(missing, ", ") or nil
end

function Making:options(i, prompt)
  return weft.with(prompt, { steps = self.p.steps, guidance = self.p.guidance,
    seed = self.p.seed + i, progress = false })
end

--- What becomes of a prompt.
---@param kind "image"|"audio"
function Making:make(kind, i, parts) return self.m[kind](self.m, self:options(i, parts)) end

--- What becomes of an edit: by its instruction, or by the feature of its target's caption.
---@param e world.Edit|world.SoundEdit
---@param media table<table, any>
function Making:edit(kind, i, e, media)
  if self.p.via == "language" then return self:make(kind, i, common.parts_of(e.parts, media)) end
  local source = common.parts_of({ { [kind] = e.source } }, media)[1]
  return self.m:edit(source, self:options(i, { self.m:encode(e.caption) }))
end

--- Rows of x, those of the second half first: each is then beside those of another.
function M.shifted(x)
  local n = x:size(1)
  local half = math.floor(n / 2)
  return weft.cat({ x:narrow(1, half + 1, n - half), x:narrow(1, 1, half) }, 1)
end

--- Rows `ids` of x, from 1.
function M.rows(x, ids)
  local from_0 = {}
  for k, id in ipairs(ids) do from_0[k] = id - 1 end
  return weft.index_select(x, weft.tensor(from_0, { dtype = "i64" }), 1)
end

return M
