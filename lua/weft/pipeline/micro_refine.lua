--- An answer that changes a source as an example does, checked on the example and made whole.
--
-- "A becomes A'. do the same to B": the language model foretells B'. Asked then what A becomes
-- where B becomes B', it should say A'. Where it says otherwise B' holds a part of the change, and
-- the rest is that from what it said to A': it is asked of B' in its turn, and taken where A comes
-- nearer to A' so. Changes that no training showed together are thus made one after the other.
local kept = require "weft.pipeline.micro_kept"
local likely = require "weft.pipeline.micro_likely"
local media = require "weft.pipeline.micro_media"
local micro_parts = require "weft.pipeline.micro_parts"
local ops = require "weft.ops"

local M = {}

---@class weft.MicroAnalogy
---@field sense weft.MicroSense
---@field logits fun(feature: weft.Tensor): weft.Tensor  of what is where, [1,8,8,K]
---@field ask fun(before: weft.Tensor, after: weft.Tensor, source: weft.Tensor): weft.Reply  what
--- becomes of a source as one feature [1,D] became another

--- In how many values of how many places two layouts differ.
local function distance(sense, a, b)
  return (sense.layout(a) - sense.layout(b)):abs():sum():item()
end

--- What becomes of how things stand by two changes of which one at most changes that; nil where
-- both do.
local function both_carries(first, second)
  if not first or kept.is_still(first) then return true, second end
  return kept.is_still(second), first
end

--- The answer that is nearer to the example, or nil where that is the first. To be called in a
-- scope: what it makes stays there.
---@param a weft.MicroAnalogy
---@param before weft.Tensor  [1,D] the features of the example
---@param after weft.Tensor
---@param source weft.Tensor  and of what is to be changed likewise
---@param first weft.Reply    the answer
---@return { feature: weft.Tensor, carry: weft.Tensor? }?
function M.of(a, before, after, source, first)
  local sense = a.sense
  local was, is = sense.of_layout(a.logits(before)), sense.of_layout(a.logits(after))
  if not was or not is then return nil end
  --- How far what the model says of the example is off it, from what it was.
  local function off(said, from)
    local shown = likely.near(sense, a.logits(said), from)
    return distance(sense, shown, is), shown
  end
  local said = a.ask(source, first.feature, before).feature
  local far, shown = off(said, was)
  if far == 0 then return nil end
  local second = a.ask(said, after, first.feature)
  local goes, carry = both_carries(first.carry, second.carry)
  if not goes then return nil end
  local farther = off(a.ask(first.feature, second.feature, said).feature, shown)
  return farther < far and { feature = second.feature, carry = carry } or nil
end

-- ---- replies ----

--- Places in a prompt of an example's two media and of the source of a reply that does likewise;
-- nil for another prompt.
local function find_example(parts, planned, kind_of)
  local others, source = {}, nil
  for i, part in ipairs(parts) do
    if part == planned.source then source = i
    elseif kind_of(part) == planned.kind then others[#others + 1] = i end
  end
  return source and #others == 2 and { others[1], others[2], source } or nil
end

--- Check the reply to turns whose last shows a change by example, and make it whole. A reply that
-- was said in words, or to another prompt, stays as it is. To be called in a scope.
---@param turns weft.Turn[]
---@param planned weft.Reply  its feature and carry become those of the better answer
---@param how { kind_of: fun(part: any): string?, feature_of: fun(part: any): weft.Tensor,
--- read: fun(turns: weft.Turn[]): weft.Reply }  what reads prompts, in which features may stand
--- for media (weft.MicroForetold)
function M.reply(m, turns, planned, how)
  local parts, medium = turns[#turns].parts, media.media[planned.kind]
  local at = medium and not planned.plan and find_example(parts, planned, how.kind_of)
  if not at or not micro_parts.is_shown(m, medium) then return end
  local function feature(k) return ops.normalize(how.feature_of(parts[at[k]])) end
  local better = M.of({
    sense = medium.sense,
    logits = function(f) return m.parts[medium.conditioner] { feature = f }.layout end,
    ask = function(...)
      local asked, stand = { unpack(turns) }, { unpack(parts) }
      for k, i in ipairs(at) do
        stand[i] = { kind = planned.kind, foretold = (select(k, ...)) }
      end
      asked[#asked] = { role = "user", parts = stand }
      return how.read(asked)
    end,
  }, feature(1), feature(2), feature(3), planned)
  if better then planned.feature, planned.carry = better.feature, better.carry end
end

return M
