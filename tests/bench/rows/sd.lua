--- Stable Diffusion 2.1 unCLIP from its public configs, with random weights of f16: one step with
-- guidance (a batch of two) and one decoding, at 768 and 512 pixels.
local weft = require "weft"
local T = weft.tensor

local unet_config = {
  _class_name = "UNet2DConditionModel", sample_size = 96, in_channels = 4, out_channels = 4,
  cross_attention_dim = 1024, attention_head_dim = { 5, 10, 20, 20 }, use_linear_projection = true,
  block_out_channels = { 320, 640, 1280, 1280 }, layers_per_block = 2,
  down_block_types = { "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D",
    "DownBlock2D" },
  up_block_types = { "UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D",
    "CrossAttnUpBlock2D" },
  class_embed_type = "projection", projection_class_embeddings_input_dim = 2048,
}

local function repeated(v, n)
  local out = {}
  for i = 1, n do out[i] = v end
  return out
end

local vae_config = {
  _class_name = "AutoencoderKL", in_channels = 3, out_channels = 3, latent_channels = 4,
  block_out_channels = { 128, 256, 512, 512 }, layers_per_block = 2,
  down_block_types = repeated("DownEncoderBlock2D", 4),
  up_block_types = repeated("UpDecoderBlock2D", 4), norm_num_groups = 32, sample_size = 768,
}

-- By the direct formulas, of one picture: a pass of the denoiser, a decoding.
local unet_flops, vae_flops = { [96] = 2149e9, [64] = 804e9 }, { [96] = 5754e9, [64] = 2514e9 }

local rows = {}

local function random_model(arch, config)
  return weft.model.new(arch, config, { seed = 1 }):to "f16"
end

local function add(row)
  row.group, row.full, row.slow = "sd", true, true
  rows[#rows + 1] = row
end

local function unet(S, dtype)
  add {
    name = ("sd 2.1 unclip: step with guidance, %d px"):format(8 * S), dtype = dtype,
    spec = { op = "sd_unet", side = S, config = unet_config }, flops = 2 * unet_flops[S],
    make = function()
      local m = random_model("unet2d", unet_config)
      local x, c = T.randn({ 2, S, S, 4 }, { seed = 1 }), T.randn({ 2, 77, 1024 }, { seed = 2 })
      local y = T.randn({ 2, 2048 }, { seed = 3 })
      return function()
        return m { sample = x, timestep = 500, context = c, class_labels = y }
      end
    end,
  }
end

local function vae(S, dtype)
  add {
    name = ("sd 2.1: decoding, %d px"):format(8 * S), dtype = dtype,
    spec = { op = "sd_vae", side = S, config = vae_config }, flops = vae_flops[S],
    make = function()
      local m = random_model("vae", vae_config)
      local z = T.randn({ 1, S, S, 4 }, { seed = 1 })
      return function() return m:decode(z) end
    end,
  }
end

--- The same in tiles of 512 px: what it saves of memory.
local function tiled(S, dtype)
  add {
    name = ("sd 2.1: decoding in tiles of 512 px, %d px"):format(8 * S), dtype = dtype,
    make = function()
      local m, z = random_model("vae", vae_config), T.randn({ 1, S, S, 4 }, { seed = 1 })
      return function() return m:decode(z, { tile = 512 }) end
    end,
  }
end

for _, S in ipairs { 96, 64 } do
  unet(S, "f32")
  unet(S, "bf16")
  vae(S, "f32")
  vae(S, "bf16")
end
tiled(96, "f32")

return rows
