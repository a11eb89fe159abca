--- Scores with their intervals: rows for the terminal, a CSV file and a page with examples.
local weft = require "weft"

local M = {}

---@class micro.Row
---@field task string
---@field metric string
---@field n integer           how many outputs
---@field score? number       none where the model lacks a part
---@field low? number         95 % interval of the score
---@field high? number
---@field best? number        what the truth itself scores: real against real, the exact target
---@field copy? number        what handing back the input scores
---@field shuffled? number    the outputs against the inputs or captions of others
---@field is_distance? boolean  lower is better

local Z = 1.96
local BLOCKS = 10

--- Mean of numbers and its 95 % interval, of independent ones about normal.
---@param values number[]
---@return number mean
---@return number? low   none of fewer than two values
---@return number? high
function M.mean(values)
  local n, sum, squares = #values, 0, 0
  for _, v in ipairs(values) do sum = sum + v end
  local mean = sum / n
  if n < 2 then return mean end
  for _, v in ipairs(values) do squares = squares + (v - mean) ^ 2 end
  local half = Z * math.sqrt(squares / (n - 1) / n)
  return mean, mean - half, mean + half
end

--- A share of right answers and its 95 % interval by Wilson.
---@param right boolean[]
---@return number share
---@return number low
---@return number high
function M.share(right)
  local n, k = #right, 0
  for _, yes in ipairs(right) do k = k + (yes and 1 or 0) end
  local p, d = k / n, 1 + Z * Z / n
  local centre, half = p + Z * Z / (2 * n), Z * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
  return p, math.max(0, (centre - half) / d), math.min(1, (centre + half) / d)
end

--- A row over values: the share of booleans that are true, or the mean of numbers.
---@param values boolean[]|number[]
---@return micro.Row
function M.row(task, metric, values)
  local of = type(values[1]) == "boolean" and M.share or M.mean
  local score, low, high = of(values)
  return { task = task, metric = metric, n = #values, score = score, low = low, high = high }
end

--- A statistic of n things and its 95 % interval by the jackknife over ten blocks.
-- Source: Efron and Tibshirani, An Introduction to the Bootstrap, chapter 11.
---@param n integer
---@param of fun(ids: integer[]): number  of some of 1 ... n
---@return number value
---@return number? low   none where n is too small for blocks
---@return number? high
function M.jackknife(n, of)
  local all = {}
  for i = 1, n do all[i] = i end
  local value, left_out = of(all), {}
  if n < 2 * BLOCKS then return value end
  for b = 0, BLOCKS - 1 do
    local some = {}
    for i = 1, n do
      if i % BLOCKS ~= b then some[#some + 1] = i end
    end
    left_out[b + 1] = of(some)
  end
  local mean, squares = M.mean(left_out), 0
  for _, v in ipairs(left_out) do squares = squares + (v - mean) ^ 2 end
  local half = Z * math.sqrt((BLOCKS - 1) / BLOCKS * squares)
  return value, value - half, value + half
end

-- ---- what becomes of rows ----

--- A number in eight columns.
local function cell(v) return v and ("%8.3f"):format(v) or "       -" end

local HEADER = ("%-36s %-24s %8s  %-18s %8s %8s %8s %6s"):format("task", "metric", "score", "95 %",
  "best", "copy", "shuffled", "n")

--- A row as a line below M.HEADER.
---@param row micro.Row
function M.line(row)
  local interval = row.low and ("[%.3f, %.3f]"):format(row.low, row.high) or "-"
  return ("%-36s %-24s %s  %-18s %s %s %s %6d"):format(row.task,
    row.metric .. (row.is_distance and " (less)" or ""), cell(row.score), interval,
    cell(row.best), cell(row.copy), cell(row.shuffled), row.n)
end
M.HEADER = HEADER

local COLUMNS = { "task", "metric", "n", "score", "low", "high", "best", "copy", "shuffled" }

--- One field of CSV: texts in quotes, numbers as they are, nothing for what is not there.
local function field(v)
  if v == nil then return "" end
  if type(v) == "string" then return '"' .. v:gsub('"', '""') .. '"' end
  return ("%.6g"):format(v)
end

---@param rows micro.Row[]
---@return string
function M.csv(rows)
  local lines = { table.concat(COLUMNS, ",") .. ",better" }
  for _, row in ipairs(rows) do
    local cells = {}
    for i, name in ipairs(COLUMNS) do cells[i] = field(row[name]) end
    cells[#cells + 1] = field(row.is_distance and "low" or "high")
    lines[#lines + 1] = table.concat(cells, ",")
  end
  return table.concat(lines, "\n") .. "\n"
end

--- A row as a sentence.
local function sentence(row)
  local score = row.score and ("%.3f"):format(row.score) or "none"
  local parts = { ("%s: %s"):format(row.metric, score) }
  if row.low then parts[#parts + 1] = ("95 %% [%.3f, %.3f]"):format(row.low, row.high) end
  for _, name in ipairs { "best", "copy", "shuffled" } do
    if row[name] then parts[#parts + 1] = ("%s %.3f"):format(name, row[name]) end
  end
  parts[#parts + 1] = ("n %d%s"):format(row.n, row.is_distance and ", less is better" or "")
  return table.concat(parts, "  ·  ")
end

---@class micro.Section  what one group of metrics found
---@field title string
---@field note string
---@field rows micro.Row[]
---@field examples table[]  entries of weft.report

--- Write what was found: the table where csv says a path, JSON on the last line.
---@param rows micro.Row[]
---@param csv string  "" for none
function M.save(rows, csv)
  if csv ~= "" then weft.core.save_text(csv, M.csv(rows), true) end
  print(weft.json.encode(rows))
end

--- The page: of each section its rows, then its examples.
---@param sections micro.Section[]
---@param path string
function M.page(sections, path, title)
  local list = {}
  for _, s in ipairs(sections) do
    list[#list + 1] = { title = s.title, note = s.note }
    for _, row in ipairs(s.rows) do list[#list + 1] = ("%s, %s"):format(row.task, sentence(row)) end
    for _, example in ipairs(s.examples) do list[#list + 1] = example end
  end
  return weft.report(list, path, { title = title, inline = true })
end

return M
