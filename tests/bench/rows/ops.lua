--- Rows of single ops at the sizes that the public models call them with.
local weft = require "weft"
local T = weft.tensor

local rows = {}

local function add(row)
  row.group = "ops"
  rows[#rows + 1] = row
end

local function product_sizes(...)
  local n = 1
  for _, v in ipairs { ... } do n = n * v end
  return n
end

-- ---- convolution ----

local function conv(k, stride, I, O, side, dtype)
  local out = math.ceil(side / stride)
  add {
    name = ("conv %dx%d%s %d->%d @%d"):format(k, k, stride > 1 and " /2" or "", I, O, side),
    dtype = dtype, spec = { op = "conv", k = k, stride = stride, I = I, O = O, side = side },
    flops = 2 * product_sizes(k, k, I, O, out, out),
    bytes = 4 * (side * side * I + out * out * O + k * k * I * O),
    make = function()
      local x = T.randn({ 1, side, side, I }, { seed = 1 })
      local w = T.randn({ O, k, k, I }, { seed = 2 })
      local how = { stride = stride, padding = (k - 1) / 2 }
      return function() return weft.conv2d(x, w, nil, how) end
    end,
  }
end

for _, c in ipairs { { 320, 320, 96 }, { 640, 640, 48 }, { 1280, 1280, 24 }, { 1280, 1280, 12 },
  { 512, 512, 96 }, { 256, 256, 384 }, { 128, 128, 768 } } do
  for _, dtype in ipairs { "f32", "bf16" } do conv(3, 1, c[1], c[2], c[3], dtype) end
end
for _, dtype in ipairs { "f32", "bf16" } do
  conv(3, 2, 320, 320, 96, dtype)
  conv(1, 1, 640, 320, 96, dtype)
end

-- ---- attention and products ----

local function attention(tokens, heads, dtype)
  local D = 64
  add {
    name = ("attention %dx%d"):format(tokens, heads), dtype = dtype,
    spec = { op = "attention", tokens = tokens, heads = heads, width = D },
    flops = 4 * tokens * tokens * heads * D, bytes = 16 * tokens * heads * D,
    make = function()
      local function random(seed) return T.randn({ 1, tokens, heads, D }, { seed = seed }) end
      local q, k, v = random(1), random(2), random(3)
      return function() return weft.attention(q, k, v) end
    end,
  }
end

local function linear(M, N, K, dtype)
  add {
    name = ("linear %dx%dx%d"):format(M, N, K), dtype = dtype,
    spec = { op = "linear", M = M, N = N, K = K }, flops = 2 * M * N * K,
    bytes = 4 * (M * K + M * N) + (dtype == "f32" and 4 or 2) * N * K,
    make = function()
      local x, w = T.randn({ M, K }, { seed = 1 }), T.randn({ N, K }, { seed = 2 })
      return function() return weft.linear(x, w) end
    end,
  }
end

for _, dtype in ipairs { "f32", "bf16" } do
  for _, a in ipairs { { 9216, 5 }, { 2304, 10 }, { 576, 20 } } do attention(a[1], a[2], dtype) end
  for _, m in ipairs { { 9216, 2560, 320 }, { 512, 4096, 4096 }, { 512, 11008, 4096 },
    { 77, 4096, 1024 } } do
    linear(m[1], m[2], m[3], dtype)
  end
end

--- One row times matrices in turn, all of them far larger than the caches together.
local function gemv(dtype)
  local N, elem_bytes = 4096, dtype == "f32" and 4 or 2
  local n = math.ceil(1e9 / (N * N * elem_bytes))
  add {
    name = ("gemv %dx%d"):format(N, N), dtype = dtype, storage = true,
    spec = { op = "gemv", N = N, matrices = n }, flops = 2 * N * N, bytes = elem_bytes * N * N,
    make = function()
      local x, w, at = T.randn({ 1, N }, { seed = 1 }), {}, 0
      for i = 1, n do w[i] = T.randn({ N, N }, { seed = i, dtype = dtype }) end
      for i = 1, n do weft.scope(function() weft.linear(x, w[i]) end) end
      return function()
        at = at % n + 1
        return weft.linear(x, w[at])
      end
    end,
  }
end

for _, dtype in ipairs { "f32", "bf16", "f16" } do gemv(dtype) end

-- ---- norms and activations: bound by memory ----

local function pass(name, sizes, reads, f, op)
  local values = product_sizes(unpack(sizes))
  add {
    name = name, dtype = "f32", spec = { op = op or name:match "^%S+", sizes = sizes },
    bytes = 4 * values * reads,
    make = function()
      local x = T.randn(sizes, { seed = 1 })
      local w, b = T.ones({ sizes[#sizes] }), T.zeros({ sizes[#sizes] })
      return function() return f(x, w, b) end
    end,
  }
end

pass("group_norm+silu 9216x320", { 1, 96, 96, 320 }, 3, function(x, w, b)
  return weft.group_norm(x, w, b, { groups = 32, silu = 1 })
end, "group_norm_silu")
pass("layer_norm 9216x320", { 9216, 320 }, 2, weft.layer_norm)
pass("rms_norm 2048x4096", { 2048, 4096 }, 2, function(x, w) return weft.rms_norm(x, w) end)
pass("softmax 2048x4096", { 2048, 4096 }, 2, function(x) return x:softmax() end)
pass("silu 9216x1280", { 9216, 1280 }, 2, function(x) return weft.silu(x) end)
pass("gelu 9216x1280", { 9216, 1280 }, 2, function(x) return weft.gelu(x) end)
pass("geglu 9216x2560", { 9216, 2560 }, 1.5, function(x) return weft.geglu(x) end)
pass("add 9216x1280", { 9216, 1280 }, 2, function(x) return x + x end)

-- ---- what videos, vocoders, decoding and training ask for ----

--- A row of an op with its gradients, in f32 and bf16: of f, over tensors of these sizes.
---@param f fun(...: weft.Tensor): weft.Tensor
local function trained(name, spec, flops, sizes, f)
  for _, dtype in ipairs { "f32", "bf16" } do
    add {
      name = name .. ", gradients", dtype = dtype, spec = spec, flops = 3 * flops,
      make = function()
        local inputs = {}
        for i, size in ipairs(sizes) do inputs[i] = T.randn(size, { seed = i }) end
        local dy = T.randn(f(unpack(inputs)):size(), { seed = 9 })
        return function()
          return weft.grad(function() return (f(unpack(inputs)) * dy):sum() end, inputs)
        end
      end,
    }
  end
end

--- Convolutions of other shapes: x [B,H,W,C] with a kernel of kh x kw.
local function shaped(name, sizes, kh, kw, O, dilation)
  local B, H, W, C = unpack(sizes)
  for _, dtype in ipairs { "f32", "bf16" } do
    add {
      name = name, dtype = dtype, spec = { op = "conv_shaped", x = sizes, kh = kh, kw = kw, O = O,
        dilation = dilation }, flops = 2 * product_sizes(B, H, W, C, O, kh, kw),
      make = function()
        local x, w = T.randn(sizes, { seed = 1 }), T.randn({ O, kh, kw, C }, { seed = 2 })
        local how = { padding = { (kh - 1) / 2, dilation * (kw - 1) / 2 },
          dilation = { 1, dilation } }
        return function() return weft.conv2d(x, w, nil, how) end
      end,
    }
  end
end

shaped("conv 3x1x1 320->320 of 16 frames 40x64", { 1, 16, 40 * 64, 320 }, 3, 1, 320, 1)
shaped("conv 1-D of 11, dilated by 5, 128->128 @8192", { 1, 1, 8192, 128 }, 1, 11, 128, 5)
trained("conv 3x3 320->320 @48", { op = "conv_grad", side = 48, channels = 320 },
  2 * product_sizes(9, 320, 320, 48, 48), { { 1, 48, 48, 320 }, { 320, 3, 3, 320 } },
  function(x, w) return weft.conv2d(x, w, nil, { padding = 1 }) end)
trained("attention 1024x10", { op = "attention_grad", tokens = 1024, heads = 10 },
  4 * product_sizes(1024, 1024, 10, 64),
  { { 1, 1024, 10, 64 }, { 1, 1024, 10, 64 }, { 1, 1024, 10, 64 } }, weft.attention)
trained("linear 2048x1024x1024", { op = "linear_grad", M = 2048, N = 1024 },
  2 * product_sizes(2048, 1024, 1024), { { 2048, 1024 }, { 1024, 1024 } }, weft.linear)

add {
  name = "attention of one token over 2048, 32 heads", dtype = "f32",
  spec = { op = "attention_one", tokens = 2048, heads = 32 }, bytes = 2 * 4 * 2048 * 32 * 128,
  make = function()
    local q = T.randn({ 1, 1, 32, 128 }, { seed = 1 })
    local k, v = T.randn({ 1, 2048, 32, 128 }, { seed = 2 }),
      T.randn({ 1, 2048, 32, 128 }, { seed = 3 })
    return function() return weft.attention(q, k, v) end
  end,
}
add {
  name = "cross-entropy 2048x32000, gradients", dtype = "f32",
  spec = { op = "cross_entropy", M = 2048, N = 32000 }, bytes = 2 * 4 * 2048 * 32000,
  make = function()
    local x = T.randn({ 2048, 32000 }, { seed = 1 })
    local to = (T.rand({ 2048 }, { seed = 2 }) * 31999):to "i64"
    return function() return weft.grad(function() return weft.cross_entropy(x, to) end, { x }) end
  end,
}
add {
  name = "AdamW over 10 M values", dtype = "f32", spec = { op = "adamw", N = 1e7 },
  bytes = 7 * 4 * 1e7,
  make = function()
    local w, g = T.randn({ 1e7 }, { seed = 1 }), T.randn({ 1e7 }, { seed = 2 })
    local opt = weft.train.adamw { { w }, lr = 1e-4 }
    return function() opt:step { g } end
  end,
}

return rows
