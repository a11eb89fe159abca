--- `weft help [COMMAND | OPTION | FUNCTION | TOPIC]` and `--help`.
local args = require "weft.cli.args"
local check = require "weft.check"
local commands = require "weft.cli.commands"

local M = {}

local HEAD = [[
weft: make and edit images, sound, video and text with Lua recipes

  weft demo                              see it work
  weft run fox.lua seed=7 steps=30       run a recipe, override its parameters
  weft                                   interactive session
  weft batch recipes/ -o out             run many, skip what is done
  weft info out/fox.png                  how was this made?   (weft repro re-makes it)
]]

local FOOT = [[
  -o, --out DIR     where files go (default: here)      -n, --dry-run   batch: make nothing
  -m, --model NAME  model to use                        -d, --device D  cpu or auto
      --show        show results in the terminal            --json      machine-readable result
More: weft help COMMAND, weft help OPTION (guidance, seed ...), weft help repl]]

--- The screen for someone who has typed nothing yet.
function M.screen()
  local order, groups = { "Make", "Look", "Fix", "Setup" }, {}
  for _, c in ipairs(commands.list) do
    groups[c.group] = groups[c.group] or {}
    table.insert(groups[c.group], c.name)
  end
  io.write(HEAD, "\n")
  for _, group in ipairs(order) do
    io.write(("%-7s %s\n"):format(group, table.concat(groups[group] or {}, "  ")))
  end
  io.write("\n", FOOT, "\n")
  return 0
end

local function option_line(o)
  local short = o.short and "-" .. o.short .. ", " or "    "
  local long = "--" .. o.name .. (o.value and " " .. o.value or "")
  return ("  %s%-18s %s\n"):format(short, long, o.help)
end

--- One command in full.
function M.command(c)
  io.write(("weft %s %s\n  %s\n"):format(c.name, c.args, c.help))
  if c.more then io.write("\n", c.more, "\n") end
  io.write "\n"
  for _, o in ipairs(c.options) do io.write(option_line(o)) end
  for _, o in ipairs(commands.common) do io.write(option_line(o)) end
  return 0
end

--- The line of a help text about one option of weft.spec.
local function option_text(o)
  local out = { ("%s: %s"):format(o.name, o.help) }
  out[#out + 1] = "  takes " .. table.concat(o.types, " or ")
    .. (o.choices and ": " .. table.concat(o.choices, " ") or "")
    .. (o.min and (" from %.16g to %.16g"):format(o.min, o.max) or "")
  if o.default then out[#out + 1] = "  default " .. o.default end
  if o.keys then out[#out + 1] = "  keys " .. table.concat(o.keys, " ") end
  return table.concat(out, "\n")
end

local function card_text(card)
  return ("%s\n  %s\n  %s"):format(card.signature, card.help, card.example or "")
end

local function find_option(word)
  for _, o in ipairs(require("weft.spec").options) do
    if o.name == word then return o end
  end
end

local function all_words(reference)
  local words = commands.names()
  for _, o in ipairs(require("weft.spec").options) do words[#words + 1] = o.name end
  for name in pairs(reference.by_name) do words[#words + 1] = name end
  for name in pairs(reference.topics) do words[#words + 1] = name end
  return words
end

--- Whatever goes by this name: a command, a topic, an option, a function; all that fit are shown.
function M.about(word)
  local reference = require "weft.reference"
  local found = false
  local function show(text)
    io.write(found and "\n" or "", text, "\n")
    found = true
  end
  if commands.by_name[word] then
    M.command(commands.by_name[word])
    found = true
  end
  if reference.topics[word] then show(reference.topics[word]) end
  if find_option(word) then show(option_text(find_option(word))) end
  if reference.by_name[word] then show(card_text(reference.by_name[word])) end
  if found then return 0 end
  local text, is_documented = require("weft.help").about(word)
  if is_documented then
    show(text)
    return 0
  end
  local near = check.nearest(word, all_words(reference))
  return args.fail("there is no help about '%s'%s", word,
    near and (" (did you mean '%s'?)"):format(near) or " (weft help)")
end

function M.main(a)
  if a.options.markdown then
    io.write(require("weft.manual").text())
    return 0
  end
  if not a.words[1] then return M.screen() end
  return M.about(a.words[1])
end

return M
