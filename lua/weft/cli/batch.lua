--- `weft batch RECIPE... | DIR | -`: jobs handed to workers, each done once, all noted in a
-- journal.
local args = require "weft.cli.args"
local host = require "weft.host"
local journal = require "weft.batch.journal"
local json = require "weft.json"
local output = require "weft.cli.output"
local paths = require "weft.paths"
local plan = require "weft.batch.plan"
local pool = require "weft.batch.pool"
local term = require "weft.term"
local tools = require "weft.tools"

local M = {}

local EXIT_FAILED, EXIT_EARLY, EXIT_INT, EXIT_TERM = 3, 75, 130, 143
local LISTEN_S, SAY_EVERY_S = 0.2, 60
local MAX_JOBS = 256
local STALL_S = 600        -- a worker that says nothing for so long hangs
local may_get_better = { oom = true, device = true, died = true }

-- ---- workers that take too long ----

--- Why a worker is to be ended: it is at its job for too long, or hangs (then is_stall); nil while
-- it may go on.
---@return string? reason
---@return boolean? is_stall
local function find_excess(w, limits)
  local now = host.clock()
  if limits.timeout and now - w.since > limits.timeout then
    return ("took longer than %s"):format(limits.timeout_text)
  elseif limits.stall > 0 and now - w.heard > limits.stall then
    return ("no progress for %s (--stall)"):format(term.duration(limits.stall)), true
  end
  return nil
end

--- End a worker that is past hope.
local function put_down(w, reason)
  w.end_reason, w.is_dying = reason, true
  host.kill(w.pid, "kill")
end

-- ---- what a recipe declares, asked of a worker ----

