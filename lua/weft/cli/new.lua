--- `weft new NAME`: a recipe to start from.
local args = require "weft.cli.args"
local host = require "weft.host"

local M = {}

local RECIPE = [=[
-- %s: say here what it makes
local weft = require "weft"

-- What may vary: weft run %s seed=7 steps=30. The first call, so that it can be read by others.
local p = weft.params {
  text = "a large plain red cat at the left in the snow",
  seed = 1,
  steps = { 25, min = 1, max = 100, help = "of the sampler" },
  guidance = { 3, min = 0, max = 20, help = "pull towards the text" },
}

local m = weft.load "micro"
local im = m:image { p.text, seed = p.seed, steps = p.steps, guidance = p.guidance }
print(im:save(weft.slug(p.text) .. ".png"))
]=]

local LUARC = [[
{
  "runtime.version": "LuaJIT",
  "workspace.library": ["%s"],
  "diagnostics.globals": ["weft"]
}
]]

local function write(path, text)
  if host.stat(path) then args.fail("new: %s is there already and is not replaced", path) end
  require("weft.core").save_text(path, text, false)
  io.write(path, "\n")
end

function M.main(a)
  local name = a.words[1] or args.fail "new: which name? (weft new fox)"
  local path = name:find "%.lua$" and name or name .. ".lua"
  write(path, RECIPE:format(path:gsub("%.lua$", ""), path))
  if not host.stat ".luarc.json" then
    write(".luarc.json", LUARC:format((require("weft").home:gsub("/weft/$", ""))))
  end
  require("weft.tools").log("try it: weft run %s seed=7   (weft params %s: what may vary)",
    path, path)
  return 0
end

return M
