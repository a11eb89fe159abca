--- What the training stages share: parameters from the command line, models from the configs, and
-- the loop that logs, saves every ten minutes and goes on where it stopped.
local weft = require "weft"
local configs = require "configs"
local tokenizer = require "weft.tokenizer"
local train = weft.train

local M = {}

local SAVE_EVERY_S = 300

--- Defaults, overridden by name=value arguments (under `weft run` by its parameters).
function M.params(defaults)
  if weft.params then return weft.params(defaults) end
  local p = {}
  for k, v in pairs(defaults) do p[k] = v end
  for _, text in ipairs(arg or {}) do
    local name, value = text:match("^(%w+)=(.*)$")
    if not name or defaults[name] == nil then error("unknown parameter: " .. text, 0) end
    p[name] = type(defaults[name]) == "number" and assert(tonumber(value), text) or value
  end
  return p
end

function M.mkdir(path) os.execute(("mkdir -p '%s'"):format(path)) end

--- A part of the small model with random weights.
function M.model(name, seed)
  local part = configs.micro[name]
  return weft.model.new(part.arch, part.config, { seed = seed })
end

--- A trained part, in f32.
function M.trained(folder, name)
  return weft.model.load(folder .. "/" .. name, { dtype = "f32" })
end

local function write(path, text)
  local file = assert(io.open(path .. ".part", "w"))
  file:write(text, "\n")
  file:close()
  assert(os.rename(path .. ".part", path))
end

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

--- Set keys of the JSON object in a file.
local function set_keys(path, keys)
  local file = assert(io.open(path))
  local object = weft.json.decode(file:read "*a")
  file:close()
  for k, v in pairs(keys) do object[k] = v end
  write(path, weft.json.encode(object))
end

--- Set keys of a saved part's config.json.
function M.set_config(folder, keys) set_keys(folder .. "/config.json", keys) end

--- Name a part that not every small model has in the folder's index, so that it is loaded.
function M.add_part(folder, name)
  set_keys(folder .. "/model_index.json", { [name] = { "weft", name } })
end

--- The tokenizer; it, the scheduler and the index of the parts are written first where the folder
-- has none.
function M.tokenizer(folder)
  local path = folder .. "/tokenizer"
  if not exists(path .. "/tokenizer.json") then
    M.mkdir(path)
    require("tokenizer").write(path)
  end
  if not exists(folder .. "/model_index.json") then
    local index = { _class_name = "MicroPipeline", _name = "micro" }
    for name in pairs(configs.micro) do index[name] = { "weft", name } end
    index.tokenizer = { "weft", "tokenizer" }
    M.mkdir(folder .. "/scheduler")
    write(folder .. "/scheduler/scheduler_config.json", weft.json.encode(configs.micro.scheduler))
    write(folder .. "/model_index.json", weft.json.encode(index))
  end
  return tokenizer.load(path)
end

--- Run step(i) for i of 1 ... steps, from the checkpoint in work where there is one. Every step's
-- tensors are freed. finish() writes the weights, at the end and at each checkpoint.
---@param o { params: table, optim: table, ema: table?, steps: integer, stop: integer, work:
-- string, step: fun(i: integer): table, finish: fun() }
function M.loop(o)
  M.mkdir(o.work)
  local checkpoint = train.checkpoint(o.work .. "/state.safetensors",
    { params = o.params, optim = o.optim, ema = o.ema })
  local first = checkpoint:load()
  local log = train.log(o.work .. "/log.jsonl", { steps = o.steps, every = 50, from = first })
  local last = o.stop > 0 and math.min(o.stop, o.steps) or o.steps
  local saved = os.time()
  for i = first + 1, last do
    local row = weft.scope(o.step, i)
    if row.loss ~= row.loss then error(("step %d: the loss is not a number"):format(i), 0) end
    row.step = i
    log:add(row)
    if os.time() - saved >= SAVE_EVERY_S or i == last then
      checkpoint:save(i)
      if o.ema then o.ema:with(o.finish) else o.finish() end
      saved = os.time()
    end
  end
  log:close()
end

return M
