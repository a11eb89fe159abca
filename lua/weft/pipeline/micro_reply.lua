--- The small model's replies: its language model reads the turns of a conversation and says what
-- is to be made; the denoisers make it.
local check = require "weft.check"
local core = require "weft.core"
local embedding = require "weft.embedding"
local prompts = require "weft.pipeline.micro_prompt"
local reader = require "weft.pipeline.reader"
local refine = require "weft.pipeline.micro_refine"
local result = require "weft.result"
local sequence = require "weft.pipeline.sequence"

local M = {}

---@class weft.MicroForetold  a feature that stands in a prompt where a medium would
---@field kind "image"|"audio"
---@field foretold weft.Tensor  [1,D]

-- A picture of distances stands where a picture's feature would: its own was drawn to that.
local media = { image = "image", audio = "audio", video = "video", depth = "image" }

--- The kind of a part and the part, as weft.pipeline.sequence asks; nil for words. A feature of
-- the aligned space stands where a text's would.
local function kind_of(part)
  if type(part) == "string" then return nil end
  local inner, weight = prompts.weight_of(part)
  if embedding.is(inner) then return "text", part end
  if type(inner) == "string" then return "text", part end
  if type(inner) == "table" and inner.kind == "video" then
    local frames = {}
    for i, k in ipairs(sequence.shown_frames(#inner)) do
      frames[i] = { kind = "frame", weft_weight = weight, part = inner[k] }
    end
    return "video", part, frames
  end
  if type(inner) == "table" and media[inner.kind] then return media[inner.kind], part end
  return check.fail("prompt: a %s is no part of a prompt", type(inner))
end

-- Media that a prompt of the training had at most.
local MOST_TRAINED = 4

--- Warn of more media than the model can point at or was trained with, once a conversation, which
-- its first medium stands for.
local function note_media(self, s, prompt)
  self.told_many = self.told_many or setmetatable({}, { __mode = "k" })
  local n, first = 0, s.media[1]
  for _, part in ipairs(prompt) do n = n + (type(part) == "string" and 0 or 1) end
  if not first or first.foretold or self.told_many[first] then return end
  self.told_many[first] = true
  if #s.media > sequence.MAX_SOURCE then
    self:warn("%d pictures and sounds; only the first %d can be sources", #s.media,
      sequence.MAX_SOURCE)
  elseif n > MOST_TRAINED then
    self:warn("%d pictures and sounds in one prompt; the model was trained with %d at most", n,
      MOST_TRAINED)
  else
    self.told_many[first] = nil
  end
end

--- The turns as a sequence of the language model.
local function sequence_of(self, turns)
  local s = self.reader:sequence()
  for _, part in ipairs(turns[#turns].parts) do
    if type(part) == "string" then prompts.note_words(self, part) end
  end
  for _, turn in ipairs(turns) do
    if turn.role == "user" then
      s:ask(turn.parts, kind_of)
    else
      for k, part in ipairs(turn.parts) do
        if type(part) == "string" then
          s:reply_text(part)
        else
          s:reply_medium(part.kind, part, turn.sources and turn.sources[k] or nil)
        end
      end
      s:stop()
    end
  end
  note_media(self, s, turns[#turns].parts)
  return s
end

--- Features of parts, each made once; their weights, and those of their kinds, scale what the
-- model reads.
---@param mix? table<string, number>
local function feature_reader(self, mix)
  local known = {}
  return function(part)
    if part.foretold then return part.foretold end
    local inner, weight = prompts.weight_of(part)
    local kind = part.kind == "frame" and "video" or nil
    known[part] = known[part] or prompts.weighed(self, inner, weight, mix, kind)
    return known[part]
  end
end

--- Words are read one by one, as they are: only a text that stands as a feature has a weight.
local function note_mix(self, turns, mix)
  if (mix and mix.text or 1) == 1 then return end
  for _, part in ipairs(turns[#turns].parts) do
    if type(part) == "string" and part:find "%S" then
      self:warn("mix.text weighs features of texts; the words of the prompt are read as they are")
      return
    end
  end
end

local function has_words(parts)
  for _, part in ipairs(parts) do
    if type(part) == "string" and part:find "%S" then return true end
  end
  return false
end

--- Whether a list of kinds, or the one kind, is of words too.
local function asks_words(to)
  for _, kind in ipairs(type(to) == "table" and to or { to }) do
    if kind == "text" then return true end
  end
  return false
end

--- Whether the language model reads a prompt: it is there, and there are words to read or to say.
-- A prompt of features, pictures and sounds alone goes straight to its feature.
---@param to? string|string[]  kinds wanted
function M.reads(self, prompt, to)
  return reader.is_in(self.parts) and (has_words(prompt) or asks_words(to))
end

--- What may come out of a model of these parts.
local function can(self)
  local out = {}
  for _, kind in ipairs(self.caps.output) do out[kind] = true end
  return out
end

-- Words that say which sense is meant: "a cat" may be seen or heard.
local MEANT = { audio = "the sound of ", image = "a picture of ", video = "a video of " }

--- Those words for a call that wants one medium; nil where it wants several, words, or any.
---@param to? string|string[]
local function meaning_of(to)
  if type(to) == "table" then to = #to == 1 and to[1] or nil end
  return MEANT[to or ""]
end

--- The turns, the last of which begins with such words.
local function with_meaning(turns, said)
  local out, last = { unpack(turns) }, turns[#turns]
  local parts = { unpack(last.parts) }
  if type(parts[1]) == "string" then parts[1] = said .. parts[1]
  else table.insert(parts, 1, said) end
  out[#out] = { role = last.role, parts = parts }
  return out
end

--- Whether a call would have its answer checked on the example of its prompt.
local function is_refined(turns, o)
  if o.refine == nil then return turns[#turns].parts.has_example end
  return o.refine
end

--- What the language model wants made of turns: a list of { kind, text | feature, source }.
---@return weft.Reply[]
function M.plan(self, turns, o, to)
  if not reader.is_in(self.parts) then
    core.raise("model", ("%s: has no language model, which reads conversations and answers")
      :format(self.name), "a folder with language_model, feature_in and feature_out")
  end
  self.reader = self.reader or reader.new(self.parts)
  note_mix(self, turns, o.mix)
  local kept
  core.scope(function()
    local feature_of, meaning = feature_reader(self, o.mix), meaning_of(to)
    local how = { to = to, can = can(self), temperature = o.temperature, top_p = o.top_p,
      max_tokens = o.max_tokens, seed = o.seed, on_token = o.on_token,
      may_misread = meaning ~= nil }
    local function read(asked, change)
      return self.reader:reply(sequence_of(self, asked), feature_of,
        require("weft").with(how, change))
    end
    kept = read(turns, {}) or read(with_meaning(turns, meaning), { may_misread = false })
    if #kept == 1 and is_refined(turns, o) then
      refine.reply(self, turns, kept[1], { kind_of = kind_of, feature_of = feature_of,
        read = function(asked)
          return read(asked, { to = kept[1].kind, may_misread = false, on_token = false })[1]
        end })
    end
    local tensors = {}
    for _, part in ipairs(kept) do
      tensors[#tensors + 1] = part.feature
      tensors[#tensors + 1] = part.carry
      tensors[#tensors + 1] = part.direct
      if type(part.source) == "table" and part.source.weft_weight then
        part.source = part.source.part
      end
    end
    return unpack(tensors)
  end)
  return kept
end

--- The medium that the denoiser sees: what the call says, else what the language model pointed at.
local function concat_of(o, planned)
  if o.concat == false then return nil end
  local given = o.concat
  if type(given) == "table" and not given.kind then given = given[planned.kind] end
  return given or (planned.source and planned.source.kind == planned.kind and planned.source)
    or nil
end

--- Reply to turns whose last is the user's, with options that were checked.
-- make(wanted) makes what is wanted (weft.MicroWanted), a list for each.
---@param to string|string[]  kinds wanted, or "auto"
---@return weft.Result r
---@return weft.Turn answer  the reply as a turn of the conversation
function M.respond(self, turns, o, to, make)
  local plan, wanted = M.plan(self, turns, o, to), {}
  for _, planned in ipairs(plan) do
    if planned.kind ~= "text" then
      local concat = concat_of(o, planned) or false
      wanted[#wanted + 1] = { kind = planned.kind, feature = planned.feature,
        words = planned.plan, direct = planned.direct, concat = concat,
        carry = concat == planned.source and planned.carry or nil }
    end
  end
  local made, k = make(wanted), 0
  local parts, seeds, sources = {}, {}, {}
  for _, planned in ipairs(plan) do
    if planned.kind == "text" then
      parts[#parts + 1] = planned.text
    else
      k = k + 1
      for i, medium in ipairs(made[k]) do
        parts[#parts + 1], sources[#parts + 1] = medium, wanted[k].concat
        seeds[#seeds + 1] = o.seed + i - 1
      end
    end
  end
  local r = result.new { parts = parts, seeds = seeds, params = o }
  return r, { role = "model", parts = parts, sources = sources }
end

return M
