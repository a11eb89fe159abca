--- `weft run RECIPE name=value ...`: one recipe, in this process.
local args = require "weft.cli.args"
local core = require "weft.core"
local host = require "weft.host"
local json = require "weft.json"
local output = require "weft.cli.output"
local page = require "weft.cli.page"
local params = require "weft.params"
local paths = require "weft.paths"
local recipe = require "weft.recipe"

local M = {}

local EXIT_INT, EXIT_TERM = 130, 143

--- Show a medium as the prompt does.
function M.show(medium) require("weft.repl.display").show(medium) end

--- What -m, -d and --threads mean to every load that does not say otherwise.
function M.apply_engine_options(o)
  local config = require "weft.config"
  config.model, config.device = o.model or config.model, o.device or config.device
  if o.show then paths.on_saved = M.show end
  if o.threads then
    require("weft").threads(args.int("--threads", o.threads, 1, 1024))
  end
end

--- Go to the output folder: relative paths that a recipe writes land there. "-" is a hidden one,
-- whose file goes to stdout at the end.
function M.enter_out(dir)
  paths.start_dir = assert(host.cwd())
  if not dir then return end
  if dir == "-" then dir = output.hide() end
  paths.make_dir(dir)
  core.ready_folder(dir)                      -- before a model is loaded for nothing
  local ok, err = host.chdir(dir)
  if not ok then core.raise("io", err) end
end

--- Exit status of a failed run; a cancelled one tells which signal it was.
function M.exit_status(report)
  local n = host.signal_counts()
  if report.kind == "cancelled" or n.int + n.term + n.hup > 0 then
    return (n.term > 0 or n.hup > 0) and EXIT_TERM or EXIT_INT
  end
  return page.status(report.err)
end

--- Run a function of the user under signals. Returns ok and a report of what it raised.
function M.protected(f)
  host.signals "run"
  local ok, report = xpcall(f, page.capture)
  host.stop_hooks()
  if ok then return true end
  if type(report) ~= "table" then report = { message = tostring(report), frames = {} } end
  return false, report
end

--- What went wrong as JSON.
function M.failure(report, status)
  return json.encode{ ok = false, kind = report.kind or "recipe", message = report.message,
    hint = report.hint, file = report.path, line = report.line, exit = status }
end

--- Say what went wrong and give the exit status.
function M.fail(report, is_json)
  local status = M.exit_status(report)
  local is_stop = status == EXIT_INT or status == EXIT_TERM
  io.stdout:flush()
  io.stderr:write(is_stop and "weft: stopped; files that were complete are kept"
    or page.page(report), "\n")
  if is_json then
    io.stdout:write(M.failure(report, status), "\n")
  end
  return status
end

--- What a recipe prints goes to stderr: stdout is for one object, or one file.
local function keep_stdout(env)
  rawset(env, "print", function(...)
    local out = {}
    for i = 1, select("#", ...) do out[i] = tostring((select(i, ...))) end
    io.stderr:write(table.concat(out, "\t"), "\n")
  end)
  io.output(io.stderr)
end

--- Run compiled code as a recipe. Returns the exit status.
---@param compile fun(env: table): function
function M.execute(compile, dir, options)
  local env = recipe.environment(options.sandbox and require("weft.sandbox").globals() or nil)
  if options.json or options.out == "-" then keep_stdout(env) end
  local modules
  local ok, report = M.protected(function()
    local chunk = compile(env)
    local done, err
    modules, done, err = recipe.with_folder(dir, env, function()
      return xpcall(chunk, page.capture)
    end)
    if not done then error(err, 0) end
  end)
  if not ok then return M.fail(report, options.json) end
  if not params.declared and next(params.given) then
    require("weft.tools").log("weft: the recipe declares no parameters; %s= was not used",
      tostring((next(params.given))))
  end
  if options.json then
    io.stdout:write(json.encode{
      ok = true, exit = 0, params = params.values or {}, modules = #(modules or {}),
      files = json.list(paths.written()),
    }, "\n")
  end
  if options.out == "-" then output.emit "run" end
  return 0
end

--- `weft -e CODE`
function M.chunk(code)
  M.enter_out(nil)
  params.start({}, true)
  page.sources["command line"] = code
  local function compile(env)
    rawset(env, "weft", require "weft")
    local chunk, err = load(code, "=command line", "t", env)
    if not chunk then error(err, 0) end
    return chunk
  end
  return M.execute(compile, ".", {})
end

--- Note in provenance what runs.
function M.remember(path, text)
  require("weft.config").recipe = {
    name = select(2, paths.split(path)), sha256 = host.sha256(text), text = text,
  }
end

--- Parameters for a run: those of a file made before, then those of the command line.
local function given_params(a)
  local given = {}
  if a.options["set-from"] then
    local meta = require("weft.provenance").read(a.options["set-from"])
    for k, v in pairs(meta.params or {}) do given[k] = v end
  end
  for k, v in pairs(a.params) do given[k] = v end
  return given
end

--- The recipe of a word of the command line: its text, and where it is; "-" is stdin.
local function source_of(path)
  if path == "-" then
    return recipe.clean(io.read "*a" or "", "stdin"), paths.absolute "stdin.lua"
  end
  return recipe.source(path), paths.absolute(path)
end

--- `weft run RECIPE --help`: what the recipe says of itself, and its parameters.
function M.help(a)
  local path = a.words[1]
  local text = recipe.source(path)
  for line in text:gsub("^%s+", ""):gmatch "([^\n]*)\n" do
    local said = line:match "^%-%-%-? ?(.*)$"
    if not said then break end
    io.write(said, "\n")
  end
  return require("weft.cli.params").show(path)
end

function M.main(a)
  local path = a.words[1] or args.fail("run: which recipe? (weft run fox.lua seed=7)")
  if a.words[2] then
    args.fail("run: one recipe at a time, '%s' is left over (weft batch)", a.words[2])
  end
  local o = a.options
  if o.out == "-" and o.json then args.fail "run: -o - and --json both want stdout" end
  local text, full = source_of(path)
  params.start(given_params(a), true)
  M.remember(full, text)
  M.enter_out(o.out)
  M.apply_engine_options(o)
  if o.json or o.out == "-" then paths.on_saved = nil end
  local function compile(env) return recipe.compile(text, full, env) end
  return M.execute(compile, (paths.split(full)), o)
end

return M
