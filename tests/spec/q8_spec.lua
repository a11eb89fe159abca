--- Weights stored in 8 bits: how near they stay, what is said of files that lie.
package.path = "./tests/lib/?.lua;" .. package.path
local weft = require "weft"
local micro = require "micro"
local shell = require "shell"
local T = weft.tensor

local FILE = "/diffusion_pytorch_model.safetensors"

-- Linear layers, convolutions with rows that are no whole number of blocks, norms, biases.
-- 54 channels in: the last block of a row of conv_in.weight is not full.
local unet = weft.with(micro.config("unet", true),
  { block_out_channels = { 24, 32 }, in_channels = 54 })

local function model(seed) return weft.model.new("unet2d", unet, { seed = seed or 1 }) end

local function parameters(m)
  local out = {}
  for name, t in m:parameters() do out[name] = t end
  return out
end

--- The same bytes in every parameter.
local function assert_same(a, b)
  local others = parameters(b)
  for name, t in a:parameters() do
    assert.are.equal(t.dtype, others[name].dtype, name)
    assert.are.equal(t:contiguous():bytes(), others[name]:contiguous():bytes(), name)
  end
end

--- The scales of a stored weight, each as often as it counts: [rows, values of a row].
local function spread(scale, sizes)
  local rows, blocks, row = sizes[1], scale:size(2), 1
  for d = 2, #sizes do row = row * sizes[d] end
  return scale:to("f32"):reshape(rows, blocks, 1):expand(rows, blocks, 32):contiguous()
    :reshape(rows, blocks * 32):narrow(2, 1, row)
end

