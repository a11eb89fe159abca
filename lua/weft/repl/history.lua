--- The history of the prompt: one file of whole entries, kept over sessions.
-- Lines of an entry are joined by a backslash and an n; a backslash is doubled.
local host = require "weft.host"
local paths = require "weft.paths"

local M = {}

local MAX_ENTRIES = 10000

--- Path of the history, nil when it is turned off by an empty $WEFT_HISTORY.
function M.path()
  local set = os.getenv "WEFT_HISTORY"
  if set then return set ~= "" and set or nil end
  local state = os.getenv "XDG_STATE_HOME"
  if not state or state == "" then
    local home = os.getenv "HOME"
    if not home or home == "" then return nil end
    state = home .. "/.local/state"
  end
  return state .. "/weft/history"
end

local function fold(text) return (text:gsub("\\", "\\\\"):gsub("\n", "\\n")) end

local function unfold(line)
  return (line:gsub("\\(.)", function(c) return c == "n" and "\n" or c end))
end

--- The entries, oldest first; of equal ones the last stays.
function M.load(path)
  local text = path and paths.slurp(path)
  local all, seen, out = {}, {}, {}
  for line in (text or ""):gmatch("[^\n]+") do all[#all + 1] = unfold(line) end
  for i = #all, 1, -1 do
    if not seen[all[i]] and #out < MAX_ENTRIES then
      seen[all[i]] = true
      table.insert(out, 1, all[i])
    end
  end
  return out
end

--- Append an entry; several sessions may do so at once. A history that cannot be written is no
-- reason to stop.
function M.add(path, text)
  if not path or text:match("^%s*$") then return end
  pcall(paths.make_dir, (paths.split(path)))
  local lock = host.lock(path .. ".lock")
  local fd = host.open(path, "append")
  if fd then
    host.write(fd, fold(text) .. "\n")
    host.close(fd)
  end
  if lock then host.close(lock) end
end

return M
