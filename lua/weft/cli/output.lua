--- Where a command writes its one file: a name that fits and can be written, or "-" for stdout.
local args = require "weft.cli.args"
local core = require "weft.core"
local host = require "weft.host"
local paths = require "weft.paths"

local M = { pending = nil }      -- the folder of a file that goes to stdout

--- Is a file of this name what the command writes?
local function has_ending(path, endings)
  for _, ending in ipairs(endings) do
    if paths.extension(path) == ending then return true end
  end
  return false
end

--- A new folder whose one file goes to stdout by M.emit.
---@return string path
function M.hide()
  M.pending = os.tmpname()
  os.remove(M.pending)
  return paths.make_dir(M.pending)
end

--- Raise unless a file of this name fits the command and can be written; before any work is done.
---@param what string        the command, for messages
---@param endings string[]   the first is for stdout
function M.check(what, path, endings)
  if host.stat(path) == "dir" then
    args.fail("%s: -o wants a file, %s is a folder", what, path)
  end
  if not has_ending(path, endings) then
    args.fail("%s: -o %s: the name must end in .%s", what, path, table.concat(endings, ", ."))
  end
  paths.make_dir((paths.split(path)))
  core.ready_folder((paths.split(path)))
end

--- The path that a command is to write for -o.
---@return string path
function M.open(what, path, endings, o)
  if path ~= "-" then
    M.check(what, path, endings)
    return path
  end
  if o.json then args.fail("%s: -o - and --json both want stdout", what) end
  return M.hide() .. "/out." .. endings[1]
end

--- Remove the hidden folder, whatever is in it.
function M.drop()
  if M.pending then paths.remove_tree(M.pending) end
  M.pending = nil
end

--- Write the one file of the hidden folder to stdout. Raises when there is not one.
function M.emit(what)
  local list = paths.files_below(M.pending, {})
  if #list ~= 1 then
    M.drop()
    args.fail("%s: -o - writes one file to stdout, %d were made", what, #list)
  end
  local bytes, err = paths.slurp(list[1])
  M.drop()
  local ok, why = bytes, err
  if bytes then ok, why = io.stdout:write(bytes) end
  if ok then ok, why = io.stdout:flush() end
  if not ok then core.raise("io", "stdout: " .. tostring(why)) end
end

--- Say what was written, or send it to stdout.
function M.close(what, path, o)
  if M.pending then M.emit(what)
  elseif o.json then io.write(require("weft.json").encode { file = path }, "\n")
  else io.write(path, "\n") end
end

return M
