--- The parts of the small model as configs of the engine's architectures, in the public layouts.
--
-- "micro" is what ships. The feature that conditions the denoiser enters it three ways, made by
-- the conditioner: as class labels (added to the time embedding), as context tokens
-- (cross-attention) and as a map beside the latents.
local M = {}

M.feature_width = 128
M.latent_channels = 8
M.latent_size = 16
M.map_channels = 32
M.text_tokens = 40
M.language_width = 192

-- The id of </text> in tokenizer.json, where the text tower reads its feature.
local END_OF_TEXT = 266

-- Pictures and mels have latents of one shape, so their parts differ in channels at most.

local function unet()
  return {
    arch = "unet2d",
    config = {
      _class_name = "UNet2DConditionModel", sample_size = M.latent_size,
      in_channels = 2 * M.latent_channels + 6 + M.map_channels, out_channels = M.latent_channels,
      block_out_channels = { 48, 96 }, layers_per_block = 1,
      down_block_types = { "DownBlock2D", "CrossAttnDownBlock2D" },
      mid_block_type = "UNetMidBlock2DCrossAttn",
      up_block_types = { "CrossAttnUpBlock2D", "UpBlock2D" },
      attention_head_dim = 4, cross_attention_dim = 96, use_linear_projection = true,
      norm_num_groups = 8, norm_eps = 1e-5, act_fn = "silu", flip_sin_to_cos = true, freq_shift = 0,
      class_embed_type = "projection", projection_class_embeddings_input_dim = M.feature_width,
      resnet_time_scale_shift = "scale_shift", time_embedding_dim = 160,
    },
  }
end

local function conditioner()
  return {
    arch = "conditioner",
    config = {
      _class_name = "FeatureConditioner", feature_dim = M.feature_width,
      context_tokens = 4, context_dim = 96, context_hidden_dim = 256,
      map_channels = M.map_channels, map_size = 8, map_hidden_dim = 512,
    },
  }
end

--- channels: 3 of a picture, 1 of a mel.
local function vae(channels)
  return {
    arch = "vae",
    config = {
      _class_name = "AutoencoderKL", in_channels = channels, out_channels = channels,
      patch_size = 4, latent_channels = M.latent_channels, block_out_channels = { 64 },
      layers_per_block = 1,
      down_block_types = { "DownEncoderBlock2D" }, up_block_types = { "UpDecoderBlock2D" },
      norm_num_groups = 8, act_fn = "silu", sample_size = 64, mid_block_add_attention = false,
      use_quant_conv = false, use_post_quant_conv = false, scaling_factor = 1,
    },
  }
end

--- A tower of what is seen or heard, 64x64 of so many channels.
local function tower(channels)
  return {
    arch = "clip_vision",
    config = {
      architectures = { "CLIPVisionModelWithProjection" }, model_type = "clip_vision_model",
      hidden_size = 128, intermediate_size = 512, num_hidden_layers = 3, num_attention_heads = 4,
      image_size = 64, patch_size = 16, num_channels = channels, projection_dim = M.feature_width,
      hidden_act = "gelu", layer_norm_eps = 1e-5,
      stem = { type = "unshuffle", patch = 4, channels = { 16 * channels, 64, 96 } },
    },
  }
end

M.micro = {
  image_encoder = tower(3),
  text_encoder = {
    arch = "clip_text",
    config = {
      architectures = { "CLIPTextModelWithProjection" }, model_type = "clip_text_model",
      vocab_size = 768, hidden_size = 96, intermediate_size = 384, num_hidden_layers = 2,
      num_attention_heads = 4, max_position_embeddings = M.text_tokens,
      projection_dim = M.feature_width, hidden_act = "gelu", layer_norm_eps = 1e-5,
      bos_token_id = 1, eos_token_id = END_OF_TEXT, pad_token_id = 0,
    },
  },
  vae = vae(3), unet = unet(), conditioner = conditioner(),
  audio_encoder = tower(1), audio_vae = vae(1), audio_unet = unet(),
  audio_conditioner = conditioner(),
  -- Each tells 4 x 4 cells of itself: of a sound, two slots of time by a quarter of the bands.
  joint = {
    arch = "joint",
    config = {
      _class_name = "JointConnectors", in_channels = M.latent_channels, patch_size = 2,
      hidden_dim = 48, num_layers = 2, norm_num_groups = 8, time_embedding_dim = 64,
      environment_dim = 32, num_attention_heads = 4, image_grid = { 4, 4 }, audio_grid = { 4, 4 },
      image_dim = 96, audio_dim = 96,
    },
  },
  language_model = {
    arch = "llama",
    config = {
      architectures = { "LlamaForCausalLM" }, model_type = "llama", vocab_size = 768,
      hidden_size = M.language_width, intermediate_size = 512, num_hidden_layers = 5,
      num_attention_heads = 6, num_key_value_heads = 6, max_position_embeddings = 512,
      rms_norm_eps = 1e-5, rope_theta = 10000, tie_word_embeddings = true, hidden_act = "silu",
      bos_token_id = 1, eos_token_id = 2, pad_token_id = 0, initializer_range = 0.02,
    },
  },
  feature_in = {
    arch = "projector",
    config = { _class_name = "FeatureProjector", in_dim = M.feature_width,
               hidden_dim = M.language_width, out_dim = M.language_width },
  },
  feature_out = {
    arch = "projector",
    config = { _class_name = "FeatureProjector", in_dim = M.language_width,
               hidden_dim = M.feature_width, out_dim = M.feature_width },
  },
  vocoder = {
    arch = "hifigan",
    config = {
      architectures = { "SpeechT5HifiGan" }, model_type = "hifigan", model_in_dim = 64,
      sampling_rate = 8000, upsample_initial_channel = 96, upsample_rates = { 8, 4, 2, 2 },
      upsample_kernel_sizes = { 16, 8, 4, 4 }, resblock_kernel_sizes = { 3, 7 },
      resblock_dilation_sizes = { { 1, 3 }, { 1, 3 } }, leaky_relu_slope = 0.1,
      normalize_before = false,
    },
  },
  scheduler = {
    _class_name = "DDIMScheduler", num_train_timesteps = 1000, beta_schedule = "squaredcos_cap_v2",
    prediction_type = "v_prediction", timestep_spacing = "trailing", clip_sample = false,
    set_alpha_to_one = true, steps_offset = 0,
  },
}

-- The denoiser of videos: that of pictures with layers over frames, whose attention reads the
-- context too; a frame's number is embedded beside the time. Trained from the weights of `unet`.
M.unet_video = { arch = "unet3d", config = {} }
for key, value in pairs(M.micro.unet.config) do M.unet_video.config[key] = value end
for key, value in pairs {
  _class_name = "UNet3DConditionModel", mid_block_type = "UNetMidBlock3DCrossAttn",
  down_block_types = { "DownBlock3D", "CrossAttnDownBlock3D" },
  up_block_types = { "CrossAttnUpBlock3D", "UpBlock3D" },
  attention_head_dim = 24,              -- the width of a head: 4 heads, as of pictures
  temporal_conv_layers = 1, temporal_cross_attention = true, transformer_in = false,
  frame_embedding_dim = 32,
} do M.unet_video.config[key] = value end

return M
