--- The jobs of a batch: which recipes, which parameters, which folder, which id.
local args = require "weft.cli.args"
local host = require "weft.host"
local json = require "weft.json"
local params = require "weft.params"
local paths = require "weft.paths"
local rows = require "weft.batch.rows"
local tools = require "weft.tools"

local M = {}

--- Part of every id: a change of it makes every job new.
local GENERATION = 1
local NAME_BYTES = 80

--- Recipes under a folder, sorted.
local function recipes_under(dir, out)
  local names = host.list(dir) or {}
  table.sort(names)
  for _, name in ipairs(names) do
    local full = paths.join(dir, name)
    if host.stat(full) == "dir" and name:sub(1, 1) ~= "." then recipes_under(full, out)
    elseif name:match("%.lua$") then out[#out + 1] = full end
  end
  return out
end

--- { recipe, params } from the words of the command line, before declarations are known.
local function entries(words)
  local out = {}
  for _, word in ipairs(words) do
    if word == "-" then
      for _, row in ipairs(rows.jsonl(io.read "*a" or "", "stdin")) do
        local is_good = row.error or type(row.recipe) == "string"
        out[#out + 1] = { recipe = is_good and row.recipe, given = row.params or {}, out = row.out,
          error = row.error or (not is_good and "stdin: a job without \"recipe\"") or nil,
          is_single = true }
      end
    elseif host.stat(word) == "dir" then
      local found = recipes_under(word, {})
      if #found == 0 then args.fail("%s holds no recipes (*.lua)", word) end
      for _, path in ipairs(found) do out[#out + 1] = { recipe = path, given = {} } end
    else
      if host.stat(word) ~= "file" then
        require("weft.core").raise("io", word .. ": there is no such recipe")
      end
      out[#out + 1] = { recipe = word, given = {} }
    end
  end
  return out
end

--- Axes of a recipe's own sweep as texts or values.
local function own_axes(sweep)
  local out = {}
  for i, axis in ipairs(sweep or {}) do out[i] = axis end
  return out
end

--- Rows of given parameters for one recipe.
local function given_rows(entry, declared, o)
  if entry.is_single then return { entry.given } end
  local from_table = o.table and rows.table(o.table) or { {} }
  local axes = {}
  for i, text in ipairs(o.sweep or {}) do axes[i] = rows.axis(text) end
  local is_own = #axes == 0 and not o.table
  if is_own then axes = own_axes(declared.sweep) end
  local product = #axes > 0 and rows.product(axes, o.zip) or { {} }
  local out = {}
  for _, row in ipairs(from_table) do
    for _, point in ipairs(product) do
      local merged = {}
      for _, t in ipairs{ entry.given, o.params, row, point } do
        for k, v in pairs(t) do merged[k] = v end
      end
      out[#out + 1] = merged
    end
  end
  return out
end

--- What identifies a job: not where things are, but what they hold.
local function id_of(job, declared, model)
  local values = {}
  for _, row in ipairs(declared.rows) do
    local v = job.params[row.name]
    local is_file = row.path and host.stat(v) == "file"
    values[row.name] = is_file and { file = host.sha256_file(v) } or v
  end
  return host.sha256(json.encode{
    recipe = declared.sha256, params = values, model = model or "", generation = GENERATION,
  })
end

--- "seed-3_guidance-7": the parameters that were given, for people.
local function name_of(given)
  local names, out = {}, {}
  for name in pairs(given) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do
    local v = given[name]
    local text = type(v) == "number" and ("%.14g"):format(v) or tostring(v)
    out[i] = name .. "-" .. text:gsub("[^%w%.%-]+", "-")
  end
  local text = table.concat(out, "_"):sub(1, NAME_BYTES):gsub("%-+$", "")
  return text == "" and "default" or text
end

--- Folder of a job below the output folder; one that JSONL names stays inside.
local function folder_of(job, entry)
  if not entry.out then
    local base = select(2, paths.split(job.recipe)):gsub("%.lua$", "")
    return ("%s/%s-%s"):format(base, name_of(job.given), job.id:sub(1, 8))
  end
  local is_inside = type(entry.out) == "string" and entry.out ~= "" and entry.out:sub(1, 1) ~= "/"
    and not ("/" .. entry.out .. "/"):find("/%.%.?/") and not entry.out:find("%c")
  if not is_inside then args.fail("job: out = %q leaves the output folder", tostring(entry.out)) end
  return entry.out
end

--- Work of a job relative to others, for the time that is left.
local function cost_of(values)
  local function number(name) return type(values[name]) == "number" and values[name] or 1 end
  return math.max(number "steps" * number "n" * number "frames", 1)
end

local function failed_job(entry, message)
  local name = entry.recipe or "stdin"
  return { recipe = name, given = {}, params = {}, error = message, cost = 1,
           id = host.sha256("bad " .. name .. message), label = name, out = "" }
end

local function job_of(entry, given, declared, o, start_dir)
  local ok, values = pcall(params.resolve, declared.rows, given, true, start_dir)
  if not ok then
    if entry.is_single then return failed_job(entry, tostring(values)) end
    return error(values, 0)
  end
  local job = { recipe = paths.absolute(entry.recipe), given = given, params = values,
                cost = cost_of(values) }
  job.id = id_of(job, declared, o.model)
  job.out = folder_of(job, entry)
  job.label = ("%s %s"):format(select(2, paths.split(job.recipe)), name_of(given))
  return job
end

--- All jobs in order, each once; nil and what declare said when it was stopped.
---@param declare fun(path: string): table   { rows, sweep } of a recipe, or { error }, or { stop }
function M.jobs(words, o, declare)
  local out, seen, start_dir = {}, {}, assert(host.cwd())
  local function add(job)
    if seen[job.id] then return end
    seen[job.id] = true
    out[#out + 1] = job
  end
  for _, entry in ipairs(entries(words)) do
    local declared = entry.recipe and not entry.error and declare(entry.recipe) or {}
    if declared.stop then return nil, declared.stop end
    local message = entry.error or declared.error
    if message then
      add(failed_job(entry, message))
    else
      for _, given in ipairs(given_rows(entry, declared, o)) do
        add(job_of(entry, given, declared, o, start_dir))
      end
    end
  end
  if #out == 0 then tools.log("weft: nothing to do") end
  return out
end

return M
