--- Two layers of Llama-2-7B's sizes with random weights of f16: a prompt, and a token after it.
local weft = require "weft"
local T = weft.tensor

local LAYERS, TOKENS = 2, 512
local config = {
  architectures = { "LlamaForCausalLM" }, model_type = "llama", vocab_size = 256,
  hidden_size = 4096, intermediate_size = 11008, num_hidden_layers = LAYERS,
  num_attention_heads = 32, num_key_value_heads = 32, rms_norm_eps = 1e-5,
}
local weights = LAYERS * (4 * 4096 * 4096 + 3 * 4096 * 11008)

local rows = {}

local function add(name, dtype, decode, more)
  local row = {
    group = "llama", name = ("llama-2-7b, %d of 32 layers: %s"):format(LAYERS, name), dtype = dtype,
    full = true, spec = { op = "llama", config = config, tokens = TOKENS, decode = decode },
    make = function()
      local lm = weft.model.new("llama", config, { seed = 1 }):to "f16"
      local ids = (T.rand({ 1, TOKENS }, { seed = 2 }) * 255):to "i64"
      local cache = lm:cache { tokens = TOKENS + 1 }
      if not decode then
        return function() return lm { ids = ids, cache = cache:truncate(0), last = true } end
      end
      weft.scope(function() lm { ids = ids, cache = cache, last = true } end)
      local one = T({ { 7 } }, { dtype = "i64" })
      return function() return lm { ids = one, cache = cache:truncate(TOKENS), last = true } end
    end,
  }
  for k, v in pairs(more) do row[k] = v end
  rows[#rows + 1] = row
end

for _, dtype in ipairs { "f32", "bf16" } do
  add("prompt of 512", dtype, false, { flops = 2 * weights * TOKENS })
  add("one token", dtype, true, { bytes = 2 * weights })
end

return rows
