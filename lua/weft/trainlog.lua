--- The log of a training run: JSON lines, a line of progress with the time left, and the curve.
local core = require "weft.core"
local check = require "weft.check"
local host = require "weft.host"
local json = require "weft.json"

local M = {}
---@class weft.TrainLog
local Log = {}
Log.__index = Log

local function read_rows(path)
  local rows, f = {}, io.open(path, "r")
  if not f then return rows end
  for line in f:lines() do
    local ok, row = pcall(json.decode, line)
    if ok and type(row) == "table" then rows[#rows + 1] = row end
  end
  f:close()
  return rows
end

--- A log at path. steps is the run's length, for the time left; every says how often a line of
-- progress is shown; from drops what the file holds behind that step (a run that goes on: 0 for one
-- that begins anew).
---@param opts? { steps: integer, every: integer, from: integer, quiet: boolean }
function M.new(path, opts)
  check.type("log: path", path, "string")
  opts = check.keys("log", opts, { "steps", "every", "from", "quiet" })
  local rows, kept = read_rows(path), {}
  for _, row in ipairs(rows) do
    if row.step and row.step <= (opts.from or math.huge) then kept[#kept + 1] = row end
  end
  local lines = {}
  for i, row in ipairs(kept) do lines[i] = json.encode(row) .. "\n" end
  core.save_text(path, table.concat(lines), true)
  local file, why = io.open(path, "a")
  if not file then core.raise("io", "log: " .. why) end
  return setmetatable({
    path = path, file = file, rows = kept, steps = opts.steps, every = opts.every or 100,
    quiet = opts.quiet, start = host.clock(), first = opts.from or 0,
  }, Log)
end

local function clock_text(s)
  if s >= 3600 then return ("%d h %02d m"):format(s / 3600, s % 3600 / 60) end
  if s >= 60 then return ("%d m %02d s"):format(s / 60, s % 60) end
  return ("%d s"):format(s)
end

--- "step 300/20000  loss 0.0213  lr 0.0003  5.1 it/s  ETA 1 h 02 m"
local function progress(self, row)
  local keys, out = {}, { "step " .. row.step .. (self.steps and "/" .. self.steps or "") }
  for k, v in pairs(row) do
    if k ~= "step" and type(v) == "number" then keys[#keys + 1] = k end
  end
  table.sort(keys, function(a, b)
    if (a == "loss") ~= (b == "loss") then return a == "loss" end
    return a < b
  end)
  for _, k in ipairs(keys) do out[#out + 1] = ("%s %.4g"):format(k, row[k]) end
  local seconds = math.max(host.clock() - self.start, 1e-9)
  local rate = (row.step - self.first) / seconds
  out[#out + 1] = ("%.2f it/s"):format(rate)
  if self.steps and rate > 0 then
    out[#out + 1] = "ETA " .. clock_text((self.steps - row.step) / rate)
  end
  return table.concat(out, "  ")
end

--- Add a row, such as { step = 12, loss = 0.3 }. NaN and infinite values are written as text.
function Log:add(row)
  check.type("log: row", row, "table")
  check.int("log: step", check.type("log: step", row.step, "number"), nil, 0)
  if not self.file then check.fail("log: %s is closed", self.path) end
  local out = {}
  for k, v in pairs(row) do
    out[k] = type(v) == "number" and (v ~= v or math.abs(v) == math.huge) and tostring(v) or v
  end
  self.rows[#self.rows + 1] = out
  local ok, why = self.file:write(json.encode(out), "\n")
  if ok then ok, why = self.file:flush() end
  if not ok then core.raise("io", ("%s: writing failed: %s"):format(self.path, why)) end
  if not self.quiet and row.step % self.every == 0 then
    io.stderr:write(progress(self, row), "\n")
  end
end

Log.__call = Log.add

--- The curve of a column (loss) over the steps, as an Image; smoothed by a running mean.
---@param opts? { width: integer, height: integer, log: boolean }
function Log:curve(column, opts)
  return require("weft.plot").curve(self.rows, column or "loss", opts)
end

--- Write the curve of a column beside the log: run.jsonl gives run.png.
---@param opts? { width: integer, height: integer, log: boolean }
---@return string path
function Log:save_curve(column, opts)
  return self:curve(column, opts):save((self.path:gsub("%.%w+$", "") .. ".png"))
end

--- End the log; the curve of the loss is written beside it.
function Log:close()
  if not self.file then return end
  self.file:close()
  self.file = nil
  if #self.rows > 1 and self.rows[#self.rows].loss then self:save_curve("loss") end
end

return M
