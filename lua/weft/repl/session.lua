--- The state of a prompt, and evaluating what was typed in it.
local display = require "weft.repl.display"
local eval = require "weft.repl.eval"
local host = require "weft.host"
local options = require "weft.options"
local page = require "weft.cli.page"
local progress = require "weft.progress"
local term = require "weft.term"

local M = {}
---@class weft.Session
local Session = {}
Session.__index = Session

local SLOW_S = 0.05
local is_media = { image = true, audio = true, video = true }

---@param opts { is_terminal: boolean }
function M.new(opts)
  local s = setmetatable({
    n = 1,                     -- number of the next prompt
    vars = eval.session(), results = {}, inputs = {}, kept = {},
    is_terminal = opts.is_terminal, report = nil, last_call = nil,
    is_ended = false,          -- SIGTERM or SIGHUP came during work
  }, Session)
  rawset(s.vars, "weft", require "weft")
  return s
end

--- The page of an error, with the text that was typed as its source.
function Session:say_error(r)
  progress.clear()
  self.report = r
  local at = r.short and tonumber(r.short:match("^weft:(%d+)$"))
  if at then r.text, r.path = self.inputs[at], nil end
  io.stdout:flush()
  io.stderr:write(page.page(r), "\n")
end

--- What a stop leaves: the engine and the session as they were.
function Session:say_stopped(r)
  progress.clear()
  self.report = r
  local c, partial = progress.current, type(r.err) == "table" and rawget(r.err, "partial") or nil
  local where = c and c.steps and (" at step %d/%d (%s)"):format(c.step, c.steps,
    term.duration(host.clock() - c.started)) or ""
  io.stdout:write("stopped", where, partial and "; partial picture in _" or "", "\n")
  if partial then
    rawset(self.vars, "_", partial)
    self.last_n = nil
  end
end

--- Is v a medium, a model, or another object that has a line of its own?
local function is_object(v)
  local kind = display.kind(v)
  local meta = type(v) == "table" and getmetatable(v)
  return is_media[kind] or kind == "object" or (meta and meta.__tostring ~= nil)
end

--- Call f, the user's or with something of the user's in it, so that Ctrl-C ends it and not the
-- session. Returns ok, values or a report, and how many times Ctrl-C came.
function Session:guarded(f)
  host.signals "work"
  local ok, got = eval.run(f)
  host.stop_hooks()
  local n = host.signal_counts()
  self.is_ended = self.is_ended or n.term + n.hup > 0
  host.signals "idle"
  return ok, got, n.int
end

--- f(v), which shows v or makes a text of it. What an object does when it is shown may fail or not
-- end; then it is shown by its type, and nil is returned. The error is there for :trace.
function Session:try_show(v, f)
  local ok, values = self:guarded(function() return f(v) end)
  if ok then return values[1] end
  self.report = type(values) == "table" and values or self.report
  io.stdout:write(("(object of type %s that cannot be shown)\n"):format(type(v)))
end

--- Show v on stdout.
function Session:show(v) return self:try_show(v, function() display.show(v) end) end

--- Put values in _ and _N, and show the first ones unless silent.
function Session:take(n, values, is_silent)
  self.results[n] = values
  if values.n == 0 then return end
  self.last_n = n
  rawset(self.vars, "_", values[1])
  rawset(self.vars, "_" .. n, values[1])
  if is_silent then return end
  for i = 1, values.n do
    self:try_show(values[i], function(v)         -- media and models are named by their prompt
      display.show(v, nil, i == 1 and is_object(v) and "_" .. n or nil)
    end)
    io.stdout:flush()
  end
end

--- A one-line card when a statement gave a model or a medium a name.
function Session:show_assigned(text)
  local name = eval.assigned(text)
  local v = name and rawget(self.vars, name)
  if v == nil then return end
  self:try_show(v, function()
    local line = is_object(v) and tostring(v)
    if line and not line:match("^table: ") then io.write("  ", term.safe(line), "\n") end
  end)
end

--- Run a compiled chunk under Ctrl-C. Returns ok, values.
function Session:protected(chunk)
  progress.current, options.calls = nil, {}
  local start = host.clock()
  local ok, got, n_int = self:guarded(chunk)
  self.seconds = host.clock() - start
  if ok then return true, got end
  if type(got) ~= "table" then got = { message = tostring(got), frames = {} } end
  if got.kind == "cancelled" or n_int > 0 or self.is_ended then self:say_stopped(got)
  else self:say_error(got) end
  return false
end

--- Compile what was typed as prompt n. Returns as eval.compile does.
function Session:compile(text)
  return eval.compile(text, self.vars, "=weft:" .. self.n)
end

--- Keep for :record what worked: text typed at prompt n, and what its calls were given beside it.
function Session:keep(n, text, kind)
  self.kept[#self.kept + 1] = { n = n, text = text, kind = kind, calls = options.calls }
  options.calls = {}
end

--- Evaluate Lua as the next prompt. Returns ok.
function Session:evaluate(text)
  local n = self.n
  local chunk, kind, message = self:compile(text)
  self.inputs[n], self.n = text, n + 1
  if not chunk then
    local r = page.locate{ message = message, frames = {} }
    self:say_error(r)
    return false
  end
  local ok, values = self:protected(chunk)
  if not ok then return false end
  if #options.calls > 0 then self.last_call = text end
  self:keep(n, text, kind)
  local is_silent = eval.is_silent(text)
  if kind == "value" or values.n > 0 then self:take(n, values, is_silent)
  elseif not is_silent then self:show_assigned(text) end
  if self.is_terminal and self.seconds > SLOW_S then
    io.write(term.paint("grey", ("  %s"):format(term.duration(self.seconds))), "\n")
  end
  return true
end

return M
