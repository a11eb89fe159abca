--- What the training stages share: parameters from the command line, models from the configs, and
-- the loop that logs, saves every five minutes and goes on where it stopped.
local weft = require "weft"
local configs = require "configs"
local paths = require "weft.paths"
local tokenizer = require "weft.tokenizer"
local train = weft.train

local M = {}

local SAVE_EVERY_S = 300
-- Rows of the log that are kept beside the weights.
local KEPT_ROWS = 60

-- The stage under way: its parameters, the step it is at, the rows of its log.
local stage = { params = {}, step = 0, rows = {} }

local read_json

--- A folder holds the model at one size.
local function check_size(folder)
  local index = read_json(folder .. "/model_index.json")
  local held = index and configs.is_size(index._name) and index._name
  if held and held ~= configs.size then
    error(("%s holds the model at size %s: size=%s wants a folder of its own, such as "
      .. "out=models/%s"):format(folder, held, configs.size, configs.size), 0)
  end
end

--- The parameters of a stage that makes no part of the small model, as weft.params declares them,
-- and bf16, which every stage has.
function M.plain_params(defaults)
  defaults.bf16 = { 0, help = "1 runs products in bf16 with f32 sums, where the processor can" }
  stage.params = weft.params(defaults)
  weft.bf16(stage.params.bf16 == 1)
  return stage.params
end

--- The same for a stage of the small model, at the size it is given.
---@param defaults table  out: the folder of the model
function M.params(defaults)
  defaults.size = { "micro", choices = { "micro", "mini" }, help = "of the model" }
  local p = M.plain_params(defaults)
  configs.use(p.size)
  check_size(p.out)
  return p
end

--- Make a folder and those above it.
M.mkdir = paths.make_dir

--- A part of the small model with random weights.
function M.model(name, seed)
  local part = configs.parts[name]
  return weft.model.new(part.arch, part.config, { seed = seed })
end

--- A trained part, in f32.
function M.trained(folder, name)
  return weft.model.load(folder .. "/" .. name, { dtype = "f32" })
end

local function write(path, text) weft.core.save_text(path, text .. "\n", true) end

local function write_json(path, value) write(path, weft.json.encode(value)) end

--- A trained part that is trained further, and another copy that stays. It is kept in the folder of
-- the checkpoints at first, so that a run which goes on starts from the same.
---@param p { out: string, work: string }
function M.further(p, name)
  local first = ("%s/%s_before"):format(p.work, name)
  if not read_json(first .. "/config.json") then
    M.mkdir(first)
    M.trained(p.out, name):save(first)
    local history = read_json(("%s/%s/training.json"):format(p.out, name))
    if history then write_json(first .. "/training.json", history) end
  end
  return weft.model.load(first):to "f32", weft.model.load(first)
end

--- A part that a stage trains: random weights or, with more=1, those in `out`.
---@param p { out: string, work: string, more: integer, seed: integer }
function M.begin(p, name, seed)
  if p.more == 1 then return (M.further(p, name)) end
  return M.model(name, seed)
end

function read_json(path)
  local file = io.open(path)
  if not file then return nil end
  local value = weft.json.decode(file:read "*a")
  file:close()
  return value
end

--- The value of a JSON file; nil where there is none.
M.read_json = read_json

--- List parts in the index of a folder; other trainings may list theirs meanwhile.
local function add_to_index(folder, names)
  local path = folder .. "/model_index.json"
  local index = read_json(path) or { _class_name = "MicroPipeline", _name = configs.size }
  for _, name in ipairs(names) do index[name] = { "weft", name } end
  write_json(path, index)
end

local is_transformer = { clip_vision = true, clip_text = true, conditioner = true, llama = true,
  projector = true, hifigan = true, joint = true }

