--- Tables of what bench-peers saved.
--
--   luajit tests/bench/report.lua FILE.json            ratio tables on stdout
--   luajit tests/bench/report.lua FILE.json PAGE.md    into the page, between its marks
--   luajit tests/bench/report.lua FILE.json PAGE.md LEVEL   between those that name a level
--
-- A mark is a line <!-- bench: GROUP --> or <!-- bench: LEVEL GROUP --> and the tables end at
-- <!-- end -->.
package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path
package.cpath = "./build/?.so;" .. package.cpath
local json = require "weft.json"

local function slurp(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

local saved = json.decode(slurp(arg[1]))

--- The party's best sample: what the work takes when nobody else wants the machine.
local function best_of(row, pattern)
  local name, least
  for party, r in pairs(row.parties) do
    if party:find(pattern) and (not least or r.best_s < least.best_s) then
      name, least = party, r
    end
  end
  return name, least
end

local function seconds(r)
  if not r then return "" end
  local s = r.best_s
  if s < 0.01 then return ("%.2f ms"):format(s * 1e3) end
  if s < 1 then return ("%.1f ms"):format(s * 1e3) end
  return ("%.2f s"):format(s)
end

--- What a party reaches, in the row's own unit.
local function rate(row, r)
  if not r then return "" end
  if type(row.flops) == "number" and row.group == "ops" and not row.name:find "gemv" then
    return ("%.0f"):format(row.flops / r.best_s / 1e9)
  end
  return seconds(r)
end

local function ratio(weft, peer)
  return weft and peer and ("%.2f"):format(peer.best_s / weft.best_s) or ""
end

local function columns(row, list)
  local out = {}
  for i, party in ipairs(list) do out[i] = rate(row, row.parties[party]) end
  return out
end

local layouts = {
  ops = {
    title = "GFLOP/s by the direct count, or time",
    parties = { "weft f32", "weft bf16", "weft f16", "torch f32", "torch bf16", "torch f16" },
    ratios = { { "f32", "^weft f32", "^torch f32" }, { "bf16 / f32", "^weft bf16", "^torch f32" },
      { "best", "^weft", "^torch" } },
  },
  train = {
    title = "time of a step",
    parties = { "weft f32", "weft bf16", "torch f32", "torch f32 compiled", "torch bf16",
      "torch bf16 compiled" },
    ratios = { { "f32 / eager", "^weft f32", "^torch f32$" },
      { "f32 / compiled", "^weft f32", "^torch f32 compiled$" }, { "best", "^weft", "^torch" } },
  },
  sd = {
    title = "time",
    parties = { "weft f32", "weft bf16", "torch f32", "torch bf16" },
    ratios = { { "f32", "^weft f32", "^torch f32" }, { "bf16", "^weft bf16", "^torch bf16" } },
  },
}
layouts.llama = layouts.sd
layouts.picture = { title = "time", parties = { "weft f32" }, ratios = {} }
layouts.process = { title = "time", parties = { "weft" }, ratios = {} }

local function line(cells) return "| " .. table.concat(cells, " | ") .. " |" end

--- The parties of a layout that any row of the group has.
local function present(group, parties)
  local out = {}
  for _, party in ipairs(parties) do
    for _, row in ipairs(saved.rows) do
      if row.group == group and row.parties[party] then
        out[#out + 1] = party
        break
      end
    end
  end
  return out
end

local function group_table(group)
  local layout = layouts[group]
  local list = present(group, layout.parties)
  local head, rule = { layout.title }, { "---" }
  for _, party in ipairs(list) do head[#head + 1] = party end
  for _, r in ipairs(layout.ratios) do head[#head + 1] = "ratio " .. r[1] end
  for i = 2, #head do rule[i] = "--:" end
  local out = { line(head), line(rule) }
  for _, row in ipairs(saved.rows) do
    if row.group == group then
      local cells = columns(row, list)
      table.insert(cells, 1, row.name)
      for _, r in ipairs(layout.ratios) do
        local _, ours = best_of(row, r[2])
        local _, theirs = best_of(row, r[3])
        cells[#cells + 1] = ratio(ours, theirs)
      end
      out[#out + 1] = line(cells)
    end
  end
  return out
end

-- The first row of a full run: later ones find memory that freed rows left.
local MEMORY_ROW = "sd 2.1 unclip: step with guidance, 768 px"

--- Memory where it counts: what a party's process grew by at most.
local function memory_table()
  local out = { line { "memory in GB", "weft f32", "weft bf16", "torch f32", "torch bf16" },
    line { "---", "--:", "--:", "--:", "--:" } }
  for _, row in ipairs(saved.rows) do
    if row.name == MEMORY_ROW then
      local cells = { row.name }
      for _, party in ipairs { "weft f32", "weft bf16", "torch f32", "torch bf16" } do
        local r = row.parties[party]
        cells[#cells + 1] = r and ("%.2f"):format(r.own_bytes / 1e9) or ""
      end
      out[#out + 1] = line(cells)
    end
  end
  return out
end

--- A host and the level of weft's kernels on it, in words.
local function host_text(row)
  local h = row.host or saved.host     -- at the head of the file: that of rows without one
  return ("%s (model %s; %s), %d processors; weft's kernels for %s, PyTorch %s"):format(h.name,
    h.model, table.concat(h.has, " "), h.processors, row.machine.level, h.torch)
end

--- Rows by the host that they were measured on, in the order in which hosts appear.
---@return { text: string, rows: table[] }[]
local function hosts()
  local out = {}
  for _, row in ipairs(saved.rows) do
    local text = host_text(row)
    local host = out[text]
    if not host then
      host = { text = text, rows = {} }
      out[text], out[#out + 1] = host, host
    end
    host.rows[#host.rows + 1] = row
  end
  return out
end

--- What was measured beside the rows of one host, at best; and when.
local function host_lines(host, is_only)
  local fma, bf16, read, names, days = 0, 0, 0, {}, {}
  for i, row in ipairs(host.rows) do
    local m = row.machine
    fma, bf16 = math.max(fma, m.fma_gflops), math.max(bf16, m.bf16_gflops)
    read, names[i] = math.max(read, m.read_gbytes_s), row.name
    if not days[row.date] then days[row.date], days[#days + 1] = true, row.date end
  end
  table.sort(days)
  return ("%s; measured on %s%s."):format(host.text, table.concat(days, ", "),
      is_only and "" or ": " .. table.concat(names, "; ")),
    ("Measured beside: f32 multiply-adds %.0f GFLOP/s, products of bf16 %.0f, memory read at "
      .. "%.1f GB/s."):format(fma, bf16, read)
end

local function machine_lines()
  local list, out = hosts(), {}
  for _, host in ipairs(list) do
    out[#out + 1], out[#out + 2] = host_lines(host, #list == 1)
  end
  return out
end

local function tables(name)
  if name == "machine" then return machine_lines() end
  if name == "memory" then return memory_table() end
  return group_table(name)
end

local function print_all()
  for _, name in ipairs { "machine", "ops", "train", "sd", "memory", "llama", "picture",
    "process" } do
    print(table.concat(tables(name), "\n") .. "\n")
  end
end

--- Replace what stands between the marks of a page.
---@param level string  "" for marks that name none
local function fill(path, level)
  local out, skip = {}, false
  local mark = ("^<!%%-%%- bench: %s(%%l+) %%-%%->$"):format(level == "" and "" or level .. " ")
  for text in (slurp(path)):gmatch "([^\n]*)\n" do
    local name = text:match(mark)
    if text == "<!-- end -->" then skip = false end
    if not skip then out[#out + 1] = text end
    if name then
      skip = true
      for _, l in ipairs(tables(name)) do out[#out + 1] = l end
    end
  end
  local file = assert(io.open(path, "w"))
  file:write(table.concat(out, "\n"), "\n")
  file:close()
end

if arg[2] then fill(arg[2], arg[3] or "") else print_all() end
