--- Results that must be numbers: never a black picture, never a silent sound.
local core = require "weft.core"

local M = {}

--- Whether all values of t are finite.
function M.is(t)
  local nan, inf = core.odd_values(t)
  return nan + inf == 0
end

--- t, the values of a medium, which are all numbers or raise.
function M.must(what, t)
  local nan = core.odd_values(t)
  if nan == 0 then return t end
  return core.raise("usage", ("%s: %d of %d values are not numbers"):format(what, nan, t:numel()),
    "look where they were computed")
end

--- The tensor that f returns, whose values must all be finite. When they are not, f runs again with
-- each op watched, so that the error can say where it began.
---@param place string           what f is a part of, for the message: "step 3/25"
---@param f fun(): weft.Tensor
---@return weft.Tensor
function M.check(place, f)
  local t = f()
  if M.is(t) then return t end
  core.watch(true)
  local ok, err = pcall(core.scope, f)
  core.watch(false)
  if not ok and not (type(err) == "table" and err.kind == "model") then error(err, 0) end
  local where = not ok and err.message:gsub(" %(not a number%)$", "")
    or "the result is not finite, though no op of the engine made it so"
  return core.raise("model", ("%s, %s"):format(where, place),
    "weft inspect --check MODEL looks for such weights; nothing was written")
end

return M
