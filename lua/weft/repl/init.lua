--- The prompt: reads entries, runs them, keeps the session until Ctrl-D.
local commands = require "weft.repl.commands"
local complete = require "weft.repl.complete"
local eval = require "weft.repl.eval"
local help = require "weft.help"
local history = require "weft.repl.history"
local host = require "weft.host"
local session = require "weft.repl.session"
local term = require "weft.term"

local M = {}

local EXIT_TERM = 143

--- Run one whole entry. Returns ok, or "quit".
local function handle(s, text)
  local kind, rest = eval.classify(text)
  if kind == "empty" then return true end
  if kind == "command" then return commands.run(s, rest) end
  if kind == "lua" then return s:evaluate(rest) end
  if kind == "shell" then
    os.execute(rest)
    return true
  end
  local page, found = help.about(rest)
  io.write(page, "\n")
  return found
end

--- Is the entry complete, so that Enter runs it?
local function is_complete(s, text)
  local kind, rest = eval.classify(text)
  if kind ~= "lua" then return true end
  local _, what = s:compile(rest)
  return what ~= "incomplete"
end

--- A line of a pasted transcript loses its prompt.
local function without_prompt(text)
  return (text:gsub("^weft:%d+> ", ""):gsub("^%s*%.%.> ", ""))
end

-- ---- on a terminal ----

--- Read an entry over as many lines as it takes. nil at the end, false after Ctrl-C.
local function read_entry(s, line)
  local prompt = ("weft:%d> "):format(s.n)
  local more = (" "):rep(#prompt - 4) .. "..> "
  local text
  while true do
    local got = line.read(text and more or prompt)
    if not got then return got end
    got = without_prompt(got)
    text = text and text .. "\n" .. got or got
    if is_complete(s, text) then return text end
  end
end

local function banner()
  local cpu = require("weft").core
  local level = cpu.cpu_level and cpu.cpu_level() or "cpu"
  return ("weft %s  %s  %s, %d threads   ? for help, Ctrl-D to leave"):format(host.version,
    jit.version:gsub("%-.*", ""), level, require("weft").threads())
end

local function open_editor(s, line, path)
  if not line.open() then return false end
  for _, entry in ipairs(history.load(path)) do line.history_add(entry) end
  line.set_complete(complete.completer(s.vars, commands.names(),
    function() return (term.size()) end))
  if term.is_rich(1) then line.set_hint(complete.hint) end
  return true
end

local function terminal_loop(s)
  local line, path = require "weft.line", history.path()
  if not open_editor(s, line, path) then return M.pipe_loop(s) end
  io.write(banner(), "\n")
  local status = 0
  while true do
    host.signals "idle"
    local text = read_entry(s, line)
    local n = host.signal_counts()
    if n.term + n.hup > 0 then status = EXIT_TERM break end
    if text == nil then break end
    if text and text:match("%S") then
      line.history_add(text)
      history.add(path, text)
      if handle(s, text) == "quit" then break end
      if s.is_ended then status = EXIT_TERM break end
      io.stdout:flush()
    end
  end
  line.close()
  return status
end

-- ---- in a pipe ----

--- A plain interpreter: no prompt, no colours, status 1 at the first error.
function M.pipe_loop(s)
  local text
  for got in io.lines() do
    text = text and text .. "\n" .. got or got
    if is_complete(s, text) then
      local result = handle(s, text)
      text = nil
      if s.is_ended then return EXIT_TERM end
      if result == "quit" then return 0 end
      if not result then return 1 end
    end
  end
  if text and text:match("%S") then
    handle(s, text)                       -- not complete at the end: says what is missing
    return 1
  end
  return 0
end

--- Run a session, after a recipe if one is given. Returns the exit status.
function M.run(recipe_path, given)
  jit.off()                               -- compiled loops look at no hook: Ctrl-C must work
  require("weft.config").keeps_partial = true
  local is_terminal = host.isatty(0) and host.isatty(1) and not term.plain
  local s = session.new{ is_terminal = is_terminal }
  if recipe_path then
    local ok, err = pcall(commands.run_recipe, s, recipe_path, given)
    if not ok then io.stderr:write(tostring(err), "\n") end
    if not is_terminal and not (ok and err) then return 1 end
  end
  if is_terminal then return terminal_loop(s) end
  return M.pipe_loop(s)
end

return M
