--- Eigenvalues of symmetric matrices in double precision, by cyclic Jacobi rotations.
-- Source: Golub and Van Loan, Matrix Computations, section 8.5.
local ffi = require "ffi"

local M = {}

local MAX_SWEEPS = 50
-- Done when what is beside the diagonal is this small a share of the whole, squared.
local TOLERANCE = 1e-24

--- Rotate rows and columns p and q of a (and columns of v) so that a[p,q] becomes 0.
local function rotate(a, v, n, p, q)
  local apq = a[p * n + q]
  if apq == 0 then return end
  local theta = (a[q * n + q] - a[p * n + p]) / (2 * apq)
  local t = (theta >= 0 and 1 or -1) / (math.abs(theta) + math.sqrt(theta * theta + 1))
  local c = 1 / math.sqrt(t * t + 1)
  local s = t * c
  for k = 0, n - 1 do
    local x, y = a[k * n + p], a[k * n + q]
    a[k * n + p], a[k * n + q] = c * x - s * y, s * x + c * y
  end
  for k = 0, n - 1 do
    local x, y = a[p * n + k], a[q * n + k]
    a[p * n + k], a[q * n + k] = c * x - s * y, s * x + c * y
  end
  if not v then return end
  for k = 0, n - 1 do
    local x, y = v[k * n + p], v[k * n + q]
    v[k * n + p], v[k * n + q] = c * x - s * y, s * x + c * y
  end
end

--- Sums of squares: of all values, and of those beside the diagonal.
local function squares(a, n)
  local all, beside = 0, 0
  for i = 0, n - 1 do
    for k = 0, n - 1 do
      local x = a[i * n + k] * a[i * n + k]
      all = all + x
      if i ~= k then beside = beside + x end
    end
  end
  return all, beside
end

--- Eigenvalues of a, in no order.
---@param a ffi.cdata*  double [n,n], symmetric; it is overwritten
---@param n integer
---@param with_vectors? boolean
---@return ffi.cdata* values    double [n]
---@return ffi.cdata? vectors   double [n,n], one a column
function M.eigen(a, n, with_vectors)
  local v = with_vectors and ffi.new("double[?]", n * n) or nil
  if v then
    for i = 0, n - 1 do v[i * n + i] = 1 end
  end
  for _ = 1, MAX_SWEEPS do
    local all, beside = squares(a, n)
    if beside <= TOLERANCE * all then break end
    for p = 0, n - 2 do
      for q = p + 1, n - 1 do rotate(a, v, n, p, q) end
    end
  end
  local values = ffi.new("double[?]", n)
  for i = 0, n - 1 do values[i] = a[i * n + i] end
  return values, v
end

return M
