--- The reference as one Markdown page, docs/api.md: made from weft.reference, weft.spec and the
-- list of commands. `weft help --markdown` prints it.
local commands = require "weft.cli.commands"
local reference = require "weft.reference"
local spec = require "weft.spec"

local M = {}

local HEAD = [[
# The API

The functions that recipes call most, every option, every command. `?name` at the prompt and
`weft help name` show the same, and tell of every other function and method. This page is printed by
`weft help --markdown`; `make docs` writes it anew after a change of `lua/weft/spec.lua`,
`lua/weft/reference.lua` or `lua/weft/cli/commands.lua`.

An unknown option is an error at your line that names the nearest one. Everything raises;
`weft.try(f, ...)` gives `nil, err` instead, and `err.kind` is one of `usage`, `io`, `format`,
`model`, `device`, `oom`, `cancelled`, `unsupported`, `internal` ([reliability.md](reliability.md)).
]]

--- Text in a cell of a table.
local function cell(text) return (tostring(text):gsub("|", "\\|"):gsub("\n", " ")) end

local function add(out, fmt, ...)
  out[#out + 1] = select("#", ...) > 0 and fmt:format(...) or fmt
end

local function names_of(options)
  local names = {}
  for i, o in ipairs(options) do names[i] = "`" .. o.name .. "`" end
  return table.concat(names, " ")
end

local function functions(out)
  add(out, "## Functions\n")
  for _, c in ipairs(reference) do
    add(out, "### %s\n\n`%s`\n\n%s.\n", c.name, c.signature, c.help)
    add(out, "```lua\n%s\n```\n", c.example)
    if c.options then add(out, "Options: %s\n", names_of(spec.options_of(c.options))) end
  end
end

local function table_of(out, list, with_to)
  local more = with_to and { " for |", " --- |" } or { "", "" }
  add(out, "| option | what | accepts | default |" .. more[1])
  add(out, "| --- | --- | --- | --- |" .. more[2])
  for _, o in ipairs(list) do
    local row = ("| `%s` | %s | %s | %s |"):format(o.name, cell(o.help), cell(spec.domain(o)),
      cell(o.default or ""))
    if with_to then row = row .. (" %s |"):format(o.to and table.concat(o.to, ", ") or "all") end
    add(out, "%s", row)
  end
  add(out, "")
end

local function sorted_keys(t)
  local keys = {}
  for k in pairs(t) do keys[#keys + 1] = k end
  table.sort(keys)
  return keys
end

local function options(out)
  add(out, "## Options of the generation verbs\n")
  table_of(out, spec.options, true)
  for _, name in ipairs(sorted_keys(spec.tables)) do
    add(out, "## Options of %s\n", name)
    table_of(out, spec.tables[name], false)
  end
  add(out, "## Names that other programs use\n\n| elsewhere | weft |\n| --- | --- |")
  for _, name in ipairs(sorted_keys(spec.foreign)) do
    add(out, "| `%s` | `%s` |", name, spec.foreign[name])
  end
  add(out, "")
end

local function command_options(out, list)
  for _, o in ipairs(list) do
    local short = o.short and "`-" .. o.short .. "`, " or ""
    add(out, "- %s`--%s%s`: %s", short, o.name, o.value and " " .. o.value or "", o.help)
  end
end

local function command_list(out)
  add(out, "## Commands\n\nEvery command takes:\n")
  command_options(out, commands.common)
  add(out, "")
  for _, c in ipairs(commands.list) do
    add(out, "### weft %s %s\n\n%s.\n", c.name, c.args:gsub("|", "\\|"), c.help)
    if c.more then add(out, "%s\n", c.more) end
    command_options(out, c.options)
    if #c.options > 0 then add(out, "") end
  end
end

local function environment(out)
  add(out, "## The environment\n\n| variable | what |\n| --- | --- |")
  for _, v in ipairs(reference.environment) do add(out, "| `%s` | %s |", v[1], cell(v[2])) end
end

--- The whole page.
function M.text()
  local out = { HEAD }
  functions(out)
  options(out)
  command_list(out)
  environment(out)
  return (table.concat(out, "\n"):gsub(" +\n", "\n"):gsub("\n+$", "\n"))
end

return M
