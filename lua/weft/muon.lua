--- Muon: momentum whose matrices are made orthogonal before each step, with AdamW for the rest.
--
-- Source: Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024); scaled
-- as in Liu et al., arXiv:2502.16982, so that the rates and decay of AdamW carry over; the step of
-- a matrix equals torch.optim.Muon's with adjust_lr_fn = "match_rms_adamw".
local check = require "weft.check"
local core = require "weft.core"

local M = {}
---@class weft.Muon
---@field m weft.Tensor[]        momentum of each parameter
---@field v (weft.Tensor|false)[]  second moments of those that AdamW steps
local Muon = {}
Muon.__index = Muon

-- Newton-Schulz iteration x <- a x + (b x x' + c (x x')^2) x: singular values go to about 1.
local A, B, C = 3.4445, -4.7750, 2.0315
local EPS = 1e-7
-- Root mean square of AdamW's steps, as measured by Liu et al.
local RMS = 0.2

--- A matrix [R,K], R <= K, with all its singular values made about 1.
local function orthogonal(x, steps)
  x = x * (1 / math.max(core.grad_norm { x }, EPS))
  for _ = 1, steps do
    local square = x:matmul(x, { trans_b = true })
    x = x * A + (square * B + square:matmul(square) * C):matmul(x)
  end
  return x
end

--- What a step takes from a parameter at rate 1, of its shape. Kernels of convolutions are matrices
-- of what comes out by all that goes in.
local function direction(u, steps)
  local size = u:size()
  local x = u:reshape(size[1], -1)
  local is_tall = x:size(1) > x:size(2)
  if is_tall then x = x:t():contiguous() end
  local scale = RMS * math.sqrt(x:size(2))
  x = orthogonal(x, steps)
  if is_tall then x = x:t():contiguous() end
  return x:reshape(unpack(size)) * scale
end

--- Matrices between layers. Rows of an embedding are vectors of their own; the layers that a time's
-- embedding goes through are not.
local function is_hidden(name, t)
  return #t:size() >= 2 and not name:find "embed[%w_]*%.weight$"
end

local KEYS = { "params", "lr", "momentum", "steps", "weight_decay", "betas", "eps",
  "decay_vectors", "is_matrix" }

--- Numbers of the parameters that are stepped as matrices, and of the others.
local function sort_out(params, is_matrix)
  local matrices, others = {}, {}
  for i, t in ipairs(params) do
    local list = is_matrix(params.names and params.names[i] or "", t) and matrices or others
    list[#list + 1] = i
  end
  return matrices, others
end

--- The optimiser of a list of parameters, in whose `names` embeddings are found.
---@param opts table  [1] or params; lr = 1e-3, momentum = 0.95, steps = 5 of the iteration,
--- weight_decay = 0.01; betas, eps and decay_vectors of AdamW; is_matrix(name, t): which parameters
--- are stepped as matrices, by default those of two dimensions and more but for embeddings
---@return weft.Muon
function M.new(opts)
  check.keys("muon", check.type("muon: options", opts, "table"), KEYS, true)
  local params = check.type("muon: params", opts.params or opts[1], "table")
  if not params[1] then check.fail "muon: params must be a list of tensors" end
  local is_matrix = check.type("muon: is_matrix", opts.is_matrix or is_hidden, "function")
  local self = setmetatable({
    params = params, m = {}, v = {}, steps = 0, lr = check.number("muon: lr", opts.lr, 1e-3, 0),
    momentum = check.number("muon: momentum", opts.momentum, 0.95, 0, 1),
    iterations = check.int("muon: steps", opts.steps, 5, 1),
    weight_decay = check.number("muon: weight_decay", opts.weight_decay, 0.01, 0),
  }, Muon)
  self.matrices, self.others = sort_out(params, is_matrix)
  local rest = {}
  for k, i in ipairs(self.others) do rest[k] = params[i] end
  self.adamw = rest[1] and require("weft.train").adamw { rest, betas = opts.betas, eps = opts.eps,
    weight_decay = opts.weight_decay, decay_vectors = opts.decay_vectors }
  for k, i in ipairs(self.others) do self.m[i], self.v[i] = self.adamw.m[k], self.adamw.v[k] end
  for _, i in ipairs(self.matrices) do
    self.m[i], self.v[i] = core.full(params[i]:size(), 0, "f32"):to(params[i].device), false
  end
  return self
end

--- Step one matrix.
local function step_matrix(self, p, m, g, lr)
  local want, got = table.concat(p:size(), ","), table.concat(g:size(), ",")
  if want ~= got then check.fail("muon: a gradient is [%s], its parameter [%s]", got, want) end
  core.scope(function()
    m:copy_(m * self.momentum + g * (1 - self.momentum))
    local ahead = m * self.momentum + g * (1 - self.momentum)
    p:copy_(p * (1 - lr * self.weight_decay) - direction(ahead, self.iterations) * lr)
  end)
end

--- One step. grads as weft.grad returns them; a factor that train.clip noted is applied here.
---@param opts? { lr: number }
function Muon:step(grads, opts)
  opts = check.keys("muon: step", opts, { "lr" })
  check.type("muon: grads", grads, "table")
  if #grads ~= #self.params then
    check.fail("muon: %d gradients, %d parameters", #grads, #self.params)
  end
  local lr, scale = check.number("muon: lr", opts.lr, self.lr, 0), grads.scale or 1
  if self.adamw then
    local rest = { scale = scale }
    for k, i in ipairs(self.others) do rest[k] = grads[i] end
    self.adamw.steps = self.steps
    self.adamw:step(rest, { lr = lr })
  end
  for _, i in ipairs(self.matrices) do
    if grads[i] then step_matrix(self, self.params[i], self.m[i], grads[i] * scale, lr) end
  end
  self.steps = self.steps + 1
end

return M
