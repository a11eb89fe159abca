--- Guidance: how the branches of a denoiser become one prediction.
--
-- Branches are predictions for the same sample: `full` (prompt and source), `source` (source
-- without prompt; models with a concatenated input only), `none`. A spec is a number; a table
-- { scale (or [1]), rescale =, first =, last =, concat = }; or a function over the branches,
-- `function(p) return p.none + 1.5 * (p.source - p.none) + 7 * (p.full - p.source) end`.
local check = require "weft.check"
local core = require "weft.core"

local M = {}
---@class weft.Guidance
local Guidance = {}
Guidance.__index = Guidance

local names = { "scale", "rescale", "first", "last", "concat" }

--- A checked guidance. The steps it acts in are first ... last as fractions of the run.
---@param spec number|table|function
---@param rescale? number  of a model whose numbers and tables mean it where they name none; 0
---@param scale? number    the model's, which tables without one mean; 1
function M.new(spec, rescale, scale)
  if getmetatable(spec) == Guidance then return spec end
  if type(spec) == "function" then
    return setmetatable({ f = spec, first = 0, last = 1 }, Guidance)
  end
  if type(spec) == "number" then spec = { spec } end
  check.keys("guidance", spec, names, true)
  return setmetatable({
    scale = check.number("guidance: scale", spec.scale or spec[1], scale or 1),
    rescale = check.number("guidance: rescale", spec.rescale, rescale or 0, 0, 1),
    first = check.number("guidance: first", spec.first, 0, 0, 1),
    last = check.number("guidance: last", spec.last, 1, 0, 1),
    concat = check.number("guidance: concat", spec.concat, nil),
  }, Guidance)
end

--- A table of guidance with names alone, as JSON can hold it: { 5, concat = 1.5 } is
-- { scale = 5, concat = 1.5 }.
function M.named(spec)
  local out = require("weft").with(spec, { scale = spec.scale or spec[1] })
  out[1] = nil
  return out
end

--- Does it act at this point of the run (0 at the first step, 1 at the last)?
function Guidance:acts(at) return at >= self.first and at <= self.last end

--- The branches that a step needs, in the order a batch holds them.
---@param at number           how far the run is, 0 ... 1
---@param has_source boolean  the model takes a concatenated source
---@return string[]
function Guidance:branches(at, has_source)
  if not self:acts(at) then return { "full" } end
  if self.f then return has_source and { "full", "source", "none" } or { "full", "none" } end
  if has_source and self.concat then return { "full", "source", "none" } end
  return self.scale == 1 and { "full" } or { "full", "none" }
end

--- y with the standard deviation of full, mixed in by share. Source: Lin et al., arXiv:2305.08891,
-- section 3.4.
local function rescaled(y, full, share)
  local dims = {}
  for i = 2, y.rank do dims[i - 1] = i end
  local like = y * (full:std(dims, true) / y:std(dims, true))
  return y + (like - y) * share
end

--- One prediction from the branches, a table by name.
---@param p table<string, weft.Tensor>
function Guidance:combine(p)
  if self.f then return check.tensor("guidance: the function's result", self.f(p)) end
  if not p.none then return p.full end
  return core.scope(function()
    local y
    if p.source then
      y = p.none + (p.source - p.none) * self.concat + (p.full - p.source) * self.scale
    else
      y = p.none + (p.full - p.none) * self.scale
    end
    return self.rescale > 0 and rescaled(y, p.full, self.rescale) or y
  end)
end

return setmetatable(M, { __call = function(_, ...) return M.new(...) end })
