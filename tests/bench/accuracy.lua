--- How far fast kernels are off a truth in double precision: root mean square of the error, by that
-- of the truth.
--
--   weft run tests/bench/accuracy.lua        (WEFT_CPU=avx2 and so on for another level)
--
-- The truth is the same op on f64 tensors of the same values.
local weft = require "weft"
local T = weft.tensor

local OPS = {
  { "conv 3x3 320->320 @32, Winograd", { { 1, 32, 32, 320 }, { 320, 3, 3, 320 } },
    function(x, w) return weft.conv2d(x, w, nil, { padding = 1 }) end },
  { "conv 3x3 1280->1280 @8, Winograd", { { 2, 8, 8, 1280 }, { 1280, 3, 3, 1280 } },
    function(x, w) return weft.conv2d(x, w, nil, { padding = 1 }) end },
  { "conv 3x3 /2 320->320 @32", { { 1, 32, 32, 320 }, { 320, 3, 3, 320 } },
    function(x, w) return weft.conv2d(x, w, nil, { padding = 1, stride = 2 }) end },
  { "attention 576x10, heads of 64",
    { { 1, 576, 10, 64 }, { 1, 576, 10, 64 }, { 1, 576, 10, 64 } }, weft.attention },
  { "attention of one token over 2048, 32 heads of 128",
    { { 1, 1, 32, 128 }, { 1, 2048, 32, 128 }, { 1, 2048, 32, 128 } }, weft.attention },
  { "linear 256x4096x1024", { { 256, 1024 }, { 4096, 1024 } }, weft.linear },
}

--- Tensors of normal values in a dtype; those of both dtypes are equal.
local function inputs(sizes, dtype)
  local list = {}
  for i, size in ipairs(sizes) do list[i] = T.randn(size, { seed = i }):to(dtype) end
  return list
end

local function rms(t) return math.sqrt(t:square():mean():item()) end

local function run(f, sizes, bf16)
  weft.bf16(bf16)
  local y = f(unpack(inputs(sizes, "f32"))):to "f64"
  weft.bf16(false)
  return y
end

print("kernels for " .. weft.core.cpu_level())
print(("%-52s %10s %10s"):format("rms error by rms of the truth", "f32", "bf16"))
for _, op in ipairs(OPS) do
  local name, sizes, f = unpack(op)
  weft.scope(function()
    local truth = f(unpack(inputs(sizes, "f64")))
    local size = rms(truth)
    print(("%-52s %10.2g %10.2g"):format(name, rms(run(f, sizes, false) - truth) / size,
      rms(run(f, sizes, true) - truth) / size))
  end)
end
