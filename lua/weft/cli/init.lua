--- The commands of the weft program: finds the one that is meant, runs it, gives the exit status.
-- Nothing here loads a model; a command that needs one does.
local check_names = require "weft.cli.commands"
local args = require "weft.cli.args"
local page = require "weft.cli.page"
local term = require "weft.term"

local M = {}

local USAGE = 2

-- What the program starts itself again for.
local processes = { ["--worker"] = "weft.batch.worker", ["--remake"] = "weft.cli.remake" }

--- Is this word a recipe and no command? `weft fox.lua` is `weft run fox.lua`.
local function is_recipe(word) return word:find("%.lua$") ~= nil end

--- Does a word of the command line name an option, and has it its value behind it? As any command
-- has it, since the command is not known yet.
local function is_option(word)
  for _, command in ipairs(check_names.list) do
    for _, list in ipairs { check_names.common, command.options } do
      for _, o in ipairs(list) do
        local is_it = word == "--" .. o.name or o.short and word == "-" .. o.short
        if is_it or word:sub(1, #o.name + 3) == "--" .. o.name .. "=" then
          return true, is_it and o.value ~= nil
        end
      end
    end
  end
  return false
end

--- The command in front of the options that were written before it.
local function put_first(argv)
  local k = 1
  while argv[k] do
    local is_one, has_value = is_option(argv[k])
    if not is_one then break end
    k = k + (has_value and 2 or 1)
  end
  local word = argv[k]
  if k > 1 and word and word:sub(1, 1) ~= "-" then table.insert(argv, 1, table.remove(argv, k)) end
end

--- Command and where its words begin.
local function choose(argv)
  put_first(argv)
  local word = argv[1]
  if not word then return "repl", 1 end
  if word == "-h" or word == "--help" then return "help", 2 end
  if word == "--version" then return "version", 2 end
  if word == "-e" then return "eval", 2 end
  if check_names.by_name[word] then return word, 2 end
  if is_recipe(word) then return "run", 1 end
  if word:sub(1, 1) == "-" then return "repl", 1 end
  local near = require("weft.check").nearest(word, check_names.names())
  return args.fail("there is no command '%s'%s", word,
    near and (" (did you mean '%s'?)"):format(near) or " (weft help lists them)")
end

--- What options mean for every command.
local function apply_common(o)
  if o.plain then term.plain = true end
  if o.quiet then require("weft.tools").is_quiet = true end
end

-- What a variable of the environment may be; empty is as if it were not there.
local variables = {
  WEFT_CPU = { "amx", "avx512bf16", "avx512", "avx2", "plain" },
  WEFT_PROVENANCE = { "full", "hash", "none" },
  WEFT_TERM = { "kitty", "blocks", "ascii", "none" },
}

local function check_environment()
  for name, choices in pairs(variables) do
    local v, is_known = os.getenv(name) or "", false
    for _, c in ipairs(choices) do is_known = is_known or c == v end
    if v ~= "" and not is_known then
      args.fail("%s=%s: must be one of %s", name, term.safe(v), table.concat(choices, " "))
    end
  end
end

local function run_version()
  io.write(("weft %s  %s\n"):format(require("weft.host").version, jit.version))
  return 0
end

--- `weft -e CODE`: a chunk with the globals of a recipe.
local function run_eval(argv)
  local code = argv[2] or args.fail("-e wants Lua code")
  return require("weft.cli.run").chunk(code)
end

local function dispatch(argv)
  check_environment()
  local name, from = choose(argv)
  if name == "version" then return run_version() end
  if name == "eval" then return run_eval(argv) end
  local command = check_names.by_name[name]
  local a = args.parse(command, argv, from)
  apply_common(a.options)
  if a.options.help and name == "run" and a.words[1] then return require("weft.cli.run").help(a) end
  if a.options.help then return require("weft.cli.help").command(command) end
  return require("weft.cli." .. name).main(a)
end

--- A failure that has no place in a recipe: one line, and where help is.
local function say_short(r)
  local hint = r.hint and (" (%s)"):format(r.hint) or ""
  io.stderr:write(term.paint("red", "weft: ", 2), term.safe(r.message), hint, "\n")
end

--- Does the command line ask for JSON? Asked also of one that could not be parsed.
local function wants_json(argv)
  for _, word in ipairs(argv) do
    if word == "--" then return false end
    if word == "--json" then return true end
  end
  return false
end

--- Say what failed, on stdout too where JSON was asked for. Returns the exit status.
local function say_failure(report, argv)
  local is_misuse = getmetatable(report.err) == args.error_meta
  local status = is_misuse and USAGE or page.status(report.err)
  if is_misuse or (report.kind and report.kind ~= "internal") then say_short(report)
  else io.stderr:write(page.page(report), "\n", report.traceback or "", "\n") end
  if wants_json(argv) then
    io.stdout:write(require("weft.cli.run").failure(report, status), "\n")
  end
  return status
end

--- Run the command line. Returns the exit status.
---@param argv string[]  argv[0] is the program
function M.main(argv)
  require "weft"             -- by which errors know the package's own files from the user's
  require("weft.nesting").install()
  require("weft.host").set_home((debug.getinfo(1, "S").source:gsub("cli/init%.lua$", "")))
  local inner = processes[argv[1]]
  local ok, status = xpcall(inner and require(inner).main or dispatch, page.capture, argv)
  local output = package.loaded["weft.cli.output"]
  if output then output.drop() end
  if ok then return status or 0 end
  if type(status) ~= "table" then                 -- the handler itself ran out of something
    io.stderr:write("weft: ", tostring(status), "\n")
    return 1
  end
  return say_failure(status, argv)
end

return M
