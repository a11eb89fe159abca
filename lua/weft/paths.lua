--- Where files are: what a recipe writes goes to the output folder, what it reads is looked for
-- there, then beside the recipe, then where the program was started.
local host = require "weft.host"
local check = require "weft.check"

local M = {
  recipe_dir = nil,      -- folder of the running recipe, absolute
  start_dir = nil,       -- where the program was started, absolute
  writes = {},           -- paths of what this run wrote or meant to, absolute, in order
  on_saved = nil,        -- told each medium that was saved
  is_fenced = false,     -- files are written below the current folder only, as the core checks too
  reads = {},            -- path without links -> true, of what this run read
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

--- What two names of one file share: its name in the folder as it is without links.
local function identity(path)
  local dir, base = M.split(path)
  local real = host.real(dir)
  return real and M.join(real, base) or M.absolute(path)
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
  M.note_read(found)
  return found
end

--- This run will not replace the file.
function M.note_read(path) M.reads[identity(path)] = true end

--- The path to write: its folder is made, and a file that this run read is not replaced.
function M.write(path)
  check.type("path", path, "string")
  if M.reads[identity(path)] then
    return require("weft.core").raise("io",
      ("%s was read by this run and is not replaced"):format(path),
      "save under another name")
  end
  if M.is_fenced and (path:sub(1, 1) == "/" or ("/" .. path .. "/"):find("/../", 1, true)) then
    return require("weft.core").raise("io",
      path .. ": only files below the output folder may be written here")
  end
  M.make_dir((M.split(path)))
  M.writes[#M.writes + 1] = M.absolute(path)
  return path
end

--- A medium has been saved.
function M.saved(medium)
  if M.on_saved then M.on_saved(medium) end
end

--- The files that this run wrote and that are there, each once; below where the program was started
-- as they are named from there.
---@return string[]
function M.written()
  local out, seen, base = {}, {}, (M.start_dir or assert(host.cwd())) .. "/"
  for _, path in ipairs(M.writes) do
    if not seen[path] and host.stat(path) == "file" then
      out[#out + 1] = path:sub(1, #base) == base and path:sub(#base + 1) or path
    end
    seen[path] = true
  end
  return out
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

--- Every file below a folder, added to out.
---@return string[] out
function M.files_below(dir, out)
  out = out or {}
  for _, name in ipairs(host.list(dir) or {}) do
    local path = dir .. "/" .. name
    if host.stat(path) == "dir" then M.files_below(path, out) else out[#out + 1] = path end
  end
  return out
end

--- Remove a folder and all that is in it.
function M.remove_tree(dir)
  for _, name in ipairs(host.list(dir) or {}) do
    local path = dir .. "/" .. name
    if host.stat(path) == "dir" then M.remove_tree(path) else os.remove(path) end
  end
  os.remove(dir)
end

return M
