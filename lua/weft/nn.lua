--- Networks made in a recipe: named parameters with PyTorch's usual initialisation, and the layers
-- that read them.
--
--     local net = nn.new{ seed = 1 }
--     local up, down = net:linear("up", 128, 512), net:linear("down", 512, 128)
--     local y = down(up(x):silu())
--     for name, t in net:parameters() do ... end
local core = require "weft.core"
local check = require "weft.check"
local ops = require "weft.ops"

local M = {}
---@class weft.Net
local Net = {}
Net.__index = Net

--- An empty network; its random parameters depend on seed and their names alone.
---@param opts? { seed: integer }
function M.new(opts)
  opts = check.keys("nn.new", opts, { "seed" })
  return setmetatable({ seed = opts.seed or 0, names = {}, tensors = {} }, Net)
end

-- Which random stream a parameter takes, by its name.
local function stream_of(name)
  local h = 0
  for i = 1, #name do h = (h * 31 + name:byte(i)) % 4294967296 end
  return h
end

--- Declare a parameter: make(sizes, seed, stream) gives its first values.
function Net:param(name, sizes, make)
  if self.tensors[name] then check.fail("nn: a parameter '%s' is there already", name) end
  local t = make(sizes, self.seed, stream_of(name))
  self.names[#self.names + 1] = name
  self.tensors[name] = t
  return t
end

--- Values of N(0, std).
function M.normal(std)
  return function(sizes, seed, stream)
    return core.scope(function() return core.randn(sizes, seed, stream, 3, 0) * std end)
  end
end

--- Values uniform in -bound ... bound.
function M.uniform(bound)
  return function(sizes, seed, stream)
    return core.scope(function()
      return ops.affine(core.rand(sizes, seed, stream, 3, 0), { mul = 2 * bound, add = -bound })
    end)
  end
end

--- All values v.
function M.constant(v)
  return function(sizes) return core.full(sizes, v, "f32") end
end

--- y = x w^T + b, w [n_out,n_in].
---@param opts? { bias: boolean, std: number }
function Net:linear(name, n_in, n_out, opts)
  opts = check.keys("nn: linear", opts, { "bias", "std" })
  local bound = 1 / math.sqrt(n_in)
  local make = opts.std and M.normal(opts.std) or M.uniform(bound)
  local w = self:param(name .. ".weight", { n_out, n_in }, make)
  local b
  if opts.bias ~= false then
    b = self:param(name .. ".bias", { n_out }, opts.std and M.constant(0) or M.uniform(bound))
  end
  return function(x) return ops.linear(x, w, b) end
end

--- Rows by id.
function Net:embedding(name, n, width, std)
  local w = self:param(name .. ".weight", { n, width }, M.normal(std or 0.02))
  return function(ids) return ops.embedding(ids, w) end
end

--- Layer norm over the last dim.
function Net:norm(name, width, eps)
  local w = self:param(name .. ".weight", { width }, M.constant(1))
  local b = self:param(name .. ".bias", { width }, M.constant(0))
  return function(x) return ops.layer_norm(x, w, b, { eps = eps or 1e-5 }) end
end

--- A pre-norm transformer block on x [B,T,C].
---@param opts? { causal: boolean, mlp: integer }
function Net:block(name, width, heads, opts)
  opts = check.keys("nn: block", opts, { "causal", "mlp" })
  local norm1, norm2 = self:norm(name .. ".norm1", width), self:norm(name .. ".norm2", width)
  local qkv = self:linear(name .. ".qkv", width, 3 * width)
  local out = self:linear(name .. ".out", width, width)
  local up = self:linear(name .. ".up", width, opts.mlp or 4 * width)
  local down = self:linear(name .. ".down", opts.mlp or 4 * width, width)
  local causal = opts.causal
  return function(x)
    local B, T = x:size(1), x:size(2)
    local h = qkv(norm1(x)):reshape(B, T, 3, heads, width / heads)
    local a = ops.attention(h:select(3, 1), h:select(3, 2), h:select(3, 3), { causal = causal })
    x = x + out(a:reshape(B, T, width))
    return x + down(ops.gelu(up(norm2(x))))
  end
end

--- Iterate name, tensor.
function Net:parameters()
  local i = 0
  return function()
    i = i + 1
    return self.names[i], self.tensors[self.names[i]]
  end
end

return M
