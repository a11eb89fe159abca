--- Tensors: makers, views, conversions and printing.
-- Indices count from 1, ranges are inclusive; methods are pure, those that end in _ write in place.
local core = require "weft.core"
local check = require "weft.check"
local functions = require "weft.ops"
local pointer = require "weft.pointer"

local ops = core.ops
local methods = core.tensor_methods
local unpack = unpack
local M = {}

---@class weft.Tensor
for name, f in pairs(functions) do methods[name] = f end

-- ---- makers ----

--- Sizes and options from (2, 3), ({2, 3}), ({2, 3}, opts) or (2, 3, opts).
local function sizes_of(what, names, ...)
  local first = ...
  if first == nil then check.fail("%s: wants sizes, such as %s(2, 3)", what, what) end
  if type(first) == "table" then return first, check.keys(what, select(2, ...), names) end
  local sizes, n = {}, select("#", ...)
  local last = select(n, ...)
  for i = 1, n do sizes[i] = select(i, ...) end
  if type(last) ~= "table" then return sizes, {} end
  sizes[n] = nil
  return sizes, check.keys(what, last, names)
end

local function on_device(t, opts)
  return opts.device and t:to(opts.device) or t
end

--- A tensor from nested lists (always data, never sizes).
---@param opts? { dtype: string, device: string }
function M.from(list, opts)
  opts = check.keys("tensor", opts, { "dtype", "device" })
  return on_device(core.from_table(list, opts.dtype), opts)
end

local function constant(name, value)
  return function(...)
    local sizes, opts = sizes_of(name, { "dtype", "device" }, ...)
    for _, size in ipairs(sizes) do check.int(name .. ": each size", size, nil, 0) end
    return on_device(core.full(sizes, value, opts.dtype), opts)
  end
end

M.zeros, M.ones = constant("zeros", 0), constant("ones", 1)

--- Values are whatever was there.
function M.empty(...)
  local sizes, opts = sizes_of("empty", { "dtype", "device" }, ...)
  return on_device(core.empty(sizes, opts.dtype), opts)
end

function M.full(sizes, value, opts)
  opts = check.keys("full", opts, { "dtype", "device" })
  return on_device(core.full(sizes, value, opts.dtype), opts)
end

local noise_options = { "seed", "sample", "purpose", "first", "dtype", "device" }
local USER = 4      -- WF_RNG_USER: numbers a script asks for

