--- `weft models`: what lies in the search path.
local host = require "weft.host"
local json = require "weft.json"

local M = {}

--- Models in a folder: those that are one, or hold one as weights/.
local function models_in(dir, list)
  for _, name in ipairs(host.list(dir) or {}) do
    for _, path in ipairs { dir .. "/" .. name, dir .. "/" .. name .. "/weights" } do
      if host.stat(path .. "/model_index.json") or host.stat(path .. "/config.json") then
        list[#list + 1] = { name = name, path = path }
      end
    end
  end
end

function M.main(a)
  local list = {}
  for _, dir in ipairs(require("weft.load").search_path()) do models_in(dir, list) end
  if a.options.json then
    io.write(json.encode(list), "\n")
    return 0
  end
  for _, m in ipairs(list) do io.write(("%-16s %s\n"):format(m.name, m.path)) end
  if #list == 0 then io.write "no models: set WEFT_MODELS to the folder that holds them\n" end
  return 0
end

return M
