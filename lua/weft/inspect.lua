--- What a model file or folder is, read from headers alone: `weft.inspect "models/sd21"`.
local check = require "weft.check"
local core = require "weft.core"
local host = require "weft.host"
local json = require "weft.json"

local M = {}

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
local function tensors_of(path, counts)
  local file, list = core.open_tensors(path), {}
  local total, bytes = 0, 0
  for _, name in ipairs(file:names()) do
    local dtype, sizes = stored_as(file, name)
    local n, scales = count(sizes), is_scale(file, name)
    bytes = bytes + n * (BITS[dtype] or 8) / 8
    local odd = counts and count_odd(file, name)
    if not scales or odd then
      list[#list + 1] = { name = name, dtype = dtype, sizes = sizes, odd = odd or nil }
    end
    total = total + (scales and 0 or n)
  end
  file:close()
  return { path = path, tensors = list, values = total, bytes = bytes }
end

--- A file of JSON, which must hold an object; nil when there is no such file.
local function read_json(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local ok, t = pcall(json.decode, file:read "*a")
  file:close()
  if not ok or type(t) ~= "table" then
    core.raise("format", ("%s: %s"):format(path, ok and "holds no object" or t.message or t))
  end
  return t
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

local function of_folder(folder, counts)
  local index = read_json(folder .. "/model_index.json")
  local config = index or read_json(folder .. "/config.json")
    or read_json(folder .. "/scheduler_config.json")
  local found = { path = folder, kind = config and kind_of(config), files = json.list(),
    parts = json.list() }
  for i, path in ipairs(weights_of(folder)) do found.files[i] = tensors_of(path, counts) end
  local names = {}
  for name in pairs(index or {}) do
    if name:sub(1, 1) ~= "_" then names[#names + 1] = name end
  end
  table.sort(names)
  for i, name in ipairs(names) do found.parts[i] = of_folder(folder .. "/" .. name, counts) end
  return found
end

--- What a file or folder is, by its path or by a name as weft.load takes it. Of a folder
-- { path, kind, files, parts }; of a file with weights
-- { path, tensors = { { name, dtype, sizes } }, values, bytes }. check = true reads the weights
-- too: a tensor with values that are not finite has `odd`, how many.
---@param path string
---@param opts? { check: boolean }
function M.inspect(path, opts)
  opts = check.keys("inspect", opts, { "check" })
  local kind = host.stat(check.type("inspect: path", path, "string"))
  if kind ~= "file" then
    local known = require("weft.load").find(path)
    if known and known ~= path then path = host.real(known) or known end
    kind = known and host.stat(known) or kind
  end
  if not kind then
    core.raise("model", path .. ": there is no such file or folder, nor a model of this name",
      "names: in $WEFT_MODELS and ./models")
  end
  if kind == "dir" then
    local found = of_folder(path, opts.check)
    if not found.kind and #found.files == 0 then
      core.raise("model", path .. ": holds no model", "a folder with a config or .safetensors")
    end
    return found
  end
  if path:find "%.json$" then
    local config = read_json(path)
    return { path = path, kind = kind_of(config), files = json.list(), parts = json.list() }
  end
  return tensors_of(path, opts.check)
end

return M
