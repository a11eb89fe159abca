--- The worker of a batch: reads orders, runs recipes, says what came out. It may die; the
-- supervisor notices. Orders come on descriptor 3 and answers go to 4, one JSON object a line.
local host = require "weft.host"
local json = require "weft.json"
local page = require "weft.cli.page"
local params = require "weft.params"
local paths = require "weft.paths"
local recipe = require "weft.recipe"

local M = {}

local ORDERS, ANSWERS = 3, 4
local LOG, CARD = "log.txt", "job.json"

local function answer(t)
  if not host.write(ANSWERS, json.encode(t) .. "\n") then M.is_over = true end
end

-- ---- the folder of a job ----

--- Files under dir, sorted, without the job's own two.
local function files_of(dir, prefix, out)
  local names = host.list(dir) or {}
  table.sort(names)
  for _, name in ipairs(names) do
    local full, rel = dir .. "/" .. name, prefix .. name
    local kind, bytes = host.stat(full)
    if kind == "dir" then
      files_of(full, rel .. "/", out)
    elseif kind == "file" and rel ~= LOG and rel ~= CARD then
      out[#out + 1] = { path = rel, bytes = bytes, sha256 = host.sha256_file(full) }
    end
  end
  return out
end

--- Take away what an earlier, unfinished try left.
local function clear(dir)
  for _, f in ipairs(files_of(dir, "", {})) do os.remove(dir .. "/" .. f.path) end
  os.remove(dir .. "/" .. CARD)
end

local function write_card(dir, card)
  require("weft.core").save_text(dir .. "/" .. CARD, json.encode(card, "  ") .. "\n", true)
end

-- ---- one job ----

local function hashes_of(modules)
  local out = json.list{}
  for i, m in ipairs(modules or {}) do
    out[i] = { path = m.path, sha256 = host.sha256_file(m.path) }
  end
  return out
end

--- Files from outside the job's folder that it read: a change of them makes it new.
local function hashes_of_reads(dir)
  local names, out = {}, json.list{}
  dir = host.real(dir) or dir
  for path in pairs(paths.reads) do
    if path:sub(1, #dir + 1) ~= dir .. "/" then names[#names + 1] = path end
  end
  table.sort(names)
  for i, path in ipairs(names) do out[i] = { path = path, sha256 = host.sha256_file(path) } end
  return out
end

--- Run the recipe of an order in its folder. Returns ok, report, modules.
local function run_recipe(order)
  local text = recipe.source(order.recipe)
  params.start(order.params, false)
  require("weft.config").recipe = {
    name = select(2, paths.split(order.recipe)), sha256 = host.sha256(text), text = text,
  }
  require("weft").seed(tonumber(order.id:sub(1, 8), 16))
  local env = recipe.environment()
  local chunk = recipe.compile(text, order.recipe, env)
  local modules, ok, err = recipe.with_folder(paths.split(order.recipe), env, function()
    return xpcall(chunk, page.capture)
  end)
  return ok, err, modules
end

--- What a failed job answers.
local function failure(order, r)
  if type(r) ~= "table" then r = page.locate{ message = tostring(r), frames = {} } end
  print(page.page(r))
  return { event = "failed", id = order.id, kind = r.kind or "recipe",
    message = r.message:sub(1, 2000), hint = r.hint, file = r.path, line = r.line }
end

local function log_to(path)
  io.stdout:flush()
  local fd = assert(host.open(path, path == "/dev/null" and "append" or "new"))
  host.redirect(fd)
  host.close(fd)
end

local function do_run(order)
  paths.make_dir(order.dir)
  require("weft.core").ready_folder(order.dir)
  clear(order.dir)
  log_to(order.dir .. "/" .. LOG)
  assert(host.chdir(order.dir))
  paths.reads, require("weft.load").used = {}, {}
  local start = host.clock()
  require("weft").memory(true)
  host.signals "worker"
  local ok, done, r, modules = pcall(run_recipe, order)
  host.stop_hooks()
  if not ok then done, r = false, page.capture(done) end
  if not done and host.signal_counts().term > 0 then      -- whatever the stop looked like in Lua
    r = { kind = "cancelled", message = "stopped", frames = {} }
  end
  local result = done and { event = "done", id = order.id, modules = hashes_of(modules) }
    or failure(order, r)
  if done then
    local list = json.list(files_of(order.dir, "", {}))
    result.files, result.peak_bytes = list, require("weft").memory().peak
    result.params, result.reads = params.values, hashes_of_reads(order.dir)
    result.models = require("weft.load").sources()
    if #list == 0 then print "weft: the job has made no file in its folder" end
  end
  result.seconds = math.floor((host.clock() - start) * 1000 + 0.5) / 1000
  if done then write_card(order.dir, result) end
  assert(host.chdir(paths.start_dir))
  log_to "/dev/null"
  answer(result)
  collectgarbage()
end

--- The declared parameters of a recipe.
local function do_params(order)
  local ok, rows, sweep = xpcall(recipe.read_params, page.capture, order.recipe)
  if ok then
    return answer{ event = "params", rows = json.list(rows),
      sweep = sweep and json.list { unpack(sweep) }, zip = sweep and sweep.zip }
  end
  local r = type(rows) == "table" and rows or { message = tostring(rows) }
  answer{ event = "bad", kind = r.kind, message = r.message, hint = r.hint, file = r.path,
          line = r.line }
end

local orders = { run = do_run, params = do_params }

--- Whatever goes wrong around a job is the job's failure, not the worker's end.
local function carry_out(order)
  local ok, r = xpcall(orders[order["do"]], page.capture, order)
  if ok then return end
  host.chdir(paths.start_dir)
  pcall(log_to, "/dev/null")
  answer(failure(order, r))
end

--- Read orders until the supervisor closes them.
function M.main()
  host.signals "worker"
  paths.start_dir = assert(host.cwd())
  params.keeps_paths = true                  -- the plan has anchored what was given
  require("weft.progress").write = function(text) answer{ event = "step", text = text } end
  require("weft.term").plain = true
  local buffer = ""
  while not M.is_over do
    local got = host.read(ORDERS)
    if not got or got == "" then return 0 end
    buffer = buffer .. got
    for line in buffer:gmatch("([^\n]*)\n") do
      local order = json.decode(line)
      if order.config then
        for k, v in pairs(order.config) do require("weft.config")[k] = v end
        if order.config.threads then require("weft").threads(order.config.threads) end
      else
        carry_out(order)
      end
    end
    buffer = buffer:match("[^\n]*$")
  end
  return 0
end

return M
