--- The parts of the small model as configs of the engine's architectures, in the public layouts, at
-- two sizes: "micro", which ships, and "mini".
--
-- The feature that conditions the denoiser enters it three ways, made by the conditioner: as class
-- labels (added to the time embedding), as context tokens (cross-attention) and as a map beside the
-- latents, which holds a layout: what stands where, as train/labels.lua lists it.
local M = {}

-- The same at every size.
M.latent_channels = 8
M.latent_size = 16
M.map_channels = 32
M.map_size = 8
-- From this mean difference of unit latents on, a place is one that an edit changes.
M.edit_change = 0.25
M.frames, M.motion_hidden = 8, 128
M.layout_channels = { picture = 42, sound = 32 }
-- How far right and down of the middle of their cells things stand, and how large; what becomes of
-- it, as weft.pipeline.micro_anchor has it, behind so many hidden values; and what a denoiser is
-- told of it: how far off, and where in its thing a latent lies (weft.pipeline.micro_frame).
M.anchor_channels, M.carry_channels, M.carry_hidden, M.standing_channels = 3, 6, 64, 13

-- What differs. Towers: width and layers; `unet` lists the channels of the denoisers' levels, of
-- which the second attends, `unet_layers` the blocks a level; widths over heads are 32 in towers
-- and language model, 24 in denoisers.
local MICRO = {
  feature_width = 128, text_tokens = 40, language_width = 192,
  tower = 128, tower_layers = 3, text = 96, text_layers = 3, text_heads = 4, vae = 64,
  unet = { 48, 96 }, unet_layers = { 3, 2 }, time = 160,
  context_hidden = 256, map_hidden = 512, layout_hidden = 512,
  language_layers = 8, language_mlp = 512,
}
local MINI = {
  feature_width = 192, text_tokens = 48, language_width = 256,
  tower = 160, tower_layers = 4, text = 160, text_layers = 4, text_heads = 5, vae = 80,
  unet = { 72, 144, 144 }, unet_layers = 1, time = 288,
  context_hidden = 384, map_hidden = 768, layout_hidden = 768,
  language_layers = 6, language_mlp = 704,
}

-- The id of </text> in tokenizer.json, where the text tower reads its feature.
local END_OF_TEXT = 266

-- Pictures and mels have latents of one shape, so their parts differ in channels at most.

--- Types of a denoiser's levels from the top down: the second attends; `kind` is "2D" or "3D".
local function levels(d, kind)
  local down, up, n = {}, {}, #d.unet
  for i = 1, n do
    local cross = i == 2 and "CrossAttn" or ""
    down[i], up[n + 1 - i] = cross .. "DownBlock" .. kind, cross .. "UpBlock" .. kind
  end
  return down, up
end

--- layout: channels of what the conditioner says of places; standing: of where things are in them.
local function unet(d, layout, standing)
  local down, up = levels(d, "2D")
  return {
    arch = "unet2d",
    config = {
      _class_name = "UNet2DConditionModel", sample_size = M.latent_size,
      in_channels = 2 * M.latent_channels + 6 + standing + M.map_channels + layout,
      out_channels = M.latent_channels,
      block_out_channels = d.unet, layers_per_block = d.unet_layers,
      down_block_types = down, mid_block_type = "UNetMidBlock2DCrossAttn", up_block_types = up,
      -- how many heads
      attention_head_dim = d.unet[2] / 24, cross_attention_dim = d.text,
      use_linear_projection = true,
      norm_num_groups = 8, norm_eps = 1e-5, act_fn = "silu", flip_sin_to_cos = true, freq_shift = 0,
      class_embed_type = "projection", projection_class_embeddings_input_dim = d.feature_width,
      resnet_time_scale_shift = "scale_shift", time_embedding_dim = d.time,
    },
  }
end

