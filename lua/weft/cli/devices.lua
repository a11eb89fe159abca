--- `weft devices`: what can compute here.
local json = require "weft.json"

local M = {}

function M.main(a)
  local core = require "weft.core"
  local list = { { name = "cpu", kernels = core.cpu_level(), threads = core.threads() } }
  if a.options.json then
    io.write(json.encode(list), "\n")
    return 0
  end
  for _, d in ipairs(list) do
    io.write(("%-8s %d threads, kernels for %s\n"):format(d.name, d.threads, d.kernels))
  end
  return 0
end

return M
