--- Base 64, as the web and terminals want it.
local M = {}

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local BLOCK_BYTES = 3 * 4096

-- Two digits for each 12 bits.
local pairs_of = {}
for i = 0, 4095 do
  local high, low = math.floor(i / 64) + 1, i % 64 + 1
  pairs_of[i] = DIGITS:sub(high, high) .. DIGITS:sub(low, low)
end

--- Bytes from to to, a multiple of three of them.
local function block(data, from, to)
  local out, n = {}, 0
  for i = from, to, 3 do
    local a, b, c = data:byte(i, i + 2)
    out[n + 1] = pairs_of[a * 16 + math.floor(b / 16)]
    out[n + 2] = pairs_of[b % 16 * 256 + c]
    n = n + 2
  end
  return table.concat(out)
end

--- The last one or two bytes, filled up.
local function tail(data, from)
  local left = #data - from + 1
  if left == 0 then return "" end
  local text = block(data:sub(from) .. ("\0"):rep(3 - left), 1, 3)
  return text:sub(1, left + 1) .. ("="):rep(3 - left)
end

--- data as base 64, without line breaks.
---@param data string
---@return string
function M.encode(data)
  local out, whole = {}, #data - #data % 3
  for from = 1, whole, BLOCK_BYTES do
    out[#out + 1] = block(data, from, math.min(from + BLOCK_BYTES - 1, whole))
  end
  out[#out + 1] = tail(data, whole + 1)
  return table.concat(out)
end

return M
