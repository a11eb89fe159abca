--- Pictures in files: round trips, provenance, animations, resizing as Pillow does it.
local provenance = require "weft.provenance"
local weft = require "weft"
local T, image, video = weft.tensor, weft.image, weft.video

local function temp(ext)
  local path = os.tmpname()
  os.remove(path)
  return path .. ext
end

--- Values that 8 bits hold exactly.
local function picture(w, h, c)
  local t = T.arange(0, w * h * c - 1):reshape(h, w, c)
  return image.from((t - (t / 256):floor() * 256) / 255)
end

describe("a picture file", function()
  it("round-trips PNG of 1, 3 and 4 channels", function()
    for _, c in ipairs{ 1, 3, 4 } do
      local path, im = temp ".png", picture(7, 5, c)
      assert.are.equal(path, im:save(path))
      local back = image.load(path)
      assert.are.same({ 5, 7, c }, back.data:size())
      assert.are.equal(0, (back.data - im.data):abs():max():item())
      os.remove(path)
    end
  end)
  it("may have its extension in capitals", function()
    local path, im = temp ".PNG", picture(7, 5, 3)
    im:save(path)
    assert.are.equal(0, (image.load(path).data - im.data):abs():max():item())
    os.remove(path)
  end)
  it("comes close in JPEG", function()
    local path, im = temp ".jpg", image.new(16, 16, "#407fbf")
    im:save(path, { quality = 95 })
    assert.is_true(image.load(path):psnr(im) > 40)
    os.remove(path)
  end)
  it("keeps the hash of a recipe that a JPEG has no room for", function()
    local path, im = temp ".jpg", image.new(16, 16, "red")
    im.meta = provenance.new { call = { prompt = "a", options = {} },
      recipe = { text = ("<"):rep(14000), sha256 = "ab" } }
    local log = stub(require "weft", "log")
    im:save(path)
    log:revert()
    assert.stub(log).was_called(1)
    assert.are.same({ sha256 = "ab" }, image.load(path).meta.recipe)
    os.remove(path)
  end)
  it("rounds and clamps, and is not written with NaN in it", function()
    local path = temp ".png"
    local im = image.from(T{ { 0, -3, 0.5 } })
    im.data[{ 1, 1, 1 }] = 0 / 0
    local ok, err = pcall(im.save, im, path)
    assert.is_false(ok)
    assert.is_truthy(err.message:find("the picture holds 1 values that are not numbers", 1, true))
    assert.is_nil(io.open(path))
    image.from(T{ { -1 / 0, -3, 0.499 / 255, 0.501 / 255, 7 } }):save(path)
    local bytes = (image.load(path).data * 255):round():reshape(-1):totable()
    assert.are.same({ 0, 0, 0, 1, 255 }, bytes)
    os.remove(path)
  end)
  it("names a medium of the prompt by its kind, whatever else is said of it", function()
    for weight = 1, 20 do
      local part = { image = "made here", sha256 = ("ab"):rep(32), weight = weight, depth = true }
      local line = provenance.human { call = { prompt = { "a ", part }, options = {} } }
      assert.are.equal("a [image]", line:match "^[^\n]+")
    end
  end)

  it("names its input files, each once", function()
    local path = temp ".png"
    image.new(4, 4):save(path)
    local cat, name = image.load(path, { size = { 8, 8 } }), path:match "[^/]*$"
    assert.are.equal(name, cat.name)
    local call = require("weft.options").describe("image",
      { prompt = { "a ", cat, image.new(4, 4) }, concat = cat })
    assert.are.equal(name, call.prompt[2].image)
    assert.are.equal("made here", call.prompt[3].image)
    local line = provenance.human { call = call, engine = "weft 1" }
    assert.is_truthy(line:find(('Inputs: "image:%s", Version: weft 1'):format(name), 1, true))
    os.remove(path)
  end)

  it("carries its provenance, and the same bytes each time", function()
    local path, other, bare, again = temp ".png", temp ".png", temp ".png", temp ".png"
    local im = image.new(8, 8, "red")
    im.meta = weft.provenance.new{
      model = { name = "micro", sha256 = "0123456789abcdef" }, seed = 42, index = 1,
      recipe = { name = "r.lua", sha256 = "ff", text = "return 1" },
      call = { fn = "image", prompt = { { text = "a red " }, { image = "cat.png" } },
        options = { steps = 30, guidance = 7.5, sampler = "ddim", size = { 64, 64 },
          negative = "blurry" } },
    }
    im:save(path)
    im:save(other, { provenance = "hash" })
    local back = image.load(path)
    assert.are.equal(42, back.meta.seed)
    assert.are.equal("return 1", back.meta.recipe.text)
    assert.is_nil(image.load(other).meta.recipe.text)
    assert.are.equal("return 1", im.meta.recipe.text)
    assert.is_truthy(tostring(back):find("seed 42", 1, true))
    local _, texts = weft.core.load_image(path)
    assert.are.equal("a red [image]\nNegative prompt: blurry\nSteps: 30, Sampler: ddim, "
      .. "CFG scale: 7.5, Seed: 42, Size: 64x64, Model: micro, Model hash: 01234567, Version: weft "
      .. weft.version, texts.parameters)
    im:save(bare, { provenance = "none" })
    assert.is_nil(image.load(bare).meta)
    back:save(again)
    local function bytes(p)
      local f = assert(io.open(p, "rb"))
      local s = f:read "*a"
      f:close()
      return s
    end
    assert.are.equal(bytes(path), bytes(again))
    assert.has_error(function() back:save(path) end)              -- this run has read it
    for _, p in ipairs { path, other, bare, again } do os.remove(p) end
  end)
  it("fails with a kind", function()
    local function kind(f, ...)
      local ok, err = pcall(f, ...)
      assert.is_false(ok)
      return err.kind
    end
    assert.are.equal("io", kind(image.load, "/nowhere/a.png"))
    assert.are.equal("io", kind(image.Image.save, image.new(1, 1), "/nowhere/a.png"))
    assert.are.equal("unsupported", kind(image.Image.save, image.new(1, 1), "a.bmp"))
    local path = temp ".png"
    local f = assert(io.open(path, "w"))
    f:write("not a picture")
    f:close()
    assert.are.equal("format", kind(image.load, path))
    assert.has_error(function() image.new(1, 1):save(path, { overwrite = false }) end)
    os.remove(path)
  end)
end)

