--- A picture and its sound made together by the small model, on random weights.
package.path = "./tests/lib/?.lua;" .. package.path
local weft = require "weft"
local error_of = require "error_of"
local micro = require "micro"

describe("a picture and its sound", function()
  local dir, m, fresh

  --- The model with these connectors, or none.
  local function with(joint)
    local list = weft.with(fresh.parts, {})
    list.joint = joint
    return require("weft.pipeline.micro").new("micro", list)
  end

  setup(function()
    dir = micro.make(micro.temp(), { narrow = true, sounds = true, language = true, joint = true })
    fresh = weft.load(dir)
    -- connectors start without a word to say; these say something
    local joint = weft.model.load(dir .. "/joint"):to "f32"
    for name, t in joint:parameters() do
      if name:find "to_v.weight" then
        joint:set(name, weft.tensor.randn(t:size(), { seed = #name }))
      end
    end
    m = with(joint)
  end)
  teardown(function() micro.remove(dir) end)

  local function both(model, more)
    return model:generate(weft.with({ model:encode "a red cat", to = { "image", "audio" },
      steps = 3, seed = 4, progress = false }, more or {}))
  end
  local function differ(a, b) return (a:tensor() - b:tensor()):abs():max():item() end
  local function same(a, b)
    return differ(a.image, b.image) == 0 and differ(a.audio, b.audio) == 0
  end

  it("are made together where the part is there and the call does not refuse", function()
    assert.is_true(m.caps.joint)
    local together, apart = both(m), both(m, { joint = false })
    assert.are.same({ 64, 8192, 2 }, { together.image.width, together.audio.samples, #together })
    assert.is_true(differ(together.image, apart.image) > 1e-3)
    assert.is_true(differ(together.audio, apart.audio) > 1e-3)
    assert.is_true(same(together, both(m)))
    assert.is_false(same(together, both(m, { seed = 5 })))
  end)

  it("are made one by one by a model without the part", function()
    local without = with(nil)
    assert.is_false(without.caps.joint)
    assert.is_true(same(both(without), both(m, { joint = false })))
    assert.truthy(error_of(both, without, { joint = true })
      :find("joint: the model 'micro' has no part 'joint'", 1, true))
  end)

  it("are those made alone while connectors say nothing, but for the sound's noise", function()
    local together, apart = both(fresh), both(fresh, { joint = false })
    assert.are.equal(0, differ(together.image, apart.image))
    assert.is_true(differ(together.audio, apart.audio) > 1e-3)
    local o = { rng = "torch-cpu" }
    local alone = both(fresh, weft.with(o, { joint = false }))
    assert.are.equal(0, differ(both(fresh, o).image, alone.image))
  end)

  it("start from as much noise beside sources as one alone", function()
    local sources = { concat = {
      image = weft.image.from(weft.tensor.rand({ 64, 64, 3 }, { seed = 2 })),
      audio = weft.audio.from(weft.tensor.randn({ 8192 }, { seed = 3 }) * 0.1, 8000) } }
    local together = both(fresh, sources)
    assert.are.equal(0, differ(together.image,
      both(fresh, weft.with(sources, { joint = false })).image))
    local half, all = both(fresh, weft.with(sources, { noise_scale = 0.5 })),
      both(fresh, weft.with(sources, { noise_scale = 1 }))
    assert.are.equal(0, differ(together.audio, half.audio))
    assert.is_true(differ(together.audio, all.audio) > 1e-3)
  end)

  it("come several at once, each as if alone", function()
    local two = both(m, { n = 2 })
    assert.are.same({ 2, 2, 4, 5, 4, 5 }, { #two.images, #two.audios, unpack(two.seeds) })
    assert.is_true(differ(two.images[1], both(m).image) < 1e-5)
    assert.is_true(differ(two.images[2], both(m, { seed = 5 }).image) < 1e-5)
    assert.is_true(differ(two.audios[2], both(m, { seed = 5 }).audio) < 1e-5)
  end)

  it("follow guidance, sources and callbacks as one alone does", function()
    local plain = both(m)
    assert.is_false(same(plain, both(m, { guidance = 1 })))
    assert.is_false(same(plain, both(m, { guidance = function(p) return p.full end })))
    assert.is_true(same(both(m, { guidance = 1 }),
      both(m, { guidance = function(p) return p.full end })))
    local photo = weft.image.from(weft.tensor.rand({ 64, 64, 3 }, { seed = 2 }))
    local tone = weft.audio.from(weft.tensor.rand({ 8192 }, { seed = 3 }) - 0.5, 8000)
    local sourced = both(m, { concat = { image = photo, audio = tone },
      guidance = { 3, concat = 1.5 } })
    assert.is_true(differ(plain.image, sourced.image) > 1e-5)
    local shown
    local stopped = both(m, { on_step = function(s)
      shown = s.preview()
      return s.step < 2
    end })
    assert.are.same({ "image", true }, { shown.kind, stopped.stopped })
    assert.is_false(same(plain, stopped))
    assert.is_false(plain.stopped)
  end)

  it("are made one by one from a start of one medium", function()
    local latents = weft.tensor.randn({ 1, 16, 16, 8 }, { seed = 4 })
    assert.is_true(same(both(m, { latents = latents }),
      both(m, { latents = latents, joint = false })))
    assert.truthy(error_of(both, m, { latents = latents, joint = true })
      :find("joint: 'latents' belongs to the run of one medium", 1, true))
  end)

  it("are what the language model wants of each", function()
    local o = { "a red cat", to = { "image", "audio" }, steps = 2, seed = 4, progress = false }
    local together, apart = m:generate(o), m:generate(weft.with(o, { joint = false }))
    assert.are.same({ "image", "audio" }, { together[1].kind, together[2].kind })
    assert.is_true(differ(together.image, apart.image) > 1e-4)
    assert.is_true(same(together, m:generate(o)))
    assert.are.equal(false, apart.image.meta.call.options.joint)
    -- words between the media stay where they were
    local told = m:generate(weft.with(o, { to = { "audio", "text", "image" }, max_tokens = 40 }))
    assert.are.same({ "audio", "image" }, { told[1].kind, told[#told].kind })
  end)

  it("cannot be asked of one kind alone", function()
    assert.truthy(error_of(m.image, m, { "x", joint = true }):find("joint", 1, true))
  end)
end)
