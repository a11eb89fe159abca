--- The caption loss of the towers: a small decoder writes a whole text from a feature alone, which
-- forces all that the text says into the feature, and a linear head says which words it has, which
-- lays each word along a direction of its own: what reads the feature later finds it there at
-- once. Both are dropped after the training.
local ffi = require "ffi"
local weft = require "weft"
local configs = require "configs"
local nn = require "weft.nn"
local train = weft.train

local D, T, PREFIX = 128, configs.text_tokens, 4
local VOCABULARY = 768

--- Which words each text has: f32 [B,768] of 0 and 1, padding apart.
local function words_in(ids)
  local B, length = ids:size(1), ids:size(2)
  local has = weft.tensor.zeros({ B, VOCABULARY })
  local from, to = ffi.cast("int64_t *", ids:ptr()), ffi.cast("float *", has:ptr())
  for i = 0, B * length - 1 do
    local id = tonumber(from[i])
    if id ~= 0 then to[math.floor(i / length) * VOCABULARY + id] = 1 end
  end
  return has
end

--- A decoder whose parameters are added to a network.
---@param net weft.Net
---@return fun(unit: weft.Tensor, ids: weft.Tensor): weft.Tensor loss  of ids [B,T] from
--- unit features [B,128]; padding (0) is not asked for
return function(net)
  local prefix = net:linear("prefix", configs.feature_width, PREFIX * D)
  local embed = net:embedding("embed", VOCABULARY, D, 0.05)
  local positions = net:param("positions", { 1, T + PREFIX, D }, nn.normal(0.02))
  local blocks = { net:block("block1", D, 4, { causal = true }),
    net:block("block2", D, 4, { causal = true }) }
  local norm, head = net:norm("norm", D), net:linear("head", D, VOCABULARY)
  -- Few of the words stand in a text, so each begins as unlikely.
  local bag = { net:param("bag.weight", { VOCABULARY, configs.feature_width }, nn.normal(0.01)),
    net:param("bag.bias", { VOCABULARY }, nn.constant(-5)) }

  --- Binary cross-entropy of every word of the vocabulary, a word of the text.
  local function bag_loss(feature, ids)
    local has, logits = words_in(ids), weft.linear(feature, bag[1], bag[2])
    return (weft.softplus(logits) - logits * has):sum() / has:sum()
  end

  return function(unit, ids)
    local feature = unit * math.sqrt(D)
    local B = feature:size(1)
    local words = embed(ids:narrow(2, 1, T - 1))
    local x = weft.cat({ prefix(feature):reshape(B, PREFIX, D), words }, 2)
    x = x + positions:narrow(2, 1, x:size(2))
    for _, block in ipairs(blocks) do x = block(x) end
    local in_order = train.cross_entropy(head(norm(x:narrow(2, PREFIX, T))), ids, { ignore = 0 })
    return in_order + bag_loss(feature, ids)
  end
end
