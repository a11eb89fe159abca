--- What a training recipe needs, and no trainer class.
--
--     local params = train.parameters{ unet = unet, mlp = mlp }
--     local opt = train.adamw{ params, lr = 1e-4 }
--     for step = 1, n do
--       local loss, grads = weft.grad(function() return train.mse(unet{ ... }, noise) end, params)
--       train.clip(grads, 1)
--       opt:step(grads, { lr = schedule(step) })
--     end
local core = require "weft.core"
local check = require "weft.check"
local ops = require "weft.ops"

local M = {}

-- ---- parameters ----

--- Names and tensors of a model, or of a table of tensors and models, in an order that stays.
local function collect(out, prefix, source)
  if check.is_tensor(source) then
    out[#out + 1], out.names[#out + 1] = source, prefix
  elseif type(source) == "table" and not source.parameters then
    local keys = {}
    for k in pairs(source) do keys[#keys + 1] = k end
    table.sort(keys, function(a, b)
      if type(a) == type(b) then return a < b end
      return type(a) == "number"
    end)
    for _, k in ipairs(keys) do
      collect(out, prefix == "" and tostring(k) or prefix .. "." .. k, source[k])
    end
  else
    for name, t in source:parameters() do
      collect(out, prefix == "" and name or prefix .. "." .. name, t)
    end
  end
end

--- A list of tensors with their names in `.names`: what weft.grad, adamw, ema and checkpoint take.
---@param source any  a model, or a table of models and tensors, nested
function M.parameters(source)
  local out = { names = {} }
  collect(out, "", source)
  if #out == 0 then check.fail("parameters: there are none") end
  return out
end

local function check_params(what, params)
  check.type(what .. ": params", params, "table")
  if not params[1] then check.fail("%s: params must be a list of tensors", what) end
  return params
end

-- ---- AdamW ----

---@class weft.AdamW
local AdamW = {}
AdamW.__index = AdamW

local function zeros_like(params)
  local out = {}
  for i, p in ipairs(params) do out[i] = core.full(p:size(), 0, "f32"):to(p.device) end
  return out
end

--- AdamW (Loshchilov and Hutter, arXiv:1711.05101), as torch.optim.AdamW.
---@param opts table  [1] or params: list of tensors; lr, betas = {0.9, 0.999}, eps = 1e-8,
--- weight_decay = 0.01, decay_vectors = true: whether biases and norms decay too
function M.adamw(opts)
  check.keys("adamw", check.type("adamw: options", opts, "table"),
    { "params", "lr", "betas", "eps", "weight_decay", "decay_vectors" }, true)
  local params = check_params("adamw", opts.params or opts[1])
  local betas = check.type("adamw: betas", opts.betas or { 0.9, 0.999 }, "table")
  for i = 1, 2 do
    check.number("adamw: betas", check.type("adamw: betas", betas[i], "number"), nil, 0, 1)
  end
  local decay = check.number("adamw: weight_decay", opts.weight_decay, 0.01, 0)
  return setmetatable({
    params = params, m = zeros_like(params), v = zeros_like(params), steps = 0,
    lr = check.number("adamw: lr", opts.lr, 1e-3, 0), beta1 = betas[1], beta2 = betas[2],
    eps = check.number("adamw: eps", opts.eps, 1e-8, 0), weight_decay = decay,
    vector_decay = opts.decay_vectors == false and 0 or decay,
  }, AdamW)
end

--- One step. grads as weft.grad returns them; a factor that train.clip noted is applied here.
---@param opts? { lr: number }
function AdamW:step(grads, opts)
  opts = check.keys("adamw: step", opts, { "lr" })
  check.type("adamw: grads", grads, "table")
  check.number("adamw: lr", opts.lr, nil, 0)
  core.adamw_step(self.params, self.m, self.v, grads, opts.lr or self.lr, self.beta1, self.beta2,
    self.eps, self.weight_decay, self.vector_decay, self.steps + 1, grads.scale or 1)
  self.steps = self.steps + 1
end

M.muon = function(...) return require("weft.muon").new(...) end

-- ---- gradients ----

--- Limit the norm of all gradients together. The values stay as they are: the factor is noted in
-- grads.scale and applied by the optimiser's step.
---@return number norm  before clipping
function M.clip(grads, max_norm)
  check.type("clip: grads", grads, "table")
  check.number("clip: max_norm", check.type("clip: max_norm", max_norm, "number"), nil, 0)
  local norm = core.grad_norm(grads)
  grads.scale = norm > max_norm and max_norm / norm or 1
  return norm
end

--- Add gradients to a sum over several batches; `sum = train.accumulate(sum, grads)`.
function M.accumulate(sum, grads)
  if not sum then return grads end
  for i, g in ipairs(grads) do
    if g and sum[i] then sum[i]:add_(g)
    elseif g then sum[i] = g end
  end
  return sum
end

-- ---- schedules ----

local shapes = {
  constant = function() return 1 end,
  linear = function(x) return 1 - x end,
  cosine = function(x) return 0.5 * (1 + math.cos(math.pi * x)) end,
}

--- The learning rate by step (from 1): `train.schedule{ "cosine", lr = 1e-3, warmup = 500, steps =
-- 20000, final = 1e-5 }`. It rises in a line over warmup steps, then goes from lr to final.
---@return fun(step: integer): number
function M.schedule(opts)
  check.keys("schedule", check.type("schedule: options", opts, "table"),
    { "kind", "lr", "warmup", "steps", "final" }, true)
  local kind = check.choice("schedule: kind", opts.kind or opts[1], "constant",
    { "constant", "linear", "cosine" })
  local lr = check.number("schedule: lr", opts.lr, 1e-3, 0)
  local final = check.number("schedule: final", opts.final, 0, 0)
  local warmup = check.int("schedule: warmup", opts.warmup, 0, 0)
  local steps = check.int("schedule: steps", opts.steps, nil, 1)
  if not steps and kind ~= "constant" then check.fail("schedule: steps is missing") end
  return function(step)
    if step <= warmup then return lr * step / warmup end
    if kind == "constant" then return lr end
    local x = math.min((step - warmup) / math.max(steps - warmup, 1), 1)
    return final + (lr - final) * shapes[kind](x)
  end
end

-- ---- moving averages ----

---@class weft.Ema
local Ema = {}
Ema.__index = Ema

--- A moving average of parameters, in f32. Early steps weigh more, so that the first values are
-- forgotten: the decay at update n is at most (1 + n) / (10 + n).
---@param opts? { decay: number, warmup: boolean }
function M.ema(params, opts)
  opts = check.keys("ema", opts, { "decay", "warmup" })
  check_params("ema", params)
  local tensors = {}
  for i, p in ipairs(params) do tensors[i] = p.dtype == "f32" and p:clone() or p:to "f32" end
  return setmetatable({
    params = params, tensors = tensors, updates = 0, warmup = opts.warmup ~= false,
    decay = check.number("ema: decay", opts.decay, 0.999, 0, 1),
  }, Ema)
end

--- After each step.
function Ema:update()
  local n = self.updates
  local decay = self.warmup and math.min(self.decay, (1 + n) / (10 + n)) or self.decay
  core.average_step(self.tensors, self.params, 1 - decay)
  self.updates = n + 1
end

local function swap(self)
  for i, p in ipairs(self.params) do
    core.scope(function()
      local held = p:clone()
      p:copy_(self.tensors[i])
      self.tensors[i]:copy_(held)
    end)
  end
end

--- Call f with the averages in the parameters' place; they are put back, error or not.
function Ema:with(f, ...)
  swap(self)
  local function pack(ok, ...)
    swap(self)
    if not ok then error((...), 0) end
    return ...
  end
  return pack(pcall(f, ...))
end

--- Make the parameters the averages, for good.
function Ema:apply()
  for i, p in ipairs(self.params) do p:copy_(self.tensors[i]) end
end

-- ---- losses ----

M.mse = ops.mse

--- logits [...,V], ids [...]: mean over the rows whose id is not ignore (-100).
---@param opts? { ignore: integer }
function M.cross_entropy(logits, ids, opts) return ops.cross_entropy(logits, ids, opts) end

--- Contrastive loss of matching rows a [B,C] and b [B,C], both ways.
-- Source: Radford et al., arXiv:2103.00020, figure 3.
---@param scale number|weft.Tensor  1 / temperature
function M.info_nce(a, b, scale)
  check.tensor("info_nce: a", a)
  check.tensor("info_nce: b", b)
  if a:size(1) ~= b:size(1) or a:size(2) ~= b:size(2) then
    check.fail("info_nce: a is [%s], b [%s]: rows must match", table.concat(a:size(), ","),
      table.concat(b:size(), ","))
  end
  local logits = ops.normalize(a):matmul(ops.normalize(b), { trans_b = true }) * (scale or 1)
  local ids = core.arange(0, 1, a:size(1), "i64"):to(a.device)
  return (ops.cross_entropy(logits, ids) + ops.cross_entropy(logits:t(), ids)) * 0.5
end

--- Divergence of N(mean, exp(logvar)) from N(0, 1): the sum over values, the mean over the batch.
function M.kl(mean, logvar)
  check.tensor("kl: mean", mean)
  check.tensor("kl: logvar", logvar)
  local each = mean:square() + logvar:exp() - 1 - logvar
  return each:sum() * (0.5 / mean:size(1))
end

M.checkpoint = function(...) return require("weft.checkpoint").new(...) end
M.log = function(...) return require("weft.trainlog").new(...) end

return M
