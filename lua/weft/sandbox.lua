--- Globals for recipes that are not trusted: no programs, no native code, no files but those that
-- weft writes below the output folder. A fence, not a wall: a recipe that means harm belongs in a
-- container.
local core = require "weft.core"
local host = require "weft.host"
local paths = require "weft.paths"

local M = {}

-- What is there of Lua's own, by library.
local plain = {
  "assert", "error", "ipairs", "next", "pairs", "pcall", "print", "rawequal", "rawget", "rawset",
  "select", "setmetatable", "tonumber", "tostring", "type", "unpack", "xpcall", "_VERSION",
}
local libraries = { "math", "string", "table", "coroutine", "bit" }

-- Parts of weft that a recipe may require or touch.
local HIDDEN = { core = true, config = true, home = true, options = true, spec = true }

local hint

local function refuse(name)
  return core.raise("usage", ("%s is not available here"):format(name),
    "this recipe runs fenced in; " .. hint)
end

local function refuser(name)
  return function() return refuse(name) end
end

--- A table whose fields are named, and whose other fields say why they are not there.
local function fenced(name, fields)
  return setmetatable(fields or {}, {
    __index = function(_, key) return refuse(name .. "." .. tostring(key)) end, __metatable = false,
  })
end

local function copy(from)
  local out = {}
  for k, v in pairs(from) do out[k] = v end
  return out
end

--- Does what a pattern may list lie below one of the folders that the recipe knows?
local function is_inside(pattern)
  if ("/" .. pattern .. "/"):find("/../", 1, true) then return false end
  if pattern:sub(1, 1) ~= "/" then return true end
  local known = { paths.recipe_dir or false, paths.start_dir or false, host.cwd() or false }
  for _, dir in ipairs(known) do
    if dir and pattern:sub(1, #dir + 1) == dir .. "/" then return true end
  end
  return false
end

local function fenced_glob(pattern, opts)
  if type(pattern) == "string" and not is_inside(pattern) then
    return refuse(("weft.glob %q"):format(pattern))
  end
  return require("weft").glob(pattern, opts)
end

--- The package table as such a recipe sees it.
local function package_table()
  local weft = require "weft"
  return setmetatable({}, {
    __index = function(_, name)
      if name == "glob" then return fenced_glob end
      if HIDDEN[name] then return refuse("weft." .. name) end
      return weft[name]
    end,
    __newindex = function(_, name) return refuse("setting weft." .. tostring(name)) end,
    __metatable = false,
  })
end

--- require: weft, its parts, and what lies beside the recipe.
local function requirer(facade)
  local loaded = { weft = facade }
  return function(name)
    if loaded[name] ~= nil then return loaded[name] end
    local part = tostring(name):match "^weft%.(%a+)$"
    if part then return facade[part] or refuse("require " .. name) end
    local found = package.loaders[2](name)           -- where weft.recipe puts its searcher
    if type(found) ~= "function" then return refuse("require " .. tostring(name)) end
    local v = found(name)
    loaded[name] = v == nil and true or v
    return loaded[name]
  end
end

--- Metatables of tables alone: the strings' is shared with weft itself.
local function get_metatable(v)
  if type(v) == "string" or type(v) == "userdata" then
    return refuse(("the metatable of a %s"):format(type(v)))
  end
  return type(v) == "table" and getmetatable(v) or nil
end

--- The globals, and from now on the fence around what is written.
---@param way_out? string  what to do for a recipe that needs more; default: without --sandbox
function M.globals(way_out)
  hint = way_out or "without --sandbox it has everything"
  core.fence(true)
  paths.is_fenced = true
  rawset(string, "dump", refuser "string.dump")        -- ("x").dump is found there too
  local methods = core.tensor_methods
  methods.ptr, methods.address = refuser "t:ptr", refuser "t:address"
  local out = { getmetatable = get_metatable }
  for _, name in ipairs(plain) do out[name] = _G[name] end
  for _, name in ipairs(libraries) do out[name] = copy(_G[name]) end
  out.os = fenced("os", { clock = os.clock, time = os.time, date = os.date })
  for _, name in ipairs { "io", "debug", "package", "jit", "ffi" } do out[name] = fenced(name) end
  for _, name in ipairs { "load", "loadstring", "loadfile", "dofile", "getfenv", "setfenv",
    "newproxy", "module", "collectgarbage" } do
    out[name] = refuser(name)
  end
  out.require = requirer(package_table())
  return out
end

return M
