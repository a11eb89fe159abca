--- A second device, "test": its memory is closed to the host but inside its own calls, it has no
-- kernels and runs the plain truths. What passes here touches device memory nowhere above the
-- backend and leaves the device for nothing.
package.path = "./tests/lib/?.lua;" .. package.path
local weft = require "weft"
local core = require "weft.core"
local micro = require "micro"
local T, train = weft.tensor, weft.train

--- Largest difference of two tensors, wherever they lie.
local function far(a, b) return (a:to "cpu" - b:to "cpu"):abs():max():item() end

local function mean_difference(a, b) return (a - b:to "cpu"):abs():mean():item() end

--- The error that f(...) raises, as text, and its kind.
local function error_of(f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok)
  return tostring(err), err.kind
end

describe("a tensor on another device", function()
  it("goes there and comes back", function()
    local x = T({ 1, 2, 3 }, { device = "test" })
    assert.are.equal("test", x.device)
    assert.are.same({ 3, 5, 7 }, (x * 2 + T.ones(3, { device = "test" })):totable())
    x[2] = 9
    x:copy_(T { 4, 5, 6 })
    assert.are.equal(6, x[3])
    assert.are.equal("cpu", x:to("cpu").device)
    assert.are.same({ true, false, false }, x:lt(4.5):totable())
    assert.are.same({ 5, 6, 7 }, x:apply(function(v) return v + 1 end):totable())
  end)
  it("has no address in host memory and meets no tensor of the host", function()
    local x = T.zeros(2, { device = "test" })
    assert.truthy(error_of(x.ptr, x):find("not in host memory", 1, true))
    local text, kind = error_of(function() return x + T.zeros(2) end)
    assert.truthy(text:find("add: inputs on test and on cpu", 1, true))
    assert.are.equal("device", kind)
  end)
  it("is made there by default for the length of a scope", function()
    core.scope(function()
      assert.are.equal("cpu", core.device "test")
      assert.are.equal("test", T.zeros(1).device)
    end)
    assert.are.equal("cpu", T.zeros(1).device)
    local text, kind = error_of(weft.load, "micro", { device = "nowhere" })
    assert.truthy(text:find("there is no device 'nowhere'", 1, true))
    assert.are.equal("device", kind)
    assert.are.equal("cpu", core.device())
  end)
end)

-- Both sides work in f32 and add up in other orders; a sampler's steps carry that on.
local NEAR = 1e-4

