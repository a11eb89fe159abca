--- The caption loss of the towers: a small decoder writes a whole text from a feature alone, which
-- forces all that the text says into the feature, and linear heads say which words it has and which
-- words are said of the thing at which place, which lays each along a direction of its own: what
-- reads the feature later finds it there at once. All are dropped after the training.
local ffi = require "ffi"
local weft = require "weft"
local configs = require "configs"
local diffusion = require "diffusion"
local labels = require "labels"
local nn = require "weft.nn"
local train = weft.train

local D, PREFIX = 128, 4
local VOCABULARY = 768

local N_PLACED = 2048                    -- buckets of a word and its place, which few share
local PLACED = 5                         -- weight of their loss: it is learned last

--- Call see(word, place) for each word of text i of ids that stands before "at" in its phrase;
-- place is what stands behind it there, as one number.
local function each_placed(from, length, i, marks, see)
  local words, n, place = {}, 0, nil
  for k = i * length, (i + 1) * length - 1 do
    local id = tonumber(from[k])
    if marks[id] == "end" or id == 0 or marks[id] == "at" and place then
      for w = 1, place and n or 0 do see(words[w], place) end
      n, place = 0, nil
    elseif marks[id] == "at" then
      place = 0
    elseif place then
      place = place * 31 + id
    else
      n = n + 1
      words[n] = id
    end
  end
end

--- Which words each text has: f32 [B,768] of 0 and 1, padding apart; and which words at which
-- places: [B,2048].
local function words_in(ids, marks)
  local B, length = ids:size(1), ids:size(2)
  local has, has_placed = weft.tensor.zeros({ B, VOCABULARY }), weft.tensor.zeros({ B, N_PLACED })
  local from = ffi.cast("int64_t *", ids:ptr())
  local words, placed = ffi.cast("float *", has:ptr()), ffi.cast("float *", has_placed:ptr())
  for i = 0, B - 1 do
    for k = i * length, (i + 1) * length - 1 do
      local id = tonumber(from[k])
      if id ~= 0 then words[i * VOCABULARY + id] = 1 end
    end
    each_placed(from, length, i, marks, function(word, place)
      placed[i * N_PLACED + (place * 1031 + word) % N_PLACED] = 1
    end)
  end
  return has, has_placed
end

--- Binary cross-entropy of each of so many things being in a text, a thing that is.
local function presence(net, name, count)
  -- Few of them are, so each begins as unlikely.
  local weight = net:param(name .. ".weight", { count, configs.feature_width }, nn.normal(0.01))
  local bias = net:param(name .. ".bias", { count }, nn.constant(-5))
  return function(feature, has)
    return labels.presence(weft.linear(feature, weight, bias), has)
  end
end

-- Words at which a phrase of a caption ends: what stands around them belongs to different things.
local ENDS = { "and", "in", "on", "with", "then" }

--- What a word does to phrases, by its last id: "end" them, or part a thing from its place.
local function marks_of(tok)
  local marks = { [tok:id "</text>"] = "end" }
  local function mark(word, what)
    local ids = tok:encode(word, { special = false })
    marks[ids[#ids]] = what
  end
  for _, word in ipairs(ENDS) do mark(word, "end") end
  mark("at", "at")
  return marks
end

--- A decoder whose parameters are added to a network.
---@param net weft.Net
---@param tok weft.Tokenizer
---@return fun(unit: weft.Tensor, ids: weft.Tensor, seed: integer): weft.Tensor loss  of ids [B,T]
--- from unit features [B,feature_width]; padding (0) is not asked for
return function(net, tok)
  local T, scale = configs.text_tokens, math.sqrt(configs.feature_width)
  local prefix = net:linear("prefix", configs.feature_width, PREFIX * D)
  local embed = net:embedding("embed", VOCABULARY, D, 0.05)
  local positions = net:param("positions", { 1, T + PREFIX, D }, nn.normal(0.02))
  local blocks = { net:block("block1", D, 4, { causal = true }),
    net:block("block2", D, 4, { causal = true }) }
  local norm, head = net:norm("norm", D), net:linear("head", D, VOCABULARY)
  local bag, bound = presence(net, "bag", VOCABULARY), presence(net, "placed", N_PLACED)
  local marks = marks_of(tok)

  return function(unit, ids, seed)
    -- Shaken as a denoiser will be told it.
    local noise = weft.tensor.randn(unit:size(), { seed = seed }) * (diffusion.NOISE / scale)
    local feature = weft.normalize(unit + noise) * scale
    local B = feature:size(1)
    local words = embed(ids:narrow(2, 1, T - 1))
    local x = weft.cat({ prefix(feature):reshape(B, PREFIX, D), words }, 2)
    x = x + positions:narrow(2, 1, x:size(2))
    for _, block in ipairs(blocks) do x = block(x) end
    local in_order = train.cross_entropy(head(norm(x:narrow(2, PREFIX, T))), ids, { ignore = 0 })
    local has, has_placed = words_in(ids, marks)
    return in_order + bag(feature, has) + bound(feature, has_placed) * PLACED
  end
end
