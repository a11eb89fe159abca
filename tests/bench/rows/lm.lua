--- Training of a language model of 6.8 M parameters: RMS norm, rotary positions, SwiGLU.
local nn = require "weft.nn"
local weft = require "weft"
local T, train = weft.tensor, weft.train

local spec = { op = "lm", d = 256, layers = 6, heads = 4, mlp = 688, vocabulary = 4096, batch = 8,
  tokens = 256 }

--- cos and sin by position and pair, [T,D/2,2].
local function positions(n, D)
  local out = {}
  for t = 1, n do
    out[t] = {}
    for i = 1, D / 2 do
      local angle = (t - 1) * 1e4 ^ (-2 * (i - 1) / D)
      out[t][i] = { math.cos(angle), math.sin(angle) }
    end
  end
  return T(out)
end

local function block(net, name, rope)
  local d, N, B, n = spec.d, spec.heads, spec.batch, spec.tokens
  local D, plain = d / N, { bias = false }
  local norm1 = net:param(name .. ".norm1", { d }, nn.constant(1))
  local norm2 = net:param(name .. ".norm2", { d }, nn.constant(1))
  local qkv = net:linear(name .. ".qkv", d, 3 * d, plain)
  local out = net:linear(name .. ".out", d, d, plain)
  local gate, up = net:linear(name .. ".gate", d, spec.mlp, plain),
    net:linear(name .. ".up", d, spec.mlp, plain)
  local down = net:linear(name .. ".down", spec.mlp, d, plain)
  return function(x)
    local h = qkv(weft.rms_norm(x, norm1)):reshape(B, n, 3, N, D)
    local q, k = weft.rope(h:select(3, 1), rope, { half = 1 }),
      weft.rope(h:select(3, 2), rope, { half = 1 })
    local y = weft.attention(q, k, h:select(3, 3), { causal = true })
    x = x + out(y:reshape(B, n, d))
    local z = weft.rms_norm(x, norm2)
    return x + down(weft.swiglu(gate(z), up(z)))
  end
end

local function make()
  local net, blocks = nn.new { seed = 1 }, {}
  local rope = positions(spec.tokens, spec.d / spec.heads)
  local embed = net:embedding("embed", spec.vocabulary, spec.d)
  for i = 1, spec.layers do blocks[i] = block(net, "block" .. i, rope) end
  local norm = net:param("norm", { spec.d }, nn.constant(1))
  local head = net:linear("head", spec.d, spec.vocabulary, { bias = false })
  local ids = (T.rand({ spec.batch, spec.tokens + 1 }, { seed = 2 }) * 4095):to "i64"
  local from, to = ids:narrow(2, 1, spec.tokens):contiguous(),
    ids:narrow(2, 2, spec.tokens):contiguous()
  local params = train.parameters(net)
  local opt = train.adamw { params, lr = 1e-3 }
  return function()
    local loss, grads = weft.grad(function()
      local x = embed(from)
      for _, b in ipairs(blocks) do x = b(x) end
      return train.cross_entropy(head(weft.rms_norm(x, norm)), to)
    end, params)
    opt:step(grads)
    return loss
  end
end

local rows = {}
for i, dtype in ipairs { "f32", "bf16" } do
  rows[i] = {
    group = "train", name = "train lm of 6.8 M", dtype = dtype, spec = spec, make = make,
    items = spec.batch * spec.tokens, unit = "tokens",
  }
end
return rows