describe("the small model on another device", function()
  local dir, here, there, photo
  setup(function()
    dir = micro.make(micro.temp(),
      { narrow = true, sounds = true, language = true, vocoder = true, joint = true })
    here, there = weft.load(dir), weft.load(dir, { device = "test" })
    photo = weft.image.from(T.rand({ 64, 64, 3 }, { seed = 2 }))
  end)
  teardown(function() micro.remove(dir) end)

  --- The same call on both, f(model) -> picture or sound, must give nearly the same.
  local function agree(f)
    local made = f(there)
    assert.are.equal("cpu", made:tensor().device)
    assert.is_true(far(f(here):tensor(), made:tensor()) < NEAR)
  end

  it("lies there", function()
    for name, part in pairs(there.parts) do
      if part.parameters then assert.are.equal("test", part.device, name) end
    end
  end)
  it("makes pictures of words, features and pictures", function()
    agree(function(m)
      return m:image { "a red cat", photo, steps = 3, seed = 4, negative = "a dog",
        progress = false }
    end)
    local made = there:image { there:encode(photo), steps = 1, seed = 4, progress = false }
    assert.are.equal("test", made.meta.device)
  end)
  it("edits with two dials, from a start, under a mask", function()
    local seen = {}
    agree(function(m)
      return m:edit(photo, { m:encode "a cat", steps = 3, seed = 4, progress = false,
        guidance = { 3, concat = 1.5 }, strength = 0.7, mask = photo:mask { h = 32 },
        on_step = function(st)
          seen[#seen + 1] = st.preview():resize(8, 8):tensor():mean():item()
        end })
    end)
    assert.are.equal(4, #seen)
    for i = 1, 2 do assert.are.near(seen[i], seen[i + 2], NEAR) end
  end)
  it("starts from the latents it is given", function()
    local z = T.randn({ 1, 16, 16, 8 }, { seed = 4, rng = "torch-cpu" })
    local first = here:encode(photo)
    agree(function(m) return m:image { first, steps = 1, latents = z, progress = false } end)
  end)
  it("makes videos from a picture and words", function()
    local config = weft.with(require("configs").micro.unet_video.config,
      { block_out_channels = { 16, 32 }, cross_attention_dim = 32, time_embedding_dim = 32,
        attention_head_dim = 16 })
    agree(function(m)
      local list = weft.with(m.parts, { unet_video = weft.model.new("unet3d", config,
        { seed = 9, device = m.device }) })
      local v = require("weft.pipeline.micro").new("micro", list, m.device):video { photo,
        "moving left", steps = 1, seed = 3, frames = 2, progress = false }
      return v[2]
    end)
  end)
  it("agrees with the CPU on the weights that ship", function()
    local cpu, other = weft.load "micro", weft.load("micro", { device = "test" })
    local function make(m)
      return m:image { "a red cat", steps = 1, seed = 4, guidance = 1, progress = false }:tensor()
    end
    assert.is_true(far(make(cpu), make(other)) < NEAR)
  end)
  it("makes a picture and its sound together", function()
    local function make(m, kind)
      return m:generate({ m:encode "a dog", to = { "image", "audio" }, steps = 2, seed = 4,
        vocoder = "hifigan", progress = false })[kind]
    end
    assert.is_true(there.caps.joint)
    for _, kind in ipairs { "image", "audio" } do
      agree(function(m) return make(m, kind) end)
    end
  end)
  it("makes sounds and words", function()
    agree(function(m)
      return m:audio { m:encode "a dog", steps = 2, seed = 4, vocoder = "hifigan",
        progress = false }
    end)
    local function say(m) return m:text { "what is this", photo, seed = 1, max_tokens = 4 } end
    assert.are.equal(say(here), say(there))
  end)
end)

describe("training on another device", function()
  local config = micro.config("unet", true)

  --- A few steps of a denoiser at these times, on this device, from or into a checkpoint.
  local function make_run(device, path)
    local unet = weft.model.new("unet2d", config, { seed = 3, device = device })
    local run = { unet = unet, params = train.parameters(unet), device = device }
    run.optim, run.ema = train.adamw { run.params, lr = 1e-3 }, train.ema(run.params)
    run.checkpoint = train.checkpoint(path,
      { params = run.params, optim = run.optim, ema = run.ema })
    return run
  end
  local function draw(run, seed, ...)
    return T.randn({ ... }, { seed = seed, device = run.device })
  end
  local function steps(run, from, to)
    local losses = {}
    for step = from, to do
      local x, c = draw(run, step, 1, 4, 4, config.in_channels),
        draw(run, step + 50, 1, 3, config.cross_attention_dim)
      local labels = config.projection_class_embeddings_input_dim
        and draw(run, step + 90, 1, config.projection_class_embeddings_input_dim)
      local want = draw(run, step + 70, 1, 4, 4, config.out_channels)
      local loss, grads = weft.grad(function()
        return train.mse(run.unet { sample = x, timestep = 100 * step, context = c,
          class_labels = labels or nil }, want)
      end, run.params)
      local norm = train.clip(grads, 0.5)
      run.optim:step(grads)
      run.ema:update()
      losses[#losses + 1] = { loss:item(), norm }
    end
    return losses
  end

  it("follows the CPU step by step, and goes on from its checkpoint", function()
    local path = os.tmpname()
    os.remove(path)
    local here, there = make_run("cpu", path), make_run("test", path)
    local want, got = steps(here, 1, 3), steps(there, 1, 2)
    there.checkpoint:save(2)
    there = make_run("test", path)
    assert.are.equal(2, there.checkpoint:load())
    got[3] = steps(there, 3, 3)[1]
    for i = 1, 3 do
      for k = 1, 2 do assert.are.near(want[i][k], got[i][k], 1e-4 * want[i][k]) end
    end
    for i = 1, #here.params do
      assert.are.equal("test", there.params[i].device)
      assert.are.equal("test", there.optim.v[i].device)
      -- Where a gradient is next to nothing AdamW steps by its sign: a value may be off by the
      -- steps' size, 3e-3 of three; in the mean they are within a hundredth of it.
      assert.is_true(far(here.params[i], there.params[i]) < 6e-3)
      assert.is_true(mean_difference(here.params[i], there.params[i]) < 3e-5)
      assert.is_true(mean_difference(here.ema.tensors[i], there.ema.tensors[i]) < 3e-5)
    end
    os.remove(path)
  end)
end)

-- ---- specs that hold on any device, with every new tensor there ----

describe("on another device", function()
  setup(function() core.device "test" end)
  teardown(function() core.device "cpu" end)
  core.device "test"                      -- for what the files make while they are read
  for _, name in ipairs { "train", "checkpoint", "grad", "sampler", "guidance", "lora", "language",
    "vocoder", "video_model" } do
    setfenv(assert(loadfile("tests/spec/" .. name .. "_spec.lua")), getfenv(1))()
  end
  core.device "cpu"
end)
