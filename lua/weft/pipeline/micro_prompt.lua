--- What the small model makes of a prompt: one feature of the aligned space, the sum of the parts'
-- features on the unit sphere.
local core = require "weft.core"
local check = require "weft.check"
local embedding = require "weft.embedding"
local media = require "weft.pipeline.micro_media"
local ops = require "weft.ops"
local options = require "weft.options"
local sequence = require "weft.pipeline.sequence"
local tensor = require "weft.tensor"

local M = {}

-- Which key of a part's config says how wide features are.
local width_keys = { { "text_encoder", "projection_dim" }, { "image_encoder", "projection_dim" },
  { "conditioner", "feature_dim" }, { "audio_conditioner", "feature_dim" } }

--- Values D of the features of a model.
function M.width(m)
  for _, key in ipairs(width_keys) do
    local part = m.parts[key[1]]
    if part then return part.config[key[2]] end
  end
  return core.raise("model", ("the model '%s' has no part that makes features"):format(m.name))
end

--- What a part of a prompt is without its weight, and the weight.
function M.weight_of(part)
  if type(part) == "table" and part.weft_weight then return part.part, part.weft_weight end
  return part, 1
end

--- Texts of a prompt joined, and the other parts with their weights; a text with a weight of its
-- own is one of them.
---@return string text
---@return { [1]: any, [2]: number }[] parts
function M.split(prompt)
  local texts, parts = {}, {}
  for _, part in ipairs(prompt) do
    if type(part) == "string" then texts[#texts + 1] = part
    else parts[#parts + 1] = { M.weight_of(part) } end
  end
  local text = table.concat(texts):gsub("^%s+", ""):gsub("%s+$", "")
  return text, parts
end

--- All words of a prompt.
function M.text(prompt)
  local texts = {}
  for _, part in ipairs(prompt) do
    part = M.weight_of(part)
    if type(part) == "string" then texts[#texts + 1] = part end
  end
  return (table.concat(texts):gsub("^%s+", ""):gsub("%s+$", ""))
end

--- The words of an option that takes nothing else: a text, or a prompt of texts.
function M.only_text(what, words)
  if type(words) == "string" then return words end
  for _, part in ipairs(words) do
    part = M.weight_of(part)
    if type(part) ~= "string" then
      core.raise("unsupported", ("%s: this model reads only words there, got %s")
        :format(what, type(part) == "table" and part.kind or type(part)))
    end
  end
  return M.text(words)
end

--- The parts that read words; a model without them says so.
local function readers(m)
  local tok, tower = m.parts.tokenizer, m.parts.text_encoder
  if not tok or not tower then
    core.raise("model", ("the model '%s' has no tokenizer and text_encoder"):format(m.name))
  end
  return tok, tower
end

--- Whatever a call takes as a prompt, as a list of parts that are some.
function M.list(what, prompt)
  local list = options.parts(what, prompt)
  for _, part in ipairs(list) do
    part = M.weight_of(part)
    if type(part) ~= "string" and not media.find_part(part) and not embedding.is(part) then
      check.fail("%s: a %s is no part of a prompt", what,
        type(part) == "table" and part.kind or type(part))
    end
  end
  return list
end

--- Ids and mask of one text as the text tower takes them.
---@return weft.Tensor ids   [1,T] i64
---@return weft.Tensor mask  [1,T]
function M.ids(m, text)
  local tok, tower = readers(m)
  local T = tower.config.max_position_embeddings
  local ids, mask = sequence.encode(tok, text), {}
  if #ids > T - 1 then m:warn("text of %d tokens cut to %d", #ids, T - 1) end
  local n = math.min(#ids, T - 1)
  for k = n + 1, #ids do ids[k] = nil end
  for k = n + 1, T do ids[k] = k == n + 1 and tok:id "</text>" or 0 end
  for k = 1, T do mask[k] = k <= n + 1 and 1 or 0 end
  return tensor({ ids }, { dtype = "i64", device = m.device }),
    tensor({ mask }, { device = m.device })
end

-- How other programs write where a medium stands in a text.
local TAGS = { "%[(%a+)[_ ]?%d*%]", "#(%a+)#", "</?(%a+)[_ ]?%d*>" }
local TAGGED = { image = true, audio = true, video = true }

--- Warn of words that stand for media elsewhere. Once a model.
local function note_tags(m, text)
  for _, pattern in ipairs(TAGS) do
    local from, to, kind = text:find(pattern)
    if from and TAGGED[kind] and not m.told_words[pattern] then
      m.told_words[pattern] = true
      m:warn("'%s' is read as words; a medium stands in the prompt itself: { \"turn \", photo }",
        text:sub(from, to))
    end
  end
end

--- Warn of words that the model never met: it reads them letter by letter, or byte by byte where
-- they are not of a to z. Once a word.
function M.note_words(m, text)
  local told, new = m.told_words or {}, {}
  m.told_words = told
  for word in text:lower():gmatch "[%a\128-\255]+" do
    if not told[word] and #readers(m):encode(word, { special = false }) ~= 1 then
      told[word], new[#new + 1] = true, "'" .. word .. "'"
    end
  end
  if new[1] then
    m:warn("the model never met %s and will hardly understand", table.concat(new, ", "))
  end
  note_tags(m, text)
end

--- Warn of a prompt of which the model learns nothing.
function M.note_empty(m, prompt)
  for _, part in ipairs(prompt) do
    if type(part) ~= "string" or part:find "%S" then return end
  end
  m:warn("the prompt says nothing; what is made is left to the seed")
end

--- The text tower's states of a text and their mask.
function M.words(m, text)
  local ids, mask = M.ids(m, text)
  return m.parts.text_encoder { ids = ids }.hidden, mask
end

--- The unit feature [1,D] of one part, and the kind whose weight in a mix it has: a feature that
-- is given stands for a text.
function M.feature_of(m, part)
  if type(part) == "string" then
    M.note_words(m, part)
    return ops.normalize(m.parts.text_encoder { ids = (M.ids(m, part)) }.embeds), "text"
  end
  local medium = media.find_part(part)
  if medium then
    media.need(m, "prompt", medium, { "encoder" })
    local encoder = m.parts[medium.encoder]
    return ops.normalize(encoder { pixels = medium.read(m, part) }.embeds), medium.mixes
  elseif embedding.is(part) then
    local n, wanted = part.tensor:numel(), M.width(m)
    if n ~= wanted then
      check.fail("prompt: an embedding of %d values, this model's have %d", n, wanted)
    end
    return part.tensor:to(m.device), "text"
  end
  return check.fail("prompt: a %s is no part of a prompt", type(part))
end

--- The feature of one part, [1,D], as long as it counts: by its weight times that of its kind.
---@param mix? table<string, number>  weight of each kind
---@param kind? string                 its own when not given
function M.weighed(m, part, weight, mix, kind)
  local f, own = M.feature_of(m, part)
  return f * (weight * (mix and mix[kind or own] or 1))
end

--- The feature of a whole prompt, [1,D]; zeros for an empty one.
---@param mix? table<string, number>  weight of each kind of part
function M.feature(m, prompt, mix)
  local text, parts = M.split(prompt)
  if text:find "[%w\128-\255]" then table.insert(parts, 1, { text, 1 }) end
  local sum
  for _, item in ipairs(parts) do
    local f = M.weighed(m, item[1], item[2], mix)
    sum = sum and sum + f or f
  end
  if not sum then return tensor.zeros({ 1, M.width(m) }, { device = m.device }) end
  return ops.normalize(sum)
end

return M
