--- An installed weft: the program finds its Lua files, recipes and model relative to itself, a
-- plain luajit requires it, and uninstalling leaves nothing.
package.path = "./tests/lib/?.lua;" .. package.path
local micro = require "micro"
local host = require "weft.host"

local function sh(line)
  local pipe = io.popen(("(%s) 2>&1; echo rc=$?"):format(line))
  local text = pipe:read "*a"
  pipe:close()
  return tonumber(text:match "rc=(%d+)\n$"), (text:gsub("rc=%d+\n$", ""))
end

describe("an installed weft", function()
  local dest, clean, data

  local function make(target)
    local rc, text = sh(("env -u MAKEFLAGS -u MAKELEVEL make -s %s PREFIX=/opt/w DESTDIR=%s")
      :format(target, dest))
    assert(rc == 0, text)
    return text
  end

  setup(function()
    dest = micro.temp()
    make "install"
    data = dest .. "/opt/w/share/weft"
    if not host.stat(data .. "/models/micro") then         -- where no weights ship
      micro.make(data .. "/models/micro", { narrow = true })
    end
    -- Nothing of the tree and no setting of the user's may help.
    clean = ("mkdir -p %s/home && cd %s/home && env -i PATH=/usr/bin:/bin HOME=%s/home "):format(
      dest, dest, dest)
  end)
  teardown(function() micro.remove(dest) end)

  local function weft(words) return sh(clean .. dest .. "/opt/w/bin/weft " .. words) end

  it("tells its version and shows help", function()
    local rc, text = weft "--version"
    assert.are.equal(0, rc)
    assert.is_truthy(text:match "^weft %d+%.%d+%.%d+  LuaJIT")
    rc, text = weft "help batch"
    assert.are.equal(0, rc)
    assert.is_truthy(text:find("--sweep", 1, true))
  end)
  it("finds its model, makes a picture and tells how", function()
    local rc, text = weft "make image 'a large plain red cat' steps=2 seed=3 -o cat.png"
    assert.are.equal(0, rc)
    assert.are.equal("cat.png\n", text)
    rc, text = weft "info cat.png"
    assert.are.equal(0, rc)
    assert.is_truthy(text:find("Seed: 3", 1, true))
    rc, text = weft "repro cat.png"
    assert.are.equal(0, rc)
    assert.are.equal("cat.png: identical\n", text)
  end)
  it("has its recipes beside its model", function()
    for _, name in ipairs { "demo.lua", "micro/train/unet.lua", "micro/world/scene.lua" } do
      assert.are.equal("file", (host.stat(data .. "/recipes/" .. name)))
    end
    assert.are.equal(0, (weft("params " .. data .. "/recipes/text-to-picture.lua")))
  end)
  it("is required by a plain luajit", function()
    local lua = dest .. "/opt/w/share/lua/5.1"
    local code = [['local weft = require "weft"
      print(weft.load "micro", weft.tensor.ones(2):sum():item())']]
    local rc, text = sh(clean .. ("LUA_PATH='%s/?.lua;%s/?/init.lua' LUA_CPATH='%s/?.so' luajit -e "
      .. code)
      :format(lua, lua, dest .. "/opt/w/lib/lua/5.1"))
    assert.are.equal(0, rc)
    assert.is_truthy(text:match "^Model micro .*\t2\n$")
  end)
  it("is gone without a trace after uninstalling", function()
    make "uninstall"
    local _, text = sh(("find %s/opt -type f"):format(dest))
    assert.are.equal("", text)
  end)
end)
