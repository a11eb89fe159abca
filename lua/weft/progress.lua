--- How far long work is: a bar on a terminal, a line now and then elsewhere.
--
--     local bar = progress.start{ steps = 30, label = "dpmpp_2m karras" }
--     for i = 1, 30 do ... bar:step(i) end
--     bar:done()
--
-- Nothing is written for work that is over quickly, with --quiet, or when `progress = false`.
local host = require "weft.host"
local term = require "weft.term"

local M = {
  current = nil,        -- { step, steps, started } of the work that runs or was stopped last
  write = nil,          -- what takes plain lines instead of stderr, e.g. the worker of a batch
}

local FIRST_S, BAR_EVERY_S, LINE_EVERY_S, BAR_CELLS = 0.4, 0.1, 10, 20

---@class weft.Progress
local Progress = {}
Progress.__index = Progress

--- Steps per second, in words that keep three digits.
local function rate_text(rate, unit)
  if rate >= 1 or rate <= 0 then return ("%.3g %s/s"):format(rate, unit) end
  return ("%.3g s/%s"):format(1 / rate, unit)
end

--- Begin work of so many steps.
---@param opts { steps: integer, label?: string, unit?: string, enabled?: boolean }
function M.start(opts)
  local p = setmetatable({
    steps = opts.steps, label = opts.label or "", unit = opts.unit or "it", at = 0,
    started = host.clock(), written = 0, is_bar = term.is_rich(2) and not M.write,
    enabled = opts.enabled ~= false and not require("weft.tools").is_quiet,
  }, Progress)
  p.written = p.started + FIRST_S - (p.is_bar and BAR_EVERY_S or LINE_EVERY_S)
  if not p.is_bar then p.written = p.started end
  M.current = { step = 0, steps = opts.steps, started = p.started }
  return p
end

--- The line for now.
function Progress:text(now)
  local elapsed = now - self.started
  local rate = elapsed > 0 and self.at / elapsed or 0
  local eta = rate > 0 and term.duration((self.steps - self.at) / rate) or "?"
  local parts = { ("step %d/%d"):format(self.at, self.steps) }
  if self.label ~= "" then parts[#parts + 1] = self.label end
  if self.note then parts[#parts + 1] = self.note end
  parts[#parts + 1] = rate_text(rate, self.unit)
  parts[#parts + 1] = "ETA " .. eta
  return table.concat(parts, "  ")
end

local function bar_of(self)
  local full = math.floor(self.at / math.max(self.steps, 1) * BAR_CELLS)
  return ("━"):rep(full) .. term.paint("grey", ("━"):rep(BAR_CELLS - full), 2)
end

--- step i is done; note is a word more for the line, such as "loss 0.12".
function Progress:step(i, note)
  self.at, self.note = i, note
  if M.current then M.current.step = i end
  if not self.enabled then return end
  local now = host.clock()
  if now - self.written < (self.is_bar and BAR_EVERY_S or LINE_EVERY_S) then return end
  self.written = now
  if self.is_bar then
    local text = term.cut(self:text(now), (term.size()) - BAR_CELLS - 5)
    io.stderr:write("\r  ", bar_of(self), "  ", text, "\27[K")
    self.is_drawn = true
  elseif M.write then
    M.write(self:text(now))
  else
    io.stderr:write("  ", self:text(now), "\n")
  end
end

--- The work is over, or was given up: take the bar away. Gives the seconds it took.
function Progress:done()
  if self.is_drawn then
    io.stderr:write("\r\27[K")
    self.is_drawn = false
  end
  return host.clock() - self.started
end

--- Take a bar away that an error left behind.
function M.clear()
  if term.is_rich(2) then io.stderr:write("\r\27[K") end
end

return M
