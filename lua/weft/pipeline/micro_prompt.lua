--- What the small model makes of a prompt: one feature of the aligned space, the sum of the parts'
-- features on the unit sphere.
local core = require "weft.core"
local check = require "weft.check"
local embedding = require "weft.embedding"
local media = require "weft.pipeline.micro_media"
local ops = require "weft.ops"
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

--- Texts of a prompt joined, and the other parts with their weights.
---@return string text
---@return { [1]: any, [2]: number }[] parts
function M.split(prompt)
  local texts, parts = {}, {}
  for _, part in ipairs(prompt) do
    local weight = 1
    if type(part) == "table" and part.weft_weight then
      part, weight = part.part, part.weft_weight
    end
    if type(part) == "string" then texts[#texts + 1] = part
    else parts[#parts + 1] = { part, weight } end
  end
  local text = table.concat(texts):gsub("^%s+", ""):gsub("%s+$", "")
  return text, parts
end

--- The parts that read words; a model without them says so.
local function readers(m)
  local tok, tower = m.parts.tokenizer, m.parts.text_encoder
  if not tok or not tower then
    core.raise("model", ("the model '%s' has no tokenizer and text_encoder"):format(m.name))
  end
  return tok, tower
end

--- Whatever a call takes as a prompt, as a list of parts.
function M.list(prompt)
  if type(prompt) == "table" and not media.find_part(prompt) and not embedding.is(prompt) then
    return prompt
  end
  return { prompt }
end

--- Ids and mask of one text as the text tower takes them.
---@return weft.Tensor ids   [1,T] i64
---@return weft.Tensor mask  [1,T]
function M.ids(m, text)
  local tok, tower = readers(m)
  local T = tower.config.max_position_embeddings
  local ids, mask = tok:encode(text, { special = false }), {}
  if #ids > T - 1 then m:warn("text of %d tokens cut to %d", #ids, T - 1) end
  local n = math.min(#ids, T - 1)
  for k = n + 1, #ids do ids[k] = nil end
  for k = n + 1, T do ids[k] = k == n + 1 and tok:id "</text>" or 0 end
  for k = 1, T do mask[k] = k <= n + 1 and 1 or 0 end
  return tensor({ ids }, { dtype = "i64", device = m.device }),
    tensor({ mask }, { device = m.device })
end

--- Warn of words that the model never met: it reads them letter by letter. Once a word.
function M.note_words(m, text)
  local told, new = m.told_words or {}, {}
  m.told_words = told
  for word in text:lower():gmatch "%a+" do
    if not told[word] and #readers(m):encode(word, { special = false }) ~= 1 then
      told[word], new[#new + 1] = true, "'" .. word .. "'"
    end
  end
  if new[1] then
    m:warn("the model never met %s and will hardly understand", table.concat(new, ", "))
  end
end

--- The text tower's states of a text and their mask.
function M.words(m, text)
  local ids, mask = M.ids(m, text)
  return m.parts.text_encoder { ids = ids }.hidden, mask
end

--- The unit feature [1,D] of one part, and its kind.
function M.feature_of(m, part)
  if type(part) == "string" then
    M.note_words(m, part)
    return ops.normalize(m.parts.text_encoder { ids = (M.ids(m, part)) }.embeds), "text"
  end
  local medium = media.find_part(part)
  if medium then
    media.need(m, "prompt", medium, { "encoder" })
    local encoder = m.parts[medium.encoder]
    return ops.normalize(encoder { pixels = medium.read(m, part) }.embeds), medium.kind
  elseif embedding.is(part) then
    return part.tensor:to(m.device)
  end
  return check.fail("prompt: a %s is no part of a prompt", type(part))
end

--- The feature of a whole prompt, [1,D]; zeros for an empty one.
---@param mix? table<string, number>  weight of each kind of part
function M.feature(m, prompt, mix)
  local text, parts = M.split(prompt)
  if text:find "%w" then table.insert(parts, 1, { text, 1 }) end
  local sum
  for _, item in ipairs(parts) do
    local f, kind = M.feature_of(m, item[1])
    f = f * (item[2] * (mix and kind and mix[kind] or 1))
    sum = sum and sum + f or f
  end
  if not sum then return tensor.zeros({ 1, M.width(m) }, { device = m.device }) end
  return ops.normalize(sum)
end

return M
