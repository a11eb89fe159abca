--- Sounds: loudness against the standard's signals, edits against arithmetic.
local weft = require "weft"
local T, audio = weft.tensor, weft.audio

local function sine(hz, db, seconds, rate, channels)
  local n = seconds * rate
  local x = (T.arange(0, n - 1) * (2 * math.pi * hz / rate)):sin() * 10 ^ (db / 20)
  return audio.from(x:unsqueeze(2):expand(-1, channels or 1):clone(), rate)
end

describe("loudness", function()
  it("is that of the standard's test signals", function()
    -- BS.1770-4: a 997 Hz sine at full scale in one channel is -3.01 LUFS
    assert.are.near(-3.01, sine(997, 0, 2, 48000):loudness(), 0.02)
    -- EBU Tech 3341 case 1: 1 kHz at -23 dB in both channels is -23 LUFS
    assert.are.near(-23, sine(1000, -23, 2, 48000, 2):loudness(), 0.1)
    assert.are.near(-3.01, sine(997, 0, 2, 16000):loudness(), 0.3)
    assert.are.equal(-math.huge, audio.silence(1, 8000):loudness())
  end)
  it("gates silence out", function()
    local a = sine(997, -20, 2, 48000)
    local b = audio.concat{ a, audio.silence(2, 48000) }
    assert.are.near(a:loudness(), b:loudness(), 0.5)
  end)
  it("is what normalize sets", function()
    assert.are.near(-16, sine(440, -30, 2, 16000):normalize(-16):loudness(), 0.05)
    assert.are.near(0, sine(60, -30, 2, 16000):normalize(10):peak(), 0.01)
  end)
end)

describe("editing", function()
  local a = audio.from(T.arange(1, 8), 4)

  it("knows its size", function()
    assert.are.equal(8, a.samples)
    assert.are.equal(2, a.seconds)
    assert.are.equal(1, a.channels)
    assert.is_truthy(tostring(a):find("^Audio mono 4 Hz 2.00 s"))
  end)
  it("slices by time", function()
    assert.are.same({ { 3 }, { 4 } }, a:slice(0.5, 1).data:totable())
    assert.are.equal(6, a:slice(0.5).samples)
    assert.has_error(function() a:slice(1, 3) end)
  end)
  it("fades and gains", function()
    local f = a:fade(0.75, 0.5).data:reshape(-1):totable()
    assert.are.same({ 0, 1, 3, 4, 5, 6, 7, 0 }, f)
    assert.are.near(10, a:gain(20).data[{ 1, 1 }], 1e-5)
    assert.are.equal(1, a.data[{ 1, 1 }])
  end)
  it("mixes and joins", function()
    local b = audio.from(T.ones(2), 4)
    local m = audio.mix{ a, b, gains = { 0, 20 } }.data:reshape(-1):totable()
    assert.are.near(11, m[1], 1e-5)
    assert.are.near(12, m[2], 1e-5)
    assert.are.equal(3, m[3])
    assert.are.equal(10, audio.concat{ a, b }.samples)
    local c = audio.concat{ audio.from(T.ones(8), 4), audio.from(T.ones(8), 4), crossfade = 1 }
    assert.are.equal(12, c.samples)
    for _, v in ipairs(c.data:reshape(-1):totable()) do assert.are.near(1, v, 1e-6) end
    assert.has_error(function() audio.mix{ a, audio.from(T.ones(2), 8) } end)
  end)
  it("folds to mono", function()
    assert.are.same({ { 1.5 } }, audio.from(T{ { 1, 2 } }, 8):mono().data:totable())
  end)
  it("finds the frequency in its spectrogram", function()
    local s = sine(1000, 0, 0.5, 8000):spectrogram(512, 128)
    assert.are.same({ 1 + math.floor((4000 - 512) / 128), 257 }, s:size())
    assert.are.equal(64, s:argmax(2)[5])
  end)
end)

describe("files", function()
  local folder = os.tmpname()
  os.remove(folder)
  os.execute("mkdir " .. folder)
  teardown(function() os.execute("rm -r " .. folder) end)
  local meta = require("weft.provenance").new{
    call = { prompt = "a purr", options = {} }, seed = 7,
    recipe = { text = ("x"):rep(60000), sha = "ab" },
  }

  it("keep the values and how they were made", function()
    local a = sine(440, -6, 0.25, 16000, 2)
    for _, name in ipairs{ "a.wav", "a.flac", "a.ogg", "a.opus" } do
      a.meta = meta
      local path = a:save(folder .. "/" .. name)
      local b = audio.load(path)
      assert.are.same({ 4000, 2, 16000 }, { b.samples, b.channels, b.rate })
      assert.are.near(a:loudness(), b:loudness(), 0.5)
      assert.are.equal(7, b.meta.seed)
      assert.are.equal("ab", b.meta.recipe.sha)
      assert.are.equal(name == "a.wav" and 60000 or 0, #(b.meta.recipe.text or ""))
    end
    a:save(folder .. "/b.wav", { bits = 32, provenance = "none" })
    local b = audio.load(folder .. "/b.wav", { mono = true })
    assert.are.equal(0, (b.data - a.data:narrow(2, 1, 1)):abs():max():item())
    assert.is_nil(b.meta)
    assert.are.equal(1, b.channels)
  end)
  it("are not overwritten when asked not to, nor written in unknown ways", function()
    local a = sine(440, -6, 0.25, 16000)
    local path = a:save(folder .. "/c.wav")
    assert.has_error(function() a:save(path, { overwrite = false }) end)
    assert.has_error(function() a:save(folder .. "/c.xyz") end)
    assert.has_error(function() a:save(folder .. "/c.wav", { bits = 12 }) end)
    assert.has_error(function() audio.load(folder .. "/none.wav") end)
    assert.has_error(function() audio.from(T{ 0 / 0 }, 8000):save(folder .. "/nan.wav") end)
  end)
end)
