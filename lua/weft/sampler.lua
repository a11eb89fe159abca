--- Samplers: by name with options, or as a scheduler_config.json describes one.
--
--     local s = weft.sampler("dpmpp_2m", { schedule = "karras", prediction = "v" })
--     for st in s:steps{ steps = 25, latents = x, denoise = f } do print(st.step, st.sigma) end
--     local y = s:run{ steps = 25, latents = x, denoise = f }
--
-- denoise(z, t, st) gets the latent as the model was trained to see it and the training time t.
local check = require "weft.check"
local core = require "weft.core"
local finite = require "weft.finite"
local json = require "weft.json"
local spec = require "weft.spec"

local M = {}
---@class weft.Sampler
local Sampler = {}
Sampler.__index = Sampler
---@class weft.Run
local Run = {}
Run.__index = Run
---@class weft.SamplerStep
local Step = {}

-- ---- names ----

local multi, single = "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler"
local sde = "sde-dpmsolver++"

-- What each name stands for, in the keys of scheduler_config.json.
local names = {
  ddim = { _class_name = "DDIMScheduler", clip_sample = false },
  ddpm = { _class_name = "DDPMScheduler", clip_sample = false },
  pndm = { _class_name = "PNDMScheduler", skip_prk_steps = true },
  ipndm = { _class_name = "IPNDMScheduler" },
  euler = { _class_name = "EulerDiscreteScheduler" },
  euler_a = { _class_name = "EulerAncestralDiscreteScheduler" },
  heun = { _class_name = "HeunDiscreteScheduler" },
  dpm2 = { _class_name = "KDPM2DiscreteScheduler" },
  dpm2_a = { _class_name = "KDPM2AncestralDiscreteScheduler" },
  lms = { _class_name = "LMSDiscreteScheduler" },
  dpmpp_2m = { _class_name = multi, solver_order = 2 },
  dpmpp_3m = { _class_name = multi, solver_order = 3 },
  dpmpp_2m_sde = { _class_name = multi, solver_order = 2, algorithm_type = sde },
  dpmpp_3m_sde = { _class_name = multi, solver_order = 3, algorithm_type = sde },
  dpmpp_2s = { _class_name = single, solver_order = 2 },
  dpmpp_sde = { _class_name = single, solver_order = 2, algorithm_type = sde },
  unipc = { _class_name = "UniPCMultistepScheduler" },
  deis = { _class_name = "DEISMultistepScheduler" },
  lcm = { _class_name = "LCMScheduler" },
  tcd = { _class_name = "TCDScheduler" },
  flow_euler = { _class_name = "FlowMatchEulerDiscreteScheduler" },
  flow_heun = { _class_name = "FlowMatchHeunDiscreteScheduler" },
}

local walks_times = { ddim = true, ddpm = true, pndm = true, lcm = true, tcd = true }

local predictions = {
  eps = "epsilon", epsilon = "epsilon", v = "v_prediction", v_prediction = "v_prediction",
  sample = "sample", x0 = "sample", flow = "flow_prediction",
}

-- Schedules by name: the keys that make them.
local schedules = {
  discrete = {}, linear = { timestep_spacing = "linspace" },
  leading = { timestep_spacing = "leading" }, trailing = { timestep_spacing = "trailing" },
  karras = { use_karras_sigmas = true }, exponential = { use_exponential_sigmas = true },
  beta = { use_beta_sigmas = true },
  simple = { sigma_schedule = "simple" }, sgm_uniform = { sigma_schedule = "sgm_uniform" },
  ddim_uniform = { sigma_schedule = "ddim_uniform" }, ays = { sigma_schedule = "ays" },
  kl_optimal = { sigma_schedule = "kl_optimal" },
}
local over_sigmas = {
  karras = true, exponential = true, beta = true, simple = true, sgm_uniform = true,
  ddim_uniform = true, ays = true, kl_optimal = true,
}

local option_names = {
  "schedule", "prediction", "betas", "from", "to", "spacing", "offset", "train_steps", "config",
}

-- What runs of a sampler take too, where they do not say otherwise: what it is, and its range.
local method_options = {
  eta = { 0, 1 }, s_churn = { 0 }, s_tmin = { 0 }, s_tmax = { 0 }, s_noise = { 0 },
  order = { 1, 4 },
}

