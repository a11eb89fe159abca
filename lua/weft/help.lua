--- Help made from weft.spec and weft.reference: overview, cards, options, search. Returns text.
local check = require "weft.check"
local doc = require "weft.doc"
local reference = require "weft.reference"
local spec = require "weft.spec"
local term = require "weft.term"

local M = {}

--- Text in lines as wide as the terminal, broken between words; those after the first are indented.
local function wrapped(text, indent)
  local columns = (term.size()) - 1
  local out, line = {}, nil
  for blank, word in text:gmatch("(%s*)(%S+)") do
    if line and term.width(line .. blank .. word) > columns then
      out[#out + 1] = line
      line = (" "):rep(indent) .. word
    else
      line = (line or "") .. blank .. word
    end
  end
  out[#out + 1] = line
  return table.concat(out, "\n")
end

--- One option: name, what it accepts, default, help.
function M.option_line(o)
  local default = o.default and (" (default %s)"):format(o.default) or ""
  local domain = spec.domain(o)
  return wrapped(("  %-12s %s; %s%s"):format(o.name, o.help, domain, default), 15)
end

--- Card of a function.
function M.card(c)
  local out = { term.paint("bold", c.signature), wrapped("  " .. c.help, 2) }
  if c.options then
    out[#out + 1] = "options:"
    for _, o in ipairs(spec.options_of(c.options)) do out[#out + 1] = M.option_line(o) end
  end
  out[#out + 1] = "example:"
  out[#out + 1] = "  " .. c.example
  return table.concat(out, "\n")
end

--- Page of one option.
function M.option(o)
  local out = { term.paint("bold", o.name), wrapped("  " .. o.help, 2),
    wrapped("  accepts: " .. spec.domain(o), 4) }
  if o.default then out[#out + 1] = "  default: " .. o.default end
  if o.to then out[#out + 1] = "  for: " .. table.concat(o.to, ", ") end
  local others = {}
  for name in pairs(spec.foreign) do
    if (spec.foreign[name]:match("^[^.]+")) == o.name then others[#others + 1] = name end
  end
  table.sort(others)
  if #others > 0 then out[#out + 1] = "  elsewhere called: " .. table.concat(others, ", ") end
  return table.concat(out, "\n")
end

--- Overview: all cards and options by name.
function M.overview()
  local functions, options = {}, {}
  for i, c in ipairs(reference) do functions[i] = c.name end
  for i, o in ipairs(spec.options) do options[i] = o.name end
  return table.concat({
    "?name shows a function or an option, ?=word searches, ?repl tells about this prompt.",
    wrapped("functions: " .. table.concat(functions, " "), 11),
    wrapped("options:   " .. table.concat(options, " "), 11),
    "methods:   ?Image ?Audio ?Video ?Tensor list theirs; ??name shows the source",
  }, "\n")
end

--- All cards and options that mention word.
function M.search(word)
  local out, low = {}, word:lower()
  for _, c in ipairs(reference) do
    if (c.signature .. " " .. c.help):lower():find(low, 1, true) then
      out[#out + 1] = wrapped(("  %-12s %s"):format(c.name, c.help), 15)
    end
  end
  for _, o in ipairs(spec.options) do
    if (o.name .. " " .. o.help):lower():find(low, 1, true) then
      out[#out + 1] = M.option_line(o)
    end
  end
  return #out > 0 and table.concat(out, "\n") or ("nothing mentions '%s'"):format(word)
end

--- Names that help knows.
function M.names()
  local names = {}
  for _, c in ipairs(reference) do names[#names + 1] = c.name end
  for _, o in ipairs(spec.options) do names[#names + 1] = o.name end
  for topic in pairs(reference.topics) do names[#names + 1] = topic end
  return names
end

--- Cards of the functions that doc comments describe.
local function doc_cards(list)
  local out = {}
  for i, f in ipairs(list) do
    out[i] = term.paint("bold", f.signature) .. "\n" .. wrapped("  " .. f.help, 2)
  end
  return table.concat(out, "\n")
end

--- The source of what stands behind "??".
local function source(text)
  local name = text:gsub("^weft%.", ""):gsub("^m:", "micro:")
  local list = spec.verbs[name] and doc.find("micro:" .. name) or doc.find(name)
  if not list[1] then return ("no source for '%s'"):format(term.safe(text)), false end
  return doc.source(list[1]), true
end

--- Help for what stands behind "?". Second value: whether it was found.
function M.about(text)
  if text:sub(1, 1) == "?" then return source(text:match("^%?%s*(.*)")) end
  local full = text:gsub("^weft%.", "")
  text = full:gsub("^%w+:", "")
  if text == "" then return M.overview(), true end
  if text:sub(1, 1) == "=" then return M.search(text:sub(2)), true end
  local c, o = reference.by_name[text], spec.by_name[text]
  if c then return M.card(c), true end
  if o then return M.option(o), true end
  if reference.topics[text] then return reference.topics[text], true end
  local documented = doc.find(full)
  if #documented == 0 then documented = doc.find(text) end
  if #documented > 0 then return doc_cards(documented), true end
  local near = check.nearest(text, M.names())
  local hint = spec.foreign_hint(text) or (near and ("did you mean '%s'?"):format(near))
    or ("try ?=%s"):format(text)
  return ("no help for '%s' (%s)"):format(term.safe(text), hint), false
end

return M