--- layout: channels of what it says of places; of_sounds: of slots, which are rows, by more than a
-- linear map, which reads several voices badly.
local function conditioner(d, layout, of_sounds)
  return {
    arch = "conditioner",
    config = {
      _class_name = "FeatureConditioner", feature_dim = d.feature_width,
      context_tokens = 4, context_dim = d.text, context_hidden_dim = d.context_hidden,
      map_channels = M.map_channels, map_size = M.map_size, map_hidden_dim = d.map_hidden,
      layout_channels = layout, layout_columns = of_sounds and 1 or nil,
      layout_hidden_dim = of_sounds and d.layout_hidden or nil,
    },
  }
end

--- What reads from latents how their things stand: shaped as a denoiser, of one time.
local function anchor()
  return {
    arch = "unet2d",
    config = {
      _class_name = "UNet2DConditionModel", sample_size = M.latent_size,
      in_channels = M.latent_channels + 6, out_channels = M.anchor_channels,
      block_out_channels = { 12, 16 },
      layers_per_block = 1, down_block_types = { "DownBlock2D", "DownBlock2D" },
      mid_block_type = "UNetMidBlock2D", up_block_types = { "UpBlock2D", "UpBlock2D" },
      norm_num_groups = 4, norm_eps = 1e-5, act_fn = "silu", flip_sin_to_cos = true, freq_shift = 0,
      time_embedding_dim = 16, attention_head_dim = 4, cross_attention_dim = 4,
    },
  }
end

--- channels: 3 of a picture, 1 of a mel.
local function vae(channels, width)
  return {
    arch = "vae",
    config = {
      _class_name = "AutoencoderKL", in_channels = channels, out_channels = channels,
      patch_size = 4, latent_channels = M.latent_channels, block_out_channels = { width },
      layers_per_block = 1,
      down_block_types = { "DownEncoderBlock2D" }, up_block_types = { "UpDecoderBlock2D" },
      norm_num_groups = 8, act_fn = "silu", sample_size = 64, mid_block_add_attention = false,
      use_quant_conv = false, use_post_quant_conv = false, scaling_factor = 1,
    },
  }
end

--- A tower of what is seen or heard, 64x64 of so many channels. Its feature is a linear map of all
-- tokens, so that which thing stands where can be read from it.
local function tower(d, channels, layers)
  return {
    arch = "clip_vision",
    config = {
      architectures = { "CLIPVisionModelWithProjection" }, model_type = "clip_vision_model",
      hidden_size = d.tower, intermediate_size = 4 * d.tower, num_hidden_layers = layers,
      num_attention_heads = d.tower / 32, image_size = 64, patch_size = 16,
      num_channels = channels, projection_dim = d.feature_width,
      projection_input = "tokens", hidden_act = "gelu", layer_norm_eps = 1e-5,
      stem = { type = "unshuffle", patch = 4, channels = { 16 * channels, 64, 96 } },
    },
  }
end

local function text_tower(d)
  return {
    arch = "clip_text",
    config = {
      architectures = { "CLIPTextModelWithProjection" }, model_type = "clip_text_model",
      vocab_size = 768, hidden_size = d.text, intermediate_size = 4 * d.text,
      num_hidden_layers = d.text_layers, num_attention_heads = d.text_heads,
      max_position_embeddings = d.text_tokens, projection_dim = d.feature_width,
      hidden_act = "gelu", layer_norm_eps = 1e-5,
      bos_token_id = 1, eos_token_id = END_OF_TEXT, pad_token_id = 0,
    },
  }
end

