--- Pictures as towers take them, beside transformers' image processor.
local weft = require "weft"
local T = weft.tensor

describe("a tower's pixels", function()
  local tower = weft.model.load "tests/model/vectors/clip_vision"
  local folder = "tests/model/vectors/clip_pixels"

  it("are those of CLIP's image processor", function()
    tower.folder = folder                         -- whose preprocessor_config.json is read
    local io = T.load(folder .. "/io.safetensors")
    for _, name in ipairs { "wide", "tall", "small" } do
      local picture = weft.image.from(io[name .. ".picture"]:to "f32" * (1 / 255))
      local got, want = tower:pixels(picture), io[name .. ".pixels"]
      assert.are.same({ 1, 12, 12, 3 }, got:size())
      assert.is_true((got - want):abs():max():item() < 1e-5, name)       -- the bytes are the same
    end
  end)

  it("are of the tower's size without a config, and go into it", function()
    tower.folder = nil
    local x = tower:pixels(weft.image.new(30, 20, "red"))
    local side = tower.config.image_size
    assert.are.same({ 1, side, side, 3 }, x:size())
    assert.near((1 - 0.48145466) / 0.26862954, x[{ 1, 1, 1, 1 }], 1e-5)
    assert.are.equal(1, tower { pixels = x }.pooled:size(1))
    assert.has_error(function() tower:pixels(3) end)
  end)

  it("of the small model are what its pipeline reads", function()
    local m = weft.load "micro"
    local im = weft.image.new(64, 64, "blue")
    local far = (m.parts.image_encoder:pixels(im) - m:pixels(im)):abs():max():item()
    assert.is_true(far < 1e-6)
  end)
end)
