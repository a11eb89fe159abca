--- `weft models`: what lies in the search path.
local json = require "weft.json"

local M = {}

function M.main(a)
  local list = require("weft.load").models()
  if a.options.json then
    io.write(json.encode(list), "\n")
    return 0
  end
  for _, m in ipairs(list) do io.write(("%-16s %s\n"):format(m.name, m.path)) end
  if #list == 0 then io.write "no models: set WEFT_MODELS to the folder that holds them\n" end
  return 0
end

return M
