--- Batches of the denoisers' trainings: what stands where as they are told it, and unsure features.
package.path = "./tests/lib/?.lua;./recipes/micro/?.lua;./recipes/micro/train/?.lua;"
  .. package.path
local weft = require "weft"
local batches = require "denoiser_batch"
local data = require "data"
local layout = require "layout"
local micro = require "micro"
local rng = require "world.rng"
local scene = require "world.scene"
local T = weft.tensor

describe("a map that is told what stands where", function()
  it("has it where it is known, and else what the feature says", function()
    local map = T.rand({ 2, 8, 8, 7 }, { seed = 1 })
    local known = T.rand({ 2, 8, 8, 3 }, { seed = 2 }):gt(0.5):to "f32"
    local told = batches.told_whole(map, known, T { { { { 1 } } }, { { { 0 } } } })
    local function off(a, b) return (a - b):abs():max():item() end
    local function layout_of(x, k) return x:narrow(1, k, 1):narrow(4, 5, 3) end
    assert.are.equal(0, off(told:narrow(4, 1, 4), map:narrow(4, 1, 4)))
    assert.are.near(0, off(layout_of(told, 1), known:narrow(1, 1, 1)), 1e-6)
    assert.are.equal(0, off(layout_of(told, 2), layout_of(map, 2)))
  end)
end)

describe("the features of a batch", function()
  local dir = micro.make(micro.temp(), { narrow = true })
  local s = {
    p = { out = dir, foretold = 0, foreground = 4, seed = 3 }, render = data.pictures,
    layout = layout.of_scenes, standing = layout.standing, carry = layout.carry,
    names = { encoder = "image_encoder", vae = "vae", unet = "unet", conditioner = "conditioner",
      anchor = "anchor" },
    examples = function()
      local list = {}
      for k = 1, 40 do
        list[k] = { target = scene.sample(rng.new("batch", k), { objects = 2 }), text = "",
          caption = "", feature = k % 10 == 0 and "none" or "image" }
      end
      return list
    end,
    is_whole = function(e) return e.target.objects[1].kind < 6 end,
  }
  local trained = batches.trained(s)
  micro.remove(dir)

  local plain = batches.prepare(s, trained, 1)
  local mixed = batches.prepare(weft.with(s, { twin = function(r, x)
    return scene.twins(r, x, 1)[1]
  end }), trained, 1)
  local off = (mixed.feature - plain.feature):abs():max({ 2 }):totable()
  local read, whole = mixed.read:reshape(-1):totable(), mixed.whole:reshape(-1):totable()

  it("are mixed with those of twins in half of what is known whole", function()
    local n_whole, n_mixed = 0, 0
    for k = 1, 40 do
      local is_mixed = off[k] > 1e-6
      n_whole, n_mixed = n_whole + whole[k], n_mixed + (is_mixed and 1 or 0)
      if is_mixed then assert.are.equal(1, whole[k]) end
      if k % 10 == 0 then assert.are.equal(0, whole[k] + off[k]) end    -- told nothing
    end
    assert.is_true(n_mixed > 0.2 * n_whole and n_mixed < 0.8 * n_whole,
      n_mixed .. " of " .. n_whole)
    local length = (mixed.feature * mixed.feature):sum { 2 }:totable()
    for k = 1, 40 do assert.are.near(k % 10 == 0 and 0 or 1, length[k], 1e-5) end
  end)
  it("teach the layout only where they are sure", function()
    for k = 1, 40 do
      assert.are.equal((k % 10 == 0 or off[k] > 1e-6) and 0 or 1, read[k], k)
    end
    assert.are.equal(36, plain.read:sum():item())
  end)
end)
