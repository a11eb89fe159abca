--- The caption loss of the towers: a small decoder writes a whole text from a feature alone, which
-- forces all that the text says into the feature, and linear heads say which words it has and which
-- pairs of words stand in one phrase, which lays each along a direction of its own: what reads the
-- feature later finds it there at once, and knows which colour belongs to which kind. All are
-- dropped after the training.
local ffi = require "ffi"
local weft = require "weft"
local configs = require "configs"
local nn = require "weft.nn"
local train = weft.train

local D, PREFIX = 128, 4
local VOCABULARY = 768

local N_PAIRS = 2048                     -- buckets, some of which two pairs share

--- Call see(word, ids before it in its phrase, how many) for each word of text i of ids.
local function each_word(from, length, i, ends_phrase, see)
  local phrase, n = {}, 0
  for k = i * length, (i + 1) * length - 1 do
    local id = tonumber(from[k])
    if id ~= 0 then see(id, phrase, n) end
    if ends_phrase[id] then n = 0 else phrase[n + 1], n = id, n + 1 end
  end
end

--- Which words each text has: f32 [B,768] of 0 and 1, padding apart; and which pairs of words stand
-- in one of its phrases: [B,2048].
local function words_in(ids, ends_phrase)
  local B, length = ids:size(1), ids:size(2)
  local has, has_pairs = weft.tensor.zeros({ B, VOCABULARY }), weft.tensor.zeros({ B, N_PAIRS })
  local from = ffi.cast("int64_t *", ids:ptr())
  local words, together = ffi.cast("float *", has:ptr()), ffi.cast("float *", has_pairs:ptr())
  for i = 0, B - 1 do
    each_word(from, length, i, ends_phrase, function(id, phrase, n)
      words[i * VOCABULARY + id] = 1
      for k = 1, n do
        local low, high = math.min(id, phrase[k]), math.max(id, phrase[k])
        together[i * N_PAIRS + (low * 1031 + high) % N_PAIRS] = 1
      end
    end)
  end
  return has, has_pairs
end

--- Binary cross-entropy of each of so many things being in a text, a thing that is.
local function presence(net, name, count)
  -- Few of them are, so each begins as unlikely.
  local weight = net:param(name .. ".weight", { count, configs.feature_width }, nn.normal(0.01))
  local bias = net:param(name .. ".bias", { count }, nn.constant(-5))
  return function(feature, has)
    local logits = weft.linear(feature, weight, bias)
    return (weft.softplus(logits) - logits * has):sum() / has:sum()
  end
end

-- Words at which a phrase of a caption ends: what stands around them belongs to different things.
local ENDS = { "and", "in", "on", "night", "with", "then" }

--- A decoder whose parameters are added to a network.
---@param net weft.Net
---@param tok weft.Tokenizer
---@return fun(unit: weft.Tensor, ids: weft.Tensor): weft.Tensor loss  of ids [B,T] from
--- unit features [B,feature_width]; padding (0) is not asked for
return function(net, tok)
  local T, scale = configs.text_tokens, math.sqrt(configs.feature_width)
  local prefix = net:linear("prefix", configs.feature_width, PREFIX * D)
  local embed = net:embedding("embed", VOCABULARY, D, 0.05)
  local positions = net:param("positions", { 1, T + PREFIX, D }, nn.normal(0.02))
  local blocks = { net:block("block1", D, 4, { causal = true }),
    net:block("block2", D, 4, { causal = true }) }
  local norm, head = net:norm("norm", D), net:linear("head", D, VOCABULARY)
  local bag, bound = presence(net, "bag", VOCABULARY), presence(net, "pairs", N_PAIRS)
  local ends_phrase = {}
  for _, word in ipairs(ENDS) do
    local ids = tok:encode(word)
    ends_phrase[ids[#ids]] = true
  end

  return function(unit, ids)
    local feature = unit * scale
    local B = feature:size(1)
    local words = embed(ids:narrow(2, 1, T - 1))
    local x = weft.cat({ prefix(feature):reshape(B, PREFIX, D), words }, 2)
    x = x + positions:narrow(2, 1, x:size(2))
    for _, block in ipairs(blocks) do x = block(x) end
    local in_order = train.cross_entropy(head(norm(x:narrow(2, PREFIX, T))), ids, { ignore = 0 })
    local has, has_pairs = words_in(ids, ends_phrase)
    return in_order + bag(feature, has) + bound(feature, has_pairs)
  end
end
