--- Whole processes: how long it takes until a command has answered.
local weft = require "weft"

local function command(name, line)
  return {
    group = "process", name = name, dtype = "", spec = {},
    make = function()
      return function()
        if os.execute(line .. " >/dev/null 2>&1") ~= 0 then error(line .. " failed", 0) end
      end
    end,
  }
end

local rows = { command("weft --version", "exec ./weft --version") }

-- The demonstration needs the trained weights.
local has_weights = io.open "recipes/micro/weights/model_index.json"
if has_weights then
  has_weights:close()
  rows[2] = command("make demo", ("exec ./weft demo --out '%s'"):format(
    weft.home and "build/bench-demo"))
end

return rows
