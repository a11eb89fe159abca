--- The language model of the small model: it reads a conversation and replies in words and media.
--
-- A reply is decoded token by token. After a medium's tag the model says which medium of the
-- conversation the denoiser shall see; the state there becomes the feature of the new medium, and
-- the feature stands in the sequence like the user's own (paper: arXiv 2311.18775, section 3.2).
-- Where a prompt leaves something open, and of every video, the model says in words what it makes
-- before the tag.
local core = require "weft.core"
local ops = require "weft.ops"
local sequence = require "weft.pipeline.sequence"
local things = require "weft.pipeline.micro_things"
local tensor = require "weft.tensor"

local M = {}
---@class weft.Reader
local Reader = {}
Reader.__index = Reader

-- Media of one reply at most, and tokens of a reply that says nothing of it.
local MAX_MEDIA, MAX_TOKENS = 4, 96
-- Stream of the draws of tokens.
local PURPOSE = 6

--- Whether a folder's parts hold what reading takes.
function M.is_in(parts)
  return parts.language_model ~= nil and parts.feature_in ~= nil and parts.feature_out ~= nil
end

--- The ids that write text: no control pieces, markers or pieces without use.
local function word_ids(tok)
  local out = {}
  for id = 0, tok:size() - 1 do
    local piece = tok:piece(id)
    out[id] = not piece:find "^<.+>$" or piece:find "^<0x%x%x>$" ~= nil
  end
  return out
end

function M.new(parts)
  return setmetatable({
    is_word = word_ids(parts.tokenizer),
    lm = parts.language_model, feature_in = parts.feature_in, feature_out = parts.feature_out,
    anchor_out = parts.anchor_out,
    things = things.new(parts.tokenizer,
      { picture = parts.conditioner, sound = parts.audio_conditioner }),
    tok = parts.tokenizer, marker = sequence.markers(parts.tokenizer),
    context = parts.language_model.config.max_position_embeddings,
  }, Reader)
end

function Reader:sequence() return sequence.new(self.tok) end

--- What the language model reads for a feature [1,D], which is as long as it counts: [1+count,C],
-- of the feature and of the words of what it shows.
---@param sense "picture"|"sound"
function Reader:inner(feature, sense)
  local shown = self.things:of(ops.normalize(feature), sense)
  local words = self.things:embeds(self.lm, shown, sense):select(1, 1)
  return ops.cat({ self.feature_in { x = feature * math.sqrt(feature:size(2)) },
    words * feature:norm() }, 1)
end

