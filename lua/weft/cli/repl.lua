--- `weft` and `weft repl [RECIPE]`: the prompt.
local args = require "weft.cli.args"
local paths = require "weft.paths"
local run = require "weft.cli.run"

local M = {}

function M.main(a)
  if a.words[2] then args.fail("repl: one recipe at a time, '%s' is left over", a.words[2]) end
  local path = a.words[1] and paths.absolute(a.words[1])
  run.enter_out(a.options.out)
  run.apply_engine_options(a.options)
  return require("weft.repl").run(path, a.params)
end

return M
