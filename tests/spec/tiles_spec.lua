--- Autoencoders in tiles: as diffusers cuts and blends them, and whole where one tile holds all.
package.path = "./tests/lib/?.lua;" .. package.path
local weft = require "weft"
local error_of = require "error_of"

local FOLDER = "tests/model/vectors/vae_sd"
local vae = weft.model.load(FOLDER)
local vectors = weft.tensor.load(FOLDER .. "/io_tiled.safetensors")

local function channels_last(name) return vectors["vae." .. name]:permute { 1, 3, 4, 2 } end

--- The largest difference: f32 against f64 over a dozen layers, of values up to 3.
local function far(a, b) return (a - b):abs():max():item() end
local CLOSE = 2e-5

describe("an autoencoder in tiles", function()
  it("decodes as diffusers does, the last tiles of a row and a column smaller", function()
    local y = vae:decode(channels_last "z", { tile = 16 })
    assert.are.same({ 1, 42, 36, 3 }, y:size())
    assert.is_true(far(y, channels_last "dec") < CLOSE)
    assert.is_true(far(y, vae:decode(channels_last "z")) > 0.01)
  end)
  it("encodes as diffusers does", function()
    local latent = vae:encode(channels_last "x", { tile = 16 })
    assert.is_true(far(latent.mean, channels_last "mean") < CLOSE)
    assert.is_true(far(latent.logvar, channels_last "logvar") < CLOSE)
  end)
  it("is the whole picture where one tile holds it, and without overlap tile by tile", function()
    local z = channels_last "z"
    assert.are.equal(0, far(vae:decode(z), vae:decode(z, {})))
    local y = vae:decode(z, { tile = 16, overlap = 0 })
    local first = vae:decode(z:narrow(2, 1, 8):narrow(3, 1, 8):contiguous())
    assert.are.equal(0, far(first, y:narrow(2, 1, 16):narrow(3, 1, 16)))
  end)
  it("says what a tile may be", function()
    local z = channels_last "z"
    for _, opts in ipairs { { tile = 15 }, { tile = 16, overlap = 1 }, { tile = 2, overlap = 0.6 },
      { tile = 16, overlap = -0.1 } } do
      assert.truthy(error_of(vae.decode, vae, z, opts):find("multiple of 2 pixels", 1, true))
    end
    assert.truthy(error_of(vae.decode, vae, z, { tiles = 16 }):find("tile", 1, true))
    local tower = weft.model.load "tests/model/vectors/clip_vision"
    assert.truthy(error_of(tower.decode, tower, z, {}):find("no autoencoder", 1, true))
  end)
end)
