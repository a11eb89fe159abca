--- What the stages of the judges share: a small tower, the loop, and how well it judges.
--
-- A judge knows the whole world, hold-outs too, and is trained with seeds of its own. Nothing that
-- it judges is trained with it or shares a weight with it.
local weft = require "weft"
local configs = require "configs"
local labels = require "labels"
local new_learner = require "learner"
local rng = require "world.rng"
local run = require "run"
local train = weft.train

local M = {}

--- A tower of 64x64 pixels: convolutions of stride 2 down to 4x4 tokens, then one layer of
-- attention. `pooled` is its feature, `embeds` a linear map of that.
---@param o { channels: integer, width: integer, out: integer, seed: integer }
function M.tower(o)
  local config = weft.with(configs.micro.image_encoder.config, {
    num_channels = o.channels, hidden_size = o.width, intermediate_size = 48,
    num_hidden_layers = 1, projection_dim = o.out, projection_input = "class",
    stem = { type = "unshuffle", patch = 2, channels = { 4 * o.channels, 16, 32, 32 } },
  })
  return weft.model.new("clip_vision", config, { seed = o.seed })
end

--- Train models, by the names of their folders, and save them; then they are what was saved.
---@param p table  steps, lr, warmup, out, work, stop
---@param models table<string, weft.Model>
---@param extra? weft.Net  trained with them and dropped
---@param batch fun(i: integer): table
---@param loss fun(b: table): weft.Tensor, weft.Tensor  and a share of what was right
function M.train(p, models, extra, batch, loss)
  local params = train.parameters { models = models, extra = extra }
  local learner = new_learner(p, params,
    { betas = { 0.9, 0.98 }, weight_decay = 0.05, ema = 0.998 })
  local function step(i)
    local b = batch(i)
    local value, grads, right = weft.grad(function() return loss(b) end, params)
    local norm = learner:step(i, grads)
    return { loss = value:item(), right = right:item(), norm = norm }
  end
  run.loop {
    p = p, learner = learner, step = step,
    finish = function()
      for name, model in pairs(models) do run.write(p.out, name, model) end
    end,
  }
  learner.ema:apply()
end

--- Print shares of what is right, in the order of the names.
function M.show(label, shares)
  local cells = {}
  for name, share in pairs(shares) do cells[#cells + 1] = ("%s %.3f"):format(name, share) end
  table.sort(cells)
  print(("%-10s %s"):format(label, table.concat(cells, "  ")))
end

--- Train a judge of the labels of drawn records, and print how well it does on fresh ones.
---@param name string  of its folder
---@param p table      as train's, and batch and n
---@param o { draw: fun(r: world.Rng): table, pixels: fun(list: table[]): weft.Tensor,
--- labels: fun(list: table[]): weft.Tensor, set: table }
function M.train_labels(name, p, judge, o)
  local function drawn(stage, i, n)
    local out = {}
    for k = 1, n do out[k] = o.draw(rng.new(stage, i * n + k)) end
    return out
  end
  local function batch(i)
    local list = drawn("judge-" .. name, i, p.batch)
    return { pixels = o.pixels(list), has = o.labels(list) }
  end
  M.train(p, { [name] = judge }, nil, batch, function(b)
    local logits = judge { pixels = b.pixels }.embeds
    local right = logits:gt(0):to("f32"):eq(b.has):to("f32"):min({ 2 }):mean()
    return labels.loss(logits, b.has), right
  end)
  weft.scope(function()
    local list = drawn(("judge-%s-check"):format(name), 0, p.n)
    M.show(name, labels.accuracy(o.set, judge { pixels = o.pixels(list) }.embeds, o.labels(list)))
  end)
end

return M
