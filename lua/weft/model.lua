--- Models by architecture: made from a config or loaded from a folder, called with named inputs.
--
--     local unet = weft.model.new("unet2d", config, { seed = 1 })
--     local eps = unet{ sample = x, timestep = 500, context = c }
local core = require "weft.core"
local check = require "weft.check"
local json = require "weft.json"
local ops = require "weft.ops"
local tensor = require "weft.tensor"

local M = {}
---@class weft.Model
local Model = {}

--- Methods of an architecture besides those of every model, by the module that holds them.
local families = { llama = "weft.language", gpt2 = "weft.language", clip_vision = "weft.vision" }

--- Outputs of these names are the call's value when they come alone; others make a table by name.
local alone = { sample = true, image = true, y = true, audio = true }

--- Inputs whose lists are ids; other lists are numbers.
local ids = { ids = true, text = true }

--- Ids [B,T] from one, a list or a list of lists.
local function from_ids(name, v)
  local rows = type(v) ~= "table" and { { v } } or type(v[1]) == "table" and v or { v }
  for _, row in ipairs(rows) do
    for _, id in ipairs(row) do check.int(name, id, nil, 0) end
  end
  return core.from_table(rows, "i64")
end

--- A number, true or false, or a list as a tensor.
local function from_value(name, v)
  local kind = type(v)
  if kind == "boolean" then return core.full({ 1 }, v and 1 or 0, "f32") end
  if kind ~= "number" and (kind ~= "table" or v.kind) then
    check.fail("%s must be a tensor, a number or a list of numbers, got %s", name,
      kind == "table" and "a " .. tostring(v.kind) or kind)
  end
  if ids[name] then return from_ids(name, v) end
  if v ~= v then check.fail("%s must be a number, got nan", name) end
  return kind == "number" and core.full({ 1 }, v, "f32") or core.from_table(v, "f32")
end

--- What a script may give for an input, as a tensor; what is none yet becomes one where the model
-- lies.
local function to_tensor(model, name, v)
  return check.is_tensor(v) and v or from_value(name, v):to(model.device)
end

local function result(out)
  if out.layers then
    local list = {}
    for i = 1, out.layers:size(1) do list[i] = out.layers:select(1, i) end
    out.layers = list
  end
  local name, t = next(out)
  if name and alone[name] and not next(out, name) then return t end
  return out
end

--- Call a method of the architecture by name with a table of inputs.
function Model:call(method, inputs)
  check.type(self.arch .. ": inputs", inputs, "table")
  local given, cache = {}, inputs.cache
  for name, v in pairs(inputs) do
    if name ~= "cache" then given[name] = to_tensor(self, name, v) end
  end
  local function call() return result(self.core:call(method, given)) end
  return cache and require("weft.language").with_cache(cache, given, call) or call()
end

-- The input of architectures that have one alone, which may be given without its name.
local only = { hifigan = "mel", projector = "x" }

Model.__call = function(self, inputs)
  if only[self.arch] and check.is_tensor(inputs) then inputs = { [only[self.arch]] = inputs } end
  return self:call("forward", inputs)
end

--- vae:encode(x [B,H,W,3]) -> { mean, logvar } [B,h,w,c]; other models take a table.
---@param tiles? { tile: integer, overlap: number }  in tiles, see weft.tiles
function Model:encode(x, tiles)
  if tiles then return require("weft.tiles").encode(self, x, tiles) end
  return self:call("encode", type(x) == "table" and x or { x = check.tensor("encode: x", x) })
end

--- vae:decode(z [B,h,w,c]) -> [B,H,W,3] in -1 ... 1.
---@param tiles? { tile: integer, overlap: number }  in tiles, see weft.tiles
function Model:decode(z, tiles)
  if tiles then return require("weft.tiles").decode(self, z, tiles) end
  return self:call("decode", type(z) == "table" and z or { z = check.tensor("decode: z", z) })
end

--- Iterate name, tensor.
function Model:parameters()
  local i = 0
  return function()
    i = i + 1
    return self.core:param(i)
  end
end

--- How many values the parameters have.
function Model:size()
  local n = 0
  for _, t in self:parameters() do n = n + t:numel() end
  return n
end

--- What loading found: { used, missing = {names}, unexpected = {names}, bytes, dtype }.
function Model:report()
  local r = self.core:report()
  local _, first = self.core:param(1)
  r.dtype = first and first.dtype
  return r