--- Why a recipe could not be read: with its line, or the place in another file, where there is one.
local function fault_text(path, full, got)
  local place = got.line and got.file == full and ("%s:%d"):format(path, got.line)
    or got.line and got.file and ("%s: %s:%d"):format(path, got.file, got.line)
  local message = got.message
  if not place and message:sub(1, #full + 1) == full .. ":" then        -- it names the file itself
    message = message:sub(#full + 1):gsub("^:%s*", "")
  end
  return ("%s: %s%s"):format(place or path, message,
    got.hint and (" (%s)"):format(got.hint) or "")
end

--- The exit status that a signal or --max-time asks for while no job runs yet; nil to go on.
local function find_stop(limits)
  local n = host.signal_counts()
  if n.term + n.hup > 0 then return EXIT_TERM end
  if n.int > 0 then return EXIT_INT end
  if n.usr1 > 0 or (limits.deadline and host.clock() > limits.deadline) then return EXIT_EARLY end
  return nil
end

--- A worker's answer about its recipe; nil and an exit status when the batch is to stop, which
-- leaves the worker busy.
local function await_params(workers, w, limits)
  local got
  while not got do
    workers:listen(LISTEN_S, function(x, t)
      local is_answer = t.event == "params" or t.event == "bad" or t.event == "died"
      if x == w and is_answer then got = t end
    end)
    local stop = find_stop(limits)
    if stop then return nil, stop end
    local excess = not got and not w.is_dying and find_excess(w, limits)
    if excess then put_down(w, excess) end
  end
  if got.event == "died" then got.message = w.end_reason or got.message end
  return got
end

--- A function that asks the pool for a recipe's declaration: { rows, sweep, sha256 } or { error },
-- or { stop } with an exit status.
local function asker(workers, limits)
  return function(path)
    local w = workers:idle() or workers:start()
    local full = paths.absolute(path)
    pool.order(w, { ["do"] = "params", recipe = full }, { recipe = full })
    local got, stop = await_params(workers, w, limits)
    if stop then return { stop = stop } end
    w.job = nil
    if got.event ~= "params" then
      return { error = fault_text(path, full, got) }
    end
    return { rows = got.rows, sweep = got.sweep, zip = got.zip,
      sha256 = host.sha256_file(full) }
  end
end

-- ---- a batch that runs ----

---@class weft.Batch
local Batch = {}
Batch.__index = Batch

local function number_of(o, name, low, high)
  return o[name] and args.int("--" .. name, o[name], low, high)
end

local function limits_of(o)
  return {
    retries = number_of(o, "retries", 0, 100) or 0,
    timeout = o.timeout and args.time("--timeout", o.timeout), timeout_text = o.timeout,
    stall = o.stall and args.time("--stall", o.stall) or STALL_S,
    deadline = o["max-time"] and host.clock() + args.time("--max-time", o["max-time"]),
    workers = number_of(o, "jobs", 1, MAX_JOBS) or 1,
  }
end

--- Sort jobs into those to run and those that are skipped, with the reason.
local function choose(self, jobs)
  for _, job in ipairs(jobs) do
    local is_done, why = self.journal:is_done(job.id)
    local last = self.journal.last[job.id]
    if self.options.force then is_done, why = false, "forced" end
    if self.options.only == "failed" and not (last and last.event == "failed") then
      is_done, why = true, "did not fail before"
    end
    job.why = is_done and (why or "done") or why
    if is_done then self.skipped = self.skipped + 1 else self.todo[#self.todo + 1] = job end
  end
end

local function say(self, fmt, ...)
  if not self.options.json then tools.log(fmt, ...) end
end

--- How far it is: "12/40 jobs  1 failed  8.1 jobs/min  ETA 3 min 28 s".
function Batch:text()
  local over = self.done + self.failed
  local elapsed = host.clock() - self.started
  local share = self.cost_done / math.max(self.cost, 1)
  local eta = share > 0 and term.duration(elapsed / share * (1 - share)) or "?"
  return ("%d/%d jobs  %d failed  %.3g jobs/min  ETA %s"):format(over, self.total, self.failed,
    elapsed > 0 and over / elapsed * 60 or 0, eta)
end

--- A job is over for good.
local function settle(self, job, event)
  self.cost_done = self.cost_done + job.cost
  event.id, event.label, event.out, event.recipe = job.id, job.label, job.out, job.recipe
  self.journal:add(event)
  if event.event == "done" then
    local is_empty = #(event.files or {}) == 0
    self.done, self.empty = self.done + 1, self.empty + (is_empty and 1 or 0)
    say(self, "done    %s  %.2f s  -> %s%s", job.label, event.seconds or 0,
      paths.join(self.dir, job.out), is_empty and "  (no file was made there)" or "")
  else
    self.failed = self.failed + 1
    local where = event.line and ("%s:%d: "):format(event.file or job.recipe, event.line) or ""
    say(self, "failed  %s  %s%s", job.label, where, term.safe(event.message or "?"))
    if self.options["fail-fast"] then self.is_closing = true end
    if event.kind == "io" and (event.message or ""):find(": no space: ", 1, true) then
      say(self, "weft: the disk is full: no more jobs are started")
      self.is_closing, self.is_early = true, true
    end
  end
end

--- Put a job in front again, to be tried once more; alone: with no other beside it.
local function again(self, job, message, alone)
  job.tries, job.alone = job.tries + 1, alone
  table.insert(self.todo, 1, job)
  say(self, "again   %s  %s%s", job.label, message, alone and "; once more, with none beside it"
    or "")
end

--- Whether a job whose worker died is worth another try: the first time always, with the machine
-- for itself, since others may have taken the memory or the job may have hung by chance.
local function deserves_another(self, job, w, event)
  if event.event ~= "failed" or self.is_closing then return false end
  local died = event.kind == "died" and (not w.end_reason or w.has_stalled)
  if died and not job.alone then return true, true end
  return may_get_better[event.kind] and not w.end_reason and job.tries < self.limits.retries,
    job.alone
end

--- Answers of a worker, and its death.
local function hear(self, w, t)
  local job = w.job
  if t.event == "step" then
    w.step = t.text
    return
  end
  if not job then return end
  w.job = nil
  if t.event == "died" then
    t = { event = "failed", kind = "died", message = w.end_reason or t.message }
  end
  if self.is_stopping and t.event == "failed" then        -- not its fault: it is done another time
    table.insert(self.todo, 1, job)
    return
  end
  local may_retry, alone = deserves_another(self, job, w, t)
  if may_retry then again(self, job, t.message, alone) else settle(self, job, t) end
end

local function give(self, w, job)
  job.tries = job.tries or 0
  self.journal:add { event = "started", id = job.id, label = job.label }
  pool.order(w, { ["do"] = "run", id = job.id, recipe = job.recipe, params = job.params,
    dir = paths.absolute(paths.join(self.dir, job.out)) }, job)
end

--- Whether the next job may start beside those that run.
local function fits_beside(self)
  if self.todo[1].alone and self.workers:count_busy() > 0 then return false end
  for _, w in ipairs(self.workers.workers) do
    if w.job and w.job.alone then return false end
  end
  return true
end

--- Hand out jobs to whoever has none.
local function hand_out(self)
  while #self.todo > 0 and not self.is_closing and fits_beside(self) do
    local w = self.workers:idle()
    if not w then
      if #self.workers.workers >= self.limits.workers then return end
      w = self.workers:start()
    end
    local job = table.remove(self.todo, 1)
    if job.error then settle(self, job, { event = "failed", kind = "usage", message = job.error })
    else give(self, w, job) end
  end
end

--- Jobs that take too long or hang, and a batch that takes too long.
local function watch_clock(self)
  local now = host.clock()
  for _, w in ipairs(self.workers.workers) do
    local reason, is_stall
    if w.job and not w.end_reason then reason, is_stall = find_excess(w, self.limits) end
    if reason then
      w.has_stalled = is_stall
      put_down(w, reason)
    end
  end
  if self.limits.deadline and now > self.limits.deadline and not self.is_closing then
    say(self, "weft: --max-time is over: no more jobs are started")
    self.is_closing, self.is_early = true, true
  end
  if now - self.said > SAY_EVERY_S then
    say(self, "%s", self:text())
    self.said = now
  end
end

--- Ctrl-C once lets running jobs end, twice stops them; SIGTERM stops; SIGUSR1 takes no more.
local function watch_signals(self)
  local n = host.signal_counts()
  if n.usr2 > self.shown then
    self.shown = n.usr2
    io.stderr:write(self:text(), "\n")
    for _, w in ipairs(self.workers.workers) do
      if w.job then io.stderr:write("  ", w.job.label, "  ", w.step or "", "\n") end
    end
  end
  if n.usr1 > 0 and not self.is_closing then self.is_closing, self.is_early = true, true end
  if n.int > 0 and not self.is_closing then
    say(self, "weft: finishing the running jobs (Ctrl-C again stops them)")
    self.is_closing, self.signal = true, EXIT_INT
  end
  local must_stop = n.int > 1 or n.term + n.hup > 0
  if must_stop and not self.is_stopping then
    self.is_closing, self.is_stopping = true, true
    self.signal = n.term + n.hup > 0 and EXIT_TERM or EXIT_INT
    for _, w in ipairs(self.workers.workers) do w.end_reason = "stopped" end
    self.workers:signal "term"
  end
end

local function run_all(self)
  while (#self.todo > 0 and not self.is_closing) or self.workers:count_busy() > 0 do
    hand_out(self)
    if self.workers:count_busy() > 0 then
      self.workers:listen(LISTEN_S, function(w, t) hear(self, w, t) end)
    end
    watch_clock(self)
    watch_signals(self)
  end
  self.workers:close()
end

local function exit_status(self)
  if self.signal then return self.signal end
  if self.is_early and #self.todo > 0 then return EXIT_EARLY end
  return self.failed > 0 and EXIT_FAILED or 0
end

local function list_jobs(self, jobs)
  if self.options.json then
    local out = {}
    for i, job in ipairs(jobs) do
      out[i] = { id = job.id, label = job.label, out = job.out, why = job.why,
        params = job.params, recipe = job.recipe }
    end
    io.write(json.encode(json.list(out)), "\n")
    return
  end
  for _, job in ipairs(jobs) do
    io.write(("%s  %-40s %s\n"):format(job.id:sub(1, 8), job.label, job.why or job.error or ""))
  end
  io.write(("%d jobs, %d to run\n"):format(#jobs, #self.todo))
end

local function summary(self, status)
  local s = { done = self.done, failed = self.failed, skipped = self.skipped,
    left = #self.todo, empty = self.empty, exit = status, seconds = host.clock() - self.started }
  self.journal:add { event = "ended", done = s.done, failed = s.failed, skipped = s.skipped }
  if self.options.json then
    io.write(json.encode(s), "\n")
  else
    tools.log("weft: %d done, %d failed, %d skipped%s", s.done, s.failed, s.skipped,
      s.left > 0 and (", %d left: the same command goes on"):format(s.left) or "")
    if s.empty > 0 then
      tools.log("weft: %d of the done jobs made no file in %s: they only print, or write elsewhere",
        s.empty, s.empty == 1 and "its folder" or "their folders")
    end
  end
end

local function config_of(o)
  return { model = o.model, device = o.device, threads = o.threads and tonumber(o.threads) or nil }
end

function M.main(a)
  local o = a.options
  if #a.words == 0 then args.fail "batch: which recipes? (weft batch recipes/ -o out)" end
  if o.only and o.only ~= "failed" then args.fail("--only wants 'failed', got %q", o.only) end
  local limits = limits_of(o)
  if o.report then output.check("batch: --report", o.report, { "html", "htm" }) end
  o.params = a.params
  local workers = pool.new(config_of(o))
  host.signals "idle"
  local jobs, stop = plan.jobs(a.words, o, asker(workers, limits))
  if not jobs then
    workers:close()
    tools.log("weft: stopped before the first job: the recipes were still being asked for their "
      .. "parameters")
    return stop
  end
  local dir = o.out or "out"
  local self = setmetatable({
    options = o, limits = limits, dir = dir, workers = workers,
    todo = {}, done = 0, failed = 0, skipped = 0, empty = 0, cost = 0, cost_done = 0, shown = 0,
    started = host.clock(), said = host.clock(),
    journal = o["dry-run"] and journal.peek(dir) or journal.open(dir),
  }, Batch)
  choose(self, jobs)
  self.total = #self.todo
  for _, job in ipairs(self.todo) do self.cost = self.cost + job.cost end
  if o["dry-run"] then
    list_jobs(self, jobs)
    workers:close()
    return 0
  end
  run_all(self)
  local status = exit_status(self)
  summary(self, status)
  self.journal:close()
  if o.report then say(self, "weft: %s", require "weft.report"(dir, o.report)) end
  return status
end

return M
