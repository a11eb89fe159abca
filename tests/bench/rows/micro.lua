--- Training steps of the small model's parts, and a picture, as recipes/micro trains and makes
-- them: forward, backward, clipping and optimiser on one fixed batch of random numbers.
package.path = "./recipes/micro/?.lua;" .. package.path
local configs = require "configs"
local weft = require "weft"
local parts = require "weft.pipeline.micro_parts"
local T, train = weft.tensor, weft.train

local rows = {}
local UNET_BATCH, TOWER_BATCH, VAE_BATCH = 48, 192, 48
local side, channels, width, tokens = configs.latent_size, configs.latent_channels,
  configs.feature_width, configs.text_tokens

local function model(name, seed)
  local part = configs.micro[name]
  return weft.model.new(part.arch, part.config, { seed = seed })
end

--- A step that takes the loss of f down.
local function trainer(params, f)
  local opt = train.adamw { params, lr = 1e-4 }
  return function()
    local loss, grads = weft.grad(f, params)
    train.clip(grads, 1)
    opt:step(grads)
    return loss
  end
end

local function add(name, batch, spec, make)
  spec.batch, spec.op = batch, name
  for _, dtype in ipairs { "f32", "bf16" } do
    rows[#rows + 1] = {
      group = "train", name = "train " .. name, dtype = dtype, spec = spec, items = batch,
      unit = "examples", make = make,
    }
  end
end

add("unet", UNET_BATCH, {
  unet = configs.micro.unet.config, conditioner = configs.micro.conditioner.config,
  side = side, channels = channels, width = width, tokens = tokens,
}, function()
  local unet, conditioner = model("unet", 1), model("conditioner", 2)
  local B = UNET_BATCH
  local sample, source, v = T.randn({ B, side, side, channels }, { seed = 3 }),
    T.randn({ B, side, side, channels }, { seed = 4 }),
    T.randn({ B, side, side, channels }, { seed = 5 })
  local feature = weft.normalize(T.randn({ B, width }, { seed = 6 }))
  local words, mask = T.randn({ B, tokens, 96 }, { seed = 7 }), T.ones({ B, tokens })
  local t = T(parts.training_times(B, 8))
  return trainer(train.parameters { unet = unet, conditioner = conditioner }, function()
    local c = parts.condition(conditioner, feature, words, mask)
    return train.mse(parts.denoise(unet, sample, t, source, c), v)
  end)
end)

add("towers", TOWER_BATCH, {
  image = configs.micro.image_encoder.config, text = configs.micro.text_encoder.config,
}, function()
  local image, text, B = model("image_encoder", 1), model("text_encoder", 2), TOWER_BATCH
  local log_scale = T.full({ 1 }, math.log(1 / 0.07))
  local pixels = T.randn({ B, 64, 64, 3 }, { seed = 3 })
  local ids = (T.rand({ B, tokens }, { seed = 4 }) * 760):to "i64"
  local rows_of = T.arange(0, B - 1, 1, { dtype = "i64" })
  local params = train.parameters { image = image, text = text, scale = log_scale }
  return trainer(params, function()
    local a = weft.normalize(image { pixels = pixels }.embeds)
    local b = weft.normalize(text { ids = ids }.embeds)
    local logits = a:matmul(b:t()) * log_scale:exp()
    return (weft.cross_entropy(logits, rows_of) + weft.cross_entropy(logits:t(), rows_of)) * 0.5
  end)
end)

add("vae", VAE_BATCH, { vae = configs.micro.vae.config }, function()
  local vae, B = model("vae", 1), VAE_BATCH
  local x = T.randn({ B, 64, 64, 3 }, { seed = 2 })
  local noise = T.randn({ B, side, side, channels }, { seed = 3 })
  return trainer(train.parameters(vae), function()
    local z = vae:encode(x)
    local d = vae:decode(z.mean + noise * (z.logvar * 0.5):exp()) - x
    local kl = (z.mean:square() + z.logvar:exp() - z.logvar - 1):mean() * 0.5
    return d:abs():mean() + d:square():mean() * 2 + kl * 3e-4
  end)
end)

--- Answers of the model that ships: what a person waits for.
local RED = "a large plain red cat at the left in the snow"
local function answer(name, make)
  rows[#rows + 1] = {
    group = "picture", name = name, dtype = "f32", spec = {},
    make = function()
      local m = weft.load "micro"
      return make(m, m:image { RED, seed = 7 })
    end,
  }
end

answer("picture of 25 steps with guidance", function(m)
  return function() m:image { RED, steps = 25, guidance = 3, seed = 7 } end
end)
answer("the same of a picture edited as told", function(m, cat)
  return function() m:image { cat, "put it at night", steps = 25, guidance = 3, seed = 7 } end
end)
answer("sound of 25 steps with guidance", function(m)
  return function() m:audio { "a low drum", steps = 25, guidance = 3, seed = 7 } end
end)
answer("picture and sound made together", function(m)
  return function()
    m:generate { RED, to = { "image", "audio" }, steps = 25, guidance = 3, seed = 7 }
  end
end)
answer("video of 25 steps with guidance", function(m)
  return function() m:video { RED .. " moving left", steps = 25, guidance = 3, seed = 7 } end
end)
answer("a picture described in words", function(m, cat)
  return function() m:text { "describe", cat } end
end)

return rows
