--- weft.load: the object that is in a file or folder, found by what its headers and configs say.
local check = require "weft.check"
local core = require "weft.core"
local host = require "weft.host"
local json = require "weft.json"

local M = {}

-- Pipelines with verbs, by the class that model_index.json names; and what others are called.
local pipelines = { MicroPipeline = "weft.pipeline.micro" }
local kinds = {
  StableDiffusionPipeline = "stable-diffusion", StableUnCLIPPipeline = "unclip",
  StableUnCLIPImg2ImgPipeline = "unclip", AudioLDM2Pipeline = "audioldm2",
  StableDiffusionInstructPix2PixPipeline = "instruct-pix2pix",
  TextToVideoSDPipeline = "text-to-video", CoDi2Pipeline = "codi2",
}

local function read(path)
  if host.stat(path) ~= "file" then return nil end
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return text
end

--- The object of a JSON file, nil when there is no such file.
local function read_json(path)
  local text = read(path)
  if not text then return nil end
  local ok, t = pcall(json.decode, text)
  if not ok then core.raise("model", ("%s: %s"):format(path, t.message or t)) end
  if type(t) ~= "table" then core.raise("model", path .. ": holds no object") end
  return t
end

--- The folders a bare name is looked up in, in order.
function M.search_path()
  local list, home = {}, require("weft").home
  for dir in (os.getenv "WEFT_MODELS" or ""):gmatch "[^:]+" do list[#list + 1] = dir end
  list[#list + 1] = "models"
  local data = os.getenv "XDG_DATA_HOME" or (os.getenv "HOME" or "") .. "/.local/share"
  list[#list + 1] = data .. "/weft/models"
  list[#list + 1] = home .. "../../recipes"              -- the tree: lua/weft beside recipes
  -- installed: share/lua/5.1/weft beside share/weft
  list[#list + 1] = home .. "../../../weft/models"
  return list
end

-- Files that a tokenizer is in, by any of them.
local tokenizer_files = { "tokenizer.json", "tokenizer.model", "spiece.model", "merges.txt" }

--- Models in a folder: those that are one, or hold one as weights/.
local function models_in(dir, list)
  for _, name in ipairs(host.list(dir) or {}) do
    for _, path in ipairs { dir .. "/" .. name, dir .. "/" .. name .. "/weights" } do
      if host.stat(path .. "/model_index.json") or host.stat(path .. "/config.json") then
        list[#list + 1] = { name = name, path = path }
      end
    end
  end
end

--- The models of the search path: { name, path }.
function M.models()
  local list = {}
  for _, dir in ipairs(M.search_path()) do models_in(dir, list) end
  return list
end

local function has_tokenizer(folder)
  for _, name in ipairs(tokenizer_files) do
    if read(folder .. "/" .. name) then return true end
  end
  return false
end

-- Files that stand for the folder they lie in.
local of_folder = { "^config%.json$", "^model_index%.json$", "^scheduler_config%.json$",
  "%.safetensors%.index%.json$" }

--- What a file of a model stands for: its folder, or itself when it holds weights or a tokenizer.
local function find_file(path)
  local folder, name = path:match "^(.*)/([^/]+)$"
  folder, name = folder or ".", name or path
  for _, pattern in ipairs(of_folder) do
    if name:find(pattern) then return folder end
  end
  for _, tokenizer in ipairs(tokenizer_files) do
    if name == tokenizer then return path end
  end
  local is_weights = name:find "%.safetensors$"
  if is_weights and read(folder .. "/config.json") then return path end
  return core.raise("model", ("load: %s is no model by itself"):format(path),
    is_weights and "there is no config.json beside it; weft.model.load(path, { config = { ... } }) "
      .. "takes one, weft.tensor.load the tensors alone"
    or "weft reads folders with config.json or model_index.json, .safetensors and tokenizers")
end

--- The folder of a model by path or name. "micro" is what ships, in recipes/micro/weights. A path
-- is looked for where files are that a recipe reads.
local function find(name)
  if name:find "/" then name = require("weft.paths").find(name) end
  if host.stat(name) == "file" then return find_file(name) end
  for _, suffix in ipairs { "/model_index.json", "/config.json", "/scheduler_config.json" } do
    if read(name .. suffix) then return name end
  end
  if has_tokenizer(name) then return name end
  if name:find "[/\\]" then return nil end
  for _, dir in ipairs(M.search_path()) do
    for _, path in ipairs { dir .. "/" .. name, dir .. "/" .. name .. "/weights" } do
      if read(path .. "/model_index.json") or read(path .. "/config.json") then return path end
    end
  end
  return nil
end

--- The file or folder that a path or name of weft.load means; nil when there is none.
---@return string?
function M.find(name) return find(name) end

--- A file of weights with the config.json beside it, or a tokenizer.
local function load_file(path, opts)
  if not path:find "%.safetensors$" then return require("weft.tokenizer").load(path) end
  local config = read_json((path:match "^(.*/)" or "") .. "config.json")
  return require("weft.model").load(path,
    { config = config, dtype = opts.dtype, device = opts.device })
end

--- A tokenizer must not give ids that a model has no row of its embedding for.
local function check_rows(tokenizer, tokenizer_path, model, model_path)
  local rows = type(model) == "table" and model.config and tonumber(model.config.vocab_size)
  if rows and tokenizer:size() > rows then
    core.raise("model", ("%s: the tokenizer has %d pieces, but the embedding of %s has %d rows")
      :format(tokenizer_path, tokenizer:size(), model_path, rows))
  end
end

--- One part of a pipeline folder. A model that lies with its tokenizer has it as `m.tokenizer`.
local function load_part(folder, opts)
  if host.stat(folder) == "file" then return load_file(folder, opts) end
  local holds_model, holds_tokenizer = read(folder .. "/config.json"), has_tokenizer(folder)
  if holds_tokenizer and not holds_model then return require("weft.tokenizer").load(folder) end
  if read(folder .. "/scheduler_config.json") then return require("weft.sampler").load(folder) end
  local model = require("weft.model").load(folder, { dtype = opts.dtype, device = opts.device })
  if holds_tokenizer then
    model.tokenizer = require("weft.tokenizer").load(folder)
    check_rows(model.tokenizer, folder, model, folder)
  end
  return model
end

--- The parts that model_index.json names, sorted.
local function part_names(folder, index)
  local names = {}
  for name, what in pairs(index) do
    if not name:find "^[%w_%-]+$" then              -- a part lies in the folder itself
      core.raise("model", ("%s/model_index.json: '%s' is no name of a part"):format(folder, name))
    end
    local is_part = name:sub(1, 1) ~= "_" and type(what) == "table" and type(what[1]) == "string"
    if is_part then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local function load_pipeline(folder, index, opts)
  if type(index._class_name) ~= "string" then
    core.raise("model", folder .. "/model_index.json: names no pipeline (_class_name)")
  end
  local module = pipelines[index._class_name]
  if not module and not opts.parts then
    core.raise("model", ("%s: pipeline '%s' is not supported"):format(folder, index._class_name),
      "its parts are: weft.load(folder, { parts = { \"unet\" } }).parts.unet")
  end
  local names, list = part_names(folder, index), {}
  for _, name in ipairs(opts.parts or names) do
    check.choice("load: each of parts", name, nil, names)
    list[name] = load_part(folder .. "/" .. name, opts)
  end
  for number, tokenizer in pairs { [""] = list.tokenizer, _2 = list.tokenizer_2 } do
    for _, reader in ipairs { "text_encoder" .. number, "language_model" .. number } do
      check_rows(tokenizer, ("%s/tokenizer%s"):format(folder, number), list[reader],
        ("%s/%s"):format(folder, reader))
    end
  end
  local name = index._name or folder:match "([^/]+)/*$"
  if module then return require(module).new(name, list, opts.device) end
  return { name = name, kind = kinds[index._class_name] or index._class_name, parts = list }
end

--- One hash of all files of a model folder, by their names, or of the one file. What is inside is
-- not looked at.
---@param folder string
---@return string? sha256
function M.hash(folder)
  if host.stat(folder) == "file" then return host.sha256_file(folder) end
  local paths, list = require "weft.paths", {}
  local function add(dir)
    local names = host.list(dir) or {}
    table.sort(names)
    for _, name in ipairs(names) do
      local path = paths.join(dir, name)
      if host.stat(path) == "dir" then add(path)
      else list[#list + 1] = path:sub(#folder + 1) .. " " .. (host.sha256_file(path) or "") end
    end
  end
  add(folder)
  return host.sha256(table.concat(list, "\n"))
end

--- The name of the device that is meant, which "auto" is not.
local function device_of(name)
  local before = core.device(check.type("load: device", name, "string"))
  return core.device(before)        -- back to where it was: says which one it was now
end

local loaded = {}
local folders = setmetatable({}, { __mode = "k" })      -- of what is loaded
local hashes = {}                                       -- of folders, as they were loaded

-- The folders of what was asked for since somebody emptied it.
M.used = {}

local function use(m)
  M.used[folders[m]] = true
  return m
end

--- The files behind what was used, with their hash: { path, sha256 }, each once.
function M.sources()
  local out = require("weft.json").list {}
  for path in pairs(M.used) do
    hashes[path] = hashes[path] or M.hash(path)
    out[#out + 1] = { path = path, sha256 = hashes[path] }
  end
  table.sort(out, function(a, b) return a.path < b.path end)
  return out
end

--- What was loaded under a key, if it is as it was loaded: not freed, merged with or changed else.
local function find_loaded(key)
  local m = loaded[key]
  if not m then return nil end
  for _, part in pairs(m.parts or { m }) do
    if type(part) == "table" and rawget(part, "is_changed") then return nil end
  end
  return m
end

--- The names of parts that are asked for, as a key; "*" for all.
local function parts_key(parts)
  if not parts then return "*" end
  for _, name in ipairs(check.type("load: parts", parts, "table")) do
    check.type("load: each of parts", name, "string")
  end
  return table.concat(parts, ",")
end

--- Load a model by path, or by name from the search path. The same arguments give the same model,
-- unless it was freed or changed (merge, adapt, to, set).
---@param name string
---@param opts? { dtype: string, parts: string[], device: string }
function M.load(name, opts)
  check.type("load: name", name, "string")
  opts = check.keys("load", opts, { "dtype", "parts", "device" })
  local config = require "weft.config"
  local device = device_of(opts.device or config.device or "auto")
  if config.model and not name:find "[/\\]" then name = config.model end      -- from -m
  check.choice("load: dtype", opts.dtype, nil, { "f32", "f16", "bf16" })
  local key = table.concat({ name, tostring(opts.dtype), parts_key(opts.parts), device }, "|")
  local known = find_loaded(key)
  if known then return use(known) end
  local folder = find(name)
  if not folder then
    core.raise("model", ("load: there is no model '%s'"):format(name),
      "a folder with model_index.json or config.json; names: in $WEFT_MODELS and ./models")
  end
  local index = read_json(folder .. "/model_index.json")
  local how = { dtype = opts.dtype, parts = opts.parts, device = device }
  local m = index and load_pipeline(folder, index, how) or load_part(folder, how)
  if index then m.hash = function() return M.hash(folder) end end
  loaded[key], folders[m] = m, require("weft.paths").absolute(folder)
  hashes[folders[m]] = nil
  return use(m)
end

--- Forget loaded models, so that the next load reads the files again.
function M.forget() loaded = {} end

return M
