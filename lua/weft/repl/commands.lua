--- Commands of the prompt, ":name". Each gets the session, its words and name=value pairs.
local check = require "weft.check"
local display = require "weft.repl.display"
local eval = require "weft.repl.eval"
local host = require "weft.host"
local options = require "weft.options"
local paths = require "weft.paths"
local record = require "weft.repl.record"
local spec = require "weft.spec"
local term = require "weft.term"

local M = {}

local commands, order = {}, {}

local function command(name, usage, help, f)
  commands[name] = { usage = usage, help = help, run = f }
  order[#order + 1] = name
end

local function say(fmt, ...) io.write(fmt:format(...), "\n") end

local function fail(fmt, ...)
  error(setmetatable({ message = fmt:format(...) }, M.error_meta), 0)
end
M.error_meta = { __tostring = function(e) return e.message end }

--- An option's value from text, checked.
local function option_value(name, text)
  local o = spec.by_name[name]
  if not o then
    local names = {}
    for i, row in ipairs(spec.options) do names[i] = row.name end
    local near = check.nearest(name, names)
    fail("no option '%s'%s", name, near and (" (did you mean '%s'?)"):format(near) or "")
  end
  local v = options.from_text(o, text)
  local is_odd = o.types[1] == "integer" and type(v) == "string"    -- a seed may be a number's text
  if v == nil or is_odd then fail("%s must be %s, got %q", name, spec.domain(o), text) end
  return options.value(name, o, v)
end

local function option_values(pairs_given)
  local out = {}
  for name, text in pairs(pairs_given) do out[name] = option_value(name, text) end
  return out
end

--- Value of prompt N, of the last one without N.
local function value_at(s, word)
  if not word then
    local v = rawget(s.vars, "_")
    return v == nil and fail("there is no value yet") or v
  end
  local n = tonumber((word:gsub("^_", "")))
  local values = n and s.results[n]
  if not values or values.n == 0 then fail("prompt %s has no value", word) end
  return values[1]
end

local function call_again(s, overrides)
  if not s.last_call then fail("nothing was generated yet") end
  options.overrides = overrides
  local ok = s:evaluate(s.last_call)
  options.overrides = {}
  return ok
end

command("again", "[option=value ...]", "the last generation, with other options",
  function(s, _, given) return call_again(s, option_values(given)) end)

--- The last generation with other options, but not as a prompt of its own. Returns its value.
local function generate(s, overrides)
  options.overrides = overrides
  local ok, values = s:protected((eval.compile(s.last_call, s.vars, "=weft:explore")))
  options.overrides = {}
  if not ok then return nil end
  if type(values[1]) ~= "table" then fail("the last generation gave no picture") end
  return values[1]
end

command("explore", "N [option=value ...]", "N seeds of the last generation on a numbered sheet",
  function(s, words, given)
    local n = tonumber(words[1] or 4)
    if not n or n < 1 or n > 64 or n ~= math.floor(n) then fail("N must be 1 … 64") end
    if not s.last_call then fail("nothing was generated yet") end
    local overrides, list, labels, field = option_values(given), {}, {}, nil
    local first = overrides.seed or 1
    for i = 1, n do
      local v = generate(s, require("weft").with(overrides, { seed = first + i - 1 }))
      if not v then return false end
      field = v.image and ".image" or ""
      list[i], labels[i] = v.image or v, ("%d: seed %d"):format(i, first + i - 1)
    end
    local columns = math.ceil(math.sqrt(n))
    local sheet = require("weft").sheet(list, { columns = columns, labels = labels })
    s.inputs[s.n], s.n = ":explore", s.n + 1
    s:keep(s.n - 1, s.last_call, "explore")
    local kept = s.kept[#s.kept]
    kept.count, kept.first, kept.columns, kept.field = n, first, columns, field
    s:take(s.n - 1, { n = 1, sheet })
  end)

command("save", "[N] PATH", "the value of prompt N, or the last one, to a file",
  function(s, words)
    local path = words[#words] or fail("where? (:save 3 fox.png)")
    local v = value_at(s, words[2] and words[1])
    if type(v) ~= "table" or not v.save then fail("a %s cannot be saved so", display.kind(v)) end
    say("saved %s", tostring(v:save(path)))
    local n = words[2] and words[1]:gsub("^_", "") or s.last_n
    if n then s:keep(nil, ("_%s:save(%q)"):format(n, path), "statement") end
  end)

command("show", "[N]", "show a value again",
  function(s, words) s:show(value_at(s, words[1])) end)

command("full", "[N]", "show all of a table", function(s, words)
  s:try_show(value_at(s, words[1]), function(v) say("%s", display.text(v, true)) end)
end)

command("play", "[N]", "play a sound", function(s, words)
  local v = value_at(s, words[1])
  if type(v) ~= "table" or not v.play then fail("a %s cannot be played", display.kind(v)) end
  v:play()
end)

command("info", "[N]", "how a value was made", function(s, words)
  local v = value_at(s, words[1])
  local meta = type(v) == "table" and v.meta
  say("%s", meta and display.text(meta, true) or "it carries no provenance")
end)

--- Locals of a recipe's main part, also when it failed, stay in the session.
local function run_recipe(s, path, given)
  local recipe = require "weft.recipe"
  require("weft.params").start(given, true)
  local text, full = recipe.source(path), paths.absolute(path)
  local chunk = load(text .. "\n" .. eval.CAPTURE .. "()", "@" .. full, "t", s.vars)
    or recipe.compile(text, full, s.vars)
  return s:protected(function()
    local ok, err
    recipe.with_folder(paths.split(full), s.vars, function()
      ok, err = xpcall(chunk, eval.keep_locals(s.vars))
    end)
    if not ok then error(err, 0) end
  end)
end
M.run_recipe = run_recipe

command("run", "FILE [name=value ...]", "run a recipe and keep its variables",
  function(s, words, given)
    return run_recipe(s, words[1] or fail("which recipe?"), given)
  end)

command("edit", "[N]", "change what was typed at prompt N in $EDITOR, and run it",
  function(s, words)
  local n = tonumber(words[1] or s.n - 1)
  local text = n and s.inputs[n] or fail("there was no prompt %s", words[1] or "yet")
  local path = os.tmpname()
  local f = assert(io.open(path, "w"))
  f:write(text, "\n")
  f:close()
  os.execute(("%s %q"):format(os.getenv "EDITOR" or "vi", path))
  local changed = paths.slurp(path) or ""
  os.remove(path)
  if changed:match("%S") then return s:evaluate((changed:gsub("\n+$", ""))) end
end)

command("record", "FILE", "write the session as a recipe", function(s, words)
  local path = words[1] or fail("where? (:record fox.lua)")
  if host.stat(path) then fail("%s is there already", path) end
  require("weft.core").save_text(path, record.text(s, path), false)
  say("%d lines of the session are in %s; run it with: weft run %s", #s.kept, path, path)
end)

command("time", "EXPRESSION", "run it for a second; the median and the spread",
  function(s, _, _, rest)
    local chunk = eval.compile(rest, s.vars, "=weft:time")
    if not chunk then fail("that does not compile") end
    local times, start = {}, host.clock()
    repeat
      local t = host.clock()
      if not s:protected(chunk) then return false end
      times[#times + 1] = host.clock() - t
    until host.clock() - start > 1
    table.sort(times)
    say("%d runs, median %.3g s, %.3g … %.3g s", #times, times[math.ceil(#times / 2)], times[1],
      times[#times])
  end)

command("who", "", "the variables of the session", function(s)
  local names = {}
  for name in next, s.vars do
    if not eval.is_hidden(name) and not name:match("^_%d*$") then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local v = rawget(s.vars, name)
    s:try_show(v, function()
      local text = v == require "weft" and "the package" or display.text(v):match("^[^\n]*")
      if text == "{" then text = ("a table of %d"):format(display.count(v)) end
      say("  %-12s %s", name, term.cut(text, math.max(20, (term.size()) - 16)))
    end)
  end
end)

command("set", "[option value]", "an option for all generations of this session",
  function(_, words, given)
    if words[1] then given[words[1]] = words[2] or fail(":set option value") end
    for name, text in pairs(given) do
      options.session[name] = text ~= "nil" and option_value(name, text) or nil
    end
    say("%s", display.text(options.session))
  end)

command("jit", "on|off", "compile Lua; Ctrl-C cannot stop compiled loops", function(_, words)
  if words[1] == "on" then jit.on() elseif words[1] == "off" then jit.off()
  else fail(":jit on or :jit off") end
end)

command("mem", "", "memory of the engine and of Lua", function()
  local m = require("weft").memory()
  say("engine %s live, %s peak, %s cached, %s mapped; Lua %s", term.bytes(m.live),
    term.bytes(m.peak), term.bytes(m.cached), term.bytes(m.mapped),
    term.bytes(collectgarbage "count" * 1024))
end)

command("trace", "", "the whole traceback of the last error", function(s)
  say("%s", s.report and s.report.traceback or "there was no error")
end)

command("help", "[NAME]", "help", function(_, words)
  say("%s", (require("weft.help").about(words[1] or "")))
  if not words[1] then
    for _, name in ipairs(order) do
      say("  :%-9s %-22s %s", name, commands[name].usage, commands[name].help)
    end
  end
end)

command("quit", "", "leave (Ctrl-D)", function() return "quit" end)

--- Names of the commands, for completion.
function M.names() return order end

--- Words and name=value pairs of a command's text; quotes keep spaces.
local function split(text)
  local words, given = {}, {}
  local at = 1
  while true do
    at = text:find("%S", at)
    if not at then return words, given end
    local word = text:match('^"([^"]*)"', at)
    local last = word and at + #word + 2
    if not word then
      word = text:match('^[%w_]+="[^"]*"', at) or text:match("^%S+", at)
      last = at + #word
      word = word:gsub('^([%w_]+=)"(.*)"$', "%1%2")
    end
    local k, v = word:match("^([%a_][%w_]*)=(.*)$")
    if k then given[k] = v else words[#words + 1] = word end
    at = last
  end
end

--- Run "name ..." (what stands behind the colon). Returns ok, or "quit".
function M.run(s, text)
  local name, rest = text:match("^(%a+)%s*(.*)$")
  local c = commands[name]
  if not c then
    local near = check.nearest(name, order)
    io.stderr:write(("there is no :%s%s\n"):format(name,
      near and (" (did you mean :%s?)"):format(near) or " (:help lists them)"))
    return false
  end
  local words, given = split(rest)
  local ok, result = pcall(c.run, s, words, given, rest)
  if ok then return result == nil and true or result end
  io.stderr:write((":%s: %s\n"):format(name, tostring(result)))
  return false
end

return M
