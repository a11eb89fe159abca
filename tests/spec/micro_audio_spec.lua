--- Sounds of the small model's pipeline, on random weights.
package.path = "./tests/lib/?.lua;" .. package.path
local weft = require "weft"
local error_of = require "error_of"
local mel = require "weft.pipeline.micro_mel"
local micro = require "micro"

describe("sounds of the small model", function()
  local dir, only, m, listener, tone, warnings

  setup(function()
    dir, only = micro.temp(), micro.temp()
    m = weft.load(micro.make(dir, { narrow = true, sounds = true, vocoder = true }))
    listener = weft.load(micro.make(only, { narrow = true, sounds = true, pictures = false }))
    local t = weft.tensor.arange(0, mel.N_SAMPLES - 1) * (2 * math.pi * 440 / mel.RATE_HZ)
    tone = weft.audio.from(t:sin() * 0.5, mel.RATE_HZ)
  end)
  teardown(function()
    micro.remove(dir)
    micro.remove(only)
  end)
  before_each(function()
    warnings = {}
    m.on_warning = function(text) warnings[#warnings + 1] = text end
  end)

  local function audio(more)
    return m:audio(weft.with({ "a low drum", steps = 3, seed = 4, progress = false }, more or {}))
  end
  local function edit(source, more)
    return m:edit(source,
      weft.with({ "a low drum", steps = 3, seed = 4, progress = false }, more or {}))
  end
  local function differ(a, b) return (a:tensor() - b:tensor()):abs():max():item() end
  it("are heard and played back as they were", function()
    local x = mel.of(tone.data:t():contiguous()):select(1, 1)
    local again = mel.of(mel.sound(x).data:t():contiguous()):select(1, 1)
    assert.are.same({ 64, 64 }, x:size())
    -- 440 Hz lies in the bands around 16 of 64; all else is the floor of -1
    local _, loudest = x:select(1, 30):max():item(), x:select(1, 30):argmax(1):item()
    assert.is_true(loudest >= 12 and loudest <= 20, "band " .. loudest)
    assert.is_true((x - again):abs():mean():item() < 0.05)
  end)

  it("are a function of prompt and seed, and say how they were made", function()
    local a = audio()
    assert.are.same({ 8192, 8000, 1 }, { a.samples, a.rate, a.channels })
    assert.are.equal(0, differ(a, audio()))
    assert.is_true(differ(a, audio { seed = 5 }) > 1e-4)
    assert.is_true(differ(a, audio { "a high bell" }) > 1e-4)
    assert.is_true(differ(a, audio { negative = "muffled" }) > 1e-6)
    local path = os.tmpname() .. ".wav"
    a:save(path)
    local meta = weft.audio.load(path).meta
    os.remove(path)
    assert.are.same({ "audio", 4, "a low drum" },
      { meta.call.fn, meta.seed, meta.call.prompt[1].text })
  end)

  it("are as long as asked, up to what the model makes", function()
    assert.are.equal(4000, audio { seconds = 0.5 }.samples)
    local r = m:generate { "x", to = "audio", seconds = 0.25, steps = 2, progress = false }
    assert.are.equal(2000, r.audio.samples)
    assert.truthy(error_of(audio, { seconds = 3 }):find("1.024 s at most, asked for 3 s", 1, true))
  end)

  it("start from the noise that is given", function()
    local latents = weft.tensor.randn({ 1, 16, 16, 8 }, { seed = 4 })
    assert.are.equal(0, differ(audio(), audio { latents = latents }))
    assert.is_true(differ(audio(), audio { latents = latents * 0.5 }) > 1e-4)
    assert.truthy(error_of(audio, { latents = latents:narrow(2, 1, 8) })
      :find("latents are [1,8,16,8], wanted [1,16,16,8]", 1, true))
    assert.truthy(error_of(m.image, m, { "x", size = "32x32" }):find("makes 64x64, not 32x32"))
  end)

  it("are parts of prompts beside words and pictures, by their weights", function()
    local photo = weft.image.from(weft.tensor.rand({ 64, 64, 3 }, { seed = 2 }))
    local a = audio { "a low drum ", tone }
    assert.is_true(differ(a, audio()) > 1e-5)
    assert.is_true(differ(a, audio { "a low drum ", tone, mix = { audio = 0.2 } }) > 1e-5)
    assert.are.equal(0, differ(audio(), audio { "a low drum ", tone, mix = { audio = 0 } }))
    assert.are.equal(8192, audio { photo, tone }.samples)
    assert.are.equal(64, m:image({ tone, steps = 2, seed = 1, progress = false }).width)
    assert.is_true(math.abs(m:similarity(tone, tone) - 1) < 1e-5)
    assert.are.same({}, warnings)
  end)

  it("are edited beside their source, from it, and in a stretch of time alone", function()
    local plain = edit(tone)
    assert.is_true(differ(plain, audio()) > 1e-5)
    assert.is_true(differ(plain, edit(tone, { guidance = { 3, concat = 1.5 } })) > 1e-5)
    assert.is_true(differ(plain, edit(tone, { strength = 0.5 })) > 1e-5)
    assert.are.equal(0, differ(audio(), edit(tone, { concat = false })))
    local late = weft.audio.concat { weft.audio.silence(0.512, 8000),
      weft.audio.from(weft.tensor.ones(4096), 8000) }
    local function early_of(a) return a:mel { front = mel.FRONT }:narrow(1, 1, 16) end
    local masked = edit(tone, { mask = late, steps = 6 })
    local coded = m:decode_encode(tone)
    local function distance(a) return (early_of(a) - early_of(coded)):abs():mean():item() end
    local free = edit(tone, { steps = 6, noise_scale = 1 })
    assert.is_true(distance(masked) < 0.9 * distance(free))
    assert.truthy(error_of(edit, tone, { mask = weft.image.new(64, 64) })
      :find("mask: must be a sound", 1, true))
    assert.truthy(error_of(edit, "a drum"):find("must be a picture or a sound", 1, true))
    assert.truthy(error_of(audio, { init = weft.image.new(64, 64) }):find("must be a sound"))
  end)

  it("of other rates, channels and lengths are brought to the model's, and it says so", function()
    local stereo = weft.audio.from(weft.tensor.zeros(96000, 2), 48000)
    m:encode(stereo)
    assert.are.same({ "sound of 2 channels at 48000 Hz heard as one at 8000 Hz",
      "sound of 2.000 s cut to 1.024 s" }, warnings)
    warnings = {}
    assert.are.equal(4000, edit(weft.audio.silence(0.5, 8000), { strength = 0.5 }).samples)
    assert.are.same({ "sound of 0.500 s followed by silence, to 1.024 s" }, warnings)
  end)

  it("come several at once, and with pictures", function()
    local r = m:generate { "a low drum", to = "audio", n = 2, steps = 3, seed = 4,
      progress = false }
    assert.are.same({ 2, 0, 4, 5 }, { #r.audios, #r.images, r.seeds[1], r.seeds[2] })
    assert.is_true(differ(r.audio, audio()) < 1e-6)
    local both = m:generate { "a low drum", to = { "image", "audio" }, steps = 2, seed = 4,
      progress = false }
    assert.are.same({ 64, 8192, 2 }, { both.image.width, both.audio.samples, #both })
    assert.truthy(error_of(m.generate, m, { "x", to = "text" })
      :find("makes no text (it makes image, audio)", 1, true))
  end)

  it("are a matter of the parts that are there", function()
    assert.are.same({ { "text", "image", "audio" }, { "image", "audio" } },
      { m.caps.input, m.caps.output })
    assert.are.same({ "audio" }, listener.caps.output)
    assert.truthy(error_of(listener.image, listener, { "x" }):find("has no unet", 1, true))
    local deaf = weft.load(dir, { parts = { "text_encoder", "tokenizer", "scheduler" } })
    assert.truthy(error_of(deaf.audio, deaf, { "x" }):find("has no audio_unet", 1, true))
    assert.truthy(error_of(deaf.encode, deaf, tone):find("has no audio_encoder", 1, true))
  end)

  it("are played by the vocoder where one is and is asked for", function()
    local a = audio { vocoder = "hifigan" }
    assert.are.same({ 8192, 8000 }, { a.samples, a.rate })
    assert.is_true(differ(a, audio()) > 1e-4)
    assert.are.equal("hifigan", a.meta.call.options.vocoder)
    assert.are.equal(0, differ(audio(), audio { vocoder = "griffin-lim" }))
    assert.truthy(error_of(listener.audio, listener, { "x", steps = 2, vocoder = "hifigan",
      progress = false }):find("has no vocoder", 1, true))
  end)

  it("show what is there after a step, and stop when told", function()
    local seen
    local a = audio { steps = 5, on_step = function(s)
      seen = s.preview()
      return s.step < 2
    end }
    assert.are.same({ "audio", 8192 }, { a.kind, a.samples })
    assert.is_true(seen ~= nil)
  end)
end)
