--- Where files are: what a recipe writes goes to the output folder, what it reads is looked for
-- there, then beside the recipe, then where the program was started.
local host = require "weft.host"
local check = require "weft.check"

local M = {
  recipe_dir = nil,      -- folder of the running recipe, absolute
  start_dir = nil,       -- where the program was started, absolute
  reads = {},            -- absolute path -> true, of what this run read
}

--- "a/b/c.lua" -> "a/b", "c.lua"
function M.split(path)
  local dir, base = path:match("^(.*)/([^/]*)$")
  if not dir then return ".", path end
  return dir == "" and "/" or dir, base
end

function M.join(dir, path)
  if path:sub(1, 1) == "/" or dir == "." or dir == "" then return path end
  return (dir:gsub("/$", "")) .. "/" .. path
end

--- The same path from the root, without "." parts.
function M.absolute(path)
  local full = M.join(assert(host.cwd()), path)
  full = full:gsub("/%./", "/"):gsub("/%.$", "")
  return full
end

--- Extension without the dot, in small letters; "" when there is none.
function M.extension(path) return (path:match("%.([%w]+)$") or ""):lower() end

--- Make a folder and the folders above it.
function M.make_dir(path)
  if path == "" or host.stat(path) == "dir" then return path end
  local above = M.split((path:gsub("/+$", "")))
  if above ~= path and above ~= "." then M.make_dir(above) end
  local ok, err = host.mkdir(path)
  if not ok then return require("weft.core").raise("io", err) end
  return path
end

--- Where a file is that a recipe names: the first of the places. Unchanged when it is nowhere, so
-- that the reader names it as the user wrote it.
function M.find(path)
  check.type("path", path, "string")
  if host.stat(path) or path:sub(1, 1) == "/" then return path end
  for _, dir in ipairs{ M.recipe_dir or false, M.start_dir or false } do
    if dir and host.stat(M.join(dir, path)) then return M.join(dir, path) end
  end
  return path
end

--- The path to open for reading; this run will not replace what it has read.
function M.read(path)
  local found = M.find(path)
  M.reads[M.absolute(found)] = true
  return found
end

--- The path to write: its folder is made, and a file that this run read is not replaced.
function M.write(path)
  check.type("path", path, "string")
  if M.reads[M.absolute(path)] then
    return require("weft.core").raise("io",
      ("%s was read by this run and is not replaced"):format(path),
      "save under another name")
  end
  M.make_dir((M.split(path)))
  return path
end

--- Whole text of a file; nil and a message.
function M.slurp(path)
  local f, err = io.open(path, "rb")
  if not f then return nil, err end
  local text = f:read("*a")
  f:close()
  if not text then return nil, path .. ": is not a file that can be read" end
  return text
end

return M
