--- Examples of the small world as sequences of the language model, in batches.
local weft = require "weft"
local data = require "data"
local rng = require "world.rng"
local sequence = require "weft.pipeline.sequence"
local tasks = require "world.tasks"

local M = {}

-- How often a description is given as its feature instead of words: text made multimodal.
local AS_FEATURE = 0.15

---@class micro.Words  a text that stands in a sequence by its feature
---@field text string

--- Kind and medium of a prompt's part, as weft.pipeline.sequence asks.
local function kind_of(part)
  if type(part) == "string" then return nil end
  if part.image then return "image", part.image end
  return "text", part
end

--- The prompt's parts, now and then with the whole description as one feature.
local function parts_of(example, r)
  if example.task ~= "generate" and example.task ~= "bare" then return example.prompt end
  if not r:chance(AS_FEATURE) then return example.prompt end
  local words, out = { text = example.caption }, {}
  for i, part in ipairs(example.prompt) do
    local a, b = part:find(example.caption, 1, true)
    if a then
      local before, after = part:sub(1, a - 1), part:sub(b + 1)
      if before:find "%S" then out[#out + 1] = before end
      out[#out + 1] = words
      if after:find "%S" then out[#out + 1] = after end
    else
      out[i] = part
    end
  end
  return out
end

--- One example as a sequence. Its target's medium is the scene, or the caption's words where the
-- prompt leaves something free: then no one picture is right, but the description is.
---@param tok weft.Tokenizer
---@param example world.Example
---@param r world.Rng
---@return weft.Sequence
function M.sequence(tok, example, r)
  local s = sequence.new(tok)
  s:ask(parts_of(example, r), kind_of)
  if example.text then
    s:reply_text(example.text)
  else
    local target = example.exact and example.image or { text = example.caption }
    s:reply_medium("image", target, example.media[example.source])
  end
  s:stop()
  return s
end

--- n sequences of batch `step`, and their examples.
---@return weft.Sequence[]
---@return world.Example[]
function M.sequences(tok, stage, step, n)
  local list, examples = {}, {}
  for i = 1, n do
    local r = rng.new(stage, step * n + i)
    examples[i] = tasks.sample(r)
    list[i] = M.sequence(tok, examples[i], r)
  end
  return list, examples
end

--- Where each distinct medium of the sequences stands among the features: pictures first, then
-- words.
local function number_media(list)
  local scenes, texts, index = {}, {}, {}
  local function add(medium)
    if index[medium] then return end
    local to = medium.text and texts or scenes
    to[#to + 1] = medium.text or medium
    index[medium] = { text = medium.text ~= nil, k = #to }
  end
  for _, s in ipairs(list) do
    for _, place in ipairs(s.places) do add(place.medium) end
    for _, reply in ipairs(s.replies) do add(reply.medium) end
  end
  return scenes, texts, function(medium)
    local at = index[medium]
    return (at.text and #scenes or 0) + at.k - 1
  end
end

--- Unit features [N,128] of pictures and words.
---@param towers { image: weft.Model, text: weft.Model }
local function features(towers, tok, scenes, texts)
  local list = {}
  if scenes[1] then
    list[1] = weft.normalize(towers.image { pixels = data.pictures(scenes) }.embeds)
  end
  if texts[1] then
    list[#list + 1] = weft.normalize(towers.text { ids = (data.text_ids(tok, texts)) }.embeds)
  end
  return weft.cat(list, 1)
end

---@class micro.Batch
---@field ids weft.Tensor      [B,T] padded with 0
---@field wanted weft.Tensor   [B,T] the token to say next; -100 where the model need not
---@field features weft.Tensor [N,128] of all media
---@field place_at weft.Tensor [P] rows of [B*T] where features stand
---@field place_of weft.Tensor [P] their rows of features
---@field reply_at weft.Tensor [R] rows of [B*T] whose state foretells a feature; nil for none
---@field reply_of weft.Tensor [R]

local function i64(list) return weft.tensor(list, { dtype = "i64" }) end

--- Sequences as one padded batch.
---@return micro.Batch
function M.batch(tok, towers, list)
  local T = 0
  for _, s in ipairs(list) do T = math.max(T, #s.ids) end
  local scenes, texts, row_of = number_media(list)
  local ids, wanted = {}, {}
  local at, of, reply_at, reply_of = {}, {}, {}, {}
  for b, s in ipairs(list) do
    ids[b], wanted[b] = {}, {}
    for t = 1, T do
      ids[b][t] = s.ids[t] or 0
      wanted[b][t] = s.learned[t + 1] and s.ids[t + 1] or -100
    end
    for _, place in ipairs(s.places) do
      at[#at + 1], of[#of + 1] = (b - 1) * T + place.at - 1, row_of(place.medium)
    end
    for _, reply in ipairs(s.replies) do
      reply_at[#reply_at + 1] = (b - 1) * T + reply.at - 1
      reply_of[#reply_of + 1] = row_of(reply.medium)
    end
  end
  return {
    ids = i64(ids), wanted = i64(wanted), features = features(towers, tok, scenes, texts),
    place_at = i64(at), place_of = i64(of),
    reply_at = reply_at[1] and i64(reply_at), reply_of = reply_at[1] and i64(reply_of),
  }
end

return M