end

--- Parameters of their own in this dtype; "f32" makes a loaded model ready to be trained.
---@return weft.Model self
function Model:to(dtype)
  self.core:convert(dtype)
  self.is_changed = true
  return self
end

--- Replace a parameter by a copy of t.
function Model:set(name, t)
  self.core:set(name, t)
  self.is_changed = true
end

--- Write config.json and the weights into folder; dtype keeps what each has when not given. "q8"
-- stores matrices in 8 bits with a scale for every 32 values, the rest in f16.
---@param opts? { dtype: string, file: string }
function Model:save(folder, opts)
  opts = check.keys("save", opts, { "dtype", "file" })
  self.core:save(folder, opts.file or "diffusion_pytorch_model.safetensors", opts.dtype)
  return folder
end

-- ---- adapters ----

---@class weft.Adapter
local Adapter = {}
Adapter.__index = Adapter

--- Iterate name, tensor: what to train.
function Adapter:parameters()
  local i = 0
  return function()
    i = i + 1
    return self.model.core:adapter(i)
  end
end

--- Write them as PEFT does: adapter_config.json and adapter_model.safetensors in folder.
function Adapter:save(folder)
  self.model.core:save_adapter(folder)
  return folder
end

Adapter.__tostring = function(self) return ("Adapter of %d layers"):format(self.layers) end

-- The attention layers of each architecture, by the end of their names.
local attention = {
  llama = { "q_proj", "k_proj", "v_proj", "o_proj" }, gpt2 = { "c_attn" },
  clip_text = { "q_proj", "k_proj", "v_proj", "out_proj" },
  clip_vision = { "q_proj", "k_proj", "v_proj", "out_proj" },
  unet2d = { "to_q", "to_k", "to_v", "to_out.0" },
}

--- Low-rank adapters beside the linear layers that targets names (the ends of their names; those of
-- attention when nil), scaled by alpha / rank. The model's weights stay; train the adapter:
--
--     local lora = lm:adapt{ rank = 8, alpha = 16 }
--     local params = weft.train.parameters(lora)
---@param opts { rank: integer, alpha: number, targets: string[], seed: integer }
---@return weft.Adapter
function Model:adapt(opts)
  opts = check.keys("adapt", opts, { "rank", "alpha", "targets", "seed" })
  local rank = check.int("adapt: rank", opts.rank, 8, 1)
  local targets = opts.targets or attention[self.arch]
  if type(targets) ~= "table" or not targets[1] then
    check.fail("adapt: targets must be a list of names, such as { \"to_q\" }; %s has none of its "
      .. "own", self.arch)
  end
  self.is_changed = true
  local layers = self.core:adapt(rank, check.number("adapt: alpha", opts.alpha, rank), targets,
    opts.seed or require("weft").seed())
  return setmetatable({ model = self, layers = layers }, Adapter)
end

local Merged = { __tostring = function(m) return ("applied %d/%d"):format(m.applied, m.total) end }

--- Add the adapters of a file or folder (PEFT, diffusers, kohya) to the weights, scale times. All
-- of them fit, or none is applied and it raises.
---@param opts? { scale: number }
---@return { applied: integer, total: integer }  prints as "applied n/n"
function Model:merge(path, opts)
  opts = check.keys("merge", opts, { "scale" })
  check.type("merge: path", path, "string")
  self.is_changed = true
  local n = self.core:merge(path, check.number("merge: scale", opts.scale, 1, -1000, 1000))
  return setmetatable({ applied = n, total = n }, Merged)
end

--- Give the weights back now.
function Model:free()
  self.is_changed = true
  self.core:free()
end

Model.__tostring = function(self)
  local r = self:report()
  return ("Model %s %.1f MB %s"):format(self.arch, r.bytes / 1e6, r.dtype or "")
end

--- `m.config` and `m.scaling` (of a VAE) are read from the config when first asked for; `m.device`
-- is where its parameters lie.
Model.__index = function(self, name)
  if Model[name] ~= nil then return Model[name] end
  local family = families[rawget(self, "arch")]
  local method = family and require(family)[name]
  if method then return method end
  if name == "config" then
    local config = json.decode(rawget(self, "core"):config())
    rawset(self, "config", config)
    return config
  end
  if name == "device" then return select(2, rawget(self, "core"):param(1)).device end
  if name == "scaling" and self.arch == "vae" then return self.config.scaling_factor or 0.18215 end
  return nil
