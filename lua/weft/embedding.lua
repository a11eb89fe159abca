--- Features of the aligned space: what a model's encode returns. They add, scale and serve as
-- prompt parts.
local check = require "weft.check"
local core = require "weft.core"

local M = {}
---@class weft.Embedding
---@field tensor weft.Tensor  [1,D]
local Embedding = {}
Embedding.__index = Embedding

---@param t weft.Tensor  [1,D]
function M.new(t) return setmetatable({ tensor = t }, Embedding) end

function M.is(v) return getmetatable(v) == Embedding end

local function operand(v, what)
  if M.is(v) then return v.tensor end
  return check.fail("%s: an embedding goes with an embedding, got %s", what, type(v))
end

Embedding.__add = function(a, b)
  return M.new(core.scope(function() return operand(a, "+") + operand(b, "+") end))
end
Embedding.__sub = function(a, b)
  return M.new(core.scope(function() return operand(a, "-") - operand(b, "-") end))
end
Embedding.__mul = function(a, b)
  if type(a) == "number" then a, b = b, a end
  if type(b) ~= "number" then
    check.fail("*: an embedding is scaled by a number, got %s", type(b))
  end
  return M.new(core.scope(function() return operand(a, "*") * b end))
end
Embedding.__unm = function(a) return a * -1 end

--- The point at share t of the great circle from a to b (t = 0 gives a).
function M.slerp(a, b, t)
  return M.new(core.scope(function()
    local u, v = operand(a, "slerp"), operand(b, "slerp")
    u, v = u / u:norm(), v / v:norm()
    local angle = math.acos(math.max(-1, math.min(1, (u * v):sum():item())))
    if angle < 1e-6 then return u:clone() end
    local s = math.sin(angle)
    return u * (math.sin((1 - t) * angle) / s) + v * (math.sin(t * angle) / s)
  end))
end

Embedding.__tostring = function(e) return ("Embedding of %d values"):format(e.tensor:numel()) end

--- Rows of a table of vectors by ids: the op of this name.
return setmetatable(M, { __call = function(_, ...) return require("weft.ops").embedding(...) end })