describe("a video file", function()
  it("round-trips frames, rate and provenance", function()
    local path, frames = temp ".apng", {}
    for i = 1, 4 do frames[i] = image.new(6, 4, { i / 5, 0, 1 }) end
    local v = video.new{ frames = frames, fps = 8 }
    v.meta = weft.provenance.new{ seed = 3 }
    assert.are.equal("Video 6x4 4 frames 8 fps 0.50 s", tostring(v))
    v:save(path)
    local back = video.load(path)
    assert.are.equal(4, #back)
    assert.are.near(8, back.fps, 1e-6)
    assert.are.equal(3, back.meta.seed)
    assert.are.equal(0, (back:tensor() - v:tensor()):abs():max():item())
    os.remove(path)
  end)
  it("keeps any rate that a video may have", function()
    local frames = { image.new(2, 2), image.new(2, 2, "red") }
    for _, fps in ipairs { 23.976, 0.014, 1000, 0.01, 12.34 } do
      local path = temp ".apng"
      video.new{ frames = frames, fps = fps }:save(path)
      assert.are.near(fps, video.load(path).fps, 1e-9 * fps)
      os.remove(path)
    end
    local v = video.new{ frames = frames, fps = 8 }
    local ok, err = pcall(v.save, v, temp ".apng", { fps = 1001 })
    assert.is_false(ok)
    assert.are.equal("usage", err.kind)
    assert.is_truthy(err.message:find("1001 frames a second, must be 0.01 to 1000", 1, true))
  end)
  it("is not written with NaN in it", function()
    local v = video.from(T.full({ 2, 4, 6, 3 }, 0.5), 8)
    v[2].data[{ 1, 1, 1 }] = 0 / 0
    for _, ending in ipairs { ".apng", video.has_clips() and ".webm" or ".png" } do
      local path = temp(ending)
      local ok, err = pcall(v.save, v, path)
      assert.is_false(ok)
      assert.are.equal("model", err.kind)
      assert.is_truthy(err.message:find("holds 1 values that are not numbers", 1, true))
      assert.is_nil(io.open(path))
    end
  end)
  it("slices, appends and shows its frames", function()
    local v = video.from(T.rand({ 4, 3, 5, 3 }, { seed = 1 }), 4)
    assert.are.equal(2, #v:slice(0.5, 1))
    assert.are.equal(v[3], v:slice(0.5)[1])
    assert.are.equal(5, #v:append(v[1]))
    assert.are.equal(8, #v:append(v))
    assert.are.equal(4 * 7 + 2, v:strip().width)
    assert.has_error(function() v:append(image.new(2, 2)) end)
    assert.has_error(function() v:save "x.mp4" end)
  end)
end)

describe("resizing", function()
  local path = "tests/media/vectors/image.safetensors"
  local file = weft.core.open_tensors(path)

  it("gives what Pillow gives", function()
    local n, core = 0, weft.core
    for _, case in ipairs(weft.json.decode(file:meta "cases")) do
      local want = file:get(case.outputs[1])
      local x = case.op == "image_resize" and file:get(case.inputs[1])
      local filter = x and case.case:match "[^_]+$"
      if x and (x.dtype == "f32" or filter == "nearest") then
        local got = core.resize_image(x:to "f32", want:size(2), want:size(1), filter)
        -- sums of at most 20 weights in f32 of values up to 255
        assert.is_true((got - want:to "f32"):abs():max():item() < 1e-3, case.case)
        n = n + 1
      end
    end
    assert.is_true(n >= 12, n .. " cases")
  end)
  it("weighs colours by alpha, as Pillow does", function()
    local two = image.from(T{ { { 1, 0, 0, 1 }, { 0, 0, 0, 0 } } })
    local one = two:resize(1, 1, { filter = "box" }).data
    assert.are.same({ 1, 0, 0, 0.5 }, one:reshape(-1):totable())
    local n = 0
    for _, case in ipairs(weft.json.decode(file:meta "cases")) do
      local filter = case.case:match "^rgba_(%l+)$"
      if filter then
        local want = image.from(file:get(case.outputs[1])).data
        local got = image.from(file:get(case.inputs[1]))
          :resize(want:size(2), want:size(1), { filter = filter }).data
        local function seen(t) return t:narrow(3, 1, 3) * t:narrow(3, 4, 1) end
        -- bytes round four times on the way, and clamp an overshoot between the passes too
        assert.is_true((seen(got) - seen(want)):abs():max():item() < 4 / 255, case.case)
        assert.is_true((got - want):narrow(3, 4, 1):abs():max():item() < 2 / 255, case.case)
        n = n + 1
      end
    end
    assert.are.equal(3, n)
  end)
  it("fits, covers and keeps the channels", function()
    local im = picture(8, 4, 3)
    assert.are.same({ 6, 6, 3 }, im:resize(6, 6, { fit = "contain", colour = "white" }).data:size())
    assert.are.same({ 6, 6, 3 }, im:resize(6, 6, { fit = "cover" }).data:size())
    assert.are.equal(1, im:resize(6, 6, { fit = "contain", colour = "white" }).data[{ 1, 1, 1 }])
    assert.has_error(function() im:resize(6, 6, { filter = "sharp" }) end)
    assert.has_error(function() im:resize(0, 6) end)
  end)
end)