end

--- The model that make(...) returns, its parameters on this device.
local function make_on(device, make, ...)
  local before = core.device(device)
  local ok, handle = pcall(make, ...)
  core.device(before)
  if not ok then error(handle, 0) end
  return setmetatable({ core = handle, arch = handle:arch() }, Model)
end

--- A model with random parameters.
---@param arch? string    "unet2d", "vae", "clip_text" ...; what the config says when nil
---@param config table    as in config.json
---@param opts? { seed: integer, device: string }
function M.new(arch, config, opts)
  opts = check.keys("model.new", opts, { "seed", "device" })
  check.type("model.new: config", config, "table")
  return make_on(opts.device, core.new_model, arch, json.encode(config),
    opts.seed or require("weft").seed())
end

--- The weight [O,3,3,C] of a first convolution with n input channels, those beyond C being zero.
local function widened(weight, n)
  local sizes = weight:size()
  sizes[4] = n - sizes[4]
  if sizes[4] <= 0 then return weight end
  return ops.cat({ weight, tensor.zeros(sizes, { device = weight.device }) }, 4)
end

--- A video model that draws every frame as another model draws pictures, or frames: it has all its
-- parameters, by name. What lies over frames, where the other has none, starts fresh, and so does
-- what reads input channels that the other has not; neither changes anything until it is trained.
---@param other weft.Model    "unet2d" or "unet3d"
---@param config table        of the "unet3d"; sizes as the other model's, no fewer input channels
---@param opts? { seed: integer }
function M.inflate(other, config, opts)
  local video = M.new("unet3d", config, opts)
  local shapes = {}
  for name, t in video:parameters() do shapes[name] = t:size() end
  for name, t in other:parameters() do
    local want = shapes[name]
    t = t:to "f32"
    if name == "conv_in.weight" and want then t = widened(t, want[4]) end
    if not want or table.concat(want, ",") ~= table.concat(t:size(), ",") then
      check.fail("inflate: %s is [%s] in the picture model, the video model has %s", name,
        table.concat(t:size(), ","), want and "[" .. table.concat(want, ",") .. "]" or "none")
    end
    video:set(name, t)
  end
  return video
end

--- The layers of a model, counted by the names of its parameters.
local function layers_of(model)
  local n = 0
  for name in model:parameters() do
    n = math.max(n, (tonumber(name:match "layers%.(%d+)") or -1) + 1)
  end
  return n
end

--- A language model that says what a shallower one says: it has all its parameters. The layers that
-- it has besides lie spread among the others, start fresh, and change nothing until they are
-- trained, since what they add to the states is zero (Wu et al., arXiv:2401.02415).
---@param other weft.Model    "llama"
---@param config table        as the other model's but for num_hidden_layers
---@param opts? { seed: integer }
function M.deepen(other, config, opts)
  local deep, shapes = M.new("llama", config, opts), {}
  local n, wanted = layers_of(other), layers_of(deep)
  if n > wanted then
    check.fail("deepen: the shallow model has %d layers, the deep one %d", n, wanted)
  end
  for name, t in deep:parameters() do
    shapes[name] = table.concat(t:size(), ",")
    if name:find "o_proj" or name:find "down_proj" then deep:set(name, t * 0) end
  end
  for name, t in other:parameters() do
    local to = name:gsub("layers%.(%d+)", function(k)
      return "layers." .. math.floor(k * wanted / n)
    end)
    local size = table.concat(t:size(), ",")
    if shapes[to] ~= size then
      check.fail("deepen: %s is [%s] in the shallow model, the deep one has %s", name, size,
        shapes[to] and "[" .. shapes[to] .. "]" or "none")
    end
    deep:set(to, t:to "f32")
  end
  return deep
end

--- A model from a folder with config.json and safetensors, or from a file and a config.
---@param opts? { dtype: string, config: table, device: string }
function M.load(path, opts)
  opts = check.keys("model.load", opts, { "dtype", "config", "device" })
  check.type("model.load: path", path, "string")
  if opts.config then
    return make_on(opts.device, core.load_model_file, path, json.encode(opts.config), opts.dtype)
  end
  local m = make_on(opts.device, core.load_model, path, opts.dtype)
  m.folder = path                        -- where what lies beside the weights is looked for
  return m
end

return M
