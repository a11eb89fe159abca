--- `weft params RECIPE`: what a recipe's parameters are, read without running the rest of it.
local args = require "weft.cli.args"
local json = require "weft.json"
local params = require "weft.params"
local paths = require "weft.paths"
local recipe = require "weft.recipe"
local term = require "weft.term"

local M = {}

local WIDEST_DEFAULT, WIDEST_DOMAIN = 28, 18

--- text filled up to so many columns.
local function pad(text, columns) return text .. (" "):rep(columns - term.width(text)) end

--- A row as lines: a long default is cut, a long domain has a line of its own.
local function lines_of(row, name_columns)
  local default = row.default == nil and "-" or tostring(row.default)
  default = default == "" and '""' or term.safe(default):gsub("\n", " ")
  if term.width(default) > WIDEST_DEFAULT then
    default = term.cut(default, WIDEST_DEFAULT - 1) .. "…"
  end
  local domain, help = params.domain(row), row.help or ""
  if term.width(domain) > WIDEST_DOMAIN and help ~= "" then
    help = help .. "\n" .. (" "):rep(name_columns + WIDEST_DEFAULT + 4) .. domain
    domain = ""
  end
  local line = ("  %s %s %s %s"):format(pad(row.name, name_columns),
    pad(default, WIDEST_DEFAULT), pad(domain, WIDEST_DOMAIN), help)
  return line:gsub("%s+$", "") .. "\n"
end

--- Print the parameters of a recipe.
function M.show(path, as_json)
  local rows = recipe.read_params(paths.absolute(path))
  if as_json then
    io.write(json.encode(json.list(rows)), "\n")
    return 0
  end
  io.write(path, #rows == 0 and " declares no parameters\n" or "\n")
  local columns = 14
  for _, row in ipairs(rows) do columns = math.max(columns, #row.name) end
  for _, row in ipairs(rows) do io.write((lines_of(row, columns))) end
  return 0
end

function M.main(a)
  local path = a.words[1] or args.fail "params: of which recipe? (weft params fox.lua)"
  return M.show(path, a.options.json)
end

return M
