--- How the benchmarks time: a row is prepared once, then sampled, and the machine's own best is
-- measured in the same run.
local ffi = require "ffi"
local weft = require "weft"

local M = {}

ffi.cdef [[
double probe_flops(int n_threads, int kind, double seconds);
double probe_read(int n_threads, double n_bytes);
]]
local probe = ffi.load "build/tests/bench/probe.so"

-- A sample is at least this long, so that a clock and a thread's waking do not count.
local SAMPLE_S = 0.03
-- Far more than any cache holds.
local READ_BYTES = 1.5e9

--- GFLOP/s now, on all threads: of f32 multiply-adds, and of bf16 by tiles or else by pairs.
function M.flops()
  local n, kind = weft.threads(), weft.core.cpu_level() == "amx" and 2 or 1
  return probe.probe_flops(n, 0, 0.04) / 1e9, probe.probe_flops(n, kind, 0.04) / 1e9
end

--- GB/s that memory can be read with: the best of three.
function M.read_rate()
  local best = 0
  for _ = 1, 3 do best = math.max(best, probe.probe_read(weft.threads(), READ_BYTES) / 1e9) end
  return best
end

local function median(list)
  local sorted = {}
  for i, v in ipairs(list) do sorted[i] = v end
  table.sort(sorted)
  local n = #sorted
  return n % 2 == 1 and sorted[(n + 1) / 2] or (sorted[n / 2] + sorted[n / 2 + 1]) / 2, sorted[1]
end
M.median = median

--- A field of /proc/self/status, in bytes: VmRSS now, VmHWM the most since reset_peak.
local function process_bytes(field)
  for line in io.lines "/proc/self/status" do
    local kib = line:match("^" .. field .. ":%s*(%d+)")
    if kib then return tonumber(kib) * 1024 end
  end
end

local function reset_peak()
  weft.memory(true)
  local file = io.open("/proc/self/clear_refs", "w")
  if file then
    file:write "5"
    file:close()
  end
end

---@class bench.Row
---@field name string
---@field dtype string     of products: "f32", or "bf16" for weft.bf16(true); of weights in GEMV
---@field spec table       what it computes, for peers
---@field flops? number    by the direct formula
---@field bytes? number    read and written at least
---@field items? number    what a step handles, and `unit` their name: for rates such as tokens/s
---@field make fun(): fun()  makes inputs, returns the step
---@field full? boolean    too long for every run
---@field slow? boolean    a step takes seconds: one warm-up, no repetition

local Prepared = {}
Prepared.__index = Prepared

--- One step, whose result is dropped: a scope would hand it on, and leave it to the collector.
local function run(step)
  weft.scope(function() step() end)
end

--- Make a row's inputs and warm it up. Memory is read now: rows prepared later do not count.
---@param row bench.Row
function M.prepare(row)
  local p = setmetatable({ row = row, seconds = {}, n = 1 }, Prepared)
  p.before, p.live = process_bytes "VmRSS", weft.memory().live
  weft.bf16(row.dtype == "bf16" and not row.storage)
  p.step = row.make()
  collectgarbage()
  weft.core.trim()
  reset_peak()
  local once = weft.time(run, p.step)
  if not row.slow then once = math.min(once, (weft.time(run, p.step))) end
  p.n = math.max(1, math.ceil(SAMPLE_S / once))
  p.peak_bytes = weft.memory().peak - p.live
  p.own_bytes = process_bytes "VmHWM" - p.before
  return p
end

--- One more sample: seconds of one step.
function Prepared:sample()
  weft.bf16(self.row.dtype == "bf16" and not self.row.storage)
  local s = weft.time(function()
    for _ = 1, self.n do run(self.step) end
  end) / self.n
  self.seconds[#self.seconds + 1] = s
  return s
end

--- What the samples say, as a flat table.
function Prepared:result()
  local row, fma, pairs_rate = self.row, M.flops()
  local med, best = median(self.seconds)
  return {
    name = row.name, dtype = row.dtype, level = weft.core.cpu_level(), threads = weft.threads(),
    samples = #self.seconds, median_s = med, best_s = best, flops = row.flops, bytes = row.bytes,
    gflops = row.flops and row.flops / best / 1e9, gbytes_s = row.bytes and row.bytes / best / 1e9,
    items = row.items, unit = row.unit, peak_bytes = self.peak_bytes, own_bytes = self.own_bytes,
    fma_gflops = fma, bf16_gflops = pairs_rate,
  }
end

--- Give back what the row made.
function Prepared:free()
  self.step = nil
  weft.bf16(false)
  collectgarbage()
  collectgarbage()
  weft.core.trim()
end

return M
