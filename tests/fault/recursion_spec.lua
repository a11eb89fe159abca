--- Recursion without an end, through whatever it goes: an error of the recipe, never a fault of the
-- process. Coroutines within coroutines take C stack that LuaJIT does not count.
package.path = "./tests/lib/?.lua;" .. package.path
local micro = require "micro"
local shell = require "shell"

local dir
setup(function() dir = micro.temp() end)
teardown(function() micro.remove(dir) end)

local endless = {
  ["calls"] = "local function f() return 1 + f() end f()",
  ["gsub"] = 'local function f() string.gsub("a", "a", f) end f()',
  ["coroutine.wrap"] = "local function f() coroutine.wrap(f)() end f()",
  ["coroutine.resume"] =
    "local function f() assert(coroutine.resume(coroutine.create(f))) end f()",
  ["coroutines that recurse through gsub"] = [[
    local n = 0
    local function f()
      n = n + 1
      if n % 1500 == 0 then coroutine.wrap(f)() else string.gsub("a", "a", f) end
    end
    f() ]],
  ["coroutines made beforehand"] = [[
    local all = {}
    for i = 1, 10000 do all[i] = coroutine.wrap(function() all[i + 1]() end) end
    all[1]() ]],
}

describe("recursion without an end", function()
  for name, code in pairs(endless) do
    for _, option in ipairs { "", " --sandbox" } do
      it("through " .. name .. " is an error in weft run" .. option, function()
        micro.write(dir .. "/r.lua", code)
        local rc, _, err = shell.weft(dir, "run r.lua" .. option)
        assert.is_truthy(err:find("stack overflow", 1, true), err)
        if name == "coroutine.wrap" then assert.is_true(#err < 500, err) end
        assert.are.equal(1, rc)
      end)
    end
    it("through " .. name .. " is an error at the prompt", function()
      micro.write(dir .. "/in.txt", code:gsub("\n%s*", " ") .. "\n")
      local rc, _, err = shell.weft(dir, "repl < in.txt")
      assert.is_truthy(err:find("stack overflow", 1, true), err)
      assert.are.equal(1, rc)
    end)
  end
end)

describe("coroutines", function()
  it("nest a hundred deep, again and again, and say where they failed", function()
    micro.write(dir .. "/r.lua", [[
      local function nest(n) return n == 0 and 0 or 1 + coroutine.wrap(nest)(n - 1) end
      for _ = 1, 50 do
        pcall(coroutine.resume, 1)
        assert(nest(100) == 100 and not pcall(nest, 101))
      end
      local co = coroutine.wrap(function(a) local b = coroutine.yield(a, nil); error(b) end)
      print(select("#", co(1)), pcall(function()
        co "why"
      end))
      print(pcall(function() coroutine.wrap(3) end))
    ]])
    local rc, out, err = shell.weft(dir, "run r.lua")
    assert.are.equal("", err)
    assert.are.equal(0, rc)
    assert.are.equal("2\tfalse\tr.lua:8: r.lua:6: why\n"
      .. "false\tr.lua:10: bad argument #1 to 'wrap' (function expected, got number)\n",
      (out:gsub("/[^ \t]*/r%.lua", "r.lua")))
  end)
end)
