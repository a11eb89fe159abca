--- `weft inspect MODEL`: what a model file or folder is, read from headers alone.
local args = require "weft.cli.args"
local core = require "weft.core"
local host = require "weft.host"
local json = require "weft.json"
local term = require "weft.term"

local M = {}

local FIRST = 12      -- tensors shown without --all

-- Of the dtypes that are not of 8 bits.
local BITS = {
  f64 = 64, i64 = 64, u64 = 64, c64 = 64, f32 = 32, i32 = 32, u32 = 32, f16 = 16, bf16 = 16,
  i16 = 16, u16 = 16, f6_e2m3 = 6, f6_e3m2 = 6, f4 = 4,
}

local function count(sizes)
  local n = 1
  for _, s in ipairs(sizes) do n = n * s end
  return n
end

--- What a tensor is stored as: "q8" for whole numbers with scales beside them.
local function stored_as(file, name)
  local dtype, sizes = file:info(name)
  return dtype == "i8" and file:has(name .. ".scale") and "q8" or dtype, sizes
end

--- Whether a tensor is the scales of another, which stand for no values of their own.
local function is_scale(file, name)
  local of = name:match "^(.*)%.scale$"
  return of and file:has(of) and stored_as(file, of) == "q8"
end

--- How many values of a tensor are not finite, as a text; nil for none.
local function count_odd(file, name)
  return core.scope(function()
    local nan, inf = core.odd_values(file:get(name))
    return nan + inf > 0 and ("%d NaN, %d infinite"):format(nan, inf) or nil
  end)
end

--- The tensors of a file: { { name, dtype, sizes } }, and totals; scales count for their bytes.
local function tensors_of(path, options)
  local file, list = core.open_tensors(path), {}
  local total, bytes = 0, 0
  for _, name in ipairs(file:names()) do
    local dtype, sizes = stored_as(file, name)
    local n, scales = count(sizes), is_scale(file, name)
    bytes = bytes + n * (BITS[dtype] or 8) / 8
    local odd = options.check and count_odd(file, name)
    if not scales or odd then
      list[#list + 1] = { name = name, dtype = dtype, sizes = sizes, odd = odd or nil }
    end
    total = total + (scales and 0 or n)
  end
  file:close()
  return { path = path, tensors = list, values = total, bytes = bytes }
end

--- After --check: what is not finite, tensor by tensor.
local function show_odd(found)
  local n = 0
  for _, t in ipairs(found.tensors) do
    if t.odd then io.write(("  !! %-61s %s\n"):format(t.name, t.odd)) end
    n = n + (t.odd and 1 or 0)
  end
  io.write(n == 0 and "  every value is finite\n" or ("  %d tensors hold such values\n"):format(n))
  return n
end

local function show_file(found, options)
  io.write(("%s: %d tensors, %.2f M values, %s\n"):format(found.path, #found.tensors,
    found.values / 1e6, term.bytes(found.bytes)))
  for i, t in ipairs(found.tensors) do
    if i > FIRST and not options.all then
      io.write(("  ... %d more (--all)\n"):format(#found.tensors - FIRST))
      break
    end
    io.write(("  %-64s %-5s [%s]\n"):format(t.name, t.dtype, table.concat(t.sizes, ",")))
  end
  if options.check then show_odd(found) end
end

local function read_json(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return json.decode(text)
end

--- What a config says it is.
local function kind_of(config)
  return config._class_name or (config.architectures or {})[1] or config.model_type or "unknown"
end

local function weights_of(folder)
  local list = {}
  for _, name in ipairs(host.list(folder) or {}) do
    if name:find "%.safetensors$" then list[#list + 1] = folder .. "/" .. name end
  end
  table.sort(list)
  return list
end

local function inspect_folder(folder, options)
  local index = read_json(folder .. "/model_index.json")
  local config = read_json(folder .. "/config.json")
    or read_json(folder .. "/scheduler_config.json")
  local found = { path = folder, kind = index and kind_of(index) or config and kind_of(config) }
  if not options.json then io.write(("%s: %s\n"):format(folder, found.kind or "a folder")) end
  found.files = {}
  for _, path in ipairs(weights_of(folder)) do
    local f = tensors_of(path, options)
    found.files[#found.files + 1] = f
    if not options.json then show_file(f, options) end
  end
  found.parts = {}
  for name in pairs(index or {}) do
    if name:sub(1, 1) ~= "_" then found.parts[#found.parts + 1] = name end
  end
  table.sort(found.parts)
  for i, name in ipairs(found.parts) do
    found.parts[i] = inspect_folder(folder .. "/" .. name, options)
  end
  return found
end

function M.main(a)
  local path = a.words[1] or args.fail "inspect: which model? (weft inspect models/sd21)"
  local kind = host.stat(path)
  local found
  if kind == "dir" then
    found = inspect_folder(path, a.options)
  elseif kind then
    found = tensors_of(path, a.options)
    if not a.options.json then show_file(found, a.options) end
  else
    core.raise("model", path .. ": there is no such file or folder")
  end
  if a.options.json then io.write(json.encode(found), "\n") end
  return 0
end

return M
