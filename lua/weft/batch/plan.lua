--- The jobs of a batch: which recipes, which parameters, which folder, which id.
local args = require "weft.cli.args"
local check = require "weft.check"
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

local keys = { "recipe", "params", "out" }

--- What is wrong with a job of JSONL before its recipe is looked at; nil when nothing is.
local function fault_of(job)
  for key in pairs(job) do
    local is_known = key == keys[1] or key == keys[2] or key == keys[3]
    local near = not is_known and check.nearest(tostring(key), keys)
    if not is_known then
      return ("unknown key '%s' (%s)"):format(tostring(key),
        near and ("did you mean '%s'?"):format(near) or "keys: " .. table.concat(keys, " "))
    end
  end
  if type(job.recipe) ~= "string" then return 'a job without "recipe"' end
  if job.params ~= nil and type(job.params) ~= "table" then return '"params" is no object' end
  local out = job.out
  if out == nil then return nil end
  local is_inside = type(out) == "string" and out:find "[^/]" and out:sub(1, 1) ~= "/"
    and not ("/" .. out .. "/"):find("/%.%.?/") and not out:find("%c")
  if is_inside then return nil end
  return ("out = %s leaves the output folder"):format(json.encode(out))
end

--- A job of JSONL as an entry; one that is wrong has an error.
local function entry_of(row)
  local job = row.values or {}
  local fault = row.error or fault_of(job)
  return { recipe = type(job.recipe) == "string" and job.recipe or nil, given = job.params or {},
    out = job.out, where = row.where, error = fault and row.where .. ": " .. fault,
    is_single = true }
end

--- { recipe, given, out, where, error } from the words of the command line, before declarations
-- are known.
local function entries(words)
  local out = {}
  for _, word in ipairs(words) do
    if word == "-" then
      for _, row in ipairs(rows.jsonl(io.read "*a" or "", "stdin")) do
        out[#out + 1] = entry_of(row)
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

--- Rows of given parameters for one recipe, and where each stands when that is in a table.
local function given_rows(entry, declared, o)
  if entry.is_single then return { { values = entry.given, where = entry.where } } end
  local from_table = o.table and rows.table(o.table) or { { values = {} } }
  local axes = {}
  for i, text in ipairs(o.sweep or {}) do axes[i] = rows.axis(text) end
  local is_own = #axes == 0 and not o.table
  if is_own then axes = own_axes(declared.sweep) end
  local zip = is_own and declared.zip or o.zip
  local product = #axes > 0 and rows.product(axes, zip) or { {} }
  local out = {}
  for _, row in ipairs(from_table) do
    for _, point in ipairs(product) do
      local merged = {}
      for _, t in ipairs{ entry.given, o.params, row.values, point } do
        for k, v in pairs(t) do merged[k] = v end
      end
      out[#out + 1] = { values = merged, where = row.where }
    end
  end
  return out
end

--- What identifies a job: what its files hold, and of the recipe where it is too, since what it
-- requires lies beside it. Of a path that was not given nobody knows here whether it is read; the
-- journal has the files that were.
local function id_of(job, declared, model)
  local values = {}
  for _, row in ipairs(declared.rows) do
    local v = job.params[row.name]
    local is_file = row.path and job.given[row.name] ~= nil and host.stat(v) == "file"
    values[row.name] = is_file and { file = host.sha256_file(v) } or v
  end
  return host.sha256(json.encode{
    recipe = declared.sha256, folder = (paths.split(job.recipe)),
    params = values, model = model or "", generation = GENERATION,
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

--- Folder of a job below the output folder.
local function folder_of(job, entry)
  if entry.out then return (entry.out:gsub("/+", "/"):gsub("/$", "")) end
  local base = select(2, paths.split(job.recipe)):gsub("%.lua$", "")
  return ("%s/%s-%s"):format(base, name_of(job.given), job.id:sub(1, 8))
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

--- The job of a row. What is wrong with a line of JSONL is the failure of that job; anything else
-- is said before a job runs.
local function job_of(entry, row, declared, o, start_dir)
  local given = row.values
  local ok, values = pcall(params.resolve, declared.rows, given, true, start_dir)
  if not ok then
    local message = type(values) == "table" and values.message or tostring(values)
    local hint = type(values) == "table" and values.hint
    message = (row.where and row.where .. ": " or "") .. message
      .. (hint and (" (%s)"):format(hint) or "")
    return entry.is_single and failed_job(entry, message) or args.fail("%s", message)
  end
  local job = { recipe = paths.absolute(entry.recipe), given = given, params = values,
                cost = cost_of(values), where = row.where }
  job.id = id_of(job, declared, o.model)
  job.out = folder_of(job, entry)
  job.label = ("%s %s"):format(select(2, paths.split(job.recipe)), name_of(given))
  return job
end

--- The job whose folder is this one, holds it or lies in it; nil when there is none. taken has the
-- jobs by folder, and below "FOLDER/" a job that lies in it.
local function rival_of(taken, out)
  local rival = taken[out] or taken[out .. "/"]
  for stop in out:gmatch "()/" do rival = rival or taken[out:sub(1, stop - 1)] end
  return rival
end

local function take_folder(taken, job)
  taken[job.out] = job
  for stop in job.out:gmatch "()/" do
    local above = job.out:sub(1, stop)
    taken[above] = taken[above] or job
  end
end

--- All jobs in order, each once and each in a folder of its own; nil and what declare said when it
-- was stopped.
---@param declare fun(path: string): table   { rows, sweep } of a recipe, or { error }, or { stop }
function M.jobs(words, o, declare)
  local out, seen, taken, start_dir = {}, {}, {}, assert(host.cwd())
  local function add(entry, job)
    local twin = seen[job.id]
    if twin and not entry.is_single then return end
    if twin and not job.error then
      job = failed_job(entry, ("%s: is the job of %s again"):format(job.where,
        twin.where or twin.label))
    end
    seen[job.id] = job
    local rival = not job.error and rival_of(taken, job.out)
    if rival then
      job = failed_job(entry, ("%s: out = %q is where the job of %s writes"):format(
        job.where or job.label, job.out, rival.where or rival.label))
    elseif not job.error then
      take_folder(taken, job)
    end
    out[#out + 1] = job
  end
  for _, entry in ipairs(entries(words)) do
    local declared = entry.recipe and not entry.error and declare(entry.recipe) or {}
    if declared.stop then return nil, declared.stop end
    local message = entry.error
      or declared.error and (entry.where and entry.where .. ": " or "") .. declared.error
    if message then
      add(entry, failed_job(entry, message))
    else
      for _, row in ipairs(given_rows(entry, declared, o)) do
        add(entry, job_of(entry, row, declared, o, start_dir))
      end
    end
  end
  if #out == 0 then tools.log("weft: nothing to do") end
  return out
end

return M
