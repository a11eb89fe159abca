--- The small model's pipeline, on random weights: every way of guiding it, several steps each.
package.path = "./tests/lib/?.lua;" .. package.path
local weft = require "weft"
local micro = require "micro"

describe("the small model", function()
  local dir, m, photo

  setup(function()
    dir = micro.make(micro.temp(), { narrow = true })
    m = weft.load(dir)
    photo = weft.image.from(weft.tensor.rand({ 64, 64, 3 }, { seed = 2 }))
  end)
  teardown(function() micro.remove(dir) end)

  local function bytes(im)
    assert.are.equal(64, im.width)
    return im:tensor():bytes()
  end
  local function image(more)
    return bytes(m:image(weft.with({ "a red cat", steps = 3, seed = 4, progress = false }, more)))
  end
  local function edit(more)
    return bytes(m:edit(photo, weft.with({ "a cat", steps = 3, seed = 4, progress = false }, more)))
  end

  it("takes no option that it would not heed", function()
    local function says(part, f, ...)
      local ok, e = pcall(f, ...)
      assert.is_truthy(not ok and tostring(e):find(part, 1, true), tostring(e))
    end
    says("it is for generate, chat", m.edit, m, photo, { "a cat", to = "image" })
    says("it is for generate", m.image, m, { "a cat", n = 2 })
    says("it is for chat", m.generate, m, { "a cat", system = "be brief" })
  end)
  it("samples several steps with every kind of guidance", function()
    local plain = image { guidance = 1 }
    assert.are_not.equal(plain, image { guidance = 3 })
    assert.are_not.equal(image { guidance = 3 }, image { guidance = { 3, last = 0.4 } })
    assert.are_not.equal(image { guidance = 3 }, image { guidance = { 3, first = 0.6 } })
    assert.are.equal(image { guidance = 3 }, image { guidance = { 3, rescale = 0.7 } })
    assert.are_not.equal(image { guidance = 3 }, image { guidance = { 3, rescale = 0 } })
    assert.are.equal(plain, image { guidance = function(p) return p.full end })
    assert.are.equal(plain, image { guidance = 1 })
  end)
  it("edits with two dials, a mask and a start", function()
    local two = edit { guidance = { 3, concat = 1.5 } }
    assert.are_not.equal(two, edit { guidance = 3 })
    assert.are_not.equal(two, edit { guidance = { 3, concat = 1.5 }, strength = 0.7 })
    edit { mask = photo:mask { h = 32 } }
  end)
  it("starts from less of the noise beside a source, or from as much as is said", function()
    assert.are.equal(edit { noise_scale = 0.5 }, edit {})
    assert.are_not.equal(edit { noise_scale = 1 }, edit {})
    assert.are.equal(image { noise_scale = 1 }, image {})
    assert.are.equal(edit { noise_scale = 0, seed = 1 }, edit { noise_scale = 0, seed = 2 })
    local latents = weft.tensor.zeros { 1, 16, 16, 8 }
    local ok, e = pcall(image, { latents = latents, noise_scale = 0.5 })
    assert.is_truthy(not ok and tostring(e):find("latents are given", 1, true), tostring(e))
    local noised = { init = photo, strength = 0.7 }
    assert.are.equal(edit(weft.with(noised, { noise_scale = 1 })), edit(noised))
  end)
  it("draws its noise by the generator that is named", function()
    assert.are.equal(image {}, image { rng = "philox" })
    local cpu, cuda = image { rng = "torch-cpu" }, image { rng = "torch-cuda" }
    assert.are_not.equal(image {}, cpu)
    assert.are_not.equal(cpu, cuda)
    local x = weft.tensor.randn({ 1, 8, 16, 16 }, { seed = 4, rng = "torch-cpu" })
    assert.are.equal(cpu, image { latents = x:permute(1, 3, 4, 2):contiguous() })
    local made = m:image { "a", steps = 1, seed = 4, rng = "torch-cpu", progress = false }
    assert.are.equal("torch-cpu", made.meta.rng)
  end)
  it("reads the feature of a picture from all tokens", function()
    local tower, params = weft.model.load(dir .. "/image_encoder", { dtype = "f32" }), {}
    for name, t in tower:parameters() do params[name] = t end
    local out = tower { pixels = weft.tensor.rand({ 2, 64, 64, 3 }, { seed = 1 }) }
    local norm = weft.layer_norm(out.hidden, params["vision_model.post_layernorm.weight"],
      params["vision_model.post_layernorm.bias"], { eps = 1e-5 })
    local expected = weft.linear(norm:reshape(2, -1), params["visual_projection.weight"])
    -- The two sum in another order at most.
    assert.is_true((out.embeds - expected):abs():max():item() < 1e-5)
  end)
  it("takes a sampler of one's own, which knows the model's noise", function()
    local function make(more)
      return bytes(m:image(weft.with({ "a cat", steps = 4, seed = 4, progress = false }, more)))
    end
    local plain = make {}
    assert.are.equal(plain, make { sampler = weft.sampler "ddim" })
    assert.are.equal(plain, make { sampler = m.parts.scheduler })
    assert.are.equal(plain, make { sampler = { name = "ddim", options = {} } })
    local noisy = make { sampler = weft.sampler("ddim", { eta = 0.5 }) }
    assert.are_not.equal(plain, noisy)
    assert.are.equal(noisy, make { sampler = { name = "ddim", options = { eta = 0.5 } } })
    assert.are.equal(make { sampler = "euler", schedule = "karras" },
      make { sampler = weft.sampler("euler", { schedule = "karras" }) })
    local ok, e = pcall(make, { sampler = weft.sampler "euler", schedule = "karras" })
    assert.is_false(ok)
    assert.is_truthy(tostring(e):find("schedule beside a sampler", 1, true), tostring(e))
    local im = m:image { "a cat", steps = 2, seed = 4, progress = false,
      sampler = weft.sampler("ddim", { eta = 0.5 }) }
    assert.are.same({ name = "ddim", options = { eta = 0.5 } }, im.meta.call.options.sampler)
  end)
  it("reads a guidance without a scale as the model's", function()
    assert.are.equal(edit { guidance = 3 }, edit { guidance = {} })
    assert.are.equal(edit { guidance = { 3, last = 0.5 } }, edit { guidance = { last = 0.5 } })
  end)
  it("reads prompts made elsewhere, and refuses what is none", function()
    local cat = m:encode "a cat".tensor:bytes()
    assert.are.equal(cat, m:encode(weft.prompt { "a cat" }).tensor:bytes())
    assert.are.equal(cat, m:encode { "a cat" }.tensor:bytes())
    assert.is_true(m:similarity("a cat", weft.weigh("a cat", 2)) > 0.999)
    local pair = m:encode(weft.example(photo, photo:flip "x")).tensor
    assert.is_true(math.abs(pair:norm():item() - 1) < 1e-4)
    assert.are_not.equal(m:encode { "a cat", photo }.tensor:bytes(),
      m:encode { weft.weigh("a cat", 0.1), photo }.tensor:bytes())
    assert.are.equal(m:tokens "a red cat", m:tokens(weft.prompt { "a red", " cat" }))
    for _, f in ipairs { function() m:encode(nil) end, function() m:similarity "a" end,
      function() m:tokens(5) end, function() m:encode { {} } end } do
      local ok, e = pcall(f)
      assert.is_false(ok)
      assert.are.equal("usage", e.kind)
    end
    local ok, e = pcall(m.encode, m, { "a cat", weft.embedding.new(weft.tensor { { 1, 2, 3 } }) })
    assert.is_false(ok)
    assert.matches("prompt: an embedding of 3 values, this model's have 128", tostring(e))
  end)
  it("reads a negative prompt of parts, and no other media there", function()
    local blue = image { negative = "blue" }
    assert.are_not.equal(image {}, blue)
    assert.are.equal(blue, image { negative = weft.prompt { "blue" } })
    assert.are.equal(blue, image { negative = { "blue" } })
    local ok, e = pcall(image, { negative = { "blue", photo } })
    assert.is_false(ok)
    assert.is_truthy(tostring(e):find "negative: this model reads only words there, got image")
  end)
  it("reports what loading found", function()
    local r, used = m:report(), 0
    for _, part in pairs(m.parts) do
      used = used + (type(part.report) == "function" and part:report().used or 0)
    end
    assert.are.equal(used, r.used)
    assert.are.same({}, r.missing)
    assert.are.equal(m:info().bytes, r.bytes)
  end)
  it("takes the names that other programs have", function()
    local function of(more)
      local made = m:image(weft.with({ "x", steps = 1, seed = 1, progress = false }, more))
      return made.meta.call.options
    end
    assert.are.equal("discrete", of { schedule = "normal" }.schedule)
    assert.are.equal("linear", of { schedule = "linspace" }.schedule)
    assert.are.equal("pndm", of { sampler = "plms" }.sampler)
    assert.are.equal("dpmpp_2m", of { sampler = "DPM++ 2M" }.sampler)
    assert.are.equal(2 ^ 53 - 1, m:image { "x", steps = 1, progress = false,
      seed = "18446744073709551615" }.meta.seed)
    assert.are.equal(12, m:image { "x", steps = 1, progress = false, seed = "012" }.meta.seed)
  end)
  it("refuses values with the reason", function()
    local function says(text, more, f)
      local ok, e = pcall(f or m.image, m, weft.with({ "x", steps = 1, seed = 1 }, more))
      assert.is_false(ok, text)
      assert.are.equal("usage", e.kind)
      assert.is_truthy(tostring(e):find(text, 1, true), tostring(e))
    end
    for _, seed in ipairs { "0x10", "1e3", "18446744073709551616", "-1", "" } do
      says("seed must be", { seed = seed })
    end
    for _, guidance in ipairs { { -3 }, { 1000 }, { math.huge }, { 3, concat = 200 } } do
      says("guidance must be 0", { guidance = guidance })
    end
    says("cannot be \"smell\"", { to = { "image", "smell" } }, m.generate)
    says("cannot be \"auto\"", { to = { "auto" } }, m.generate)
    says("cannot be 1", { to = { 1 } }, m.generate)
    says("weft calls it strength", { denoise = 1 })
    says("weft calls it on_step", { on_progress = print })
    local function change(_, o) return m:edit(photo, o) end
    says("makes no sense for edit", { to = "image" }, change)
    says("init with strength = 0", { strength = 0 }, change)
    says("schedule beside a sampler",
      { sampler = weft.sampler "euler", schedule = "karras" }, change)
  end)
  it("says which of its inputs is none", function()
    for text, f in pairs {
      ["sample must be a tensor, a number or a list of numbers, got a image"] =
        function() m.parts.unet { sample = photo, timestep = 1 } end,
      ["noise: entry 1 must be a tensor"] =
        function() m:image { "x", steps = 1, seed = 1, noise = { 1 } } end,
    } do
      local ok, e = pcall(f)
      assert.is_false(ok)
      assert.is_truthy(tostring(e):find(text, 1, true), tostring(e))
    end
  end)
  it("keeps no table of its caller, and gives none of its own away", function()
    local guidance, mix = { 7 }, { image = 1 }
    local im = m:image { "x", steps = 1, seed = 1, progress = false, guidance = guidance,
      mix = mix }
    guidance[1], mix.image = 99, 99
    local o = im.meta.call.options
    assert.are.same({ { scale = 7 }, { image = 1 } }, { o.guidance, o.mix })
    o.size[1] = 3
    assert.are.equal(64, m.defaults.size[1])
  end)
  it("refuses a mask of nothing", function()
    assert.has_error(function() image { mask = photo:mask { h = 32 } } end)
  end)
  it("shows every so many steps on a terminal that can", function()
    local show, shown, asked = require "weft.show", 0, { show = nil }
    asked.protocol, asked.picture = show.protocol, show.picture
    show.picture = function() shown = shown + 1 end
    local function count(preview, protocol)
      shown, show.protocol = 0, function() return protocol end
      image { steps = 4, preview = preview }
      return shown
    end
    local none, off, last = count(2, "none"), count(0, "blocks"), count(4, "blocks")
    show.protocol, show.picture = asked.protocol, asked.picture
    assert.are.same({ 0, 0, 1 }, { none, off, last })
  end)
  it("tells a callback what is made and how long it takes", function()
    image { on_step = function(s)
      assert.are.equal("image", s.kind)
      assert.is_true(s.elapsed >= 0 and s.eta >= 0)
      if s.step == s.steps then assert.are.equal(0, s.eta) end
    end }
  end)
  it("says that the scheduler is missing", function()
    local part = weft.load(dir, { parts = { "unet", "conditioner", "vae", "image_encoder",
      "text_encoder", "tokenizer" } })
    local ok, e = pcall(part.image, part, { "a", steps = 1, seed = 1 })
    assert.is_false(ok)
    assert.are.equal("model", e.kind)
    assert.is_truthy(e.message:find "has no scheduler")
  end)
  it("stops where a callback says", function()
    local seen = 0
    m:image { "x", steps = 5, seed = 1, progress = false, on_step = function(s)
      seen = s.step
      return s.step < 2
    end }
    assert.are.equal(2, seen)
  end)
end)
