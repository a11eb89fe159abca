--- Command lines: options anywhere, `--` ends them, name=value are parameters.
local check = require "weft.check"
local commands = require "weft.cli.commands"

local M = {}

local function fail(fmt, ...)
  error(setmetatable({ kind = "usage", message = fmt:format(...) }, M.error_meta), 0)
end
M.fail = fail
M.error_meta = { __tostring = function(e) return e.message end }

--- The option that a word of the command line names.
local function find(command, word)
  local name, letter = word:match("^%-%-(.+)$"), word:match("^%-(%a)$")
  local names = {}
  for _, list in ipairs{ command.options, commands.common } do
    for _, o in ipairs(list) do
      if (name and o.name == name) or (letter and o.short == letter) then return o end
      names[#names + 1] = o.name
    end
  end
  local near = name and check.nearest(name, names)
  return fail("%s: unknown option '%s'%s", command.name, word,
    near and (" (did you mean '--%s'?)"):format(near) or (" (weft help %s)"):format(command.name))
end

--- Put an option's value into out.options.
local function store(out, o, v)
  if o.list then
    out.options[o.name] = out.options[o.name] or {}
    table.insert(out.options[o.name], v)
  else
    out.options[o.name] = v
  end
end

--- Parse words[from..] for a command.
---@return table args  { options = {}, words = {}, params = {} }
function M.parse(command, words, from)
  local out = { options = {}, words = {}, params = {} }
  local i, is_over = from, false
  while i <= #words do
    local word = words[i]
    local name, value = word:match("^(%-%-?[%w%-]+)=(.*)$")
    if is_over or word == "-" or word:sub(1, 1) ~= "-" then
      local k, v = word:match("^([%a_][%w_]*)=(.*)$")
      if k and not is_over then out.params[k] = v
      else out.words[#out.words + 1] = word end
    elseif word == "--" then
      is_over = true
    else
      local o = find(command, name or word)
      if o.value and not value then
        i = i + 1
        value = words[i] or fail("%s: %s wants %s", command.name, word, o.value)
      elseif not o.value and value then
        fail("%s: %s takes no value", command.name, name)
      end
      store(out, o, o.value and value or true)
    end
    i = i + 1
  end
  return out
end

--- A whole number within lo and hi, from text.
function M.int(what, text, lo, hi)
  local v = tonumber(text)
  if not v or v ~= math.floor(v) or v < lo or v > hi then
    fail("%s must be a whole number %d … %d, got %q", what, lo, hi, text)
  end
  return v
end

--- "90", "90s", "10m", "2h" in seconds.
function M.time(what, text)
  local n, unit = text:match("^(%d+%.?%d*)([smh]?)$")
  if not n then fail("%s must be a time like 90s, 10m or 2h, got %q", what, text) end
  return tonumber(n) * (unit == "m" and 60 or unit == "h" and 3600 or 1)
end

return M
