--- JSON: `json.encode(value)`, `json.decode(text)`. Keys are written sorted, so equal tables give
-- equal bytes. Lists are tables with entries 1 to n and no other keys; json.null stands for null,
-- json.list{} for an empty list. Numbers round-trip.
local check = require "weft.check"

local M = {}

local MAX_DEPTH = 64

M.null = setmetatable({}, { __tostring = function() return "null" end })
local list_mt = {}

--- Mark a table as a list, so that an empty one is written as [].
function M.list(t) return setmetatable(t or {}, list_mt) end

local escapes = {
  ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r",
  ["\t"] = "\\t",
}

local function quote(s)
  return '"' .. s:gsub('[%c"\\\127]', function(c)
    return escapes[c] or ("\\u%04x"):format(c:byte())
  end) .. '"'
end

local function number_text(v)
  if v ~= v or v == math.huge or v == -math.huge then
    check.fail("json: %s cannot be written", tostring(v))
  end
  if v == math.floor(v) and math.abs(v) < 2 ^ 53 then return ("%d"):format(v) end
  local short = ("%.15g"):format(v)
  return tonumber(short) == v and short or ("%.17g"):format(v)
end

local encode

local function encode_list(t, indent, depth)
  local out = {}
  for i, v in ipairs(t) do out[i] = encode(v, indent, depth + 1) end
  for k in pairs(t) do
    if not (type(k) == "number" and k >= 1 and k <= #out and k == math.floor(k)) then
      check.fail("json: a list of %d has the key %s too", #out, tostring(k))
    end
  end
  if #out == 0 then return "[]" end
  if not indent then return "[" .. table.concat(out, ",") .. "]" end
  local pad = "\n" .. indent:rep(depth + 1)
  return "[" .. pad .. table.concat(out, "," .. pad) .. "\n" .. indent:rep(depth) .. "]"
end

local function encode_object(t, indent, depth)
  local keys, out = {}, {}
  for k in pairs(t) do
    if type(k) ~= "string" then check.fail("json: a key is a %s, wants a string", type(k)) end
    keys[#keys + 1] = k
  end
  table.sort(keys)
  for i, k in ipairs(keys) do
    out[i] = quote(k) .. (indent and ": " or ":") .. encode(t[k], indent, depth + 1)
  end
  if #out == 0 then return "{}" end
  if not indent then return "{" .. table.concat(out, ",") .. "}" end
  local pad = "\n" .. indent:rep(depth + 1)
  return "{" .. pad .. table.concat(out, "," .. pad) .. "\n" .. indent:rep(depth) .. "}"
end

function encode(v, indent, depth)
  local kind = type(v)
  if v == M.null or v == nil then return "null" end
  if kind == "boolean" then return tostring(v) end
  if kind == "number" then return number_text(v) end
  if kind == "string" then return quote(v) end
  if kind ~= "table" then check.fail("json: a %s cannot be written", kind) end
  if depth >= MAX_DEPTH then check.fail("json: nested deeper than %d (a cycle?)", MAX_DEPTH) end
  if getmetatable(v) == list_mt or v[1] ~= nil then return encode_list(v, indent, depth) end
  return encode_object(v, indent, depth)
end

--- v as JSON; indent, a string, spreads it over lines.
function M.encode(v, indent) return encode(v, indent, 0) end

-- ---- decoding: each reader takes the text and a position, and returns the value and the next ----

local function bad(text, at, what)
  local line = select(2, text:sub(1, at):gsub("\n", "")) + 1
  return check.fail("json: %s at byte %d, line %d", what, at, line)
end

local function utf8_of(code)
  local char = string.char
  if code < 0x80 then return char(code) end
  local tail = char(0x80 + code % 64)
  code = math.floor(code / 64)
  if code < 0x20 then return char(0xC0 + code) .. tail end
  tail = char(0x80 + code % 64) .. tail
  code = math.floor(code / 64)
  if code < 0x10 then return char(0xE0 + code) .. tail end
  return char(0xF0 + math.floor(code / 64), 0x80 + code % 64) .. tail
end

--- The character behind \u at position at, with its second half where it is a surrogate pair.
local function read_code(text, at)
  local hex = text:match("^%x%x%x%x", at)
  if not hex then return bad(text, at, "bad \\u escape") end
  local code = tonumber(hex, 16)
  if code < 0xD800 or code > 0xDFFF then return utf8_of(code), at + 4 end
  local low = text:match("^\\u(%x%x%x%x)", at + 4)
  low = low and tonumber(low, 16)
  if code > 0xDBFF or not low or low < 0xDC00 or low > 0xDFFF then
    return bad(text, at, "half a surrogate pair")
  end
  return utf8_of(0x10000 + (code - 0xD800) * 1024 + low - 0xDC00), at + 10
end

local plain = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\",
  ["/"] = "/" }

local function read_string(text, at)
  local out, from = {}, at + 1
  while true do
    local stop = text:find('["\\%c]', from)
    if not stop then return bad(text, at, "a string without end") end
    out[#out + 1] = text:sub(from, stop - 1)
    local c = text:sub(stop, stop)
    if c == '"' then return table.concat(out), stop + 1 end
    if c ~= "\\" then return bad(text, stop, "a control character in a string") end
    local kind = text:sub(stop + 1, stop + 1)
    if kind == "u" then
      out[#out + 1], from = read_code(text, stop + 2)
    elseif plain[kind] then
      out[#out + 1], from = plain[kind], stop + 2
    else
      return bad(text, stop, "an unknown escape")
    end
  end
end

local read

local function skip(text, at) return text:find("[^ \t\r\n]", at) or #text + 1 end

local function read_list(text, at, depth)
  local out, i = M.list(), 0
  at = skip(text, at + 1)
  if text:sub(at, at) == "]" then return out, at + 1 end
  while true do
    i = i + 1
    out[i], at = read(text, at, depth + 1)
    at = skip(text, at)
    local c = text:sub(at, at)
    if c == "]" then return out, at + 1 end
    if c ~= "," then return bad(text, at, "',' or ']' wanted") end
    at = skip(text, at + 1)
  end
end

local function read_object(text, at, depth)
  local out = {}
  at = skip(text, at + 1)
  if text:sub(at, at) == "}" then return out, at + 1 end
  while true do
    if text:sub(at, at) ~= '"' then return bad(text, at, "a key wanted") end
    local key
    key, at = read_string(text, at)
    if out[key] ~= nil then return bad(text, at, "a key given twice") end
    at = skip(text, at)
    if text:sub(at, at) ~= ":" then return bad(text, at, "':' wanted") end
    out[key], at = read(text, skip(text, at + 1), depth + 1)
    at = skip(text, at)
    local c = text:sub(at, at)
    if c == "}" then return out, at + 1 end
    if c ~= "," then return bad(text, at, "',' or '}' wanted") end
    at = skip(text, at + 1)
  end
end

--- Is text a number of JSON's grammar? It is narrower than tonumber's.
local function is_number(text)
  local whole, rest = text:match "^%-?(%d+)(.*)$"
  rest = rest:gsub("^%.%d+", ""):gsub("^[eE][+-]?%d+", "")
  return rest == "" and not whole:find "^0."
end

local words = { ["true"] = true, ["false"] = false, null = M.null }

function read(text, at, depth)
  local c = text:sub(at, at)
  if depth >= MAX_DEPTH and (c == "{" or c == "[") then return bad(text, at, "nested too deep") end
  if c == "{" then return read_object(text, at, depth) end
  if c == "[" then return read_list(text, at, depth) end
  if c == '"' then return read_string(text, at) end
  local word = text:match("^%l+", at)
  if word and words[word] ~= nil then return words[word], at + #word end
  local digits = text:match("^-?%d[%w.+-]*", at)
  if not digits or not is_number(digits) then return bad(text, at, "a value wanted") end
  local v = tonumber(digits)
  if v - v ~= 0 then return bad(text, at, "a number beyond all that can be kept") end
  return v, at + #digits
end

--- The value that text holds. null becomes json.null; lists know that they are lists.
function M.decode(text)
  check.type("json: text", text, "string")
  local v, at = read(text, skip(text, 1), 0)
  at = skip(text, at)
  if at <= #text then return bad(text, at, "more text behind the value") end
  return v
end

return M
