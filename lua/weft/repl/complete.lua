--- Completion at the prompt. Never calls user code: of functions behind __index only the tables
-- that they hold are looked at, and only where the function is weft's own or built in.
local host = require "weft.host"
local spec = require "weft.spec"

local M = {}

local keywords = {
  "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local",
  "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
}

local home = debug.getinfo(1, "S").source:gsub("repl/complete%.lua$", "")

-- ---- names of fields, without calling anything ----

local function add_table(t, found)
  for k, v in next, t do
    if type(k) == "string" and k:match("^[%a_][%w_]*$") and not k:match("^__") then
      found[k] = found[k] or type(v)
    end
  end
end

--- Tables that an __index function of ours holds are where its methods are.
local function add_upvalues(f, found)
  local info = debug.getinfo(f, "S")
  if info.what ~= "C" and info.source:sub(1, #home) ~= home then return end
  for i = 1, 20 do
    local name, v = debug.getupvalue(f, i)
    if not name then return end
    if type(v) == "table" then add_table(v, found) end
  end
end

--- Field names of v with their types, through table-valued __index chains.
local function fields(v)
  local found = {}
  for _ = 1, 10 do
    if type(v) == "table" then add_table(v, found) end
    local meta = debug.getmetatable(v)
    local index = type(meta) == "table" and rawget(meta, "__index") or nil
    if type(index) == "function" then
      add_upvalues(index, found)
      return found
    end
    if type(index) ~= "table" then return found end
    v = index
    add_table(v, found)
  end
  return found
end

--- Field of v, without calling anything.
local function raw_field(v, name)
  for _ = 1, 10 do
    if type(v) == "table" and rawget(v, name) ~= nil then return rawget(v, name) end
    local meta = debug.getmetatable(v)
    local index = type(meta) == "table" and rawget(meta, "__index") or nil
    if type(index) ~= "table" then return nil end
    v = index
  end
  return nil
end

--- Value of a path such as "weft.image", without calling anything.
local function value_of(path, vars)
  local v
  for name in path:gmatch("[^.:]+") do
    if v == nil then
      v = rawget(vars, name)
      if v == nil then v = rawget(_G, name) end
    else
      v = raw_field(v, name)
    end
    if v == nil then return nil end
  end
  return v
end

-- ---- where the cursor is ----

--- The call whose braces the cursor is in: "image" for `m:image{ "x", gui`, and what stands inside.
local function open_call(text)
  local depth, quote = 0, nil
  for i = #text, 1, -1 do
    local c = text:sub(i, i)
    if quote then
      if c == quote then quote = nil end
    elseif c == '"' or c == "'" then
      quote = c
    elseif c == "}" or c == ")" then
      depth = depth + 1
    elseif c == "{" or c == "(" then
      if depth == 0 then
        local name = text:sub(1, i - 1):match("([%a_][%w_]*)%s*%(?%s*$")
        return name, text:sub(i + 1)
      end
      depth = depth - 1
    end
  end
  return nil
end

--- Is the cursor inside quotes? Then the text since they opened, and what is before them.
local function open_string(text)
  local quote, from = nil, nil
  local i = 1
  while i <= #text do
    local c = text:sub(i, i)
    if quote and c == "\\" then
      i = i + 1
    elseif quote and c == quote then
      quote = nil
    elseif not quote and (c == '"' or c == "'") then
      quote, from = c, i
    end
    i = i + 1
  end
  if quote then return text:sub(from + 1), text:sub(1, from - 1) end
  return nil
end

local function starting(names, prefix, tail)
  local out = {}
  for _, name in ipairs(names) do
    if name:sub(1, #prefix) == prefix then out[#out + 1] = name .. (tail or "") end
  end
  table.sort(out)
  return out, prefix
end

local function keys_of(t)
  local out = {}
  for k in pairs(t) do out[#out + 1] = k end
  return out
end

-- ---- sources of candidates ----

local kinds_of_file = {
  image = { png = true, jpg = true, jpeg = true, webp = true },
  audio = { wav = true, flac = true, ogg = true, mp3 = true, opus = true, aiff = true },
  video = { webm = true, mp4 = true, gif = true, png = true, apng = true },
}

--- Paths that begin with word; wanted filters files by their extension.
local function files(word, wanted)
  local dir, base = word:match("^(.*/)([^/]*)$")
  dir, base = dir or "", base or word
  local out = {}
  for _, name in ipairs(host.list(dir == "" and "." or dir) or {}) do
    if name:sub(1, #base) == base and (base ~= "" or name:sub(1, 1) ~= ".") then
      local is_dir = host.stat(dir .. name) == "dir"
      local ext = (name:match("%.(%w+)$") or ""):lower()
      if is_dir then out[#out + 1] = dir .. name .. "/"
      elseif not wanted or wanted[ext] then out[#out + 1] = dir .. name end
    end
  end
  table.sort(out)
  return out, word
end

local function in_string(inside, before)
  local option = before:match("([%a_][%w_]*)%s*=%s*$")
  local o = option and spec.by_name[option]
  if o and o.choices then return starting(o.choices, inside) end
  if before:match("weft%.load%s*%(?%s*$") then
    local names = {}
    for i, m in ipairs(require("weft.load").models()) do names[i] = m.name end
    names = starting(names, inside)
    for _, path in ipairs((files(inside, { safetensors = true }))) do names[#names + 1] = path end
    return names, inside
  end
  local owner = before:match("weft%.(%a+)%.load%s*%(?%s*$")
  return files(inside, kinds_of_file[owner or ""])
end

local function in_command(text, commands)
  local name, rest = text:match("^%s*:(%a*)(.*)$")
  if rest == "" then return starting(commands, name, " ") end
  if name == "run" or name == "record" then
    return files(rest:match("(%S*)$"), { lua = true })
  end
  return files(rest:match("(%S*)$"))
end

--- Names of options for the call that the cursor is in.
local function options_here(text, word)
  local call, inside = open_call(text)
  if not call or not (spec.verbs[call] or spec.tables[call]) then return nil end
  if not inside:match("[,%s{]?%s*[%a_]*[%w_]*$") or inside:match("=%s*[%w_.]*$") then return nil end
  local names = {}
  for i, o in ipairs(spec.options_of(call)) do names[i] = o.name end
  local out = starting(names, word, " = ")
  return #out > 0 and word ~= "" and out or nil
end

local function members(path, mark, word, vars)
  local v = value_of(path, vars)
  if v == nil then return {}, word end
  local names = {}
  for name, kind in pairs(fields(v)) do
    if mark == "." or kind == "function" then names[#names + 1] = name end
  end
  return starting(names, word)
end

local function plain_names(word, vars)
  local found = {}
  for _, k in ipairs(keywords) do found[k] = true end
  for _, t in ipairs{ vars, _G } do
    for k in next, t do
      if type(k) == "string" and k:match("^[%a_][%w_]*$") and not k:match("^__") then
        found[k] = true
      end
    end
  end
  return starting(keys_of(found), word)
end

--- Candidates for what stands before the cursor, and the part of it that they replace.
---@param before string    text up to the cursor
---@param vars table       variables of the session
---@param commands string[]
function M.candidates(before, vars, commands)
  if before:match("^%s*:%a*") and not before:match("^%s*::") then
    return in_command(before, commands)
  end
  if before:match("^%s*%?") then
    return starting(require("weft.help").names(), before:match("([%w_]*)$"))
  end
  local inside, outside = open_string(before)
  if inside then return in_string(inside, outside) end
  local path, mark, word = before:match("([%a_][%w_%.]*)([.:])([%w_]*)$")
  if path then return members(path, mark, word, vars) end
  word = before:match("([%a_][%w_]*)$") or ""
  local options = options_here(before, word)
  if options then return options, word end
  return plain_names(word, vars)
end

--- What all candidates begin with.
local function common(list)
  local first = list[1] or ""
  for _, s in ipairs(list) do
    while s:sub(1, #first) ~= first do first = first:sub(1, -2) end
  end
  return first
end

--- In columns, as wide as the terminal.
local function columns(list, width)
  local widest = 0
  for _, s in ipairs(list) do widest = math.max(widest, #s + 2) end
  local per_row = math.max(1, math.floor(width / widest))
  local out, row = {}, {}
  for i, s in ipairs(list) do
    row[#row + 1] = s .. (" "):rep(widest - #s)
    if #row == per_row or i == #list then
      out[#out + 1] = (table.concat(row):gsub("%s+$", ""))
      row = {}
    end
  end
  return table.concat(out, "\n")
end

--- A completer: the first Tab inserts what is certain or lists, a second one cycles.
---@return fun(text: string, cursor: integer): integer, string, string|nil
function M.completer(vars, commands, width)
  local last                                     -- { text =, list =, at = } of the Tab before
  local characters = function(s) return #(s:gsub("[\128-\191]", "")) end
  return function(text, cursor)
    local before = text:sub(1, cursor)
    if last and last.text == before then
      local shown = last.list[last.at] or last.word
      last.at = last.at % #last.list + 1
      last.text = before:sub(1, #before - #shown) .. last.list[last.at]
      return characters(shown), last.list[last.at], nil
    end
    local list, word = M.candidates(before, vars, commands)
    last = nil
    if #list == 0 then return 0, "", nil end
    local sure = common(list)
    if #list == 1 or #sure > #word then return characters(word), sure, nil end
    last = { text = before, list = list, at = 0, word = word }
    return 0, "", columns(list, width())
  end
end

--- Grey hint behind a line: the default of the option just typed, or a call's signature.
function M.hint(text)
  local option = text:match("([%a_][%w_]*)%s*=%s*$")
  local call = open_call(text)
  if option and call and (spec.verbs[call] or spec.tables[call]) then
    for _, o in ipairs(spec.options_of(call)) do
      if o.name == option then return o.default and o.default or spec.domain(o) end
    end
  end
  local name = text:match("[.:]([%a_][%w_]*)%s*[%({]%s*$")
  local card = name and require("weft.reference").by_name[name]
  return card and card.signature or nil
end

return M
