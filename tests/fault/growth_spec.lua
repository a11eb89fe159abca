--- Memory of many pictures in one process: it does not grow, and weft.memory() says what the system
-- says. tests/bench/memory.lua is the long form.
package.path = "./tests/lib/?.lua;" .. package.path
local micro = require "micro"
local shell = require "shell"

describe("memory", function()
  it("stays where it is after the first pictures, and is counted right", function()
    local model = micro.make(micro.temp())
    local rc, out = shell.weft(".", "run tests/bench/memory.lua n=60 steps=1 model=" .. model)
    micro.remove(model)
    assert.are.equal(0, rc)
    -- The engine's blocks are whole classes of sizes whose last pages nothing may have touched, and
    -- what the system's allocators keep for themselves is not counted: some per cent either way.
    local share = tonumber(out:match "weft / system  ([%d.]+)")
    assert.is_true(share > 0.9 and share < 1.1, out)
    local rss, live = out:match "resident set%s+(-?[%d.]+) MB, live bytes (-?%d+)"
    assert.are.equal("0", live)
    -- What is touched once comes in late: compiled traces of Lua, pages of seldom used weights.
    assert.is_true(tonumber(rss) < 4, out)
  end)
end)
