--- `weft demo`: the recipe that shows what the small model does.
local run = require "weft.cli.run"

local M = {}

--- The recipe lies in the source tree, or where it was installed.
local function find()
  local home = require("weft").home
  for _, path in ipairs { home .. "../../recipes/demo.lua",
    home .. "../../../weft/recipes/demo.lua" } do
    if require("weft.host").stat(path) then return path end
  end
  return require("weft.core").raise("io", "the demo's recipe was not found",
    "run it from the source tree, or install again")
end

function M.main(a)
  a.words = { find() }
  return run.main(a)
end

return M
