--- Checks of arguments and option tables, with hints. Every failure raises at the user's line.
local core = require "weft.core"

local M = {}

--- Raise a usage error.
function M.fail(fmt, ...)
  return core.raise("usage", select("#", ...) > 0 and fmt:format(...) or fmt)
end

--- Edit distance of a and b, a swap of neighbours counted once.
local function distance(a, b)
  local rows = { {} }
  for j = 0, #b do rows[1][j] = j end
  for i = 1, #a do
    local row, last, before = { [0] = i }, rows[i], rows[i - 1]
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j) and 0 or 1
      row[j] = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + same)
      if before and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        row[j] = math.min(row[j], before[j - 2] + 1)
      end
    end
    rows[i + 1] = row
  end
  return rows[#a + 1][#b]
end

--- The name nearest to word, or nil when none is within a third of its length. One letter is near
-- to nothing.
---@param names string[]
function M.nearest(word, names)
  if #word < 2 then return nil end
  local best, found = math.max(1, math.floor(#word / 3)) + 1, nil
  for _, name in ipairs(names) do
    local d = distance(word, name)
    if d < best then best, found = d, name end
  end
  return found
end

--- Every key of opts must be one of names (or a list index when list is true).
---@param what string    the function's name, for the message
---@param names string[]
function M.keys(what, opts, names, list)
  if opts == nil then return {} end
  if type(opts) ~= "table" then M.fail("%s: options must be a table, got %s", what, type(opts)) end
  local known = {}
  for _, name in ipairs(names) do known[name] = true end
  for key in pairs(opts) do
    if not known[key] and not (list and type(key) == "number") then
      local near = M.nearest(tostring(key), names)
      core.raise("usage", ("%s: unknown option '%s'"):format(what, tostring(key)),
        near and ("did you mean '%s'?"):format(near) or "options: " .. table.concat(names, " "))
    end
  end
  return opts
end

--- v, or default when it is nil; a number within lo and hi (either may be nil).
function M.number(what, v, default, lo, hi)
  if v == nil then return default end
  if type(v) ~= "number" then M.fail("%s must be a number, got %s", what, type(v)) end
  if v ~= v or (lo and v < lo) or (hi and v > hi) then
    M.fail("%s must be in %s ... %s, got %.14g", what, lo or "-inf", hi or "inf", v)
  end
  return v
end

--- A number that must be there, within lo and hi.
function M.given(what, v, lo, hi)
  return M.number(what, M.type(what, v, "number"), nil, lo, hi)
end

--- The same for whole numbers.
function M.int(what, v, default, lo, hi)
  v = M.number(what, v, default, lo, hi)
  if v and v ~= math.floor(v) then M.fail("%s must be a whole number, got %.14g", what, v) end
  return v
end

--- One of a list of strings.
function M.choice(what, v, default, choices)
  if v == nil then return default end
  for _, c in ipairs(choices) do
    if c == v then return v end
  end
  local near = type(v) == "string" and M.nearest(v, choices)
  return core.raise("usage", ("%s cannot be %s"):format(what, tostring(v)),
    near and ("did you mean '%s'?"):format(near) or "one of " .. table.concat(choices, " "))
end

--- Is text well-formed UTF-8?
function M.is_utf8(text)
  local at = 1
  while true do
    at = text:find("[\128-\255]", at)
    if not at then return true end
    local a, b = text:byte(at, at + 1)
    local n = a >= 0xC2 and a <= 0xDF and 1 or a >= 0xE0 and a <= 0xEF and 2
      or a >= 0xF0 and a <= 0xF4 and 3
    local is_odd = not n or not b or a == 0xE0 and b < 0xA0 or a == 0xED and b > 0x9F
      or a == 0xF0 and b < 0x90 or a == 0xF4 and b > 0x8F
    if is_odd or not text:find("^" .. ("[\128-\191]"):rep(n), at + 1) then return false end
    at = at + n + 1
  end
end

--- v must be of this Lua type.
function M.type(what, v, kind)
  if type(v) ~= kind then M.fail("%s must be a %s, got %s", what, kind, type(v)) end
  return v
end

--- v must be a tensor.
function M.tensor(what, v)
  if not M.is_tensor(v) then M.fail("%s must be a tensor, got %s", what, type(v)) end
  return v
end

function M.is_tensor(v) return type(v) == "userdata" and getmetatable(v) == core.tensor_meta end

return M
