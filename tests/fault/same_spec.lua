--- Same seed, same bytes: any number of threads, any batch size, again and again, for whole
-- generations and for training steps.
package.path = "./tests/lib/?.lua;" .. package.path
local weft = require "weft"
local micro = require "micro"

describe("the same seed gives the same bytes", function()
  local dir, m, before, photo

  setup(function()
    before = weft.threads()
    dir = micro.make(micro.temp())
    m = weft.load(dir)
    photo = weft.image.from(weft.tensor.rand({ 64, 64, 3 }, { seed = 2 }))
  end)
  teardown(function()
    weft.threads(before)
    micro.remove(dir)
  end)

  --- make() with each number of threads, twice: always the same.
  local function same(make)
    weft.threads(1)
    local wanted = make()
    assert.is_true(#wanted > 100)
    for _, n in ipairs { 1, 2, 3, 4 } do
      weft.threads(n)
      for _ = 1, 2 do assert.is_true(make() == wanted, n .. " threads") end
    end
    return wanted
  end

  it("of pictures", function()
    local a = same(function()
      return m:image { "a red cat", seed = 3, steps = 3, guidance = 3, progress = false }
        :tensor():bytes()
    end)
    local b = m:image { "a red cat", seed = 4, steps = 3, guidance = 3, progress = false }
    assert.is_false(a == b:tensor():bytes())
  end)
  it("of edits with noise on the way", function()
    same(function()
      return m:edit(photo, { "a cat at night", seed = 3, steps = 3, guidance = { 2, concat = 1.5 },
        sampler = "euler_a", strength = 0.7, progress = false }):tensor():bytes()
    end)
  end)
  it("alone or in a batch of four", function()
    for _, sampler in ipairs { "ddim", "euler_a" } do
      local base = { "a red cat", seed = 10, steps = 3, sampler = sampler, progress = false }
      local four = m:generate(weft.with(base, { n = 4, to = "image" }))
      for i = 1, 4 do
        local one = m:image(weft.with(base, { seed = 9 + i }))
        assert.is_true(four.images[i]:tensor():bytes() == one:tensor():bytes(),
          ("%s, picture %d"):format(sampler, i))
      end
    end
  end)
  it("of saved files", function()
    local function file(path)
      m:image { "a red cat", seed = 3, steps = 1, progress = false }:save(path)
      local f = assert(io.open(path, "rb"))
      local text = f:read "*a"
      f:close()
      return text
    end
    assert.is_true(file(dir .. "/a.png") == file(dir .. "/b.png"))
  end)
  it("of training steps", function()
    local x = weft.tensor.rand({ 4, 64, 64, 3 }, { seed = 2 })
    same(function()
      local vae = weft.model.new("vae", micro.config "vae", { seed = 1 })
      local params = weft.train.parameters(vae)
      local opt = weft.train.adamw { params, lr = 1e-3 }
      for _ = 1, 2 do
        weft.scope(function()
          local _, grads = weft.grad(function()
            return weft.mse(vae:decode(vae:encode(x).mean), x)
          end, params)
          weft.train.clip(grads, 1)
          opt:step(grads)
        end)
      end
      local out = {}
      for i, p in ipairs(params) do out[i] = p:bytes() end
      return table.concat(out)
    end)
  end)
end)
