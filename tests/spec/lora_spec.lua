--- Low-rank adapters: trained beside frozen weights, saved, merged; layouts of other programs.
local weft = require "weft"
local T = weft.tensor

local config = {
  vocab_size = 40, hidden_size = 24, intermediate_size = 40, num_hidden_layers = 2,
  num_attention_heads = 4, num_key_value_heads = 2, rms_norm_eps = 1e-5,
}
local ids = T({ { 1, 5, 9, 3, 7, 20, 11, 4 } }, { dtype = "i64" })
local labels = T({ { 5, 9, 3, 7, 20, 11, 4, 2 } }, { dtype = "i64" })

local function model() return weft.model.new("llama", config, { seed = 5 }) end

local function folder()
  local path = os.tmpname()
  os.remove(path)
  return path
end

local function far(a, b) return (a - b):abs():max():item() end

local function train(lm, lora, steps)
  local params = weft.train.parameters(lora)
  local opt = weft.train.adamw{ params, lr = 0.03 }
  local first, last
  for _ = 1, steps do
    local loss, grads = weft.grad(function()
      return weft.cross_entropy(lm{ ids = ids }.logits, labels)
    end, params)
    opt:step(grads)
    first, last = first or loss:item(), loss:item()
  end
  return first, last
end

--- The file that lora writes, its tensors renamed by f(module, half).
local function renamed(lora, f, more)
  local at = folder()
  lora:save(at)
  local out = {}
  for name, t in pairs(T.load(at .. "/adapter_model.safetensors")) do
    local module, half = name:match "^base_model%.model%.(.*)%.lora_([AB])%.weight$"
    out[f(module, half)] = t:clone()
  end
  for name, t in pairs(more or {}) do out[name] = t end
  local path = folder() .. ".safetensors"
  T.save(path, out)
  return path
end