describe("weights in 8 bits", function()
  local dir
  before_each(function() dir = micro.temp() end)
  after_each(function() micro.remove(dir) end)

  it("are matrices of whole numbers with scales, and the rest in f16", function()
    local m = model()
    m:save(dir, { dtype = "q8" })
    local stored, kinds = T.load(dir .. FILE), {}
    for name, t in m:parameters() do
      local s = stored[name]
      kinds[s.dtype] = (kinds[s.dtype] or 0) + 1
      local row = t.rank > 1 and t:numel() / t:size(1) or 0
      if t.rank > 1 and t:numel() >= 512 and row >= 32 then
        assert.are.equal("i8", s.dtype, name)
        assert.are.same({ t:size(1), math.ceil(row / 32) }, stored[name .. ".scale"]:size())
      else
        assert.are.equal("f16", s.dtype, name)
        assert.is_nil(stored[name .. ".scale"])
      end
    end
    assert.is_true(kinds.i8 > 10 and kinds.f16 > 10)
  end)

  it("are off by half a scale at most", function()
    local m = model()
    m:save(dir, { dtype = "q8" })
    m:save(dir .. "/f32", { dtype = "f32" })
    local exact, stored = T.load(dir .. "/f32" .. FILE), T.load(dir .. FILE)
    for name, q in pairs(stored) do
      if q.dtype == "i8" then
        local sizes = q:size()
        local scale = spread(stored[name .. ".scale"], sizes)
        local x, back = exact[name]:reshape(sizes[1], -1), q:to("f32"):reshape(sizes[1], -1) * scale
        -- the sum of the two roundings of f32 on the way
        assert.is_true(((x - back):abs() - scale * 0.50001):max():item() <= 0, name)
        assert.are.equal(127, q:to("f32"):abs():max():item())
      end
    end
  end)

  it("load as f16 unless another dtype is asked for, the same by any number of threads", function()
    model():save(dir, { dtype = "q8" })
    local half, before = weft.model.load(dir), weft.threads()
    local report = half:report()
    assert.are.same({ 0, 0 }, { #report.missing, #report.unexpected })
    assert.are.equal("f16", report.dtype)
    for _, n in ipairs { 1, 3 } do
      weft.threads(n)
      assert_same(half, weft.model.load(dir))
    end
    weft.threads(before)
    local full = weft.model.load(dir, { dtype = "f32" })
    local values = parameters(full)
    for name, t in half:parameters() do
      assert.are.equal("f32", values[name].dtype)
      assert.are.equal(t:bytes(), values[name]:to("f16"):bytes(), name)
    end
  end)

  it("stay as they are when they are stored again", function()
    model():save(dir, { dtype = "q8" })
    local once = weft.model.load(dir, { dtype = "f32" })
    once:save(dir .. "/again", { dtype = "q8" })
    assert.are.equal(shell.read(dir .. FILE), shell.read(dir .. "/again" .. FILE))
    assert.are.equal(shell.read(dir .. "/config.json"), shell.read(dir .. "/again/config.json"))
  end)

  it("keep values that f16 has few digits for, zeros, and their order of size", function()
    local m = model()
    local name = "conv_in.weight"
    local t = parameters(m)[name]
    local wide = t:clone():fill_(0)
    for i, v in ipairs { 3e-6, -1e-7, 5e4, 1, -2e-5 } do wide[{ i, 1, 1, 1 }] = v end
    m:set(name, wide)
    m:save(dir, { dtype = "q8" })
    local back = parameters(weft.model.load(dir, { dtype = "f32" }))[name]
    for i, v in ipairs { 3e-6, -1e-7, 5e4, 1, -2e-5 } do
      -- 2^-25: half of the least scale that f16 has
      assert.near(v, back[{ i, 1, 1, 1 }], math.max(math.abs(v) / 254, 2 ^ -25), v)
    end
    assert.are.equal(0, back:narrow(1, 6, 3):abs():max():item())
  end)

  it("are not made of values that they cannot hold", function()
    for _, bad in ipairs { 0 / 0, 1 / 0, -1 / 0, 1e5 } do
      local m = model()
      local t = parameters(m)["conv_in.weight"]:clone()
      t[{ 3, 1, 1, 1 }] = bad
      m:set("conv_in.weight", t)
      local ok, err = pcall(m.save, m, dir .. "/bad", { dtype = "q8" })
      assert.is_false(ok)
      assert.truthy(err.message:find("save: conv_in.weight holds values that are not finite", 1,
        true), err.message)
      assert.are.equal("", shell.out("ls " .. dir .. "/bad"))
    end
  end)

  it("go to another device", function()
    model():save(dir, { dtype = "q8" })
    local there = weft.model.load(dir, { device = "test" })
    for name, t in weft.model.load(dir):parameters() do
      local other = parameters(there)[name]
      assert.are.equal("test", other.device)
      assert.are.equal(t:bytes(), other:to("cpu"):bytes(), name)
    end
    there:save(dir .. "/again", { dtype = "q8" })
    weft.model.load(dir):save(dir .. "/cpu", { dtype = "q8" })
    assert.are.equal(shell.read(dir .. "/cpu" .. FILE), shell.read(dir .. "/again" .. FILE))
  end)

  it("are shown as such by weft inspect", function()
    model():save(dir, { dtype = "q8" })
    local _, out = shell.weft(".", "inspect --all --check " .. dir)
    assert.truthy(out:find("conv_in.weight +q8 +%[24,54,3,3%]"), out)
    assert.truthy(out:find("conv_in.bias +f16 +%[24%]"), out)
    assert.is_nil(out:find ".scale", 1, true)
    assert.truthy(out:find(("%.2f M values"):format(model():size() / 1e6), 1, true), out)
    assert.truthy(out:find("every value is finite", 1, true), out)
  end)
end)

describe("a file of weights in 8 bits that lies", function()
  local dir
  before_each(function()
    dir = micro.temp()
    model():save(dir, { dtype = "q8" })
  end)
  after_each(function() micro.remove(dir) end)

  --- Change the file's tensors, and the sentence with which loading it fails; nil when it loads.
  local function spoiled(change)
    local all = {}
    for name, t in pairs(T.load(dir .. FILE)) do all[name] = t:clone() end
    change(all)
    weft.core.save_tensors(dir .. FILE, all)
    local ok, err = pcall(weft.model.load, dir)
    if ok then return nil, err end
    assert.are.equal("model", err.kind)
    return err.message
  end

  local W = "conv_in.weight"
  local cases = {
    { "has no conv_in.weight.scale beside it", function(all) all[W .. ".scale"] = nil end },
    { "conv_in.weight.scale is [24,15], wanted [24,16]: one for every 32",
      function(all) all[W .. ".scale"] = all[W .. ".scale"]:narrow(2, 1, 15) end },
    { "conv_in.weight.scale is [16,24], wanted [24,16]",
      function(all) all[W .. ".scale"] = all[W .. ".scale"]:t() end },
    { "conv_in.weight.scale is i32, wanted a float dtype",
      function(all) all[W .. ".scale"] = all[W .. ".scale"]:to "i32" end },
    { "conv_in.weight.scale is i8, wanted a float dtype",
      function(all) all[W .. ".scale"] = all[W .. ".scale"]:to "i8" end },
    { "conv_in.bias is i8 and has no", function(all)
      all["conv_in.bias"] = all["conv_in.bias"]:to "i8"
    end },
    { "tensor conv_in.weight is [24,54,9], the config wants [24,54,3,3]",
      function(all) all[W] = all[W]:reshape(24, 54, 9) end },
    { "wanted a float dtype", function(all) all[W] = all[W]:to "u8" end },
  }
  for _, v in ipairs { 0 / 0, 1 / 0, -1, 600 } do
    cases[#cases + 1] = { "conv_in.weight.scale holds a value that is not from 0 to 511",
      function(all) all[W .. ".scale"][{ 3, 2 }] = v end }
  end
  for _, case in ipairs(cases) do
    it("is refused: " .. case[1], function()
      local message = spoiled(case[2])
      assert.truthy(message and message:find(case[1], 1, true), tostring(message))
      assert.truthy(message:find(dir, 1, true), message)
    end)
  end

  it("loads where the scales are f32 or bf16, and lists scales of nothing as unexpected", function()
    local before = weft.model.load(dir, { dtype = "f32" })
    local failed, m = spoiled(function(all)
      all[W .. ".scale"] = all[W .. ".scale"]:to "f32"
      all["conv_in.bias.scale"] = T.ones(24, 1)
    end)
    assert.is_nil(failed)
    assert.are.same({ "conv_in.bias.scale" }, m:report().unexpected)
    assert_same(before, weft.model.load(dir, { dtype = "f32" }))
  end)

  it("costs no more memory than it must: nothing is left after it was refused", function()
    collectgarbage()
    collectgarbage()
    local before = weft.memory().live
    spoiled(cases[#cases][2])
    collectgarbage()
    collectgarbage()
    assert.are.equal(before, weft.memory().live)
  end)
end)

describe("recipes/micro/store.lua", function()
  it("stores a part in 8 bits", function()
    local dir = micro.temp()
    micro.make(dir .. "/m", { narrow = true, language = true })
    micro.write(dir .. "/m/language_model/training.json", '{"step":4}')
    local rc, out, err = shell.weft(".", ("run --plain recipes/micro/store.lua from=%s/m out=%s/s "
      .. "part=language_model,unet"):format(dir, dir))
    assert.are.equal(0, rc, err)
    assert.truthy(out:find("language_model +%d+ %-> +%d+ bytes  change 0%.00"), out)
    local lm = weft.model.load(dir .. "/s/language_model")
    assert.are.equal("llama", lm.arch)
    assert.are.equal("i8",
      T.load(dir .. "/s/language_model/model.safetensors")["model.embed_tokens.weight"].dtype)
    assert.are.same({ step = 4 },
      weft.json.decode(shell.read(dir .. "/s/language_model/training.json")))
    micro.remove(dir)
  end)

  it("stores the mean of two states of a part, and says of which", function()
    local dir = micro.temp()
    micro.make(dir .. "/a", { narrow = true })
    micro.write(dir .. "/a/unet/training.json", '{"step":4,"command":"first"}')
    os.execute(("cp -r %s/a %s/b"):format(dir, dir))
    local b = weft.model.load(dir .. "/b/unet"):to "f32"
    for _, t in b:parameters() do t:copy_(t * 3) end
    b:save(dir .. "/b/unet")
    micro.write(dir .. "/b/unet/training.json", '{"step":9,"command":"then"}')
    local rc, _, err = shell.weft(".", ("run --plain recipes/micro/store.lua from=%s/a with=%s/b "
      .. "out=%s/s part=unet dtype=f32"):format(dir, dir, dir))
    assert.are.equal(0, rc, err)
    local was = {}
    for name, t in weft.model.load(dir .. "/a/unet"):parameters() do was[name] = t:to "f32" end
    for name, t in weft.model.load(dir .. "/s/unet"):parameters() do
      local off = (t - was[name] * 2):abs():max():item()
      assert.is_true(off <= 2e-3 * was[name]:abs():max():item(), name)
    end
    assert.are.same({ step = 9, command = "then", mean_with = { step = 4, command = "first" } },
      weft.json.decode(shell.read(dir .. "/s/unet/training.json")))
    micro.remove(dir)
  end)
end)
