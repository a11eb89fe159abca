--- What a stage learns with: AdamW, or Muon where it is asked for, on clipped gradients at rates by
-- step and, where asked for, the running mean of the weights, which is then what is saved.
local weft = require "weft"
local train = weft.train

---@class micro.Learner
---@field params table
---@field optim table
---@field ema? table
---@field clip number
---@field rate fun(i: integer): number
local Learner = {}
Learner.__index = Learner

--- Step i with the gradients of the parameters, false for those that stay.
---@return number norm  of the gradients, before they are clipped
function Learner:step(i, grads)
  local norm = train.clip(grads, self.clip)
  self.optim:step(grads, { lr = self.rate(i) })
  if self.ema then self.ema:update() end
  return norm
end

local function optimiser(p, params, o)
  local opts = { params, lr = p.lr, betas = o.betas, weight_decay = o.weight_decay }
  if p.muon ~= 1 then return train.adamw(opts) end
  opts.is_matrix = o.is_matrix
  return train.muon(opts)
end

--- The learner of a stage's parameters. Rates are a warm-up and a cosine to a fiftieth where o
-- gives none.
---@param p { steps: integer, lr: number, warmup: integer, muon: integer? }
---@param o { betas: number[], weight_decay: number, ema: number?, clip: number?, rate: function?,
--- is_matrix: function? }  is_matrix: of weft.train.muon
---@return micro.Learner
return function(p, params, o)
  return setmetatable({
    params = params, clip = o.clip or 1,
    optim = optimiser(p, params, o),
    ema = o.ema and train.ema(params, { decay = o.ema }),
    rate = o.rate or train.schedule { "cosine", lr = p.lr, warmup = p.warmup, steps = p.steps,
      final = p.lr / 50 },
  }, Learner)
end
