--- weft.params: what may vary in a recipe. Declared once, read by `weft run`, `weft batch` and
-- `weft params`; given by name=value, a sweep, a table of jobs, or a caller in Lua.
local core = require "weft.core"
local check = require "weft.check"
local host = require "weft.host"
local options = require "weft.options"
local paths = require "weft.paths"
local spec = require "weft.spec"

local M = {
  given = {},          -- name -> value or text, from outside
  is_text = false,     -- given holds texts of the command line
  is_reading = false,  -- stop the recipe at weft.params: only the declaration is wanted
  declared = nil,      -- list of rows, once the recipe has declared them
  values = nil,        -- what the recipe got
}

local fields = { "default", "min", "max", "choices", "path", "help", "integer" }

local function fail(hint, fmt, ...) return core.raise("usage", fmt:format(...), hint) end

--- What a parameter accepts, in words.
function M.domain(row)
  if row.choices or (row.min and row.max) then return spec.domain(row) end
  if row.min then return ("at least %g"):format(row.min) end
  if row.max then return ("at most %g"):format(row.max) end
  return row.path and "a path" or row.types[1] == "number" and "a number" or spec.domain(row)
end

--- v as row's type; raises when it is not of the row's domain.
---@param what? string   what v is, for the message; default: the parameter
local function value_of(row, v, is_text, what)
  what = what or "parameter " .. row.name
  local got = v
  if is_text and type(v) == "string" then got = options.from_text(row, v) end
  local is_low = type(got) == "number" and row.min and got < row.min
  local is_high = type(got) == "number" and row.max and got > row.max
  local kind = row.types[1] == "integer" and "number" or row.types[1]
  local is_infinite = type(got) == "number" and got - got ~= 0        -- NaN too
  if type(got) ~= kind or is_infinite or is_low or is_high
    or (row.types[1] == "integer" and got ~= math.floor(got)) then
    return fail(row.help, "%s must be %s, got %s", what, M.domain(row),
      type(v) == "string" and ("%q"):format(v) or tostring(v))
  end
  if row.choices then check.choice(what, got, nil, row.choices) end
  return got
end

--- What is declared beside the default must be of its kind.
local function check_declared(name, d)
  local what = "params: " .. name
  check.number(what .. ": min", d.min)
  check.number(what .. ": max", d.max)
  if d.help ~= nil then check.type(what .. ": help", d.help, "string") end
  if d.choices == nil then return end
  check.type(what .. ": choices", d.choices, "table")
  local kind = type(d.choices[1])
  if kind ~= "number" then kind = "string" end
  for i = 1, math.max(1, #d.choices) do
    check.type(("%s: choice %d"):format(what, i), d.choices[i], kind)
  end
end

--- One row { name, types, default, min, max, choices, path, help } of a declaration.
local function row_of(name, d)
  if type(d) ~= "table" then d = { d } end
  for k in pairs(d) do
    if k ~= 1 then check.keys("params: " .. name, { [k] = true }, fields) end
  end
  check_declared(name, d)
  local default = d[1]
  if default == nil then default = d.default end
  local kind = d.path and "string" or type(default)
  if default == nil then
    kind = d.choices and type(d.choices[1]) or (d.min or d.max) and "number" or "string"
  end
  if kind ~= "string" and kind ~= "number" and kind ~= "boolean" then
    return fail("a number, a text or true / false", "params: '%s' cannot have a %s as default",
      name, kind)
  end
  local row = {
    name = name, types = { d.integer and "integer" or kind }, default = default, min = d.min,
    max = d.max, choices = d.choices, path = d.path, help = d.help,
  }
  if default ~= nil then value_of(row, default, false, "params: the default of " .. name) end
  return row
end

--- The declaration as rows sorted by name; its sweep apart.
local function rows_of(declaration)
  check.type("params: declaration", declaration, "table")
  local rows = {}
  for name, d in pairs(declaration) do
    if type(name) ~= "string" then
      fail(nil, "params: names must be strings, got a %s", type(name))
    end
    if name ~= "sweep" then rows[#rows + 1] = row_of(name, d) end
  end
  table.sort(rows, function(a, b) return a.name < b.name end)
  return rows
end

--- Paths that were given are the caller's: relative to where the program was started, not to the
-- folder that the recipe works in. A default is the recipe's: it stays in that folder.
local function anchored(row, v, base)
  return row.path and base and v ~= "" and paths.join(base, v) or v
end

--- Values for rows from what was given; unknown names raise with the nearest one.
---@param base? string   folder that given paths are relative to
function M.resolve(rows, given, is_text, base)
  local out, names, known = {}, {}, {}
  for i, row in ipairs(rows) do names[i], known[row.name] = row.name, row end
  for name in pairs(given) do
    if not known[name] then
      local near = check.nearest(tostring(name), names)
      fail(near and ("did you mean '%s'?"):format(near)
          or #names > 0 and "parameters: " .. table.concat(names, " ")
            or "the recipe declares none",
        "unknown parameter '%s'", tostring(name))
    end
  end
  for _, row in ipairs(rows) do
    local v = given[row.name]
    if v == nil then v = row.default
    else v = anchored(row, value_of(row, v, is_text), base) end
    if v == nil then fail(row.help, "parameter '%s' is missing", row.name) end
    out[row.name] = v
  end
  return out
end

--- Thrown at the host when only the declaration was wanted.
M.stop = setmetatable({}, { __tostring = function() return "weft.params was read" end })

--- Declare the parameters of a recipe and get their values: a default, or { default, min=, max=,
-- choices=, path=true, help= }; sweep = { {"seed", 1, 2}, ... } is what `weft batch` varies.
---@param declaration table
---@return table values
function M.params(declaration)
  local rows = rows_of(declaration)
  if M.declared then
    return fail("put all of them in one table",
      "params: the recipe has declared its parameters already")
  end
  M.declared, M.sweep = rows, declaration.sweep
  if M.is_reading then error(M.stop, 0) end
  local has_moved = paths.start_dir and paths.start_dir ~= host.cwd() and not M.keeps_paths
  M.values = M.resolve(rows, M.given, M.is_text, has_moved and paths.start_dir or nil)
  local out = {}
  for k, v in pairs(M.values) do out[k] = v end
  return out
end

--- The values for provenance: of paths the base name alone, nil when nothing was declared.
function M.describe()
  if not M.declared or #M.declared == 0 or not M.values then return nil end
  local out = {}
  for _, row in ipairs(M.declared) do
    local v = M.values[row.name]
    out[row.name] = row.path and select(2, paths.split(v)) or v
  end
  return out
end

--- Forget the last recipe; what is given to the next one.
function M.start(given, is_text, is_reading)
  M.given, M.is_text, M.is_reading = given or {}, is_text or false, is_reading or false
  M.declared, M.values, M.sweep = nil, nil, nil
end

return M
