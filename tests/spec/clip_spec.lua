--- Videos in files: .webm and .mp4 where FFmpeg is built in, the refusal where it is not.
local weft = require "weft"

local function temporary(ending)
  local path = os.tmpname()
  os.remove(path)
  return path .. ending
end

--- Six frames in which a square moves right, and a tone of 0.75 s.
local function make()
  local frames = {}
  for k = 1, 6 do
    local square = weft.tensor.full({ 8, 8, 3 }, 0.9)
    local t = weft.cat({ weft.tensor.full({ 8, 4 * k, 3 }, 0.1), square,
      weft.tensor.full({ 8, 24 - 4 * k, 3 }, 0.1) }, 2)
    frames[k] = weft.image.from(weft.cat({ t, t }, 1))
  end
  local wave = (weft.tensor.arange(0, 5999, 1) * (2 * math.pi * 440 / 8000)):sin() * 0.5
  local v = weft.video.new { frames = frames, fps = 8,
    audio = weft.audio.from(wave:reshape(6000, 1), 8000) }
  v.meta = { v = 1, seed = 5, call = { fn = "video", prompt = { { text = "a square" } },
    options = { steps = 3 } } }
  return v
end

local function error_of(...)
  local ok, err = pcall(...)
  assert.is_false(ok)
  return tostring(err)
end

describe("a clip", function()
  local v = make()
  for _, ending in ipairs { ".webm", ".mp4" } do
    it("comes back from " .. ending, function()
      local path = temporary(ending)
      if not weft.video.has_clips() then
        assert.truthy(error_of(v.save, v, path):find("writes videos as .apng or .png", 1, true))
        assert.truthy(error_of(weft.video.load, path):find("has no FFmpeg", 1, true))
        return
      end
      assert.are.equal(path, v:save(path, { quality = 0.9 }))
      assert.has_error(function() v:save(path, { overwrite = false }) end)
      local w = weft.video.load(path)
      assert.are.same({ 6, 32, 16, 8 }, { #w, w.width, w.height, w.fps })
      -- halved colour and the coder; a frame too early or late is 0.3 off
      assert.is_true((w:tensor() - v:tensor()):square():mean():sqrt():item() < 0.05)
      assert.is_true(math.abs(w.audio.seconds - 0.75) < 0.13)
      assert.are.equal(5, w.meta.seed)
      assert.are.equal(5, require("weft.provenance").read(path).seed)
      assert.is_nil(weft.video.load(path, { audio = false }).audio)
      assert.are.equal(12, #weft.video.load(path, { fps = 16 }))
      local bare = temporary(ending)
      v:save(bare, { provenance = "none" })
      assert.is_nil(weft.video.load(bare).meta)
      os.remove(path)
      os.remove(bare)
    end)
  end
  it("is an animated PNG without FFmpeg, and refuses a rate there", function()
    local path = temporary ".apng"
    local _, wav = v:save(path)
    local w = weft.video.load(path)
    assert.are.same({ 6, 0.75 }, { #w, w.audio.seconds })
    assert.is_nil(weft.video.load(path, { audio = false }).audio)
    assert.truthy(error_of(weft.video.load, path, { fps = 3 }):find("fps is for clips", 1, true))
    os.remove(path)
    os.remove(wav)
  end)
  it("says no more beside it than in it, and leaves both files or none", function()
    local path = temporary ".png"
    local with_sound = weft.video.new { frames = { v[1], v[2] }, fps = 8, audio = v.audio:clone() }
    with_sound.audio.meta = require("weft.provenance").new { seed = 5, call = { fn = "audio" } }
    local _, wav = with_sound:save(path, { provenance = "none" })
    assert.is_nil(weft.info(wav))
    os.remove(path)
    assert.truthy(error_of(with_sound.save, with_sound, path, { overwrite = false })
      :find "exists already")
    assert.is_nil(io.open(path))
    os.remove(wav)
  end)
end)
