--- make bench: times rows of ops, training steps, pictures and processes.
--
--   luajit tests/bench/run.lua [rows=PATTERN] [samples=N] [threads=N] [full=1] [out=FILE] [serve=1]
--
-- A line of JSON a row on stdout (and into out), then a table. rows is a Lua pattern that a row's
-- "group name dtype" must hold. With serve=1 it is told on stdin what to do, one word and a row a
-- line, so that another program can take turns with it.
package.path = "./lua/?.lua;./lua/?/init.lua;./tests/bench/?.lua;" .. package.path
package.cpath = "./build/?.so;" .. package.cpath

local json = require "weft.json"
local measure = require "measure"
local weft = require "weft"

local options = { rows = "", samples = "5", threads = "", full = "", out = "", serve = "" }
for _, word in ipairs(arg) do
  local name, value = word:match "^(%l+)=(.*)$"
  if not options[name] then error("unknown argument: " .. word, 0) end
  options[name] = value
end
if options.threads ~= "" then weft.threads(tonumber(options.threads)) end

local function key_of(row) return ("%s %s %s"):format(row.group, row.name, row.dtype) end

--- The rows that were asked for, in order, and by key.
local function choose()
  local list, by_key = {}, {}
  for _, part in ipairs { "ops", "micro", "lm", "sd", "llama", "process" } do
    for _, row in ipairs(require("rows." .. part)) do
      if key_of(row):find(options.rows) and (options.full ~= "" or not row.full) then
        list[#list + 1] = row
        by_key[key_of(row)] = row
      end
    end
  end
  return list, by_key
end

local rows, by_key = choose()

local function row_line(row)
  return json.encode { key = key_of(row), group = row.group, name = row.name, dtype = row.dtype,
    spec = row.spec, slow = row.slow, flops = row.flops, bytes = row.bytes, items = row.items,
    unit = row.unit }
end

--- Answer one line of JSON to each line of stdin: "list", "machine", "prepare KEY", "sample KEY",
-- "result KEY", "free KEY".
local function serve()
  local prepared = {}
  local answers = {
    list = function()
      for _, row in ipairs(rows) do print(row_line(row)) end
      return "{}"
    end,
    machine = function()
      local fma, bf16 = measure.flops()
      return json.encode { fma_gflops = fma, bf16_gflops = bf16,
        read_gbytes_s = measure.read_rate(), level = weft.core.cpu_level(),
        threads = weft.threads() }
    end,
    prepare = function(key)
      prepared[key] = measure.prepare(by_key[key])
      return "{}"
    end,
    sample = function(key) return json.encode { seconds = prepared[key]:sample() } end,
    result = function(key) return json.encode(prepared[key]:result()) end,
    free = function(key)
      prepared[key]:free()
      prepared[key] = nil
      return "{}"
    end,
  }
  io.stdout:setvbuf "line"
  for line in io.lines() do
    local verb, key = line:match "^(%l+) ?(.*)$"
    print(answers[verb](key))
  end
end

local function rate(r)
  if r.gflops then return ("%8.0f GFLOP/s"):format(r.gflops) end
  if r.gbytes_s then return ("%8.1f GB/s"):format(r.gbytes_s) end
  if r.items then return ("%8.0f %s/s"):format(r.items / r.best_s, r.unit) end
  return ""
end

local function print_table(results, read)
  local last = results[#results]
  if not last then return end
  print(("\n%d threads, kernels for %s; multiply-adds %.0f GFLOP/s, of bf16 %.0f; memory is "
    .. "read at %.1f GB/s"):format(last.threads, last.level, last.fma_gflops, last.bf16_gflops,
    read))
  print(("%-44s %-5s %12s %12s"):format("", "", "median s", "best s"))
  for _, r in ipairs(results) do
    print(("%-44s %-5s %12.5f %12.5f %s"):format(r.name, r.dtype, r.median_s, r.best_s, rate(r)))
  end
end

local function run()
  local file = options.out ~= "" and assert(io.open(options.out, "w"))
  local read, results = measure.read_rate(), {}
  for i, row in ipairs(rows) do
    local p = measure.prepare(row)
    for _ = 1, row.slow and 1 or tonumber(options.samples) do p:sample() end
    results[i] = p:result()
    results[i].read_gbytes_s = read
    p:free()
    local line = json.encode(results[i])
    print(line)
    if file then file:write(line, "\n") end
  end
  if file then file:close() end
  print_table(results, read)
end

if options.serve ~= "" then serve() else run() end
