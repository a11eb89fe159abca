-- Samplers against the trajectories of the reference (tests/sample/vectors, made by
-- tests/ref/samplers.py), the schedules' known numbers, and what a run can do beside.
local weft = require "weft"
local json = require "weft.json"
local sampler = require "weft.sampler"

local folder = "tests/sample/vectors"
local file = io.open(folder .. "/samplers.json")
local vectors = json.decode(file:read "*a")
file:close()
local numbers = weft.core.open_tensors(folder .. "/samplers.safetensors")

--- The model of the vectors: 0.3 sin(1.7 z + 0.001 t) + 0.1 z.
local function model(z, t)
  return (z * 1.7 + 0.001 * t):sin() * 0.3 + z * 0.1
end

local function rows(name)
  local list, t = {}, numbers:get(name)
  for i = 1, t:size(1) do list[i] = t:narrow(1, i, 1) end
  return list
end

local function options(case)
  local o = {
    steps = case.steps, latents = numbers:get("latent"):reshape(1, 16), denoise = model,
    noise = rows "noise",
  }
  for k, v in pairs(case.call or {}) do o[k] = v end
  if case.begin and case.begin ~= json.null then
    o.begin, o.init = case.begin, numbers:get("image"):reshape(1, 16)
  end
  return o
end

--- The largest difference of two lists of numbers over the largest of the first (or scale), and
-- that.
local function far(a, b, scale)
  local worst = 0
  scale = scale or 1
  for i = 1, math.max(#a, #b) do
    worst = math.max(worst, math.abs((a[i] or 1e9) - (b[i] or 1e9)))
    scale = math.max(scale, math.abs(a[i] or 0))
  end
  return worst / scale, scale
end

-- The reference computes in f32 and its coefficients partly so; README.md of tests/ref says how far
-- a rounding of 1e-6 carries: up to 1e-4 of the largest value, of all that the trajectory has had.
local TOLERANCE = 1e-4

local function check(case)
  local run = sampler.from_config(case.config):start(options(case))
  local first = case.begin ~= json.null and case.begin or 0
  local want = numbers:get(case.name .. ".states")
  local at, scale, d = 1, 1, nil
  local function compare(latent)
    d, scale = far(want:select(1, at):totable(), latent:reshape(16):totable(), scale)
    assert(d < TOLERANCE, ("%s: state %d is off by %.3g"):format(case.name, at - 1, d))
    at = at + 1
  end
  local times = {}
  for i, t in ipairs((run:times())) do
    if i > first then times[#times + 1] = t end
  end
  d = far(numbers:get(case.name .. ".timesteps"):totable(), times)
  assert(d < 1e-5, ("%s: times are off by %.3g"):format(case.name, d))
  compare(run:latent())
  for st in run:steps() do compare(st:latent()) end
  assert.equal(want:size(1), at - 1)
end

describe("samplers of the reference", function()
  local by_class, order = {}, {}
  for _, case in ipairs(vectors.cases) do
    local class = case.config._class_name
    if not by_class[class] then
      by_class[class] = {}
      order[#order + 1] = class
    end
    table.insert(by_class[class], case)
  end
  for _, class in ipairs(order) do
    it(("%s: %d trajectories"):format(class, #by_class[class]), function()
      local failed = {}
      for _, case in ipairs(by_class[class]) do
        local ok, err = pcall(check, case)
        if not ok then failed[#failed + 1] = case.name .. " | " .. tostring(err) end
      end
      assert(#failed == 0, ("%d of %d wrong\n%s"):format(#failed, #by_class[class],
        table.concat(failed, "\n")))
    end)
  end

  it("refuses or survives what the reference cannot run", function()
    for _, case in ipairs(vectors.rejected) do
      local ok, y = pcall(function() return sampler.from_config(case.config):run(options(case)) end)
      if ok then
        for _, v in ipairs(y:reshape(16):totable()) do
          assert(v == v and math.abs(v) < math.huge, case.name .. " is not finite")
        end
      else
        assert.matches("sampler", tostring(y.message or y))
      end
    end
  end)
end)

-- Stable Diffusion's table at ten steps, to the four digits that k-diffusion and others print.
local known = {
  discrete = { 14.6146, 7.8399, 4.6092, 2.9183, 1.9502, 1.3449, 0.9324, 0.6250, 0.3687, 0.0292, 0 },
  sgm_uniform = { 14.6146, 8.3072, 5.0924, 3.3251, 2.2797, 1.6156, 1.1629, 0.8319, 0.5712, 0.3437,
    0 },
  simple = { 14.6146, 8.3028, 5.0878, 3.3211, 2.2765, 1.6129, 1.1606, 0.8299, 0.5693, 0.3417, 0 },
  ddim_uniform = { 8.3907, 5.1344, 3.3478, 2.2929, 1.6237, 1.1682, 0.8357, 0.5741, 0.3462, 0.0413,
    0 },
  karras = { 14.6146, 9.1029, 5.4784, 3.1686, 1.7494, 0.9141, 0.4469, 0.2014, 0.0819, 0.0292, 0 },
  exponential = { 14.6146, 7.3249, 3.6712, 1.8400, 0.9222, 0.4622, 0.2317, 0.1161, 0.0582, 0.0292,
    0 },
  kl_optimal = { 14.6146, 4.2324, 2.3937, 1.5971, 1.1330, 0.8152, 0.5729, 0.3725, 0.1953, 0.0292,
    0 },
}

local function latents(B) return weft.tensor.randn({ B, 4, 4, 2 }, { seed = 3 }) end

describe("schedules", function()
  for name, want in pairs(known) do
    it(name .. " has the sigmas of Stable Diffusion's table", function()
      local run = sampler("euler", { schedule = name }):start { steps = 10, latents = latents(1) }
      local got = run:sigmas()
      assert.equal(#want, #got)
      for i, v in ipairs(want) do assert.near(v, got[i], 6e-5) end
    end)
  end

  it("ddim_uniform has as many sigmas as the table, all different", function()
    for _, name in ipairs { "euler", "dpmpp_2m", "deis", "unipc" } do
      local s = sampler.from_config { _class_name = sampler(name).config._class_name,
        num_train_timesteps = 60, sigma_schedule = "ddim_uniform" }
      local run = s:start { steps = 60, latents = latents(1), denoise = model }
      local got, top = run:sigmas(), (1 - s:alpha_bar(59)) / s:alpha_bar(59)
      assert.near(math.sqrt(top), got[1], 1e-5)
      for i = 2, 60 do assert.is_true(got[i] < got[i - 1]) end
      local most = run:run():abs():max():item()
      assert.is_true(most < math.huge, name)
    end
  end)

  local function times(name, opts, steps)
    return (sampler(name, opts):start { steps = steps or 10, latents = latents(1) }:times())
  end

  it("spaces times as the reference does", function()
    assert.same({ 901, 801, 701, 601, 501, 401, 301, 201, 101, 1 },
      times("ddim", { spacing = "leading", offset = 1 }))
    assert.same({ 999, 899, 799, 699, 599, 499, 399, 299, 199, 99 },
      times("ddim", { spacing = "trailing" }))
    assert.same({ 999, 888, 777, 666, 555, 444, 333, 222, 111, 0 },
      times("ddim", { spacing = "linspace" }))
    assert.same({ 999, 899, 799, 699, 599, 500, 400, 300, 200, 100 }, times("dpmpp_2m"))
    assert.same({ 999, 759, 499, 259 }, times("lcm", nil, 4))
  end)

  it("trailing ends at a time that there is, after as many steps as asked for", function()
    for steps = 1, 1000 do
      local list = times("ddim", { spacing = "trailing" }, steps)
      assert.equal(steps, #list)
      assert.is_true(list[steps] >= 0)
    end
    local y = sampler("ddpm", { spacing = "trailing", prediction = "v" }):run {
      steps = 61, latents = latents(1), denoise = model }
    assert.is_true(y:abs():max():item() < math.huge)
    local clipped = sampler("dpmpp_2m", { spacing = "trailing", config = {
      lambda_min_clipped = -2 } })
    for steps = 1, 100 do
      local list = clipped:start { steps = steps, latents = latents(1) }:times()
      assert.is_true(list[#list] >= 0)
    end
  end)
end)

describe("a run", function()
  local function start(name, more)
    local o = { steps = 6, latents = latents(2), denoise = model, seed = 11 }
    for k, v in pairs(more or {}) do o[k] = v end
    return sampler(name, { prediction = name:find "flow" and "flow" or "v" }):start(o)
  end

  for _, name in ipairs(sampler.names()) do
    if name ~= "ipndm" then
      it(name .. ": forked, saved and resumed, ends at the same bytes", function()
        local path = os.tmpname()
        local whole = start(name):run():totable()
        local run = start(name)
        run:advance()
        run:advance()
        run:advance()
        local fork = run:fork()
        run:save(path)
        assert.same(whole, run:run():totable())
        assert.same(whole, fork:run():totable())
        assert.same(whole, sampler.resume(path, { denoise = model }):run():totable())
        os.remove(path)
      end)
    end
  end

  --- Give out, with allocation 1, 2, 3 ... failed first, until all of give could be had.
  local function give_failing(run, out)
    local n = 0
    repeat
      n = n + 1
      weft.core.fail_alloc(n)
      local ok, err = pcall(run.give, run, out)
      weft.core.fail_alloc(0)
      assert(ok or err.kind == "oom", err)
    until ok
    return n
  end

  local function takes_again(s, prediction)
    local o = { steps = 6, latents = latents(2), denoise = model, seed = 11 }
    local whole, run, failed = s:run(o):totable(), s:start(o).core, 0
    for z, t in run.next, run do failed = failed + give_failing(run, model(z, t)) end
    assert.is_true(failed > 12, prediction)
    assert.same(whole, run:latent():totable())
  end

  for _, name in ipairs(sampler.names()) do
    it(name .. ": takes an answer again when memory ran out in the step", function()
      for _, prediction in ipairs { "epsilon", "v", "flow" } do
        local ok, s = pcall(sampler, name, { prediction = prediction })
        if ok then takes_again(s, prediction) end
      end
    end)
  end

  it("takes an answer again after steps of several calls and thresholds", function()
    takes_again(sampler.from_config { _class_name = "PNDMScheduler" }, "epsilon")
    takes_again(sampler.from_config { _class_name = "DPMSolverSinglestepScheduler",
      solver_order = 3, thresholding = true }, "epsilon")
    takes_again(sampler("unipc", { config = { solver_order = 3 } }), "epsilon")
  end)

  it("takes an answer again after the list of noises was too short", function()
    local o = { steps = 2, latents = latents(2), noise = { latents(2) } }
    local run = sampler("euler_a"):start(o).core
    local z, t = run:next()
    run:give(model(z, t))
    z, t = run:next()
    local before, out = run:latent():totable(), model(z, t)
    for _ = 1, 2 do
      local ok, err = pcall(run.give, run, out)
      assert.is_false(ok)
      assert.matches("needs noise 2, but the list has 1", err.message)
      assert.same(before, run:latent():totable())
    end
  end)

  it("shares no memory with its forks, its caller or the model", function()
    for _, name in ipairs { "ddim", "dpmpp_2m", "pndm", "euler", "unipc" } do
      local whole = start(name):run():totable()
      local init = latents(2)
      local run = start(name, { denoise = function(z, t)
        local v = model(z, t)
        z:zero_()
        return v
      end })
      run:advance()
      local fork = run:fork()
      fork:latent():zero_()
      fork:x0():zero_()
      assert.same(whole, fork:run():totable())
      assert.same(whole, run:run():totable())
      run = start(name, { init = init, strength = 0 })
      init:zero_()
      assert.same(latents(2):totable(), run:latent():totable())
      init = latents(2)
      run:advance()
      run.core:set(init)
      init:zero_()
      assert.same(latents(2):totable(), run:latent():totable())
    end
  end)

  it("keeps no answer of the model's that is written over later", function()
    local whole, answer = start("pndm"):run():totable(), latents(2)
    local run = start("pndm", { denoise = function(z, t) return answer:copy_(model(z, t)) end })
    assert.same(whole, run:run():totable())
  end)

  it("lets no threshold hide what is not a number, in the sample that has it", function()
    local s = sampler.from_config { _class_name = "DDPMScheduler", thresholding = true }
    local run = s:start { steps = 2, latents = latents(2) }.core
    local out = latents(2)
    out[{ 1, 1, 1, 1 }] = 0 / 0
    run:next()
    run:give(out)
    local x0 = run:x0():reshape(2, 32)
    for i, v in ipairs(x0:select(1, 1):totable()) do assert(v ~= v, "value " .. i) end
    assert.is_true(x0:select(1, 2):abs():max():item() <= 1)
  end)

  it("thresholds samples that have no values", function()
    local s = sampler.from_config { _class_name = "DDPMScheduler", thresholding = true }
    local none = weft.tensor.zeros { 2, 0 }
    local y = s:run { steps = 2, latents = none, denoise = function(z) return z end }
    assert.equal(0, y:size(2))
  end)

  it("draws noise by seed and sample, whatever the batch", function()
    local both = start("euler_a"):run()
    local second = sampler("euler_a", { prediction = "v" }):run {
      steps = 6, latents = latents(2):narrow(1, 2, 1):contiguous(), denoise = model, seed = 12 }
    assert.same(both:narrow(1, 2, 1):totable(), second:totable())
  end)

  it("starts from a picture for the last of its steps", function()
    local seen = {}
    start("ddim", { init = latents(2), strength = 0.5,
      denoise = function(z, t, st)
        seen[#seen + 1] = st.step .. "/" .. st.steps
        return model(z, t)
      end }):run()
    assert.same({ "1/3", "2/3", "3/3" }, seen)
    local kept = start("ddim", { init = latents(2), strength = 0 }):run()
    assert.same(latents(2):totable(), kept:totable())
  end)

  it("keeps what the mask leaves out", function()
    local init = latents(2) * 0.5
    local mask = weft.tensor.zeros { 4, 4, 1 }
    mask[{ 1, 1, 1 }] = 1
    local y = start("ddim", { init = init, strength = 0.9, mask = mask }):run()
    local d = (y - init):abs():reshape(2, 16, 2)
    assert.is_true(d:narrow(2, 2, 15):max():item() < 1e-6)
    assert.is_true(d:narrow(2, 1, 1):max():item() > 1e-3)
  end)

  it("refuses to be saved without what its mask keeps", function()
    local run = start("ddim", { init = latents(2), mask = weft.tensor.ones { 4, 4, 1 } })
    assert.has_error(function() run:save "/tmp/never" end)
  end)

  it("stops when a callback says so, with what it took the result to be", function()
    local x0
    local y = start("euler", { on_step = function(st)
      x0 = st:x0():totable()
      return st.step < 2
    end }):run()
    assert.same(x0, y:totable())
  end)

  it("goes on from a latent that a loop puts in its place", function()
    local run = start("ddim")
    for st in run:steps() do st:set(st:latent() * 0) end
    assert.equal(0, run:latent():abs():max():item())
    run = start("ddim")
    for st in run:steps() do st:set{ latent = st:latent() * 0 } end
    assert.equal(0, run:latent():abs():max():item())
  end)

  it("tells the noise level where it walks over times", function()
    local s = sampler("ddim")
    for st in s:steps { steps = 4, latents = latents(1), denoise = model } do
      local bar = s:alpha_bar(st.t)
      assert.near(math.sqrt((1 - bar) / bar), st.sigma, 1e-9)
    end
  end)

  it("takes the options of its method from the sampler", function()
    local function ends(at, how) return sampler("ddim", at):run(how):totable() end
    local function how(more)
      local o = { steps = 4, latents = latents(1), denoise = model, seed = 3 }
      for k, v in pairs(more or {}) do o[k] = v end
      return o
    end
    assert.same(ends(nil, how { eta = 0.5 }), ends({ eta = 0.5 }, how()))
    assert.same(ends(nil, how()), ends({ eta = 0.5 }, how { eta = 0 }))
    assert.has_error(function() sampler("ddim", { eta = 2 }) end)
    assert.equal(4, #sampler("euler", { train_steps = 20 }):start(how()):times())
  end)

  it("ends a loop when its callback says so", function()
    local seen = 0
    local o = { steps = 6, latents = latents(1), denoise = model,
      on_step = function(st) return st.step < 2 end }
    for _ in sampler("euler"):steps(o) do seen = seen + 1 end
    assert.equal(2, seen)
  end)
end)

describe("configs", function()
  it("are read as Python writes them", function()
    local s = sampler.load(folder .. "/dpm_infinity")
    assert.equal("DPMSolverMultistepScheduler", s.config._class_name)
    assert.equal("pndm", sampler.load(folder .. "/pndm_sd1").name)
    assert.equal(0.00085, sampler.load(folder .. "/pndm_sd1").config.beta_start)
  end)

  local function message(f, ...)
    local ok, err = pcall(f, ...)
    assert.is_false(ok)
    return tostring(err.message or err) .. " " .. tostring(err.hint or "")
  end

  it("name what is wrong", function()
    assert.matches("did you mean 'euler'", message(sampler, "eular"))
    assert.matches("did you mean 'karras'", message(sampler, "euler", { schedule = "karas" }))
    assert.matches("walks over times", message(sampler, "ddim", { schedule = "karras" }))
    assert.matches('beta_schedule', message(sampler, "ddim", { betas = "cubic" }))
    assert.matches("no sampler has the key \"betas_start\"",
      message(sampler.from_config, { _class_name = "DDIMScheduler", betas_start = 1 }))
    assert.matches("there is no class \"FooScheduler\"",
      message(sampler.from_config, { _class_name = "FooScheduler" }))
    assert.matches("prediction_type",
      message(sampler.from_config, { _class_name = "PNDMScheduler", prediction_type = "sample" }))
    assert.matches("there is no such file", message(sampler.load, "/nowhere"))
    for name, v in pairs { betas = 3, from = "x", to = "x", train_steps = 1.5, offset = "x",
      config = 3, order = 1.5, schedule = 3, prediction = 3 } do
      local ok, e = pcall(sampler, "ddim", { [name] = v })
      assert.is_false(ok)
      assert.equal("usage", e.kind, name)
      assert.matches("sampler: .*" .. name, e.message)
    end
  end)

  it("are spelled as other programs do", function()
    for theirs, ours in pairs { ["DPM++ 2M"] = "dpmpp_2m", ["Euler a"] = "euler_a", PLMS = "pndm",
      ["dpm++2m"] = "dpmpp_2m", ["DPM++ 2M SDE"] = "dpmpp_2m_sde", Heun = "heun" } do
      assert.equal(ours, sampler(theirs).name)
    end
    local function of(schedule) return sampler("euler", { schedule = schedule }).config end
    assert.same(of "karras", of "Karras")
    assert.same(of "discrete", of "normal")
    assert.same(of "linear", of "linspace")
    assert.same(of "sgm_uniform", of "SGM Uniform")
  end)

  it("of solvers on eps say what these cannot do", function()
    local function why(class, config)
      config._class_name, config.prediction_type = class .. "Scheduler", "flow_prediction"
      return message(sampler.from_config, config)
    end
    for _, class in ipairs { "DPMSolverMultistep", "DPMSolverSinglestep" } do
      assert.matches("without %+%+ is not made for \"flow_prediction\"", why(class, {
        algorithm_type = "dpmsolver", final_sigmas_type = "sigma_min", use_flow_sigmas = true }))
      assert.matches("needs \"use_flow_sigmas\"", why(class, {}))
    end
    assert.matches("\"predict_x0\" false is not made for \"flow_prediction\"",
      why("UniPCMultistep", { predict_x0 = false, final_sigmas_type = "sigma_min",
        use_flow_sigmas = true }))
    assert.matches("\"predict_x0\" false cannot end at 0", message(sampler.from_config, {
      _class_name = "UniPCMultistepScheduler", predict_x0 = false }))
  end)

  it("have whole numbers where they count, of steps that there are", function()
    local function why(class, key, value)
      return message(sampler.from_config, { _class_name = class .. "Scheduler", [key] = value })
    end
    for _, v in ipairs { 1e300, -1e300, 1.5 } do
      assert.matches("steps_offset.* a whole number", why("DDIM", "steps_offset", v))
      assert.matches("solver_order.* a whole number", why("UniPCMultistep", "solver_order", v))
      assert.matches("original_inference_steps.* a whole number",
        why("LCM", "original_inference_steps", v))
    end
    for _, v in ipairs { 0, 4, 2 ^ 32 + 2 } do
      for _, class in ipairs { "UniPCMultistep", "DPMSolverMultistep", "DEISMultistep" } do
        assert.matches("must be 1, 2 or 3", why(class, "solver_order", v))
      end
    end
    for _, v in ipairs { -1, 64, 1e300, 0.5 } do
      assert.matches("steps from 0 to 63", why("UniPCMultistep", "disable_corrector", { 0, v }))
    end
    assert.matches("from 0 to 1", why("DDIM", "dynamic_thresholding_ratio", -1e300))
  end)

  it("walk over a list of sigmas", function()
    local karras = sampler("euler", { schedule = "karras" })
    local sigmas = karras:start { steps = 8, latents = latents(1), denoise = model }.core:sigmas()
    local how = { latents = latents(1), denoise = model, progress = false }
    local listed = sampler("euler", { schedule = sigmas })
    local wanted = karras:run(weft.with(how, { steps = 8 }))
    -- the times of the list are found from sigmas that were rounded to f32
    assert.is_true((listed:run(how) - wanted):abs():max():item() < 1e-6)
    assert.matches("a list of 8 sigmas is for as many steps, not 9",
      message(listed.run, listed, weft.with(how, { steps = 9 })))
    for _, list in ipairs { { 1, 2 }, { 2, 2 }, { 2, -1 }, { 0 } } do
      assert.matches("must fall, all above 0", message(sampler, "heun", { schedule = list }))
    end
    assert.matches("walks over times", message(sampler, "ddim", { schedule = { 2, 1 } }))
    assert.matches("list of sigmas", message(sampler, "euler", { schedule = {} }))
  end)
  it("and runs say what they miss", function()
    local s = sampler "ddim"
    assert.matches("latents must be a tensor", message(s.run, s, { denoise = model }))
    assert.matches("steps must be from 1 to 1000",
      message(s.run, s, { steps = 2000, latents = latents(1), denoise = model }))
    for _, begin in ipairs { 1e300, 0.5, 0 / 0 } do
      assert.matches("sampler: begin must be", message(s.start, s, {
        latents = latents(1), init = latents(1), begin = begin }))
    end
    for _, strength in ipairs { -1e300, -0.5, 0 / 0 } do
      assert.matches("strength must be", message(s.start, s, {
        latents = latents(1), init = latents(1), strength = strength }))
    end
    assert.matches("denoise must be a function", message(s.run, s, { latents = latents(1) }))
    local init = { init = weft.tensor.zeros { 1, 2 } }
    for text, o in pairs { ["strength must be in 0"] = { strength = 2 },
      ["strength must be"] = { strength = 0 / 0 }, ["begin must be"] = { begin = 1.5 },
      ["init is %[1,2%], latents are"] = init, ["init must be a tensor"] = { init = 3 },
      ["mask without init"] = { mask = latents(1) } } do
      o.latents, o.denoise = latents(1), model
      assert.matches(text, message(s.run, s, o))
    end
    assert.matches("the model answered f32 %[1,4%]", message(s.run, s, {
      latents = latents(1), denoise = function() return weft.tensor.zeros { 1, 4 } end }))
    assert.matches("needs noise 2, but the list has 1", message(s.run, s, {
      latents = latents(1), denoise = model, eta = 1, noise = { latents(1) } }))
  end)
end)
