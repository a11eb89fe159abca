--- `weft params RECIPE`: what a recipe's parameters are, read without running the rest of it.
local args = require "weft.cli.args"
local json = require "weft.json"
local params = require "weft.params"
local paths = require "weft.paths"
local recipe = require "weft.recipe"

local M = {}

local function line_of(row)
  local default = row.default == nil and "-" or tostring(row.default)
  local line = ("  %-14s %-28s %-18s %s"):format(row.name, default == "" and '""' or default,
    params.domain(row), row.help or "")
  return line:gsub("%s+$", "") .. "\n"
end

function M.main(a)
  local path = a.words[1] or args.fail "params: of which recipe? (weft params fox.lua)"
  local rows = recipe.read_params(paths.absolute(path))
  if a.options.json then
    io.write(json.encode(json.list(rows)), "\n")
    return 0
  end
  io.write(path, #rows == 0 and " declares no parameters\n" or "\n")
  for _, row in ipairs(rows) do io.write(line_of(row)) end
  return 0
end

return M
