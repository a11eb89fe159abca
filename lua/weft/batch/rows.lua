--- Rows of parameters for jobs: sweeps of the command line, CSV, JSON lines. Values are texts, or
-- what JSON holds; weft.params gives them their types.
local args = require "weft.cli.args"
local check = require "weft.check"
local json = require "weft.json"
local paths = require "weft.paths"
local tools = require "weft.tools"

local M = {}

local MAX_RANGE = 100000

--- "seed=1..8" or "guidance=3,5,7" as an axis { name, v1, v2 ... }.
function M.axis(text)
  local name, list = text:match("^([%a_][%w_]*)=(.+)$")
  if not name then args.fail("--sweep wants NAME=V,V or NAME=1..8, got %q", text) end
  local axis = { name }
  for item in (list .. ","):gmatch("([^,]*),") do
    local a, b = item:match("^(%-?%d+)%.%.(%-?%d+)$")
    if a then
      a, b = tonumber(a), tonumber(b)
      if b < a then args.fail("--sweep %s: the range %s goes down", name, item) end
      if b - a >= MAX_RANGE then
        args.fail("--sweep %s: the range %s has more than %d values", name, item, MAX_RANGE)
      end
      for v = a, b do axis[#axis + 1] = ("%d"):format(v) end
    else
      axis[#axis + 1] = item
    end
  end
  return axis
end

--- Fields of one CSV record that begins at position at; quotes as in RFC 4180.
local function csv_record(text, at)
  local fields = {}
  while true do
    local field
    if text:sub(at, at) == '"' then
      local from, parts = at + 1, {}
      while true do
        local q = text:find('"', from, true)
        if not q then return nil, #text + 1 end
        parts[#parts + 1] = text:sub(from, q - 1)
        at, from = q + 1, q + 2
        if text:sub(q + 1, q + 1) ~= '"' then break end
        parts[#parts + 1] = '"'
      end
      field = table.concat(parts)
    else
      local stop = text:find("[,\r\n]", at) or #text + 1
      field, at = text:sub(at, stop - 1), stop
    end
    fields[#fields + 1] = field
    if text:sub(at, at) ~= "," then
      return fields, (text:match("^\r?\n?()", at))
    end
    at = at + 1
  end
end

---@class weft.batch.Row
---@field where string     where it stands: "jobs.csv line 3"
---@field values? table    what it holds
---@field error? string    what is wrong with it

--- Rows of a CSV file by its header.
---@return weft.batch.Row[]
function M.csv(text, what)
  text = text:gsub("^\239\187\191", "")
  local header, at = csv_record(text, 1)
  if not header then args.fail("%s: a quote without end", what) end
  local out, line, counted = {}, 1, 1
  while at <= #text do
    line, counted = line + select(2, text:sub(counted, at - 1):gsub("\n", "")), at
    local fields
    fields, at = csv_record(text, at)
    local where = ("%s line %d"):format(what, line)
    if not fields then args.fail("%s: a quote without end", where) end
    if not (#fields == 1 and fields[1] == "") then
      if #fields ~= #header then
        args.fail("%s: has %d fields, the header %d", where, #fields, #header)
      end
      local row = {}
      for i, name in ipairs(header) do row[name] = fields[i] ~= "" and fields[i] or nil end
      out[#out + 1] = { where = where, values = row }
    end
  end
  return out
end

--- Objects of a text with one JSON value a line.
---@return weft.batch.Row[]
function M.jsonl(text, what)
  local out, n = {}, 0
  for line in (text .. "\n"):gmatch("(.-)\r?\n") do
    n = n + 1
    if line:match("%S") then
      local ok, v = pcall(json.decode, line)
      if not check.is_utf8(line) then ok, v = false, "is not UTF-8" end
      if ok and type(v) ~= "table" then ok, v = false, "is not an object" end
      local where = ("%s line %d"):format(what, n)
      out[#out + 1] = ok and { where = where, values = v }
        or { where = where, error = type(v) == "table" and v.message or tostring(v) }
    end
  end
  return out
end

--- Rows of a .csv or .jsonl file.
---@return weft.batch.Row[]
function M.table(path)
  local text, err = paths.slurp(path)
  if not text then require("weft.core").raise("io", err) end
  if paths.extension(path) == "csv" then return M.csv(text, path) end
  local rows = M.jsonl(text, path)
  for _, row in ipairs(rows) do
    if row.error then args.fail("%s: %s", row.where, row.error) end
  end
  return rows
end

--- All rows of a list of axes, in order.
function M.product(axes, zip)
  local out = {}
  axes.zip = zip
  for row in tools.sweep(axes) do out[#out + 1] = row end
  return out
end

return M
