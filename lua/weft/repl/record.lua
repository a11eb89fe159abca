--- A session as a recipe: the lines that worked, their globals made local, _ and _N named.
local eval = require "weft.repl.eval"

local M = {}

--- Does a word stand in any kept line?
local function uses(kept, word)
  for _, k in ipairs(kept) do
    if k.text:find("%f[%w_]" .. word .. "%f[^%w_]") then return true end
  end
  return false
end

-- ---- options that no line says ----

--- A value as Lua text; nil for what has none, such as a picture.
local function literal(v)
  if type(v) == "number" then return ("%.17g"):format(v) end
  if type(v) == "string" then return ("%q"):format(v):gsub("\\\n", "\\n") end
  if type(v) == "boolean" then return tostring(v) end
  if type(v) ~= "table" or getmetatable(v) then return nil end
  local out = {}
  for i, x in ipairs(v) do out[i] = literal(x) end
  return #out == #v and "{ " .. table.concat(out, ", ") .. " }" or nil
end

--- "steps = 3, seed = 7": options by name, in order. A text in raw stands as it is.
local function assignments(added, raw)
  local out = {}
  for name, v in pairs(added) do
    if not raw[name] then out[#out + 1] = ("%s = %s"):format(name, literal(v) or "nil") end
  end
  for name, text in pairs(raw) do out[#out + 1] = ("%s = %s"):format(name, text) end
  table.sort(out)
  return table.concat(out, ", ")
end

--- The table of a call, "{ ... }", with options beside its own; those win.
local function with_options(text, added, raw)
  local inside = text:sub(2, -2):gsub("[%s,;]+$", "")
  local has_one = false
  for _, names in ipairs { added, raw } do
    for name in pairs(names) do has_one = has_one or inside:find("%f[%w_]" .. name .. "%s*=") end
  end
  local more = assignments(added, raw)
  if has_one then return ("(weft.with(%s, { %s }))"):format(text, more) end
  return ("{%s%s%s }"):format(inside, inside:find "%S" and ", " or " ", more)
end

--- Text with what its calls were given beside it, in the order of the calls. Second value: whether
-- every call was found; one in a loop, or with a table of its own, is not.
local function written_out(k, raw)
  local at, n = 1, 0
  local text = k.text
  for _, call in ipairs(k.calls or {}) do
    local more = next(call.added) ~= nil or next(raw) ~= nil
    local name = "[.:]" .. call.which
    local from, to, parts = text:find(name .. "%s*(%b{})", at)
    local has_parens = not from
    if has_parens then from, to, parts = text:find(name .. "%s*%(%s*(%b{})%s*%)", at) end
    if from then
      n = n + 1
      local head = text:sub(1, from + #call.which)
      local changed = more and with_options(parts, call.added, raw) or parts
      if changed:sub(1, 1) ~= "(" and has_parens then changed = "(" .. changed .. ")" end
      text = head .. changed .. text:sub(to + 1)
      at = #head + #changed + 1
    end
  end
  return text, n == #(k.calls or {})
end

--- The calls with what all of them were given: what can stand in the line of a loop.
local function in_common(calls)
  local out = {}
  for i, call in ipairs(calls) do
    local added = {}
    for name, v in pairs(call.added) do
      local is_same = true
      for _, other in ipairs(calls) do is_same = is_same and other.added[name] == v end
      if is_same then added[name] = v end
    end
    out[i] = { which = call.which, added = added }
  end
  return out
end

--- What was added to calls that cannot be found in the text, as a comment.
local function remark(k)
  local out = {}
  for _, call in ipairs(k.calls) do
    if next(call.added) then
      out[#out + 1] = ("-- %s was given %s"):format(call.which, assignments(call.added, {}))
    end
  end
  return #out > 0 and table.concat(out, "\n") .. "\n" or ""
end

-- ---- lines ----

--- What :explore did: the call for each seed, and the sheet.
local function explore(k)
  local call = written_out(k, { seed = ("%.17g + i - 1"):format(k.first) })
  call = call:gsub("^%s*=?%s*", ""):gsub("^return%s", ""):gsub("%s*;?%s*$", "")
  return (("local pictures_N, labels_N = {}, {}\n"
    .. "for i = 1, %d do\n  pictures_N[i] = (%s)%s\n"
    .. '  labels_N[i] = ("%%d: seed %%d"):format(i, %.17g + i - 1)\nend\n'
    .. "local _N = weft.sheet(pictures_N, { columns = %d, labels = labels_N })")
    :format(k.count, call, k.field, k.first, k.columns):gsub("_N", "_" .. k.n))
end

--- A kept value: named where a later line uses it.
local function value_line(k, text, kept)
  local name = "_" .. k.n
  if uses(kept, name) or uses(kept, "_") then
    local out = ("local %s = %s"):format(name, text)
    return uses(kept, "_") and out .. "\n_ = " .. name or out
  end
  local is_call = text:find("[%)}\"']$") ~= nil
  return is_call and text:find("^[%a_]") and text or ("local _ = %s"):format(text)
end

--- One kept line as recipe text.
local function line(k, known, kept)
  if k.kind == "explore" then
    return explore(k) .. (uses(kept, "_") and "\n_ = _" .. k.n or "")
  end
  local out, is_whole = written_out(k, {})
  if not is_whole then out = written_out({ text = k.text, calls = in_common(k.calls) }, {}) end
  local before = is_whole and "" or remark(k)
  local _, text = eval.classify(out)
  text = text:gsub("%s*;?%s*$", "")
  if k.kind == "value" then return before .. value_line(k, text, kept) end
  local name = eval.assigned(text)
  if name and not text:match("^%s*local%s") and not known[name] then
    known[name] = true
    return before .. "local " .. text
  end
  local declared = text:match("^%s*local%s+function%s+([%w_]+)") or name
  if declared then known[declared] = true end
  local f = text:match("^%s*function%s+([%a_][%w_]*)%s*%(")
  if f and not known[f] then
    known[f] = true
    return before .. "local " .. text
  end
  return before .. text
end

--- Text of a recipe that does again what the session did.
function M.text(s, path)
  local out = { ("-- %s: recorded at the prompt"):format(path:match("[^/]*$")),
    'local weft = require "weft"' }
  local known = { weft = true }
  if uses(s.kept, "_") then out[#out + 1] = "local _" end
  for _, k in ipairs(s.kept) do
    if not k.text:match('^%s*l?o?c?a?l?%s*weft%s*=%s*require') then
      out[#out + 1] = line(k, known, s.kept)
    end
  end
  return table.concat(out, "\n") .. "\n"
end

return M
