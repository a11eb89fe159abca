--- Where a tensor's values lie in memory, for loops over plain numbers. A part of its own, which a
-- recipe that is fenced in does not see: there t:ptr() and t:address() refuse.
local core = require "weft.core"
local check = require "weft.check"

local M = {}

local address, numel = core.tensor_methods.address, core.tensor_methods.numel

-- What is no plain byte to C.
local c_types = {
  f32 = "float *", f64 = "double *", f16 = "uint16_t *", bf16 = "uint16_t *", i64 = "int64_t *",
  i32 = "int32_t *", i8 = "int8_t *",
}

--- The first value's address for LuaJIT's ffi ("float *" for f32 ...), of a contiguous tensor in
-- host memory. It is valid while t lives; never write to weights that a file is mapped for.
---@param n_elems? integer  how many values the caller counts on, whatever an object says of itself
function M.of(t, n_elems)
  check.tensor("ptr", t)
  if n_elems and numel(t) < n_elems then
    check.fail("ptr: the tensor has %d values, %d are wanted", numel(t), n_elems)
  end
  local at = address(t)
  local ok, ffi = pcall(require, "ffi")
  return ok and ffi.cast(c_types[t.dtype] or "uint8_t *", at) or at
end

return M
