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

--- One kept line as recipe text.
local function line(k, known, kept)
  local _, text = eval.classify(k.text)
  text = text:gsub("%s*;?%s*$", "")
  if k.kind == "value" then
    local name = "_" .. k.n
    local is_wanted = uses(kept, name)
    local is_call = text:find("[%)}\"']$") ~= nil
    if is_wanted or uses(kept, "_") then
      local out = ("local %s = %s"):format(name, text)
      return uses(kept, "_") and out .. "\n_ = " .. name or out
    end
    return is_call and text:find("^[%a_]") and text or ("local _ = %s"):format(text)
  end
  local name = eval.assigned(text)
  if name and not text:match("^%s*local%s") and not known[name] then
    known[name] = true
    return "local " .. text
  end
  local declared = text:match("^%s*local%s+function%s+([%w_]+)") or name
  if declared then known[declared] = true end
  local f = text:match("^%s*function%s+([%a_][%w_]*)%s*%(")
  if f and not known[f] then
    known[f] = true
    return "local " .. text
  end
  return text
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
