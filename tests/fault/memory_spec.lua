--- Every allocation failed in turn, over whole pieces of work: an error of kind oom each time, not
-- a byte leaked, and the same result as before from the same session afterwards. Once as if one
-- request had been too large, once as if memory were gone for good.
package.path = "./tests/lib/?.lua;./recipes/micro/?.lua;" .. package.path
local weft = require "weft"
local core = require "weft.core"
local micro = require "micro"

local MOST = 60000        -- a loop that comes here tests something else than it means to

local function live()
  collectgarbage()
  collectgarbage()
  return weft.memory().live
end

--- Fail allocation 1, 2, 3 ... of work() until it asks for fewer. work returns what tells that its
-- result is right, from the same state each time: reset() brings it back. Few allocations may fail
-- unseen (an op is tried again after a collection), and then the result must be right. With
-- for_good all later ones fail as well. Returns how many were failed.
local function fail_each(work, reset, for_good)
  local wanted, n = work(), 0
  reset()
  local before = live()
  repeat
    n = n + (for_good and 3 or 1)
    assert(n < MOST)
    local asked = weft.memory().allocs
    core.fail_alloc(n, for_good)
    local ok, got = pcall(work)
    core.fail_alloc(0)
    asked = weft.memory().allocs - asked
    if ok then
      assert.are.equal(wanted, got)
    elseif type(got) ~= "table" or got.kind ~= "oom" then
      error(("allocation %d: not oom but %s"):format(n, tostring(got)))
    end
    reset()
    local after = live()
    if after ~= before then
      error(("allocation %d: %d bytes leak (%s)"):format(n, after - before, tostring(got)))
    end
  until asked < n
  assert.are.equal(wanted, work())
  reset()
  assert.are.equal(before, live())
  return n
end

local function fail_all(work, reset)
  reset = reset or function() end
  local n = fail_each(work, reset, false)
  fail_each(work, reset, true)
  return n
end

describe("running out of memory", function()
  local dir

  setup(function() dir = micro.make(micro.temp(), { narrow = true }) end)
  teardown(function() micro.remove(dir) end)

  it("is survived anywhere in a generation", function()
    local m = weft.load(dir)
    local n = fail_all(function()
      local im = m:image { "a cat", steps = 2, seed = 3, guidance = 2, progress = false }
      return im:tensor():bytes()
    end)
    assert.is_true(n > 2000)
  end)
  it("is survived anywhere in the load of a model", function()
    local load = require "weft.load"
    load.forget()
    local n = fail_all(function()
      load.forget()
      local m = load.load(dir)
      load.forget()
      return m:info().bytes
    end)
    assert.is_true(n > 1000)
  end)
  it("is survived anywhere in storing weights in 8 bits and in loading them", function()
    local m = weft.model.new("projector", micro.config "feature_in", { seed = 1 })
    local n = fail_all(function()
      m:save(dir .. "/small", { dtype = "q8" })
      return weft.model.load(dir .. "/small"):report().bytes
    end)
    assert.is_true(n > 50)
  end)
  it("leaves every weight as it was where another dtype cannot be had for all", function()
    local m = weft.model.new("vae", micro.config("vae", true), { seed = 1 })
    local function kinds()
      local seen = {}
      for _, t in m:parameters() do seen[t.dtype] = (seen[t.dtype] or 0) + 1 end
      return weft.json.encode(seen)
    end
    local was, failed = kinds(), 0
    repeat
      failed = failed + 1
      core.fail_alloc(failed)
      local ok = pcall(m.to, m, "f16")
      core.fail_alloc(0)
      assert(ok or kinds() == was, failed)
    until ok
    assert.is_true(failed > 50)
    assert.are_not.equal(was, kinds())
  end)
  it("is survived anywhere in the load of a video with its sound", function()
    if not weft.video.has_clips() then
      pending "this build has no FFmpeg"
      return
    end
    local path = dir .. "/a.webm"
    weft.video.new({ frames = { weft.image.new(16, 16, "red"), weft.image.new(16, 16, "blue") },
      fps = 8, audio = weft.audio.silence(0.25, 8000) }):save(path)
    local n = fail_all(function()
      local frames, _, _, sound = core.load_clip(path, 0, false)
      return frames:size(1) .. " " .. sound:size(2)
    end)
    assert.is_true(n > 10)
  end)
  it("is survived anywhere in a training step", function()
    local vae = weft.model.new("vae", micro.config("vae", true), { seed = 1 })
    local params = weft.train.parameters(vae)
    local start = {}
    for i, p in ipairs(params) do start[i] = p:clone() end
    local opt = weft.train.adamw { params, lr = 1e-3 }
    local x = weft.tensor.rand({ 2, 64, 64, 3 }, { seed = 2 })
    local function reset()
      for i, p in ipairs(params) do
        p:copy_(start[i])
        opt.m[i]:fill_(0)
        opt.v[i]:fill_(0)
      end
      opt.steps = 0
    end
    local n = fail_all(function()
      return weft.scope(function()
        local loss, grads = weft.grad(function()
          return weft.mse(vae:decode(vae:encode(x).mean), x)
        end, params)
        weft.train.clip(grads, 1)
        opt:step(grads)
        return loss:item()
      end)
    end, reset)
    assert.is_true(n > 1000)
  end)

  it("is survived anywhere in connectors and the block that reads them", function()
    local joint = weft.model.new("joint", micro.config("joint", true), { seed = 1 })
    local unet = weft.model.new("unet2d", weft.with(micro.config("unet", true),
      { in_channels = 8 }), { seed = 2 })
    local params = weft.train.parameters(joint)
    local z = weft.tensor.randn({ 1, 8, 8, 8 }, { seed = 3 })
    local x = { sample = z, timestep = 20, class_labels = weft.tensor.ones { 1, 128 },
      context = weft.tensor.ones { 1, 2, 32 } }
    local n = fail_all(function()
      return weft.scope(function()
        local _, grads = weft.grad(function()
          local told = joint { image = z, audio = z * 0.5, timestep = 20 }
          return unet(weft.with(x, { mid_kv = told.image_kv })):square():mean()
        end, params)
        return weft.train.clip(grads, 1)
      end)
    end)
    assert.is_true(n > 500)
  end)

  it("is foretold where weights in another dtype cannot fit", function()
    -- 2^40 values as f16, in a file of holes: 2 TB that take no room on the disk
    local rows, width, bytes = 2 ^ 24, 2 ^ 16, 2 ^ 41
    local folder = micro.temp()
    micro.write(folder .. "/config.json", weft.json.encode(weft.with(
      micro.config("text_encoder"), { vocab_size = rows, hidden_size = width })))
    local header = ('{"text_model.embeddings.token_embedding.weight":{"dtype":"F16",'
      .. '"shape":[%d,%d],"data_offsets":[0,%.0f]}}'):format(rows, width, bytes)
    micro.write(folder .. "/model.safetensors",
      string.char(#header, 0, 0, 0, 0, 0, 0, 0) .. header)
    local made = os.execute(("truncate -s %.0f %s/model.safetensors"):format(8 + #header + bytes,
      folder))
    local ok, err = pcall(weft.model.load, folder, { dtype = "f32" })
    micro.remove(folder)
    if made ~= 0 then return pending "the file system holds no file of 2 TB" end
    assert.is_false(ok)
    assert.are.equal("oom", err.kind)
    assert.truthy(err.message:find("as f32 its weights take 4398.0 GB and ", 1, true), err.message)
    assert.truthy(err.message:find("(f16, 2199.0 GB) they are mapped from the file: leave dtype",
      1, true), err.message)
  end)
end)
