--- The decoder of pictures goes on, on latents as the denoiser leaves them.
package.path = "./tests/lib/?.lua;./recipes/micro/?.lua;./recipes/micro/train/?.lua;"
  .. package.path
local weft = require "weft"
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
