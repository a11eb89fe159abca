--- What a folder holds: media in a sensible order, and the jobs of a batch that made them.
local core = require "weft.core"
local files = require "weft.report.files"
local host = require "weft.host"
local journal = require "weft.batch.journal"
local paths = require "weft.paths"

local M = {}

local LOG_LINES = 10

--- Names in the order of people: "2.png" before "10.png".
local function natural(a, b)
  local function key(s)
    return (s:lower():gsub("%d+", function(d) return ("%012d"):format(tonumber(d) % 1e12) end))
  end
  local x, y = key(a), key(b)
  if x ~= y then return x < y end
  return a < b
end

--- Paths of media below dir, in order; folders that reports wrote and hidden names left out.
local function walk(dir, out)
  local names = host.list(dir) or {}
  table.sort(names, natural)
  local here = {}
  for _, name in ipairs(names) do here[name] = true end
  for _, name in ipairs(names) do
    local path, stem = paths.join(dir, name), name:gsub("%-files$", "")
    if name:sub(1, 1) ~= "." then
      if host.stat(path) == "dir" then
        if not here[stem .. ".html"] then walk(path, out) end
      elseif (files.kind(name) and name ~= "log.txt") or name:find "%.json$" then
        out[#out + 1] = path
      end
    end
  end
  return out
end

--- The conversation that a JSON file holds; nil for any other file. What it reads may be written
-- again later in the run.
local function conversation(path)
  local reads = paths.reads
  paths.reads = {}
  local ok, got = pcall(require("weft.chat").load, path)
  paths.reads = reads
  return ok and got or nil
end

--- Put aside what other entries show: the sounds of videos, the media of conversations.
local function sort_out(list, chats)
  local is_shown, out = {}, {}
  for _, path in ipairs(list) do
    local sound = path:lower():find "%.a?png$" and files.sound_of(path)
    if sound and host.stat(sound) == "file" and files.is_animated(paths.slurp(path) or "") then
      is_shown[sound] = true
    end
    chats[path] = path:find "%.json$" and conversation(path) or nil
    local stem = chats[path] and path:gsub("%.json$", ".")
    for _, other in ipairs(stem and list or {}) do
      if other:sub(1, #stem) == stem and other:find("^%d%d%d%.", #stem + 1) then
        is_shown[other] = true
      end
    end
  end
  for _, path in ipairs(list) do
    if not is_shown[path] and (files.kind(path) or chats[path]) then out[#out + 1] = path end
  end
  return out
end

--- The last lines of a job's log.
local function log_tail(dir)
  local lines = {}
  for line in (paths.slurp(paths.join(dir, "log.txt")) or ""):gmatch "[^\n]+" do
    lines[#lines + 1] = line
  end
  return table.concat(lines, "\n", math.max(1, #lines - LOG_LINES + 1))
end

--- The jobs of a batch in the order in which they began: done, failed and unfinished.
local function jobs_of(dir)
  local events, order, last = journal.read(dir), {}, {}
  for _, e in ipairs(events) do
    if e.id then
      if not last[e.id] then order[#order + 1] = e.id end
      last[e.id] = e
    end
  end
  local out = {}
  for i, id in ipairs(order) do out[i] = last[id] end
  return out
end

--- Where a failed job failed: "a.lua:3".
local function where(e)
  if not e.line then return nil end
  return ("%s:%d"):format(select(2, paths.split(e.file or e.recipe or "?")), e.line)
end

---@class weft.report.Found
---@field paths string[]
---@field jobs table<string, table>   by path: the event of the job that made it
---@field chats table<string, weft.Chat>  by path
---@field failed table[]              { label, message, where, log } of each failed job
---@field unfinished string[]         labels of jobs that were started and not ended

--- Look through a folder.
---@param dir string
---@return weft.report.Found
function M.read(dir)
  if host.stat(dir) ~= "dir" then core.raise("io", dir .. ": there is no such folder") end
  local found = { paths = {}, jobs = {}, chats = {}, failed = {}, unfinished = {} }
  local is_taken = {}
  local function take(list, job)
    for _, path in ipairs(sort_out(list, found.chats)) do
      if not is_taken[path] then
        found.paths[#found.paths + 1], is_taken[path] = path, true
        found.jobs[path] = job
      end
    end
  end
  for _, e in ipairs(jobs_of(dir)) do
    local is_below = type(e.out) == "string" and e.out ~= "" and not e.out:find("..", 1, true)
    local at = is_below and paths.join(dir, e.out)
    if e.event == "done" and at and host.stat(at) == "dir" then
      take(walk(at, {}), e)
    elseif e.event == "failed" then
      found.failed[#found.failed + 1] = { label = e.label or "a job", message = e.message or "?",
        where = where(e), log = at and log_tail(at) or "" }
      if at then for _, path in ipairs(walk(at, {})) do is_taken[path] = true end end
    elseif e.event ~= "done" then
      found.unfinished[#found.unfinished + 1] = e.label or "a job"
    end
  end
  take(walk(dir, {}))
  return found
end

return M