local function noise(name, make, ...)
  local names = { unpack(noise_options) }
  for _, more in ipairs { ... } do names[#names + 1] = more end
  return function(...)
    local sizes, opts = sizes_of(name, names, ...)
    local seed = opts.seed or require("weft").seed()
    local t = make(sizes, seed, opts)
    if opts.dtype then t = t:to(opts.dtype) end
    return on_device(t, opts)
  end
end

--- Normal noise by Philox, keyed by seed, sample and purpose: the same for any batch or device.
-- rng = "torch-cpu" or "torch-cuda" gives what torch.randn gives after manual_seed(seed).
M.randn = noise("randn", function(sizes, seed, opts)
  if opts.rng == "torch-cpu" then return core.randn_torch(sizes, seed) end
  if opts.rng == "torch-cuda" then return core.randn_torch_cuda(sizes, seed, opts.first or 0) end
  check.choice("randn: rng", opts.rng, nil, { "philox", "torch-cpu", "torch-cuda" })
  return core.randn(sizes, seed, opts.sample or 0, opts.purpose or USER, opts.first or 0)
end, "rng")

--- Uniform in [0, 1).
M.rand = noise("rand", function(sizes, seed, opts)
  return core.rand(sizes, seed, opts.sample or 0, opts.purpose or USER, opts.first or 0)
end)

--- first, first + step ... up to last, inclusive as ranges are.
function M.arange(first, last, step, opts)
  if type(step) == "table" then step, opts = nil, step end
  opts = check.keys("arange", opts, { "dtype", "device" })
  step = check.number("arange: step", step, 1)
  check.given("arange: first", first)
  check.given("arange: last", last)
  if step == 0 then check.fail("arange: step may not be 0") end
  local n = math.max(0, math.floor((last - first) / step + 1 + 1e-9))
  return on_device(core.arange(first, step, n, opts.dtype), opts)
end

--- n values from first to last, both included.
function M.linspace(first, last, n, opts)
  opts = check.keys("linspace", opts, { "dtype", "device" })
  return on_device(core.arange(first, n > 1 and (last - first) / (n - 1) or 0, n, opts.dtype), opts)
end

M.cat, M.stack = functions.cat, functions.stack
--- Values as stored, from a string.
M.from_bytes = core.from_bytes
M.is = check.is_tensor

-- ---- files ----

--- All tensors of a .safetensors file (or .index.json of a sharded set) by name, over the mapping;
-- the one named; or the one array of a .npy file.
function M.load(path, name)
  check.type("load: path", path, "string")
  if name ~= nil then check.type("load: name (of one tensor)", name, "string") end
  path = require("weft.paths").read(path)
  if path:find("%.npy$") then return core.load_npy(path) end
  local file, out = core.open_tensors(path), {}
  if name then return file:get(name) end
  for _, n in ipairs(file:names()) do out[n] = file:get(n) end
  file:close()
  return out
end

--- Save { name = tensor } as safetensors, or one tensor as .npy; atomically.
---@param meta? table<string, string>  safetensors only
function M.save(path, what, meta)
  local is_npy = check.type("save: path", path, "string"):find("%.npy$")
  if is_npy then check.tensor("save: what to write as .npy", what)
  else check.type("save: what to write ({ name = tensor })", what, "table") end
  if not is_npy and what.__metadata__ then
    check.fail("save: __metadata__ is no name of a tensor")
  end
  require("weft.paths").write(path)
  if is_npy then core.save_npy(path, what) else core.save_tensors(path, what, meta) end
  return path
end

-- ---- views ----

--- Another shape, shared memory where the layout allows; one size may be -1.
function methods.reshape(t, ...)
  local sizes = ...
  if type(sizes) == "table" then return ops.reshape(t, unpack(sizes)) end
  return ops.reshape(t, ...)
end

--- The same, always sharing memory.
function methods.view(t, ...)
  if not t:is_contiguous() then
    core.raise("usage", "view: the tensor is not contiguous", "t:reshape copies when it must")
  end
  return t:reshape(...)
end

--- Dims in another order, counted from 1.
function methods.permute(t, ...)
  local order = { ... }
  if type(order[1]) == "table" then order = order[1] end
  local from0 = {}
  for i, d in ipairs(order) do from0[i] = d > 0 and d - 1 or d end
  return ops.permute(t, unpack(from0))
end

local function dim_at(t, what, d, extra)
  local rank = t.rank + (extra or 0)
  if type(d) ~= "number" or d == 0 or d > rank or d < -rank then
    check.fail("%s: no dim %s in a tensor of rank %d", what, tostring(d), t.rank)
  end
  return d > 0 and d or d + rank + 1
end

function methods.transpose(t, a, b)
  local order = {}
  for i = 1, t.rank do order[i] = i - 1 end
  a, b = dim_at(t, "transpose", a), dim_at(t, "transpose", b)
  order[a], order[b] = order[b], order[a]
  return ops.permute(t, unpack(order))
end

--- The transpose of a matrix.
function methods.t(t)
  if t.rank ~= 2 then check.fail("t: a matrix has rank 2, this has %d", t.rank) end
  return ops.permute(t, 1, 0)
end

function methods.unsqueeze(t, d)
  local sizes = t:size()
  table.insert(sizes, dim_at(t, "unsqueeze", d, 1), 1)
  return t:reshape(sizes)
end

--- Without dim d, which must be 1; without any dim of 1 when d is not given.
function methods.squeeze(t, d)
  local sizes, out = t:size(), {}
  if d then d = dim_at(t, "squeeze", d) end
  if d and sizes[d] ~= 1 then check.fail("squeeze: dim %d is %d, wants 1", d, sizes[d]) end
  for i, n in ipairs(sizes) do
    if n ~= 1 or (d and i ~= d) then out[#out + 1] = n end
  end
  return t:reshape(out)
end

--- Dims of 1, or missing in front, repeat; -1 keeps a size.
function methods.expand(t, ...)
  local sizes = { ... }
  if type(sizes[1]) == "table" then sizes = { unpack(sizes[1]) } end
  local shift = #sizes - t.rank
  for i, n in ipairs(sizes) do
    if n == -1 and i > shift then sizes[i] = t:size(i - shift) end
  end
  return ops.expand(t, unpack(sizes))
end

--- Pieces of at most size along a dim.
function methods.split(t, size, dim)
  dim = dim_at(t, "split", dim or 1)
  check.int("split: size", size, nil, 1)
  local out, n = {}, t:size(dim)
  for first = 1, n, size do out[#out + 1] = t:narrow(dim, first, math.min(size, n - first + 1)) end
  return out
end

--- n pieces along a dim, the last one smaller when it does not divide.
function methods.chunk(t, n, dim) return t:split(math.ceil(t:size(dim or 1) / n), dim) end

--- Windows of size every step along a dim, joined in a new last dim.
function methods.unfold(t, dim, size, step)
  dim = dim_at(t, "unfold", dim)
  local parts = {}
  local count = math.floor((t:size(dim) - size) / step) + 1
  for k = 0, size - 1 do
    local all = {}
    for i = 1, t.rank do all[i] = {} end
    all[dim] = { k + 1, k + 1 + (count - 1) * step, step }
    parts[#parts + 1] = t[all]:unsqueeze(-1)
  end
  return functions.cat(parts, -1)
end

-- ---- conversions ----

local free = methods.free

--- Give the memory back now; t is dead afterwards. Safe twice.
function methods.free(t)
  if not check.tensor("free: t", t):is_dead() then free(t) end
end

function methods.contiguous(t) return t:is_contiguous() and t or ops.copy(t) end
function methods.clone(t) return ops.copy(t) end

--- Another dtype or device; t itself when it already is.
function methods.to(t, what)
  if core.dtypes[what] then return t.dtype == what and t or ops.cast(t, { dtype = what }) end
  if what == t.device then return t end
  return core.to_device(t, what)
end

--- f of every value, in a new tensor. Slow: a Lua call a value.
function methods.apply(t, f)
  local function walk(v)
    if type(v) ~= "table" then return f(v) end
    local out = {}
    for i, x in ipairs(v) do out[i] = walk(x) end
    return out
  end
  return core.from_table(walk(t:totable()), t.dtype):to(t.device)
end

--- The first value's address for LuaJIT's ffi; see weft.pointer.
function methods.ptr(t) return pointer.of(t) end

-- ---- in place ----

--- Overwrite with the values of x, which broadcasts, is cast and comes from any device; or with a
-- number.
function methods.copy_(t, x)
  if type(x) == "number" then x = core.full({}, x, t.dtype) end
  return ops.copy_into(t, check.is_tensor(x) and x:to(t.device) or x)
end

function methods.fill_(t, v) return t:copy_(check.number("fill_: value", v)) end
function methods.zero_(t) return t:copy_(0) end

for _, name in ipairs{ "add", "sub", "mul", "div", "clamp" } do
  local f = functions[name]
  methods[name .. "_"] = function(t, ...)
    local args, n = { ... }, select("#", ...)
    core.scope(function() ops.copy_into(t, f(t, unpack(args, 1, n))) end)
    return t
  end
end

--- t += weight (x - t), in place.
function methods.lerp_(t, x, weight) return ops.lerp_into(t, x, weight) end

-- ---- printing ----

local function short(v)
  if type(v) == "boolean" then return v and "true" or "false" end
  if v == math.floor(v) and math.abs(v) < 1e9 then return ("%d"):format(v) end
  return ("%.4g"):format(v)
end

local function bytes_text(n)
  for _, unit in ipairs{ "B", "kB", "MB" } do
    if n < 1000 then return (unit == "B" and "%d %s" or "%.1f %s"):format(n, unit) end
    n = n / 1000
  end
  return ("%.1f GB"):format(n)
end

local function statistics(t)
  return core.scope(function()
    local x = t:to("f32"):reshape(-1)
    local bad = ops.is_nan(x)
    local n_bad = bad:to("f32"):sum():item()
    local n_nan = ops.ne(x, x):to("f32"):sum():item()
    if n_bad > 0 then x = ops.where(bad, 0, x) end
    return ("  min %s  max %s  mean %s  std %s  NaN %d  Inf %d"):format(short(x:min():item()),
      short(x:max():item()), short(x:mean():item()), short(x:std():item()), n_nan, n_bad - n_nan)
  end)
end

--- The first values of row, a tensor of rank 1, and its last.
local function row_text(row)
  local n = row:size(1)
  if n <= 6 then
    local out = {}
    for i = 1, n do out[i] = short(row[i]) end
    return table.concat(out, " ")
  end
  return ("%s %s %s %s … %s"):format(short(row[1]), short(row[2]), short(row[3]), short(row[4]),
    short(row[n]))
end

--- The first rows along the last dim, each with its position.
local function corner(t, lines)
  local sizes = t:size()
  local n_rows = t:numel() / sizes[#sizes]
  for r = 0, math.min(n_rows, 3) - 1 do
    local at, rest, view = {}, r, t
    for d = #sizes - 1, 1, -1 do
      at[d] = rest % sizes[d] + 1
      rest = math.floor(rest / sizes[d])
    end
    for _, i in ipairs(at) do view = view:select(1, i) end
    local place = #at > 0 and "[" .. table.concat(at, "][") .. "]  " or ""
    lines[#lines + 1] = "  " .. place .. row_text(view)
  end
  if n_rows > 3 then lines[#lines + 1] = "  … " .. n_rows - 3 .. " more rows" end
end

--- Header, statistics and a corner of the data, never all of it.
local function text(t)
  if t:is_dead() then return "Tensor (freed)" end
  local size = core.dtypes[t.dtype]
  local is_plain = size == math.floor(size)     -- not kept in blocks
  local lines = { ("Tensor %s [%s] %s  %d elements%s%s"):format(t.dtype,
    table.concat(t:size(), " "), t.device, t:numel(),
    is_plain and " " .. bytes_text(size * t:numel()) or "",
    t:is_contiguous() and "  contiguous" or "") }
  if t:numel() == 0 or not is_plain then return lines[1] end
  if t.dtype ~= "bool" then lines[2] = statistics(t) end
  if t.rank == 0 then lines[#lines + 1] = "  " .. short(t:item())
  else core.scope(corner, t, lines) end
  return table.concat(lines, "\n")
end

core.tensor_meta.__tostring = function(t) return core.no_grad(text, t) end

return setmetatable(M, { __call = function(_, ...) return M.from(...) end })
