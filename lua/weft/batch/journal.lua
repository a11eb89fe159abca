--- The journal of a batch: out/weft.jsonl, one event a line, only ever appended to.
-- A line that a crash cut off is passed over. One process at a time holds the folder's lock.
local args = require "weft.cli.args"
local core = require "weft.core"
local host = require "weft.host"
local json = require "weft.json"
local load = require "weft.load"
local paths = require "weft.paths"

local M = {}
---@class weft.Journal
local Journal = {}
Journal.__index = Journal

M.NAME = "weft.jsonl"

--- Events of a folder's journal, oldest first.
function M.read(dir)
  local text = paths.slurp(paths.join(dir, M.NAME)) or ""
  local out = {}
  for line in text:gmatch("([^\n]*)\n") do
    local ok, event = pcall(json.decode, line)
    if ok and type(event) == "table" and event.event then out[#out + 1] = event end
  end
  return out, text == "" or text:sub(-1) == "\n"
end

--- The last event of each job by its id.
function M.last(events)
  local last = {}
  for _, e in ipairs(events) do
    if e.id then last[e.id] = e end
  end
  return last
end

local function new(self)
  self.model_hashes = {}         -- by path: jobs share models, and these are large
  return setmetatable(self, Journal)
end

--- Take a folder for this process and open its journal.
function M.open(dir)
  paths.make_dir(dir)
  local lock, err, holder = host.lock(paths.join(dir, "weft.lock"))
  if not lock then
    local pid = holder and holder:match("%d+")
    if pid then args.fail("%s is in use by another weft batch, process %s", dir, pid) end
    core.raise("io", err)
  end
  local events, is_whole = M.read(dir)
  local fd, why = host.open(paths.join(dir, M.NAME), "append")
  if not fd then core.raise("io", why) end
  if not is_whole then host.write(fd, "\n") end
  return new { dir = dir, fd = fd, lock = lock, last = M.last(events) }
end

--- The journal of a folder as it stands, to ask and not to write; the folder need not be there, and
-- may be in use.
function M.peek(dir) return new { dir = dir, last = M.last((M.read(dir))) } end

--- Append an event; it is on disk when this returns. Raises when it cannot be.
function Journal:add(event)
  event.time = os.date "!%Y-%m-%dT%H:%M:%SZ"
  local ok, err = host.write(self.fd, json.encode(event) .. "\n")
  if ok then ok, err = host.sync(self.fd) end
  if not ok then core.raise("io", ("%s/%s: %s"):format(self.dir, M.NAME, err)) end
  if event.id then self.last[event.id] = event end
end

function Journal:close()
  host.close(self.fd)
  host.close(self.lock)
end

--- Are the modules, files and models that a job was done with unchanged?
local function sources_stand(self, event)
  for _, list in ipairs{ event.modules or {}, event.reads or {} } do
    for _, f in ipairs(list) do
      if host.sha256_file(f.path) ~= f.sha256 then return false, f.path .. " has changed" end
    end
  end
  for _, m in ipairs(event.models or {}) do
    self.model_hashes[m.path] = self.model_hashes[m.path] or load.hash(m.path)
    if self.model_hashes[m.path] ~= m.sha256 then return false, m.path .. " has changed" end
  end
  return true
end

--- Is the job done: says the journal so, and are its files there as recorded?
---@return boolean done
---@return string? why   it is not
function Journal:is_done(id)
  local e = self.last[id]
  if not e then return false, "new" end
  if e.event ~= "done" then
    return false, e.event == "failed" and "failed before" or "not finished"
  end
  local stand, why = sources_stand(self, e)
  if not stand then return false, why end
  for _, f in ipairs(e.files or {}) do
    local kind, bytes = host.stat(paths.join(self.dir, paths.join(e.out, f.path)))
    if kind ~= "file" or bytes ~= f.bytes then return false, f.path .. " is gone or has changed" end
  end
  return true
end

return M
