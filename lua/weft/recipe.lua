--- Recipes: Lua files with strict globals, whose folder is importable.
local check = require "weft.check"
local host = require "weft.host"
local params = require "weft.params"
local paths = require "weft.paths"

local M = {}

--- Names that an undefined one might have meant: globals and the locals nobody can see are left
-- out.
local function global_names(env)
  local names = {}
  for _, t in ipairs{ env, _G } do
    for k in pairs(t) do
      if type(k) == "string" then names[#names + 1] = k end
    end
  end
  return names
end

local function undefined(env, name)
  local core = require "weft.core"
  local near = check.nearest(tostring(name), global_names(env))
  local hint = near and ("did you mean '%s'?"):format(near)
  if name == "weft" then hint = 'local weft = require "weft"' end
  return core.raise("usage", ("'%s' is not defined"):format(tostring(name)), hint)
end

--- Globals of a recipe: reading an undefined name raises, setting one needs `local` or `_G.x`.
---@param base? table   what is there besides the recipe's own; default: Lua's globals
function M.environment(base)
  base = base or _G
  local own = setmetatable({}, { __index = base })
  local env = { _G = own }
  own._G = own
  return setmetatable(env, {
    __index = function(_, name)
      local v = own[name]
      if v == nil then return undefined(own, name) end
      return v
    end,
    __newindex = function(_, name, v)
      if own[name] == nil then
        return require("weft.core").raise("usage",
          ("'%s' would become a global"):format(tostring(name)),
          ("write local %s = ..., or _G.%s = ..."):format(tostring(name), tostring(name)))
      end
      own[name] = v
    end,
  })
end

--- Source text of a recipe; a first line for the shell is blanked.
function M.source(path)
  local core = require "weft.core"
  if host.stat(path) == "dir" then
    return core.raise("io", path .. " is a folder", "weft batch runs all the recipes of a folder")
  end
  local text, err = paths.slurp(path)
  if not text then
    return core.raise("io", (err:gsub("^(.-): No such file.*", "%1: there is no such file")))
  end
  return M.clean(text, path)
end

--- The text of a recipe as it is compiled.
function M.clean(text, path)
  local core = require "weft.core"
  if text:sub(1, 1) == "\27" then
    return core.raise("format", path .. " is compiled Lua, not source", "bytecode is never run")
  end
  if text:sub(1, 2) == "#!" then text = text:gsub("^[^\n]*", "", 1) end
  return text
end

--- Compile text under the name of path with these globals. Errors are raised as strings with a
-- line.
function M.compile(text, path, env)
  local chunk, err = load(text, "@" .. path, "t", env)
  if not chunk then error(err, 0) end
  return chunk
end

--- Modules beside the recipe, loaded with its globals; what was loaded so is noted in modules.
local function searcher_for(dir, env, modules)
  return function(name)
    local file = name:gsub("%.", "/")
    for _, tail in ipairs{ ".lua", "/init.lua" } do
      local path = paths.join(dir, file .. tail)
      if host.stat(path) == "file" then
        modules[#modules + 1] = { name = name, path = path }
        return M.compile(M.source(path), path, env)
      end
    end
    return ("\n\tno file '%s/%s.lua' beside the recipe"):format(dir, file)
  end
end

--- Run f with the recipe's folder importable; its modules are forgotten afterwards.
function M.with_folder(dir, env, f)
  local modules = {}
  local searcher = searcher_for(dir, env, modules)
  table.insert(package.loaders, 2, searcher)
  local before = paths.recipe_dir
  paths.recipe_dir = dir
  local function leave(...)
    paths.recipe_dir = before
    for i, s in ipairs(package.loaders) do
      if s == searcher then table.remove(package.loaders, i) break end
    end
    for _, m in ipairs(modules) do package.loaded[m.name] = nil end
    return modules, ...
  end
  return leave(f())
end

--- Package table for reading a declaration: nothing but weft.params may be called before it.
local function reading_package()
  return setmetatable({ params = params.params, version = host.version }, {
    __index = function(_, name)
      return require("weft.core").raise("usage",
        ("weft.%s comes before weft.params"):format(tostring(name)),
        "weft.params must be the first weft call, so that it can be read alone")
    end,
  })
end

--- The declared parameters of a recipe, without running what follows them.
---@param base? table   as for M.environment
---@return table[] rows    empty when it declares none
---@return table? sweep
function M.read_params(path, base)
  local dir = paths.split(paths.absolute(path))
  local env = M.environment(base)
  local text = M.source(path)
  local chunk = M.compile(text, path, env)
  if not text:find "%f[%w_]params%f[^%w_]" then return {} end
  local plain = base and base.require or require
  rawset(env, "require", function(name)
    if name == "weft" then return reading_package() end
    return plain(name)
  end)
  params.start({}, false, true)
  local _, ok, err = M.with_folder(dir, env, function() return pcall(chunk) end)
  params.is_reading = false
  if not ok and err ~= params.stop then error(err, 0) end
  return params.declared or {}, params.sweep
end

return M
