--- A folder of the small model with random weights, so that tests need none that were trained.
package.path = "./recipes/micro/?.lua;" .. package.path
local weft = require "weft"
local configs = require "configs"

local M = {}

local files = {
  image_encoder = "model.safetensors", text_encoder = "model.safetensors",
  conditioner = "model.safetensors", audio_encoder = "model.safetensors",
  audio_conditioner = "model.safetensors", language_model = "model.safetensors",
  feature_in = "model.safetensors", feature_out = "model.safetensors",
  vocoder = "model.safetensors", depth_encoder = "model.safetensors",
  joint = "model.safetensors",
}

-- Widths that keep every kind of layer and make a step some ten times cheaper.
local narrow = {
  image_encoder = { hidden_size = 32, intermediate_size = 64, num_hidden_layers = 1,
    num_attention_heads = 2, stem = { type = "unshuffle", patch = 4, channels = { 48, 16, 16 } } },
  text_encoder = { hidden_size = 32, intermediate_size = 64, num_hidden_layers = 1,
    num_attention_heads = 2 },
  vae = { block_out_channels = { 16 } },
  unet = { block_out_channels = { 16, 32 }, cross_attention_dim = 32, time_embedding_dim = 32 },
  conditioner = { context_dim = 32, context_hidden_dim = 32, map_hidden_dim = 32 },
  audio_encoder = { hidden_size = 32, intermediate_size = 64, num_hidden_layers = 1,
    num_attention_heads = 2, stem = { type = "unshuffle", patch = 4, channels = { 16, 16, 16 } } },
}
narrow.depth_encoder = narrow.audio_encoder
narrow.joint = { hidden_dim = 16, num_layers = 1, time_embedding_dim = 16, image_dim = 32,
  audio_dim = 32 }
narrow.language_model = { hidden_size = 32, intermediate_size = 64, num_hidden_layers = 2,
  num_attention_heads = 2, num_key_value_heads = 2 }
narrow.feature_in = { hidden_dim = 32, out_dim = 32 }
narrow.feature_out = { in_dim = 32, hidden_dim = 32 }
for _, name in ipairs { "vae", "unet", "conditioner" } do
  narrow["audio_" .. name] = narrow[name]
end

local pictures = { "image_encoder", "text_encoder", "vae", "anchor", "unet", "conditioner" }
local sounds = { "image_encoder", "text_encoder", "audio_encoder", "audio_vae", "audio_unet",
  "audio_conditioner" }
local language = { "language_model", "feature_in", "feature_out" }

function M.write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

--- An empty folder of its own.
function M.temp()
  local path = os.tmpname()
  os.remove(path)
  assert(os.execute("mkdir -p " .. path) == 0)
  return path
end

function M.remove(dir)
  assert(dir:match "^/tmp/lua_")
  os.execute("rm -rf " .. dir)
end

--- The config of a part; is_narrow for the small widths.
---@param size? string  of the model, "micro" when not given
function M.config(name, is_narrow, size)
  return weft.with(configs[size or "micro"][name].config, is_narrow and narrow[name] or {})
end

--- Write the model into dir. Returns dir.
---@param opts? { narrow: boolean, seed: integer, sounds: boolean, pictures: boolean, language:
--- boolean, vocoder: boolean, depth: boolean, joint: boolean, size: string }  pictures is true when
--- not given
function M.make(dir, opts)
  opts = opts or {}
  local index = { _class_name = "MicroPipeline", _name = opts.size or "micro",
    tokenizer = { "weft", "tok" } }
  local names = {}
  for _, name in ipairs(opts.pictures ~= false and pictures or {}) do names[name] = true end
  for _, name in ipairs(opts.sounds and sounds or {}) do names[name] = true end
  names.vocoder, names.depth_encoder, names.joint = opts.vocoder, opts.depth, opts.joint
  for _, name in ipairs(opts.language and language or {}) do names[name] = true end
  for name in pairs(names) do
    local config = M.config(name, opts.narrow, opts.size)
    if name:find "vae$" then
      config.latents_mean, config.latents_std = {}, {}
      for i = 1, 8 do config.latents_mean[i], config.latents_std[i] = 0, 1 end
    end
    local part = weft.model.new(configs.micro[name].arch, config, { seed = opts.seed or 5 })
    part:save(dir .. "/" .. name, { dtype = "f16", file = files[name] })
    index[name] = { "weft", name }
  end
  os.execute(("mkdir -p %s/tokenizer %s/scheduler"):format(dir, dir))
  require("tokenizer").write(dir .. "/tokenizer")
  index.scheduler = { "weft", "scheduler" }
  M.write(dir .. "/scheduler/scheduler_config.json", weft.json.encode(configs.micro.scheduler))
  M.write(dir .. "/model_index.json", weft.json.encode(index))
  return dir
end

return M
