--- Video denoisers: inflated from pictures', over frames, with gradients, in the public layout.
local weft = require "weft"
local T = weft.tensor

local picture_config = {
  in_channels = 3, out_channels = 2, block_out_channels = { 8, 16 }, layers_per_block = 1,
  down_block_types = { "DownBlock2D", "CrossAttnDownBlock2D" },
  up_block_types = { "UpBlock2D", "UpBlock2D" }, attention_head_dim = 2, cross_attention_dim = 6,
  use_linear_projection = true, norm_num_groups = 4, class_embed_type = "projection",
  projection_class_embeddings_input_dim = 5, resnet_time_scale_shift = "scale_shift",
  time_embedding_dim = 12,
}
local video_config = weft.with(picture_config, {
  down_block_types = { "DownBlock3D", "CrossAttnDownBlock3D" },
  up_block_types = { "UpBlock3D", "UpBlock3D" }, attention_head_dim = 8,
  temporal_conv_layers = 1, temporal_cross_attention = true, transformer_in = false,
  frame_embedding_dim = 6,
})

local B, L, S = 2, 3, 4
local picture = weft.model.new("unet2d", picture_config, { seed = 1 })
local function randn(seed, ...) return T.randn({ ... }, { seed = seed }) end
local function inputs()
  return { sample = randn(1, B, L, S, S, 3), timestep = T { 900, 20 },
    context = randn(2, B, 7, 6), class_labels = randn(3, B, 5) }
end
local function differ(a, b) return (a - b):abs():max():item() end

--- A video model whose fresh weights are no longer zero.
local function trained()
  local m = weft.model.inflate(picture, video_config, { seed = 2 })
  for name, t in m:parameters() do
    if name:find "temp_" or name:find "frame_" then
      m:set(name, t + T.randn(t:size(), { seed = #name }) * 0.2)
    end
  end
  return m
end

describe("a video model", function()
  it("starts as the picture model, frame by frame", function()
    local m, x = weft.model.inflate(picture, video_config, { seed = 2 }), inputs()
    local y = m(x)
    assert.are.same({ B, L, S, S, 2 }, y:size())
    for k = 1, L do
      local want = picture { sample = x.sample:select(2, k):contiguous(), timestep = x.timestep,
        context = x.context, class_labels = x.class_labels }
      assert.is_true(differ(want, y:select(2, k)) < 1e-5)
    end
  end)

  it("may read more input channels, which change nothing yet", function()
    local wider = weft.with(video_config, { in_channels = 4 })
    local m = weft.model.inflate(picture, wider, { seed = 2 })
    local more, x = inputs(), inputs()
    more.sample = weft.cat({ x.sample, randn(4, B, L, S, S, 1) }, 5)
    local y = weft.model.inflate(picture, video_config, { seed = 2 })(x)
    assert.is_true(differ(y, m(more)) < 1e-5)
    local again = weft.model.inflate(trained(), wider)
    assert.is_true(differ(trained()(x), again(more)) < 1e-5)
    local ok, err = pcall(weft.model.inflate, again, video_config)
    assert.is_false(ok)
    assert.truthy(tostring(err):find("conv_in.weight is [8,3,3,4]", 1, true), tostring(err))
  end)

  it("then sees other frames, their order and the words over frames", function()
    local m, x = trained(), inputs()
    local y = m(x)
    local moved = inputs()
    moved.sample:narrow(2, 3, 1):mul_(2)
    assert.is_true(differ(y:select(2, 1), m(moved):select(2, 1)) > 1e-4)
    moved = inputs()
    moved.context:narrow(1, 2, 1):mul_(2)
    local other = m(moved)
    assert.are.equal(0, differ(y:select(1, 1), other:select(1, 1)))
    assert.is_true(differ(y:select(1, 2), other:select(1, 2)) > 1e-4)
    local same = inputs()
    same.sample = same.sample:narrow(2, 1, 1):expand(B, L, S, S, 3):contiguous()
    local still = m(same)
    assert.is_true(differ(still:select(2, 1), still:select(2, 3)) > 1e-4)
  end)

  it("has gradients that agree with differences", function()
    local m, x = trained():to "f64", inputs()
    for name, t in pairs(x) do x[name] = t:to "f64" end
    local wanted = {
      "down_blocks.0.temp_convs.0.conv1.2.weight", "down_blocks.1.temp_convs.0.conv1.0.weight",
      "down_blocks.1.temp_attentions.0.proj_out.weight", "frame_embedding.linear_1.weight",
      "mid_block.temp_attentions.0.transformer_blocks.0.attn2.to_k.weight",
      "mid_block.attentions.0.transformer_blocks.0.attn2.to_v.weight", "conv_in.weight",
    }
    local all, params = {}, {}
    for name, t in m:parameters() do all[name] = t end
    for i, name in ipairs(wanted) do params[i] = assert(all[name], name) end
    local function loss() return (m(x) * randn(9, B, L, S, S, 2):to "f64"):sum() end
    local _, grads = weft.grad(loss, params)
    for i, t in ipairs(params) do
      local direction, eps = T.randn(t:size(), { seed = 40 + i }):to "f64", 1e-5
      local slope = (grads[i] * direction):sum():item()
      t:add_(direction * eps)
      local up = loss():item()
      t:add_(direction * (-2 * eps))
      local down = loss():item()
      t:add_(direction * eps)
      local want = (up - down) / (2 * eps)
      assert.is_true(math.abs(want) > 1e-3, wanted[i])
      -- central differences of step 1e-5 in double lose about half of the digits
      assert.are.near(want, slope, 1e-6 * (1 + math.abs(want)), wanted[i])
    end
  end)

  it("is written in the public layout and read back", function()
    local m, folder = trained(), os.tmpname()
    os.remove(folder)
    m:save(folder)
    local stored = T.load(folder .. "/diffusion_pytorch_model.safetensors")
    assert.are.same({ 8, 8, 3, 1, 1 },
      stored["down_blocks.0.temp_convs.0.conv1.2.weight"]:size())
    local again = weft.model.load(folder)
    assert.are.equal("unet3d", again.arch)
    assert.are.equal(0, differ(m(inputs()), again(inputs())))
    os.execute("rm -r '" .. folder .. "'")
  end)

  it("says what is wrong", function()
    local m, x = trained(), inputs()
    x.sample = x.sample:select(2, 1)
    assert.has_error(function() m(x) end)
    x = inputs()
    x.context = x.context:narrow(1, 1, 1)
    local ok, err = pcall(m, x)
    assert.is_false(ok)
    assert.truthy(tostring(err):find("unet3d: context is", 1, true))
    local narrow = weft.with(video_config, { block_out_channels = { 8, 24 } })
    ok, err = pcall(weft.model.inflate, picture, narrow)
    assert.is_false(ok)
    assert.truthy(tostring(err):find("in the picture model, the video model has [", 1, true))
    ok, err = pcall(weft.model.new, "unet3d", weft.with(video_config, { attention_head_dim = 7 }))
    assert.is_false(ok)
    assert.truthy(tostring(err):find("do not divide into heads of 7", 1, true))
  end)
end)
