--- Every recipe for people runs as it stands, on the model that ships: exit 0 and a file, or words.
package.path = "./tests/lib/?.lua;" .. package.path
local micro = require "micro"
local shell = require "shell"

-- The tour has a spec of its own.
local function recipes()
  local list = {}
  for path in shell.out("ls recipes/*.lua"):gmatch "%S+" do
    if path ~= "recipes/demo.lua" then list[#list + 1] = path end
  end
  return list
end

describe("a recipe", function()
  local dir
  local root = shell.out("pwd"):match "%S+"
  before_each(function() dir = micro.temp() end)
  after_each(function() micro.remove(dir) end)

  for _, path in ipairs(recipes()) do
    it(path .. " runs", function()
      local rc, out, err = shell.weft(dir, ("run --plain %s/%s -o out"):format(root, path))
      assert.are.equal(0, rc, err)
      assert.is_true(#out > 0 or shell.out("ls " .. dir .. "/out"):find "%S" ~= nil)
    end)
  end
end)
