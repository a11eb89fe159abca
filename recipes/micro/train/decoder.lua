--- The caption loss of the towers: a small decoder writes a whole text from a feature alone, which
-- forces all that the text says into the feature. It is dropped after the training.
local weft = require "weft"
local configs = require "configs"
local nn = require "weft.nn"
local train = weft.train

local D, T, PREFIX = 128, configs.text_tokens, 4
local VOCABULARY = 768

--- A decoder whose parameters are added to a network.
---@param net weft.Net
---@return fun(feature: weft.Tensor, ids: weft.Tensor): weft.Tensor loss  of ids [B,T] from
--- feature [B,128]; padding (0) is not asked for
return function(net)
  local prefix = net:linear("prefix", configs.feature_width, PREFIX * D)
  local embed = net:embedding("embed", VOCABULARY, D, 0.05)
  local positions = net:param("positions", { 1, T + PREFIX, D }, nn.normal(0.02))
  local blocks = { net:block("block1", D, 4, { causal = true }),
    net:block("block2", D, 4, { causal = true }) }
  local norm, head = net:norm("norm", D), net:linear("head", D, VOCABULARY)

  return function(feature, ids)
    local B = feature:size(1)
    local words = embed(ids:narrow(2, 1, T - 1))
    local x = weft.cat({ prefix(feature * math.sqrt(D)):reshape(B, PREFIX, D), words }, 2)
    x = x + positions:narrow(2, 1, x:size(2))
    for _, block in ipairs(blocks) do x = block(x) end
    return train.cross_entropy(head(norm(x:narrow(2, PREFIX, T))), ids, { ignore = 0 })
  end
end