local function sorted(t)
  local list = {}
  for name in pairs(t) do list[#list + 1] = name end
  table.sort(list)
  return list
end

--- The names of samplers, sorted.
function M.names() return sorted(names) end

--- The sampler's own spelling of a name: "DPM++ 2M" is "dpmpp_2m".
function M.spell(name) return spec.spell(name, M.names()) or name end

local function pick(what, value, list)
  if list[value] ~= nil then return list[value] end
  local known = sorted(list)
  local near = type(value) == "string" and check.nearest(value, known)
  return core.raise("usage", ("sampler: unknown %s '%s'"):format(what, tostring(value)),
    near and ("did you mean '%s'?"):format(near) or what .. "s: " .. table.concat(known, " "))
end

--- The options of the method in opts, and the others.
local function divide(opts)
  local method, others = {}, {}
  for k, v in pairs(opts or {}) do
    local range = method_options[k]
    local check_value = k == "order" and check.int or check.number
    if range then method[k] = check_value("sampler: " .. k, v, nil, range[1], range[2])
    else others[k] = v end
  end
  return method, others
end

--- Raise for options of a sampler that are of another type, as a call says them.
local function check_options(opts)
  for _, name in ipairs { "betas", "spacing" } do
    if opts[name] ~= nil then check.type("sampler: " .. name, opts[name], "string") end
  end
  check.number("sampler: from", opts.from, nil, 0)
  check.number("sampler: to", opts.to, nil, 0)
  check.int("sampler: train_steps", opts.train_steps, nil, 1)
  check.int("sampler: offset", opts.offset)
  if opts.config ~= nil then check.type("sampler: config", opts.config, "table") end
end

--- The scheduler_config.json of a name with options.
function M.config(name, opts)
  opts = check.keys("sampler", opts, option_names)
  check_options(opts)
  check.type("sampler: name", name, "string")
  name = M.spell(name)
  local schedule = opts.schedule or "discrete"
  if type(schedule) == "string" then
    schedule = spec.spell(schedule, sorted(schedules)) or schedule
  end
  local is_list = type(schedule) == "table"
  if is_list and type(schedule[1]) ~= "number" then
    check.fail "sampler: schedule must be a name, or a list of sigmas from the highest down"
  end
  local config = { beta_schedule = "scaled_linear", beta_start = 0.00085, beta_end = 0.012 }
  local layers = { opts.config or {}, pick("sampler", name, names), {
    beta_schedule = opts.betas, beta_start = opts.from, beta_end = opts.to,
    num_train_timesteps = opts.train_steps, timestep_spacing = opts.spacing,
    steps_offset = opts.offset,
    prediction_type = opts.prediction and pick("prediction", opts.prediction, predictions),
  }, is_list and { sigmas = schedule } or pick("schedule", schedule, schedules) }
  for _, layer in ipairs(layers) do
    for k, v in pairs(layer) do config[k] = v end
  end
  if walks_times[name] and (is_list or over_sigmas[schedule]) then
    core.raise("usage", ("sampler: %s walks over times, not sigmas"):format(name),
      "schedules for it: discrete leading trailing linear")
  end
  return config
end

-- ---- samplers ----

--- Steps of a list of sigmas; a 0 at its end is where every run ends.
local function count_steps(sigmas)
  local n = #sigmas
  return sigmas[n] == 0 and n > 1 and n - 1 or n
end

local function wrap(name, config, method, given)
  return setmetatable({
    name = name, core = core.new_sampler(json.encode(config)), method = method, given = given,
    steps_listed = config.sigmas and count_steps(config.sigmas),
  }, Sampler)
end

--- A sampler by name.
---@param name string
---@param opts? table  schedule (a name, or a list of sigmas from the highest down, one a step),
--- prediction, betas, from, to, spacing, offset, train_steps; config:
--- a scheduler_config.json that these change; eta, s_churn, s_tmin, s_tmax, s_noise, order: of its
--- runs where they do not say
---@return weft.Sampler
function M.new(name, opts)
  check.type("sampler: name", name, "string")
  if opts ~= nil then check.type("sampler: options", opts, "table") end
  local method, others = divide(opts)
  return wrap(M.spell(name), M.config(name, others), method, others)
end

local class_names
local function name_of(config)
  if not class_names then
    class_names = {}
    for _, name in ipairs(M.names()) do
      local class = names[name]._class_name
      class_names[class] = class_names[class] or name
    end
  end
  return class_names[config._class_name] or config._class_name
end

--- A sampler from the keys of a scheduler_config.json.
---@param config table
function M.from_config(config)
  check.type("sampler: config", config, "table")
  return wrap(name_of(config), config, {})
end

--- A sampler from a folder with scheduler_config.json. Python writes -Infinity, which JSON does
-- not know; it is the default of the key that has it.
---@param folder string
function M.load(folder)
  local path = folder .. "/scheduler_config.json"
  local file = io.open(path, "rb")
  if not file then core.raise("io", path .. ": there is no such file") end
  local text = file:read "*a"
  file:close()
  local ok, s = pcall(M.from_config, json.decode((text:gsub(":%s*%-Infinity", ": null"))))
  if ok then return s end
  if type(s) ~= "table" or s.kind == "oom" then error(s, 0) end
  return core.raise("model", ("%s: %s"):format(path, s.message))
end

--- alpha_bar of a training time.
function Sampler:alpha_bar(t) return self.core:alpha_bar(t) end

Sampler.__index = function(self, key)
  if Sampler[key] ~= nil then return Sampler[key] end
  if key == "config" then return json.decode(rawget(self, "core"):config()) end
  return nil
end
Sampler.__tostring = function(self) return "Sampler " .. self.name end

--- The sampler that an option of a model's verb means: a name, a sampler, or what describe says.
-- What a sampler by name leaves open is as the model was trained.
---@param wanted string|weft.Sampler|table
---@param schedule? string  for a name
---@param config table      of the model's noise
function M.of(wanted, schedule, config)
  if type(wanted) == "string" then
    return M.new(wanted, { schedule = schedule, config = config })
  end
  if getmetatable(wanted) ~= Sampler then
    wanted = check.keys("sampler", wanted, { "name", "config", "options" })
    if not wanted.name then return M.from_config(wanted.config) end
    wanted = M.new(wanted.name, wanted.options)
  end
  if not wanted.given or wanted.given.config then return wanted end
  local opts = { config = config }
  for _, list in ipairs { wanted.given, wanted.method } do
    for k, v in pairs(list) do opts[k] = v end
  end
  return M.new(wanted.name, opts)
end

--- What M.of makes the same sampler of, as JSON can hold it; nil when v is none.
function M.describe(v)
  if getmetatable(v) ~= Sampler then return nil end
  if not v.given then return { config = v.config } end
  local options = {}
  for _, list in ipairs { v.given, v.method } do
    for k, x in pairs(list) do options[k] = x end
  end
  return { name = v.name, options = options }
end

-- ---- runs ----

local run_names = {
  "steps", "latents", "denoise", "noise", "seed", "init", "strength", "begin", "mask", "eta",
  "s_churn", "s_tmin", "s_tmax", "s_noise", "order", "use_clipped_model_output", "on_step",
  "progress",
}

local MOST_STEPS = 2 ^ 20

--- Raise for a start that is none: init as the latents are, and how far from it a run goes.
local function check_start(o)
  check.number("sampler: strength", o.strength or nil, nil, 0, 1)
  check.int("sampler: begin", o.begin, nil, 0, MOST_STEPS)
  if o.mask then check.tensor("sampler: mask", o.mask) end
  if o.init == nil then
    if o.mask then check.fail "sampler: mask without init, what is kept outside it" end
    return
  end
  local got = table.concat(check.tensor("sampler: init", o.init):size(), ",")
  local want = table.concat(o.latents:size(), ",")
  if got ~= want then check.fail("sampler: init is [%s], latents are [%s]", got, want) end
end

--- Begin a run: the options of Sampler:steps.
---@return weft.Run
function Sampler:start(o)
  check.keys("sampler", check.type("sampler: a run's options", o, "table"), run_names)
  local latents = check.tensor("sampler: latents", o.latents)
  if o.noise then check.type("sampler: noise (a list of tensors)", o.noise, "table") end
  if o.on_step then check.type("sampler: on_step", o.on_step, "function") end
  check_start(o)
  local how = {
    steps = check.int("sampler: steps", o.steps, self.steps_listed or 25, 1, MOST_STEPS),
    latents = latents,
    image = o.init, strength = o.strength, begin = o.begin, noise = o.noise, seed = o.seed or 0,
    use_clipped_model_output = o.use_clipped_model_output,
  }
  local method = divide(o)
  for k in pairs(method_options) do how[k] = method[k] or self.method[k] end
  local run = core.new_run(self.core, how)
  return setmetatable({
    core = run, denoise = o.denoise, on_step = o.on_step, progress = o.progress,
    label = self.name, mask = o.mask, image = o.mask and o.init, noise = o.mask and latents,
  }, Run)
end

--- A saved run, to go on with: `sampler.resume("half.safetensors", { denoise = f }):run()`.
function M.resume(path, o)
  o = check.keys("sampler", o, { "denoise", "on_step", "progress" })
  return setmetatable({
    core = core.load_run(path), denoise = o.denoise, on_step = o.on_step, progress = o.progress,
    label = "resumed",
  }, Run)
end

--- Put what is not to be repainted back, noised as the latent is.
local function keep_outside(self)
  local kept = self.core:add_noise(self.image, self.noise)
  self.core:set(kept + (self.core:latent() - kept) * self.mask)
end

--- One model call; nil at the end, else what a callback sees of it.
function Run:advance()
  return core.scope(function()
    local z, t, sigma, step, steps = self.core:next()
    if not z then return nil end
    local st = setmetatable({ run = self, t = t, sigma = sigma, step = step, steps = steps }, Step)
    local v = finite.check(("step %d/%d"):format(step, steps), function()
      return check.tensor("sampler: what denoise returns", self.denoise(z, t, st))
    end)
    self.core:give(v)
    if self.mask then keep_outside(self) end
    return st
  end)
end

--- Iterate the steps that are left. on_step is called after each, and ends them with false.
function Run:steps()
  check.type("sampler: denoise", self.denoise, "function")
  self.has_ended = false
  return function()
    local st = not self.has_ended and self:advance() or nil
    if st and self.on_step then self.has_ended = self.on_step(st) == false end
    return st
  end
end

--- Run to the end; the latent. When on_step returns false, what the last step took the result to
-- be.
function Run:run()
  check.type("sampler: denoise", self.denoise, "function")
  local bar
  for st in self:steps() do
    bar = bar or require("weft.progress").start {
      steps = st.steps, label = self.label, enabled = self.progress ~= false }
    bar:step(st.step)
  end
  if bar then bar:done() end
  return self.has_ended and self.core:x0() or self.core:latent()
end

function Run:latent() return self.core:latent() end
function Run:x0() return self.core:x0() end
--- The times of the schedule, and what unit noise is multiplied by.
function Run:times() return self.core:times() end
function Run:sigmas() return self.core:sigmas() end
--- A run of its own from here on, with the same denoise unless another is given.
function Run:fork(o)
  o = check.keys("fork", o, { "denoise", "on_step", "progress" })
  local copy = setmetatable({}, Run)
  for k, v in pairs(self) do copy[k] = v end
  copy.core = self.core:fork()
  for k, v in pairs(o) do copy[k] = v end
  return copy
end
--- Write the run as it stands. What a mask keeps is not in the file, so a run with one has none.
function Run:save(path)
  if self.mask then
    core.raise("unsupported", "save: a run with a mask cannot be saved", "start it anew instead")
  end
  self.core:save(path)
end

--- What a callback or loop sees of a step: step, steps, t, sigma, and the run as it is after it.
Step.__index = Step
function Step:latent() return self.run.core:latent() end
function Step:x0() return self.run.core:x0() end
--- Go on from another latent: st:set(z) or st:set{ latent = z }.
function Step:set(latent)
  if type(latent) == "table" then latent = check.keys("set", latent, { "latent" }).latent end
  self.run.core:set(check.tensor("set: latent", latent))
end
function Step:fork(o) return self.run:fork(o) end
function Step:save(path) self.run:save(check.type("save: path", path, "string")) end

--- Iterate a run step by step: steps, latents (unit noise), denoise; init and strength (or begin)
-- to start from a picture's latents, mask (1: repaint) to keep the rest of it; noise = { ... } or
-- seed for what is drawn on the way; eta, s_churn, order ... of single methods.
function Sampler:steps(o) return self:start(o):steps() end

--- A whole run: the final latent.
function Sampler:run(o) return self:start(o):run() end

return setmetatable(M, { __call = function(_, ...) return M.new(...) end })