--- The command that a recipe with these parameters was run by.
local function command_of(recipe, params)
  local words = {}
  for k, v in pairs(params) do words[#words + 1] = ("%s=%s"):format(k, v) end
  table.sort(words)
  return ("weft run recipes/micro/train/%s %s"):format(recipe, table.concat(words, " "))
end

--- What made the weights that a part went on from: the command and its last step, the state that
-- they are the mean with, and those before; nil for none.
local function history_before(name)
  local history = read_json(("%s/%s_before/training.json"):format(stage.params.work, name))
  return history and { command = history.command, step = history.step, before = history.before,
    mean_with = history.mean_with }
end

--- A row of the log in few digits.
local function short(row)
  local out = {}
  for k, v in pairs(row) do out[k] = tonumber(("%.4g"):format(v)) end
  out.step = row.step
  return out
end

--- How a part was made, as it stands beside its weights: the command, the recipe and its
-- parameters, and rows of the log, evenly spread.
local function write_history(folder, name)
  local recipe, params = weft.config.recipe, {}
  for k, v in pairs(stage.params) do
    if k ~= "out" and k ~= "work" and k ~= "stop" then params[k] = v end
  end
  local rows, n = {}, #stage.rows
  for k = 1, math.min(KEPT_ROWS, n) do
    rows[k] = short(stage.rows[math.floor(k * n / math.min(KEPT_ROWS, n))])
  end
  write_json(folder .. "/training.json", {
    command = recipe and command_of(recipe.name, params), recipe = recipe and recipe.name,
    params = params, step = stage.step, log = rows,
    engine = "weft " .. weft.version, level = weft.core.cpu_level(), before = history_before(name),
  })
end

--- Write a trained network into a folder, with more keys of its config and how it was made.
function M.write(folder, name, model, keys)
  local file = is_transformer[model.arch] and "model.safetensors" or nil
  model:save(folder .. "/" .. name, { dtype = "f16", file = file })
  if keys then
    local path = ("%s/%s/config.json"):format(folder, name)
    local config = read_json(path)
    for k, v in pairs(keys) do config[k] = v end
    write_json(path, config)
  end
  write_history(folder .. "/" .. name, name)
end

--- The same for a part of the small model, which the folder's index lists.
function M.save(folder, name, model, keys)
  M.write(folder, name, model, keys)
  add_to_index(folder, { name })
end

--- The tokenizer; it and the scheduler are written first where the folder has none.
function M.tokenizer(folder)
  local path, scheduler = folder .. "/tokenizer", folder .. "/scheduler/scheduler_config.json"
  if not read_json(path .. "/tokenizer.json") then
    M.mkdir(path)
    require("tokenizer").write(path)
    add_to_index(folder, { "tokenizer" })
  end
  if not read_json(scheduler) then
    M.mkdir(folder .. "/scheduler")
    write_json(scheduler, configs.parts.scheduler)
    add_to_index(folder, { "scheduler" })
  end
  return tokenizer.load(path)
end

--- Run step(i) for i of 1 ... steps, from the checkpoint in work where there is one. Every step's
-- tensors are freed. finish() writes the weights, at the end and at each checkpoint.
---@param o { p: { steps: integer, stop: integer, work: string }, learner: micro.Learner,
--- step: fun(i: integer): table, finish: fun() }
function M.loop(o)
  local p, learner = o.p, o.learner
  M.mkdir(p.work)
  local checkpoint = train.checkpoint(p.work .. "/state.safetensors",
    { params = learner.params, optim = learner.optim, ema = learner.ema })
  local first = checkpoint:load()
  local log = train.log(p.work .. "/log.jsonl", { steps = p.steps, every = 50, from = first })
  local last = p.stop > 0 and math.min(p.stop, p.steps) or p.steps
  local saved = os.time()
  stage.rows = log.rows
  local function finish(i)
    stage.step = i
    if learner.ema then learner.ema:with(o.finish) else o.finish() end
  end
  if first >= last then finish(first) end
  for i = first + 1, last do
    local row = weft.scope(o.step, i)
    if row.loss ~= row.loss then error(("step %d: the loss is not a number"):format(i), 0) end
    row.step = i
    log:add(row)
    if os.time() - saved >= SAVE_EVERY_S or i == last then
      checkpoint:save(i)
      finish(i)
      saved = os.time()
    end
  end
  log:close()
  local row = log.rows[#log.rows]
  weft.log("step %d of %d: loss %s, weights in %s, the run in %s", last, p.steps,
    row and ("%.4g"):format(row.loss) or "none", stage.params.out, p.work)
end

return M
