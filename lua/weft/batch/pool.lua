--- The workers of a batch as the supervisor sees them: started, ordered about, heard, buried.
local host = require "weft.host"
local json = require "weft.json"

local M = {}
---@class weft.Pool
local Pool = {}
Pool.__index = Pool

---@class weft.Worker
---@field job? table       what it is at
---@field since number     when it was given that
---@field heard number     when it last said something
---@field end_reason? string  why the supervisor ends it

---@param config table   what every worker is told first
function M.new(config) return setmetatable({ config = config, workers = {} }, Pool) end

local function send(w, t) return host.write(w.fd_in, json.encode(t) .. "\n") end

--- Start a worker.
function Pool:start()
  local pid, fd_in, fd_out = host.spawn{ "--worker" }
  if not pid then return require("weft.core").raise("io", "cannot start a worker: " .. fd_in) end
  local w = { pid = pid, fd_in = fd_in, fd_out = fd_out, buffer = "" }
  if next(self.config) then send(w, { config = self.config }) end
  self.workers[#self.workers + 1] = w
  return w
end

--- Give a worker an order; it is busy with job until it answers.
function M.order(w, t, job)
  w.job, w.since, w.step = job, host.clock(), nil
  w.heard = w.since
  send(w, t)                  -- a worker that is dead is found when its answers end
end

--- Workers without a job.
function Pool:idle()
  for _, w in ipairs(self.workers) do
    if not w.job and not w.is_dying then return w end
  end
  return nil
end

function Pool:count_busy()
  local n = 0
  for _, w in ipairs(self.workers) do n = n + (w.job and 1 or 0) end
  return n
end

--- Why a worker ended, in words.
local function obituary(how, code)
  if how == "signal" and code == 9 then return "killed, probably out of memory" end
  if how == "signal" then return ("worker ended by signal %d"):format(code) end
  return ("worker ended with status %d"):format(code or -1)
end

--- Bury a worker whose answers have ended.
function Pool:bury(w)
  host.close(w.fd_in)
  host.close(w.fd_out)
  local how, code
  for _ = 1, 200 do
    how, code = host.wait(w.pid)
    if how then break end
    host.sleep(0.01)
  end
  if not how then
    host.kill(w.pid, "kill")
    while not how do
      host.sleep(0.01)
      how, code = host.wait(w.pid)
    end
  end
  for i, x in ipairs(self.workers) do
    if x == w then table.remove(self.workers, i) break end
  end
  return { event = "died", message = obituary(how, code), how = how, code = code }
end

--- Whole lines that a worker has said, as tables.
local function answers_of(w, got)
  w.buffer = w.buffer .. got
  local out = {}
  for line in w.buffer:gmatch("([^\n]*)\n") do
    local ok, t = pcall(json.decode, line)
    if ok and type(t) == "table" then out[#out + 1] = t end
  end
  w.buffer = w.buffer:match("[^\n]*$")
  return out
end

--- Wait up to so many seconds; hear(worker, answer) for each answer, and for each death.
function Pool:listen(seconds, hear)
  local fds, by_fd = {}, {}
  for i, w in ipairs(self.workers) do fds[i], by_fd[w.fd_out] = w.fd_out, w end
  for _, fd in ipairs(host.poll(fds, seconds)) do
    local w = by_fd[fd]
    local got = host.read(fd) or ""
    if got == "" then hear(w, self:bury(w))
    else
      w.heard = host.clock()
      for _, t in ipairs(answers_of(w, got)) do hear(w, t) end
    end
  end
end

--- Tell all workers to stop at the next step, or at once.
function Pool:signal(name)
  for _, w in ipairs(self.workers) do host.kill(w.pid, name) end
end

--- Let idle workers go, and wait for them.
function Pool:close()
  while #self.workers > 0 do
    local w = self.workers[#self.workers]
    if w.job then host.kill(w.pid, "kill") end
    host.close(w.fd_in)
    w.fd_in = assert(host.open("/dev/null", "append"))
    self:bury(w)
  end
end

return M
