--- Vocoders: called by a mel alone, with gradients, saved in the public layout.
local weft = require "weft"

local config = {
  architectures = { "SpeechT5HifiGan" }, model_in_dim = 5, upsample_initial_channel = 8,
  upsample_rates = { 3, 2 }, upsample_kernel_sizes = { 5, 4 }, resblock_kernel_sizes = { 3 },
  resblock_dilation_sizes = { { 1, 2 } }, normalize_before = false,
}

describe("a vocoder", function()
  local voc = weft.model.new("hifigan", config, { seed = 3 })
  local mel = weft.tensor.randn({ 2, 7, 5 }, { seed = 1 })

  it("makes rate samples a frame", function()
    assert.are.same({ 2, 42 }, voc(mel):size())
    local alone = voc(mel:narrow(1, 2, 1))
    assert.are.equal(0, (voc(mel):narrow(1, 2, 1) - alone):abs():max():item())
    assert.is_true(voc(mel):abs():max():item() < 1)
  end)

  it("has gradients that agree with differences", function()
    local v = weft.model.new("hifigan", config, { seed = 3 }):to "f64"
    local x, all, params = mel:to "f64", {}, {}
    for name, t in v:parameters() do all[name] = t end
    for i, name in ipairs { "conv_pre.weight", "upsampler.0.weight", "upsampler.1.bias",
      "resblocks.0.convs1.1.weight", "resblocks.1.convs2.0.weight", "conv_post.weight" } do
      params[i] = assert(all[name], name)
    end
    local weight = weft.tensor.randn({ 2, 42 }, { seed = 9 }):to "f64" * 100
    local function loss() return (v(x) * weight):sum() end
    local _, grads = weft.grad(loss, params)
    for i, t in ipairs(params) do
      local direction, eps = weft.tensor.randn(t:size(), { seed = 40 + i }):to "f64", 1e-5
      t:add_(direction * eps)
      local up = loss():item()
      t:add_(direction * (-2 * eps))
      local slope = (up - loss():item()) / (2 * eps)
      t:add_(direction * eps)
      assert.is_true(math.abs(slope) > 1e-2, ("slope %g of parameter %d"):format(slope, i))
      -- central differences of step 1e-5 in double lose about half of the digits
      assert.are.near(slope, (grads[i] * direction):sum():item(), 1e-6 * (1 + math.abs(slope)))
    end
  end)

  it("is written in the public layout and read back", function()
    local dir = os.tmpname()
    os.remove(dir)
    voc:save(dir, { file = "model.safetensors" })
    local stored = weft.tensor.load(dir .. "/model.safetensors")
    assert.are.same({ 8, 4, 5 }, stored["upsampler.0.weight"]:size())
    assert.are.same({ 8, 5, 7 }, stored["conv_pre.weight"]:size())
    local again = weft.load(dir)
    os.execute("rm -r '" .. dir .. "'")
    assert.are.equal(0, (voc(mel) - again(mel)):abs():max():item())
  end)

  it("says what is wrong with its input", function()
    local ok, err = pcall(voc, mel:narrow(3, 1, 4))
    assert.is_false(ok)
    assert.truthy(tostring(err):find("hifigan: mel is", 1, true))
  end)
end)
