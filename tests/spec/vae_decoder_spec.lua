--- The decoder of pictures goes on, on latents as the denoiser leaves them.
package.path = "./tests/lib/?.lua;./recipes/micro/?.lua;./recipes/micro/train/?.lua;"
  .. package.path
local weft = require "weft"
local batches = require "denoiser_batch"
local micro = require "micro"
local shell = require "shell"
local T = weft.tensor

describe("the training of the decoder", function()
  it("leaves the encoder, and what latents mean, as they are", function()
    local dir = micro.make(micro.temp(), { narrow = true })
    finally(function() micro.remove(dir) end)
    local function weights()
      return T.load(dir .. "/vae/diffusion_pytorch_model.safetensors")
    end
    local before, config = weights(), weft.model.load(dir .. "/vae").config
    local rc, _, err = shell.weft(".", ("run --plain --threads 1 "
      .. "recipes/micro/train/vae_decoder.lua steps=2 batch=2 warmup=1 out='%s' work='%s/work'")
      :format(dir, dir))
    assert.are.equal(0, rc, err)
    local n_same, n_other = 0, 0
    for name, t in pairs(weights()) do
      local off = (t:to "f32" - before[name]:to "f32"):abs():max():item()
      if name:find "^encoder" then
        n_same = n_same + 1
        -- Written in f16 again.
        assert.is_true(off <= 1e-3, name)
      elseif off > 1e-4 then
        n_other = n_other + 1
      end
    end
    assert.is_true(n_same > 10 and n_other > 10, n_same .. " " .. n_other)
    local after = weft.model.load(dir .. "/vae").config
    assert.are.same({ config.latents_mean, config.latents_std },
      { after.latents_mean, after.latents_std })
  end)
end)

describe("a map that is told what stands where", function()
  it("has it where it is known, and else what the feature says", function()
    local map = T.rand({ 2, 8, 8, 7 }, { seed = 1 })
    local layout = T.rand({ 2, 8, 8, 3 }, { seed = 2 }):gt(0.5):to "f32"
    local told = batches.told_whole(map, layout, T { { { { 1 } } }, { { { 0 } } } })
    local function off(a, b) return (a - b):abs():max():item() end
    local function layout_of(x, k) return x:narrow(1, k, 1):narrow(4, 5, 3) end
    assert.are.equal(0, off(told:narrow(4, 1, 4), map:narrow(4, 1, 4)))
    assert.are.near(0, off(layout_of(told, 1), layout:narrow(1, 1, 1)), 1e-6)
    assert.are.equal(0, off(layout_of(told, 2), layout_of(map, 2)))
  end)
end)
