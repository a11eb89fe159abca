--- `weft samplers`: names of samplers and schedules.
local json = require "weft.json"

local M = {}

function M.main(a)
  local sampler, spec = require "weft.sampler", require "weft.spec"
  if a.options.json then
    io.write(json.encode { samplers = sampler.names(), schedules = spec.schedules }, "\n")
    return 0
  end
  for _, name in ipairs(sampler.names()) do
    io.write(("%-14s %s\n"):format(name, sampler.config(name)._class_name))
  end
  io.write("schedules: ", table.concat(spec.schedules, " "), "\n")
  return 0
end

return M