--- Embeddings [1,T,C] of a whole sequence; feature_of(medium) gives [1,D].
function Reader:embeds(s, feature_of)
  local words, at, inner = {}, {}, {}
  for t = 1, #s.ids do words[t] = { 1 } end
  for i, place in ipairs(s.places) do
    inner[i] = self:inner(feature_of(place.medium), place.sense)
    for k = 0, things.count(place.sense) do
      words[place.at + k], at[#at + 1] = { 0 }, place.at + k - 1
    end
  end
  local device = self.lm.device
  local x = self.lm:embed { ids = { s.ids } }
  if not at[1] then return x end
  x = x:reshape(x:size(2), x:size(3)) * tensor(words, { device = device })
  return x:index_add(tensor(at, { dtype = "i64", device = device }), ops.cat(inner, 1), 1)
    :reshape(1, #s.ids, -1)
end

-- ---- choosing a token ----

--- The likeliest of the allowed ids, or a draw at a temperature among the top_p likeliest.
local function choose(logits, allowed, o, draw)
  local list = {}
  for id = 0, #logits - 1 do
    if allowed(id) then list[#list + 1] = { id = id, v = logits[id + 1] } end
  end
  table.sort(list, function(a, b)
    if a.v ~= b.v then return a.v > b.v end
    return a.id < b.id
  end)
  if (o.temperature or 0) == 0 then return list[1].id end
  local sum = 0
  for _, c in ipairs(list) do
    c.p = math.exp((c.v - list[1].v) / o.temperature)
    sum = sum + c.p
  end
  local kept, total, limit = {}, 0, (o.top_p or 1) * sum
  for _, c in ipairs(list) do
    kept[#kept + 1], total = c, total + c.p
    if total >= limit then break end
  end
  local x = core.bits(o.seed or 0, 0, PURPOSE, draw) / 2 ^ 32 * total
  for _, c in ipairs(kept) do
    x = x - c.p
    if x < 0 then return c.id end
  end
  return kept[#kept].id
end

-- ---- one reply ----

---@class weft.Reply
---@field kind "text"|"image"|"audio"|"video"
---@field text? string
---@field feature? weft.Tensor  [1,D] of unit length
---@field source? any           the medium of the conversation that the denoiser shall see
---@field carry? weft.Tensor    [1,6] what becomes of how a picture's things stand, as
--- weft.pipeline.micro_anchor has it
---@field plan? string          the words before it: what the model decided for where the prompt
--- left something open, and always what a video shows
---@field direct? weft.Tensor  [1,D] of a picture with a plan: what it foretells without those words

--- A reply under way: the cache and what came out last.
local function begin(self, s, feature_of, o)
  local embeds = self:embeds(s, feature_of)
  local room = self.context - #s.ids
  if room < 8 then
    core.raise("usage", ("prompt: %d tokens leave no room for a reply; the model reads %d")
      :format(#s.ids, self.context), "shorten the prompt, or begin a new chat")
  end
  local run = { s = s, o = o, draws = 0, left = math.min(o.max_tokens or MAX_TOKENS, room - 4),
    sources = math.min(#s.media, sequence.MAX_SOURCE),
    cache = self.lm:cache { batch = 1, tokens = self.context } }
  run.out = self.lm { embeds = embeds, cache = run.cache }
  return run
end

--- Feed rows [1,n,C].
local function feed(self, run, embeds)
  run.out = self.lm { embeds = embeds, cache = run.cache }
  run.left = run.left - embeds:size(2)
end

--- Say a token: put it into the sequence and feed it.
local function say(self, run, id)
  run.s:push(id)
  feed(self, run, self.lm:embed { ids = { id } })
end

--- The next id among the allowed ones; how: temperature and top_p, the call's when not given.
local function next_id(run, allowed, how)
  local logits = run.out.logits
  local row = logits:select(2, logits:size(2)):reshape(-1):totable()
  run.draws = run.draws + 1
  return choose(row, allowed, how or run.o, run.draws)
end

--- A medium of the reply up to its feature [1,D]; the state x of which that is, and the source,
-- which is from before the reply: what the reply itself shows is not made yet.
local function foretell(self, run, kind)
  local m, pointers = self.marker, {}
  say(self, run, m.open[kind])
  for k = 0, run.sources do pointers[m.source[k]] = k end
  local id = next_id(run, function(i) return pointers[i] ~= nil end)
  say(self, run, id)
  local x = run.out.hidden
  x = x:select(2, x:size(2))
  return ops.normalize(self.feature_out { x = x }), x, run.s.media[pointers[id]]
end

--- A medium of the reply: pointer, feature, closing tag.
local function reply_medium(self, run, kind)
  local s, m = run.s, self.marker
  local feature, x, source = foretell(self, run, kind)
  local part = { kind = kind, feature = feature, source = source }
  if kind == "image" and part.source and self.anchor_out then
    part.carry = self.anchor_out { x = x }
  end
  s:push_feature(part, kind)
  local inner = self:inner(part.feature, sequence.sense_of(kind))
  feed(self, run, inner:reshape(1, inner:size(1), -1))
  s:number(part)
  say(self, run, m.close[kind])
  return part
end

--- Tell a callback what words were added to those that it knows, characters whole: one of several
-- bytes comes as several ids, and reads as U+FFFD until the last of them.
local function tell(self, run, ids, told, is_end)
  if not run.o.on_token then return told end
  local text = self.tok:decode(ids)
  if not is_end and text:find "\239\191\189$" or #text <= #told then return told end
  run.o.on_token(text:sub(#told + 1))
  return text
end

--- Words until something else comes; that id, nil at the end of the room.
local function reply_words(self, run, ids, stops)
  local stop, told = self.marker.stop, ""
  local function allowed(id) return self.is_word[id] or id == stop or stops[id] ~= nil end
  while run.left > 1 do
    local id = next_id(run, allowed)
    if id == stop or stops[id] then
      tell(self, run, ids, told, true)
      return id
    end
    ids[#ids + 1] = id
    told = tell(self, run, ids, told)
    say(self, run, id)
  end
  tell(self, run, ids, told, true)
  return nil
end

--- The tags that may end words, by id: kinds is a set.
local function stops_for(self, kinds)
  local open = {}
  for _, kind in ipairs(sequence.KINDS) do
    if kind ~= "text" and kinds[kind] then open[self.marker.open[kind]] = kind end
  end
  return open
end

--- Go back to where a reply was so many tokens long.
local function rewind(run, n, out)
  local s = run.s
  run.left, run.out = run.left + #s.ids - n, out
  for i = #s.ids, n + 1, -1 do s.ids[i], s.learned[i] = nil, nil end
  run.cache:truncate(n)
end

-- How the words of a plan are drawn where the call does not say: what the prompt leaves open comes
-- out otherwise by another seed, what it says is all but certain.
local PLAN = { temperature = 1, top_p = 0.9 }
-- Tokens of a plan at most, and how often words of what is heard are drawn again where something
-- seen is wanted, or the other way round.
local MAX_PLAN, MAX_DRAWS = 48, 8

--- Say ids anew after the reply was gone back.
local function say_again(self, run, ids)
  for _, id in ipairs(ids) do run.s:push(id) end
  feed(self, run, self.lm:embed { ids = { ids } })
end

--- Words up to the tag that the model would have, of any medium: where it is another than is
-- wanted it has said as much as it would. Returns the words' ids and the kind of the tag.
local function plan_once(self, run, kind, how)
  local open, ends, ids = self.marker.open[kind], {}, {}
  for of, id in pairs(self.marker.open) do ends[id] = of end
  local function allowed(id)
    if ends[id] then return id == open or ids[1] ~= nil end
    return self.is_word[id] and #ids < MAX_PLAN
  end
  while run.left > 8 do
    local id = next_id(run, allowed, how)
    if ends[id] then return ids, ends[id] end
    ids[#ids + 1] = id
    say(self, run, id)
  end
  return ids, kind
end

--- What the model says of a medium before its tag: the words that it decides for where the prompt
-- leaves something open, none where it does not. Words of the wrong sense are drawn again or, where
-- that is allowed, taken for a prompt that was misread.
---@return string? text
---@return weft.Tensor? direct  [1,D] the feature that it foretells of a picture without the words
---@return boolean? is_misread
local function plan(self, run, kind, may_misread)
  local how, ids, said
  if (run.o.temperature or 0) == 0 then
    how = { temperature = PLAN.temperature, top_p = PLAN.top_p, seed = run.o.seed }
  end
  local n, out = #run.s.ids, run.out
  for draw = 1, MAX_DRAWS do
    ids, said = plan_once(self, run, kind, how)
    if sequence.sense_of(said) == sequence.sense_of(kind) or draw == MAX_DRAWS then break end
    if may_misread then return nil, nil, true end
    rewind(run, n, out)
  end
  if not ids[1] then return nil end
  local text, direct = self.tok:decode(ids), nil
  if run.o.on_token then run.o.on_token(text) end
  if kind == "image" then
    rewind(run, n, out)
    direct = foretell(self, run, kind)
    rewind(run, n, out)
    say_again(self, run, ids)
  end
  return text, direct
end

--- The reply as the model wants it: words and media until it stops.
local function reply_freely(self, run, kinds)
  local parts, stops, n_media = {}, stops_for(self, kinds), 0
  while true do
    local ids, n, out, direct = {}, #run.s.ids, run.out, nil
    local id = reply_words(self, run, ids, stops)
    local text = ids[1] and self.tok:decode(ids)
    if text and stops[id] then                  -- words before a tag are a plan, not an answer
      rewind(run, n, out)
      text, direct = plan(self, run, stops[id])
    end
    if text then parts[#parts + 1] = { kind = "text", text = text } end
    if not stops[id] or n_media == MAX_MEDIA or run.left < 4 then return parts end
    parts[#parts + 1] = reply_medium(self, run, stops[id])
    parts[#parts].plan, parts[#parts].direct = text, direct
    n_media = n_media + 1
  end
end

--- Places of a list of kinds in the order in which they are said: the media among themselves by
-- rank, words where they stand.
local function order_of(list)
  local media, order = {}, {}
  for i, kind in ipairs(list) do
    if kind ~= "text" then media[#media + 1] = i end
  end
  table.sort(media, function(a, b)
    local x, y = sequence.RANK[list[a]], sequence.RANK[list[b]]
    if x ~= y then return x < y end
    return a < b
  end)
  local k = 0
  for i, kind in ipairs(list) do
    k = k + (kind == "text" and 0 or 1)
    order[i] = kind == "text" and i or media[k]
  end
  return order
end

--- The reply of exactly these kinds, in the order of the list.
local function reply_as_told(self, run, list)
  local parts = {}
  for _, i in ipairs(order_of(list)) do
    local kind = list[i]
    if kind == "text" then
      local ids = {}
      reply_words(self, run, ids, stops_for(self, {}))
      parts[i] = { kind = "text", text = self.tok:decode(ids) }
    else
      local words, direct, is_misread = plan(self, run, kind, run.o.may_misread)
      if is_misread then return nil end
      parts[i] = reply_medium(self, run, kind)
      parts[i].plan, parts[i].direct = words, direct
    end
  end
  return parts
end

--- Reply to a sequence whose last question was asked; the reply is put into it. Nil where a kind
-- is wanted and the model would say something of the other sense, if o.may_misread.
---@param s weft.Sequence
---@param feature_of fun(medium: any): weft.Tensor
---@param o { to: string|string[], can: table<string, boolean>, temperature: number, top_p: number,
--- max_tokens: integer, seed: integer, on_token: fun(piece: string), may_misread: boolean? }
---@return weft.Reply[]?
function Reader:reply(s, feature_of, o)
  local run = begin(self, s, feature_of, o)
  local parts
  if o.to == nil or o.to == "auto" then
    parts = reply_freely(self, run, o.can)
  else
    parts = reply_as_told(self, run, type(o.to) == "table" and o.to or { o.to })
  end
  if parts then s:push(self.marker.stop) end
  return parts
end

return M
