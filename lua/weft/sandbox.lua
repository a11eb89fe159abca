--- Globals for recipes that are not trusted: no programs, no native code, no files but those that
-- weft writes below the output folder. A fence, not a wall: a recipe that means harm belongs in a
-- container.
local core = require "weft.core"

local M = {}

-- What is there of Lua's own, by library. "string" is left as it is but for dump.
local plain = {
  "assert", "error", "ipairs", "next", "pairs", "pcall", "print", "rawequal", "rawget", "rawset",
  "select", "setmetatable", "tonumber", "tostring", "type", "unpack", "xpcall", "_VERSION",
}
local libraries = { math = {}, string = { dump = true }, table = {}, coroutine = {}, bit = {} }

-- Parts of weft that a recipe may require or touch.
local HIDDEN = { core = true, config = true, home = true, options = true, spec = true }

local function refuse(name)
  return core.raise("usage", ("%s is not available here"):format(name),
    "this recipe runs fenced in; --trust gives it everything")
end

--- A table whose fields are named, and whose other fields say why they are not there.
local function fenced(name, fields)
  return setmetatable(fields or {}, {
    __index = function(_, key) return refuse(name .. "." .. tostring(key)) end, __metatable = false,
  })
end

local function copy(from, without)
  local out = {}
  for k, v in pairs(from) do
    if not without[k] then out[k] = v end
  end
  return out
end

--- The package table as such a recipe sees it.
local function package_table()
  local weft = require "weft"
  return setmetatable({}, {
    __index = function(_, name)
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
  if type(v) ~= "table" then return nil end
  return getmetatable(v)
end

--- The globals, and from now on the fence around what is written.
function M.globals()
  core.fence(true)
  local out = { getmetatable = get_metatable }
  for _, name in ipairs(plain) do out[name] = _G[name] end
  for name, without in pairs(libraries) do out[name] = copy(_G[name], without) end
  out.os = fenced("os", { clock = os.clock, time = os.time, date = os.date })
  for _, name in ipairs { "io", "debug", "package", "jit", "ffi" } do out[name] = fenced(name) end
  for _, name in ipairs { "load", "loadstring", "loadfile", "dofile", "getfenv", "setfenv",
    "newproxy", "module", "collectgarbage" } do
    out[name] = function() return refuse(name) end
  end
  out.require = requirer(package_table())
  return out
end

return M