--- Change the one dtype of a file's header, without a change of its bytes of data.
local function retype(path, from, to)
  local text = assert(io.open(path, "rb")):read "*a"
  local n = text:byte(1) + 256 * text:byte(2)
  local header, count = text:sub(9, 8 + n):gsub(('"dtype":"%s"'):format(from),
    ('"dtype":"%s"'):format(to))
  assert.are.equal(1, count)
  header = header .. (" "):rep(-#header % 8)
  local file = assert(io.open(path, "wb"))
  file:write(string.char(#header % 256, math.floor(#header / 256), 0, 0, 0, 0, 0, 0), header,
    text:sub(9 + n))
  file:close()
end

describe("adapters", function()
  local lm = model()
  local plain = lm{ ids = ids }.logits
  local before = {}
  for name, t in lm:parameters() do before[name] = t:clone() end
  local lora = lm:adapt{ rank = 4, alpha = 8, seed = 1 }

  local untrained = lm{ ids = ids }.logits
  local first, last = train(lm, lora, 80)
  local adapted = lm{ ids = ids }.logits

  it("change nothing before they are trained", function()
    assert.are.equal("Adapter of 8 layers", tostring(lora))
    assert.are.equal(0, far(plain, untrained))
  end)

  it("learn while the weights stay", function()
    assert.is_true(last < first - 0.3, first .. " " .. last)
    for name, t in lm:parameters() do assert.are.equal(0, far(t, before[name])) end
    assert.is_true(far(plain, adapted) > 0.1)
  end)

  -- (W + s B A) x and W x + s B (A x) round differently: some 1e-6 of logits near 1
  local CLOSE = 2e-5

  it("give the same merged as adapted", function()
    local at, other = folder(), model()
    lora:save(at)
    local merged = other:merge(at)
    assert.are.equal("applied 8/8", tostring(merged))
    assert.is_true(far(adapted, other{ ids = ids }.logits) < CLOSE)
    other:merge(at, { scale = -1 })
    assert.is_true(far(plain, other{ ids = ids }.logits) < CLOSE)
  end)

  it("merge into weights that are mapped from a file", function()
    local at, saved = folder(), folder()
    lora:save(at)
    model():save(saved, { file = "model.safetensors" })
    local other = weft.model.load(saved)
    other:merge(at)
    assert.is_true(far(adapted, other{ ids = ids }.logits) < CLOSE)
  end)

  it("are read from the layouts of diffusers and kohya", function()
    local double = { A = "down", B = "up" }
    local layouts = {
      function(m, half) return ("%s.lora.%s.weight"):format(m, double[half]) end,
      function(m, half) return ("%s.lora_%s.default.weight"):format(m, half) end,
      function(m, half) return ("%s.lora_linear_layer.%s.weight"):format(m, double[half]) end,
      function(m, half)
        local layer, what = m:match "^(.*)%.([%w_]+)$"
        return ("%s.processor.%s_lora.%s.weight"):format(layer, what, double[half])
      end,
      function(m, half)
        return ("llama_model.base_model.model.%s.lora_%s.weight"):format(m, half)
      end,
    }
    for _, f in ipairs(layouts) do
      -- these say no alpha, so the scale is 1 where ours is 8 / 4
      local path, other = renamed(lora, f), model()
      assert.are.equal(8, other:merge(path, { scale = 2 }).applied)
      assert.is_true(far(adapted, other{ ids = ids }.logits) < CLOSE)
    end
    local alphas, other = {}, model()
    local path = renamed(lora, function(m, half)
      local name = m:gsub("%.", "_")
      alphas[name .. ".alpha"] = T.full({ 1 }, 8)
      return ("%s.lora_%s.weight"):format(name, double[half])
    end, alphas)
    other:merge(path)
    assert.is_true(far(adapted, other{ ids = ids }.logits) < CLOSE)
  end)

  it("fit whole or not at all", function()
    local function fails(part, f, more)
      local other, path = model(), renamed(lora, f, more)
      local _, e = pcall(other.merge, other, path)
      assert.is_truthy(tostring(e):find(part, 1, true), tostring(e))
      assert.are.equal(0, far(plain, other{ ids = ids }.logits))
    end
    local function same(m, half) return ("%s.lora_%s.weight"):format(m, half) end
    fails("has no layer of that name", function(m, half) return same("x" .. m, half) end)
    fails("its other half is missing", function(m, half)
      return same(half == "B" and "x" .. m or m, half)
    end)
    fails("no part of a low-rank adapter", same, { ["x.lora_magnitude_vector"] = T.zeros(3) })
    fails("do not fit the weight model.layers.0.mlp.up_proj", same, {
      ["model.layers.0.mlp.up_proj.lora_A.weight"] = T.zeros(2, 25),
      ["model.layers.0.mlp.up_proj.lora_B.weight"] = T.zeros(40, 2),
    })
    fails("q_proj.alpha is [2], wanted one finite number", same, {
      ["model.layers.1.self_attn.q_proj.alpha"] = T.full({ 2 }, 8),
    })
    fails("q_proj.alpha is not finite", same, {
      ["model.layers.1.self_attn.q_proj.alpha"] = T.full({ 1 }, 1 / 0),
    })
    fails("holds no low-rank adapter for a llama", function(m, half)
      return same("text_encoder." .. m, half)
    end)
    local _, e = pcall(lm.merge, lm, "/nowhere")
    assert.is_truthy(tostring(e):find("holds no adapter_model.safetensors", 1, true), tostring(e))
  end)

  it("leave the weights alone when a half is of no dtype that can be loaded", function()
    local half = "base_model.model.model.layers.1.self_attn.v_proj.lora_A.weight"
    local at, other = folder(), model()
    lora:save(at)
    local list = T.load(at .. "/adapter_model.safetensors")
    for name, t in pairs(list) do list[name] = t:clone() end
    list[half] = list[half]:to "u8"
    local path = folder() .. ".safetensors"
    T.save(path, list)
    retype(path, "U8", "F8_E4M3")
    local _, e = pcall(other.merge, other, path)
    assert.is_truthy(tostring(e):find('v_proj.lora_A.weight": dtype F8_E4M3 cannot be loaded', 1,
      true), tostring(e))
    assert.are.equal(0, far(plain, other{ ids = ids }.logits))
  end)

  it("leave the weights alone wherever memory ends", function()
    local at, other, n = folder(), model(), 0
    lora:save(at)
    local function is_same()
      for name, t in other:parameters() do
        if far(t, before[name]) > 0 then return false end
      end
      return true
    end
    repeat
      n = n + 1
      weft.core.fail_alloc(n)
      local ok, e = pcall(other.merge, other, at)
      weft.core.fail_alloc(0)
      assert.is_true(ok or tostring(e):find("out of memory", 1, true) ~= nil, tostring(e))
      assert.is_true(ok or is_same(), ("after allocation %d failed"):format(n))
    until ok
    assert.is_true(n > 50)
    assert.is_true(far(adapted, other{ ids = ids }.logits) < CLOSE)
  end)

  it("add up when a layer has two", function()
    local twice, once = model(), model()
    local path = renamed(lora, function(m, half) return ("%s.lora_%s.weight"):format(m, half) end)
    local list = T.load(path)
    for name, t in pairs(list) do list[name] = t:clone() end
    for _, name in ipairs { "q_proj.lora_A", "q_proj.lora_B" } do
      name = ("model.layers.0.self_attn.%s.weight"):format(name)
      list["base_model.model." .. name] = list[name]
    end
    local both = folder() .. ".safetensors"
    T.save(both, list)
    assert.are.equal("applied 9/9", tostring(twice:merge(both)))
    once:merge(path)
    local old, new = {}, {}
    for name, t in once:parameters() do old[name] = t end
    for name, t in twice:parameters() do new[name] = t end
    local q = "model.layers.0.self_attn.q_proj.weight"
    assert.is_true(far(old[q] * 2 - before[q], new[q]) < 1e-6)
    new[q], old[q] = nil, nil
    for name, t in pairs(new) do assert.are.equal(0, far(t, old[name])) end
  end)

  it("refuse targets that name nothing, and a second set", function()
    local other = model()
    local _, e = pcall(other.adapt, other, { targets = { "q_proj", "nothing" } })
    assert.is_truthy(tostring(e):find('no linear layer is named "nothing"', 1, true), tostring(e))
    assert.are.equal("Adapter of 2 layers", tostring(other:adapt{ targets = { "1.mlp.up_proj",
      "0.self_attn.q_proj" } }))
    assert.has_error(function() other:adapt{} end)
    assert.has_error(function() other:adapt{ rank = 0 } end)
  end)
end)

describe("adapters of GPT-2", function()
  it("merge into weights that are stored turned", function()
    local made = {
      vocab_size = 40, n_embd = 24, n_layer = 2, n_head = 4, n_positions = 16,
    }
    local lm = weft.model.new("gpt2", made, { seed = 5 })
    local lora, at = lm:adapt{ rank = 3, alpha = 5, seed = 2 }, folder()
    for name, t in lora:parameters() do
      if name:find "lora_B" then t:copy_(T.randn(t:size(), { seed = 4 })) end
    end
    lora:save(at)
    local other = weft.model.new("gpt2", made, { seed = 5 })
    assert.is_true(far(lm{ ids = ids }.logits, other{ ids = ids }.logits) > 1e-3)
    assert.are.equal("applied 2/2", tostring(other:merge(at)))
    assert.is_true(far(lm{ ids = ids }.logits, other{ ids = ids }.logits) < 2e-5)
  end)
end)

describe("adapters of convolutions", function()
  it("merge in our layout", function()
    local unet = weft.model.load "tests/model/vectors/unet_sd1"
    local name = "down_blocks.0.resnets.0.conv1"
    local w
    for n, t in unet:parameters() do if n == name .. ".weight" then w = t:to("f32"):clone() end end
    local O, I = w:size(1), w:size(4)
    local down, up = T.randn({ 2, I, 3, 3 }, { seed = 1 }), T.randn({ O, 2, 1, 1 }, { seed = 2 })
    local path = folder() .. ".safetensors"
    T.save(path, { ["lora_unet_" .. name:gsub("%.", "_") .. ".lora_down.weight"] = down,
      ["lora_unet_" .. name:gsub("%.", "_") .. ".lora_up.weight"] = up,
      ["lora_te_x.lora_down.weight"] = down, ["lora_te_x.lora_up.weight"] = up })
    assert.are.equal("applied 1/1", tostring(unet:merge(path)))
    local delta = up:reshape(O, 2):matmul(down:reshape(2, -1)):reshape(O, I, 3, 3)
    for n, t in unet:parameters() do
      if n == name .. ".weight" then
        -- the weight is stored in half precision: 5e-4 of values near 3
        assert.is_true(far(t:to "f32", w + delta:permute(1, 3, 4, 2)) < 5e-3)
      end
    end
  end)
end)