--- Connectors between two denoisers. Each tells 4 x 4 cells of itself: of a sound, two slots of
-- time by a quarter of the bands.
local function joint(d)
  local widest = d.unet[#d.unet]
  return {
    arch = "joint",
    config = {
      _class_name = "JointConnectors", in_channels = M.latent_channels, patch_size = 2,
      hidden_dim = 48, num_layers = 2, norm_num_groups = 8, time_embedding_dim = 64,
      environment_dim = 32, num_attention_heads = 4, image_grid = { 4, 4 }, audio_grid = { 4, 4 },
      image_dim = widest, audio_dim = widest,
    },
  }
end

local function language_model(d)
  return {
    arch = "llama",
    config = {
      architectures = { "LlamaForCausalLM" }, model_type = "llama", vocab_size = 768,
      hidden_size = d.language_width, intermediate_size = d.language_mlp,
      num_hidden_layers = d.language_layers, num_attention_heads = d.language_width / 32,
      num_key_value_heads = d.language_width / 32, max_position_embeddings = 512,
      rms_norm_eps = 1e-5, rope_theta = 10000, tie_word_embeddings = true, hidden_act = "silu",
      bos_token_id = 1, eos_token_id = 2, pad_token_id = 0, initializer_range = 0.02,
    },
  }
end

local function projector(from, hidden, to)
  return {
    arch = "projector",
    config = { _class_name = "FeatureProjector", in_dim = from, hidden_dim = hidden, out_dim = to },
  }
end

--- The denoiser of videos: that of pictures with layers over frames, whose attention reads the
-- context too; a frame's number is embedded beside the time, and the map has one channel more, of
-- calls. Trained from the weights of `unet`.
local function unet_video(d)
  local config = unet(d, M.layout_channels.picture, M.standing_channels).config
  local down, up = levels(d, "3D")
  for key, value in pairs {
    _class_name = "UNet3DConditionModel", in_channels = config.in_channels + 1,
    mid_block_type = "UNetMidBlock3DCrossAttn",
    down_block_types = down, up_block_types = up,
    attention_head_dim = 24,              -- the width of a head: as many heads as of pictures
    temporal_conv_layers = 1, temporal_cross_attention = true, transformer_in = false,
    frame_embedding_dim = 32,
  } do config[key] = value end
  return { arch = "unet3d", config = config }
end

local function vocoder()
  return {
    arch = "hifigan",
    config = {
      architectures = { "SpeechT5HifiGan" }, model_type = "hifigan", model_in_dim = 64,
      sampling_rate = 8000, upsample_initial_channel = 96, upsample_rates = { 8, 4, 2, 2 },
      upsample_kernel_sizes = { 16, 8, 4, 4 }, resblock_kernel_sizes = { 3, 7 },
      resblock_dilation_sizes = { { 1, 3 }, { 1, 3 } }, leaky_relu_slope = 0.1,
      normalize_before = false,
    },
  }
end

local scheduler = {
  _class_name = "DDIMScheduler", num_train_timesteps = 1000, beta_schedule = "squaredcos_cap_v2",
  prediction_type = "v_prediction", timestep_spacing = "trailing", clip_sample = false,
  set_alpha_to_one = true, steps_offset = 0,
}

--- Every part at a size.
local function parts(d)
  local seen, heard = M.layout_channels.picture, M.layout_channels.sound
  return {
    image_encoder = tower(d, 3, d.tower_layers), audio_encoder = tower(d, 1, d.tower_layers),
    depth_encoder = tower(d, 1, 2), text_encoder = text_tower(d),
    vae = vae(3, d.vae), unet = unet(d, seen, M.standing_channels),
    conditioner = conditioner(d, seen),
    audio_vae = vae(1, 64), audio_unet = unet(d, heard, 0),
    audio_conditioner = conditioner(d, heard, true),
    unet_video = unet_video(d), vocoder = vocoder(),
    anchor = anchor(), motion = projector(d.text, M.motion_hidden, 4 * M.frames),
    joint = joint(d), language_model = language_model(d),
    feature_in = projector(d.feature_width, d.language_width, d.language_width),
    feature_out = projector(d.language_width, d.feature_width, d.feature_width),
    anchor_out = projector(d.language_width, M.carry_hidden, M.carry_channels),
    scheduler = scheduler,
  }
end

M.micro, M.mini = parts(MICRO), parts(MINI)

local dims = { micro = MICRO, mini = MINI }

--- Take a size: `parts` are its parts; feature_width, text_tokens and language_width its widths.
---@param size "micro"|"mini"
function M.use(size)
  local d = dims[size]
  M.size, M.parts = size, M[size]
  M.feature_width, M.text_tokens = d.feature_width, d.text_tokens
  M.language_width = d.language_width
end

--- Whether a name is that of a size.
function M.is_size(name) return dims[name] ~= nil end

M.use "micro"

return M
