--- Causal language models from Lua: caches, embeddings, masks, gradients, generation.
local weft = require "weft"
local T = weft.tensor

local small = {
  vocab_size = 40, hidden_size = 24, intermediate_size = 40, num_hidden_layers = 2,
  num_attention_heads = 4, num_key_value_heads = 2, rms_norm_eps = 1e-5,
  tie_word_embeddings = true, eos_token_id = 2,
}

local small2 = {
  architectures = { "GPT2LMHeadModel" }, vocab_size = 40, n_embd = 24, n_layer = 2, n_head = 4,
  n_positions = 16, eos_token_id = 2,
}

--- Every parameter random, so that none is without effect.
local function model(arch, config)
  local lm = weft.model.new(arch, config, { seed = 3 })
  for name, t in lm:parameters() do
    local noise = T.randn(t:size(), { seed = #name })
    lm:set(name, name:find "norm" and noise * 0.2 + 1 or noise * 0.3)
  end
  return lm
end

local function same(a, b) assert.are.equal(0, (a - b):abs():max():item()) end

local function range(t, first, last) return t[{ {}, { first, last } }] end

local ids = T({ { 1, 5, 9, 3, 7, 20, 11, 4 }, { 1, 8, 30, 3, 2, 6, 39, 0 } }, { dtype = "i64" })

for arch, config in pairs { llama = small, gpt2 = small2 } do
  describe(arch, function()
    local lm = model(arch, config)
    local whole = lm{ ids = ids, layers = true }

    it("gives the same bytes in any number of cached parts", function()
      for _, cuts in ipairs { { 8 }, { 3, 8 }, { 1, 2, 3, 4, 5, 6, 7, 8 }, { 5, 6, 8 } } do
        local cache, at, parts = lm:cache{ batch = 2, tokens = 9 }, 0, {}
        for i, to in ipairs(cuts) do
          local out = lm{ ids = range(ids, at + 1, to), cache = cache }
          parts[i], at = out.logits, to
          assert.are.equal(to, cache:size())
        end
        same(whole.logits, #parts > 1 and T.cat(parts, 2) or parts[1])
      end
    end)

    it("goes back and forks", function()
      local cache = lm:cache{ batch = 2, tokens = 8 }
      lm{ ids = range(ids, 1, 5), cache = cache }
      local other = cache:fork()
      lm{ ids = range(ids, 1, 3), cache = other }            -- other text, which is then forgotten
      other:truncate(5)
      cache:truncate(2)
      same(range(whole.logits, 3, 8), lm{ ids = range(ids, 3, 8), cache = cache }.logits)
      same(range(whole.logits, 6, 8), lm{ ids = range(ids, 6, 8), cache = other }.logits)
    end)

    it("keeps a cache whatever scopes close", function()
      local cache = weft.scope(function()
        local made = lm:cache{ batch = 2, tokens = 8 }
        lm{ ids = range(ids, 1, 4), cache = made }
        return { made }
      end)[1]
      same(range(whole.logits, 5, 8), lm{ ids = range(ids, 5, 8), cache = cache }.logits)
    end)

    it("takes embeddings for ids, and returns the states of all layers", function()
      local embeds = lm:embed{ ids = ids }
      assert.are.same({ 2, 8, 24 }, embeds:size())
      same(whole.logits, lm{ embeds = embeds }.logits)
      assert.are.equal(3, #whole.layers)
      if arch == "llama" then same(embeds, whole.layers[1]) end
      same(whole.hidden, whole.layers[3])
    end)

    it("gives the last token's logits alone", function()
      same(range(whole.logits, 8, 8), lm{ ids = ids, last = true }.logits)
      local none = lm{ ids = ids, logits = false }
      assert.is_nil(none.logits)
      same(whole.hidden, none.hidden)
    end)

    it("does not see masked tokens, cached or not", function()
      local other, seen = ids:clone(), T({ { 0, 0, 0, 1, 1, 1, 1, 1 }, { 0, 1, 1, 1, 1, 1, 1, 1 } })
      other[1][2], other[2][1] = 33, 17
      local out = lm{ ids = ids, mask = seen }
      same(range(out.logits, 4, 8), range(lm{ ids = other, mask = seen }.logits, 4, 8))
      local change = range(out.logits, 4, 8) - range(whole.logits, 4, 8)
      assert.is_true(change:abs():max():item() > 0.01)
      local cache = lm:cache{ batch = 2, tokens = 8 }
      lm{ ids = range(ids, 1, 4), mask = range(seen, 1, 4), cache = cache }
      same(range(out.logits, 5, 8), lm{ ids = range(ids, 5, 8), mask = seen, cache = cache }.logits)
    end)

    it("generates as repeated whole passes do", function()
      local all, want = { 1, 5, 9 }, {}
      for i = 1, 10 do
        local logits = lm{ ids = all }.logits
        want[i] = logits[{ 1, -1 }]:argmax():item()
        all[#all + 1] = want[i]
      end
      assert.are.same(want, lm:generate{ ids = { 1, 5, 9 }, max_tokens = 10, stop = false })
      local n = 2
      while want[n - 1] ~= want[6] or want[n] ~= want[7] do n = n + 1 end
      local stop = { { want[6], want[7] }, 1000 }
      assert.are.equal(n, #lm:generate{ ids = { 1, 5, 9 }, max_tokens = 10, stop = stop })
      local heard = {}
      local embeds = lm:embed{ ids = { 1, 5, 9 } }
      local got = lm:generate{ embeds = embeds, max_tokens = 10, stop = false,
        on_token = function(id, i)
          heard[i] = id
          return i < 3
        end }
      assert.are.same({ want[1], want[2], want[3] }, got)
      assert.are.same(got, heard)
    end)

    it("leaves out what the mask hides, from the first token to the last", function()
      local padded, mask = { { 7, 9, 1, 5, 9 } }, { { 0, 0, 1, 1, 1 } }
      local row, want = { 7, 9, 1, 5, 9 }, {}
      for i = 1, 6 do
        local seen = { 0, 0 }
        for k = 3, #row do seen[k] = 1 end
        want[i] = lm{ ids = { row }, mask = { seen } }.logits[{ 1, -1 }]:argmax():item()
        row[#row + 1] = want[i]
      end
      assert.are.same(want, lm:generate{ ids = padded, mask = mask, max_tokens = 6, stop = false })
      local cache = lm:cache{ tokens = 8 }
      lm{ ids = padded, mask = mask, cache = cache }
      local fork = cache:fork():truncate(4)
      same(lm{ ids = { 9 }, cache = fork }.logits,
        lm{ ids = padded, mask = mask }.logits[{ {}, { 5, 5 } }])
    end)

    it("says before it begins what there is no room for", function()
      local function fails(part, opts)
        local ok, e = pcall(lm.generate, lm, opts)
        assert.is_false(ok)
        assert.is_truthy(tostring(e):find(part, 1, true), tostring(e))
      end
      local cache = lm:cache{ tokens = 4 }
      fails("cache must be what lm:cache{} returns", { ids = { 1 }, cache = 1 })
      fails("ids are [B,T], got [3]", { ids = weft.tensor({ 1, 2, 3 }, { dtype = "i64" }) })
      fails("over the 4 tokens that the cache holds",
        { ids = { 1 }, max_tokens = 9, cache = cache })
      fails("one text at a time, got 2", { ids = { { 1 }, { 2 } } })
      fails("ids must be a table", { ids = 3 })
      assert.are.equal(4, #lm:generate{ ids = { 1 }, cache = cache, stop = false })
    end)

    it("draws by seed, from what top_k and top_p leave", function()
      local function draw(opts)
        opts.ids, opts.max_tokens, opts.stop = { 1, 5, 9 }, 12, false
        return table.concat(lm:generate(opts), " ")
      end
      local greedy = draw{}
      assert.are.equal(draw{ temperature = 1, seed = 4 }, draw{ temperature = 1, seed = 4 })
      assert.are_not.equal(draw{ temperature = 1, seed = 4 }, draw{ temperature = 1, seed = 5 })
      assert.are.equal(greedy, draw{ temperature = 1, seed = 4, top_k = 1 })
      assert.are.equal(greedy, draw{ temperature = 1, seed = 4, top_p = 1e-6 })
      assert.are.equal(greedy, draw{ temperature = 1e-3, seed = 4 })
    end)

    it("draws as often as the probabilities say", function()
      local n, count, p = 400, {}, lm{ ids = { 7 } }.logits[{ 1, 1 }]:softmax():totable()
      for seed = 1, n do
        local id = lm:generate{ ids = { 7 }, max_tokens = 1, temperature = 1, seed = seed,
          stop = false }[1]
        count[id] = (count[id] or 0) + 1
      end
      -- Pearson's statistic over 40 ids: mean 39, deviation 8.8; 80 is above 4.6 deviations
      local chi = 0
      for id = 0, 39 do chi = chi + ((count[id] or 0) - n * p[id + 1]) ^ 2 / (n * p[id + 1]) end
      assert.is_true(chi < 80, chi)
    end)

    it("has gradients to the parameters and to embeds", function()
      local exact = model(arch, config):to "f64"
      local labels = T({ { 5, 9, 3, 7, 20, 11, 4, 2 }, { 8, 30, 3, 2, 6, 39, 0, 1 } },
        { dtype = "i64" })
      local embeds = exact:embed{ ids = ids }:clone()
      local params = weft.train.parameters(exact)
      params[#params + 1] = embeds
      local function loss()
        local seen = T({ { 0, 1, 1, 1, 1, 1, 1, 1 }, { 1, 1, 1, 1, 1, 1, 1, 1 } })
        local a = weft.cross_entropy(exact{ ids = ids, mask = seen }.logits, labels)
        return a + weft.cross_entropy(exact{ embeds = embeds }.logits, labels)
      end
      local _, grads = weft.grad(loss, params)
      for k, p in ipairs(params) do
        local flat, g = p:reshape(-1), grads[k]:reshape(-1)
        for i = 1, flat:numel(), math.max(1, math.floor(flat:numel() / 3)) do
          local v, eps = flat[i], 1e-5
          flat[i] = v + eps
          local up = loss():item()
          flat[i] = v - eps
          local down = loss():item()
          flat[i] = v
          -- central differences of step 1e-5 lose about half of a double's digits
          assert.are.near((up - down) / (2 * eps), g[i], 1e-6, params.names[k] or "embeds")
        end
      end
    end)

    it("is of a float dtype, and stays as it was where another is asked for", function()
      local m, path = model(arch, config), os.tmpname()
      os.remove(path)
      m:save(path, { file = "model.safetensors" })
      for _, dtype in ipairs { "i64", "bool", "q8_0" } do
        local _, e = pcall(m.to, m, dtype)
        assert.is_truthy(tostring(e):find("cannot be converted to " .. dtype, 1, true), tostring(e))
        _, e = pcall(weft.model.load, path, { dtype = dtype })
        assert.is_truthy(tostring(e):find("cannot be loaded as " .. dtype, 1, true), tostring(e))
      end
      same(whole.logits, m{ ids = ids }.logits)
      assert.are.equal("bf16", m:to "bf16":report().dtype)
    end)

    it("names what is wrong with a call", function()
      local function fails(part, inputs)
        local _, e = pcall(lm, inputs)
        assert.is_truthy(tostring(e):find(part, 1, true), tostring(e))
      end
      local cache = lm:cache{ batch = 2, tokens = 4 }
      fails("ids [B,T] or embeds [B,T,24], one of them", {})
      fails("ids [B,T] or embeds", { ids = ids, embeds = lm:embed{ ids = ids } })
      fails("embeds is f32 [1,2,3], wanted [*,*,24]", { embeds = T.zeros(1, 2, 3) })
      fails("mask is f32 [1,3], wanted [2,8]", { ids = ids, mask = { { 1, 1, 1 } } })
      fails("room for 4 tokens, 0 + 8", { ids = ids, cache = cache })
      fails("cache: made for a batch of 2, the call has 1", { ids = { 1 }, cache = cache })
      fails("ids must be a whole number, got 1.5", { ids = { 1.5 } })
      fails("cache must be what lm:cache{} returns", { ids = { 1 }, cache = {} })
      fails("id 40 is outside", { ids = { 40 } })
      local _, e = pcall(weft.grad, function()
        return lm{ ids = range(ids, 1, 2), cache = cache }.logits:sum()
      end, weft.train.parameters(lm))
      assert.is_truthy(tostring(e):find("no gradient goes through a cache", 1, true), tostring(e))
    end)
  end)
end

describe("gpt2", function()
  it("has so many positions, cached or not", function()
    local lm = model("gpt2", small2)
    local cache, long = lm:cache{ tokens = 20 }, {}
    for i = 1, 17 do long[i] = 1 end
    local _, e = pcall(lm, { ids = long })
    assert.is_truthy(tostring(e):find("0 + 17 tokens, there are 16 pos", 1, true), tostring(e))
    long[17] = nil
    lm{ ids = long, cache = cache }
    assert.has_error(function() lm{ ids = { 1 }, cache = cache } end)
  end)
  it("is stored in the reference's layout, with its names or GPT2Model's", function()
    for _, class in ipairs { "GPT2LMHeadModel", "GPT2Model" } do
      local lm = model("gpt2", weft.with(small2, { architectures = { class } }))
      local path = os.tmpname()
      os.remove(path)
      lm:save(path, { file = "model.safetensors" })
      local front = class == "GPT2Model" and "" or "transformer."
      local stored = T.load(path .. "/model.safetensors")
      assert.are.same({ 24, 96 }, stored[front .. "h.0.mlp.c_fc.weight"]:size())
      same(lm{ ids = ids }.logits, weft.model.load(path){ ids = ids }.logits)
      local config = weft.with(small2, { architectures = {
        class == "GPT2Model" and "GPT2LMHeadModel" or "GPT2Model" } })
      local other = weft.model.load(path .. "/model.safetensors", { config = config })
      same(lm{ ids = ids }.logits, other{ ids = ids }.logits)
    end
  end)
end)

describe("llama configs", function()
  local function fails(part, change)
    local _, e = pcall(weft.model.new, "llama", weft.with(small, change), { seed = 1 })
    assert.is_truthy(tostring(e):find(part, 1, true), tostring(e))
  end
  it("fail by key", function()
    fails("4 heads cannot share 3 heads", { num_key_value_heads = 3 })
    fails("hidden_size 25 does not divide into 4 heads", { hidden_size = 25 })
    fails('rope_type is "yarn"', { rope_scaling = { rope_type = "yarn", factor = 2 } })
    fails('"hidden_act" is "gelu"', { hidden_act = "gelu" })
    fails('"sliding_window" is not supported', { sliding_window = 4096 })
    fails("even width", { head_dim = 3 })
  end)
  it("have heads of any width, biases, and an untied head", function()
    local lm = weft.model.new("llama", weft.with(small, { head_dim = 10, attention_bias = true,
      mlp_bias = true, tie_word_embeddings = false }), { seed = 1 })
    local n = {}
    for name, t in lm:parameters() do n[name] = t:numel() end
    assert.are.equal(20, n["model.layers.1.self_attn.v_proj.bias"])
    assert.are.equal(40, n["model.layers.0.mlp.up_proj.bias"])
    assert.are.equal(40 * 24, n["lm_head.weight"])
    assert.are.same({ 2, 8, 40 }, lm{ ids = ids }.logits:size())
  end)
end)

describe("weft.load", function()
  local vectors = "tests/model/vectors/llama_tied"

  it("takes a file of a model for the model", function()
    local want = weft.load(vectors){ ids = { 1, 2 } }.logits
    same(want, weft.load(vectors .. "/config.json"){ ids = { 1, 2 } }.logits)
    same(want, weft.load(vectors .. "/model.safetensors"){ ids = { 1, 2 } }.logits)
  end)

  it("gives a model that was changed or freed as its files have it", function()
    local m = weft.load(vectors)
    local want = m{ ids = { 1, 2 } }.logits:totable()
    assert.are.equal(m, weft.load(vectors))
    m:set("model.norm.weight", T.zeros{ m.config.hidden_size })
    assert.are.same(want, weft.load(vectors){ ids = { 1, 2 } }.logits:totable())
    weft.load(vectors):free()
    assert.are.same(want, weft.load(vectors){ ids = { 1, 2 } }.logits:totable())
  end)

  it("says which part or option is none", function()
    local function fails(part, name, opts)
      local ok, e = pcall(weft.load, name, opts)
      assert.is_false(ok)
      assert.is_truthy(tostring(e):find(part, 1, true), tostring(e))
    end
    fails("parts cannot be unot", "micro", { parts = { "unot" } })
    fails("parts must be a table", "micro", { parts = "unet" })
    fails("parts must be a string", "micro", { parts = { 3 } })
    fails("dtype cannot be i64", "micro", { dtype = "i64" })
    fails("is no model by itself", "README.md")
  end)

  it("gives a language model with the tokenizer beside it, or a tokenizer alone", function()
    local at = os.tmpname()
    os.remove(at)
    local lm = model("llama", weft.with(small, { vocab_size = 421 }))      -- as the tokenizer has
    lm:save(at, { file = "model.safetensors" })
    for _, name in ipairs { "vocab.json", "merges.txt" } do
      local from = assert(io.open("tests/text/vectors/gpt2_files/" .. name, "rb"))
      local to = assert(io.open(at .. "/" .. name, "wb"))
      to:write(from:read "*a")
      to:close()
      from:close()
    end
    local loaded = weft.load(at)
    same(lm{ ids = ids }.logits, loaded{ ids = ids }.logits)
    assert.are.equal("the cat", loaded.tokenizer:decode(loaded.tokenizer:encode "the cat"))
    local tok = weft.load "tests/text/vectors/llama_model_file"
    assert.are.equal("the cat", tok:decode(tok:encode "the cat"))
  end)
end)

describe("a deeper language model", function()
  local lm = model("llama", small)
  local config = weft.with(small, { num_hidden_layers = 5 })

  it("says what the shallower says, until it is trained", function()
    local deep = weft.model.deepen(lm, config, { seed = 4 })
    assert.is_true((lm{ ids = ids }.logits - deep{ ids = ids }.logits):abs():max():item() < 1e-5)
    local places = {}
    for name, t in deep:parameters() do
      local k = name:match "layers%.(%d+)%.self_attn%.o_proj"
      if k and t:abs():max():item() > 0 then places[#places + 1] = k end
    end
    table.sort(places)
    assert.are.same({ "0", "2" }, places)
    local params = weft.train.parameters(deep)
    local _, grads = weft.grad(function() return deep{ ids = ids }.logits:square():mean() end,
      params)
    local moved = 0
    for i, name in ipairs(params.names) do
      local adds = name:find "layers%.[134].*o_proj" or name:find "layers%.[134].*down_proj"
      if adds and grads[i]:abs():max():item() > 0 then moved = moved + 1 end
    end
    assert.are.equal(6, moved)
  end)

  it("is refused where it is none", function()
    local function fails(part, other)
      local ok, e = pcall(weft.model.deepen, lm, weft.with(small, other))
      assert.is_false(ok)
      assert.is_truthy(tostring(e):find(part, 1, true), tostring(e))
    end
    fails("the shallow model has 2 layers, the deep one 1", { num_hidden_layers = 1 })
    fails("model.embed_tokens.weight is [40,24] in the shallow model, the deep one has [41,24]",
      { vocab_size = 41 })
  end)
end)
