--- Recipes that are fenced in: nothing reaches programs, native code or files elsewhere, and what
-- recipes are for still works. `weft repro` runs a file's recipe so.
package.path = "./tests/lib/?.lua;" .. package.path
local micro = require "micro"
local shell = require "shell"

describe("a recipe that is fenced in", function()
  local dir

  setup(function()
    dir = micro.temp()
    os.execute("mkdir " .. dir .. "/out")
  end)
  teardown(function() micro.remove(dir) end)

  --- Run code so; exit code, stdout, stderr.
  local function run(code, more)
    micro.write(dir .. "/r.lua", 'local weft = require "weft"\n' .. code)
    return shell.weft(dir, "run r.lua --sandbox -o out " .. (more or ""))
  end

  local hostile = {
    'os.execute "touch stolen"', 'os.remove "x"', 'os.getenv "HOME"', 'io.open("x", "w")',
    'io.popen "id"', 'require "ffi"', 'require "io"', 'require "weft.host"', 'require "weft.core"',
    'weft.core.fence(false)', 'load "return 1"', 'loadstring "return 1"', 'dofile "x.lua"',
    'getfenv(print).os.execute "id"', 'setfenv(1, {})', 'debug.getregistry()', 'string.dump(print)',
    'package.loadlib("x", "y")', 'jit.off()', 'newproxy()', 'collectgarbage "stop"',
    'getmetatable("").__index.upper = nil', 'getmetatable(os).__index = nil',
    'weft.scope = nil', 'weft.config.model = "x"',
    'weft.image.new(4, 4):save "/tmp/weft-stolen.png"',
    'weft.image.new(4, 4):save "../stolen.png"',
    'weft.image.new(4, 4):save "a/../../stolen.png"',
    'weft.tensor.save("../stolen.npy", weft.tensor.ones(2))',
    'weft.train.log "../stolen.jsonl"',
    'weft.audio.silence(1, 8000):save "../stolen.wav"',
    'weft.tensor{1}:ptr()[5000] = 42', 'weft.tensor{1}.address(weft.tensor{1})',
    'require "weft.pointer"', 'weft.image.new(4, 4):save "../stolen/x/a.png"',
  }
  for _, code in ipairs(hostile) do
    it("may not " .. code, function()
      local rc, out = run(code .. '\nprint "got through"')
      assert.is_true(rc ~= 0)
      assert.are.equal("", out)
      assert.are.equal("", shell.out(("find %s /tmp -maxdepth 1 -name '*stolen*'"):format(dir)))
    end)
  end
  it("is told what is not there and what to do", function()
    local rc, _, err = run 'os.execute "id"'
    assert.are.equal(2, rc)
    assert.is_truthy(err:find("os.execute is not available here", 1, true))
    assert.is_truthy(err:find("r.lua:2", 1, true))
  end)
  it("is told of what is left out of strings, and of the way out that there is", function()
    for code, what in pairs {
      ["string.dump(print)"] = "string.dump", ['local d = ("x").dump(print)'] = "string.dump",
      ['getmetatable("").__index = nil'] = "the metatable of a string",
    } do
      local rc, _, err = run(code)
      assert.are.equal(2, rc)
      assert.is_truthy(err:find(what .. " is not available here (this recipe runs fenced in; "
        .. "without --sandbox it has everything)", 1, true), err)
    end
  end)
  it("draws into the memory of a picture alone, whatever the picture says of its size", function()
    local rc, out, err = run [[
      local im = weft.image.new(4, 4)
      im.width, im.height, im.channels = 1e9, 1e9, 3
      im:text_("x", 4e8, 2e8)
      im:text_("x", 0.9, 3.9)
      local a = weft.audio.silence(1, 8000)
      a.samples, a.channels = 1e12, -1e12
      a:picture { w = 8, h = 8 }
      print "done"
    ]]
    assert.are.equal("", err)
    assert.are.equal(0, rc)
    assert.are.equal("done\n", out)
  end)
  it("lists its own folders only", function()
    for _, pattern in ipairs { "/etc/*", "../*", "a/../../*", "/*", "/tmp/../etc/*" } do
      local rc, out, err = run(("print(#weft.glob %q)"):format(pattern))
      assert.are.equal(2, rc)
      assert.are.equal("", out)
      assert.is_truthy(err:find("weft.glob", 1, true))
    end
    local rc, out = run(('print(#weft.glob "*.lua", #weft.glob "%s/r.*")'):format(dir))
    assert.are.equal(0, rc)
    assert.are.equal("1\t1\n", out)
  end)
  it("still makes, saves, loads and requires what lies beside it", function()
    micro.write(dir .. "/helper.lua", "return { side = 6 }")
    local rc, out, err = run([[
      local helper = require "helper"
      local p = weft.params { k = 3 }
      local im = weft.image.new(helper.side, p.k, { 1, 0, 0 })
      im:save "sub/a.png"
      print(weft.image.load "sub/a.png", math.floor(2.5), ("x"):rep(2), require "weft.json" ~= nil)
    ]], "k=4")
    assert.are.equal("", err)
    assert.are.equal(0, rc)
    assert.are.equal("Image 6x4 rgb\t2\txx\ttrue\n", out)
  end)
end)

describe("weft repro", function()
  local dir, model

  setup(function()
    dir = micro.temp()
    model = micro.make(micro.temp(), { narrow = true })
  end)
  teardown(function()
    micro.remove(dir)
    micro.remove(model)
  end)

  local function weft(words) return shell.weft(dir, words .. " -m " .. model) end

  it("makes pictures and sheets of a recipe again, byte for byte", function()
    micro.write(dir .. "/r.lua", [[
      local weft = require "weft"
      local p = weft.params { source = { "", path = true }, seed = 1,
        out = { "a.png", path = true } }
      local m = weft.load "micro"
      local list = m:generate { "a cat", n = 2, seed = p.seed, steps = 2 }
      list.images[2]:save(p.out)
      local first = p.source ~= "" and weft.image.load(p.source) or list.images[1]
      weft.sheet({ first, list.images[2] }, { columns = 2 }):save "sheet.png"
      print "done"
    ]])
    assert.are.equal(0, (weft "run r.lua seed=5 out=b.png"))
    assert.are.equal(0, (weft "run r.lua seed=5 out=c.png source=b.png"))
    for _, name in ipairs { "b.png", "c.png", "sheet.png" } do
      local rc, out = weft("repro " .. name)
      assert.are.equal(name .. ": identical\n", out)
      assert.are.equal(0, rc)
    end
    assert.are.equal("b.png\nc.png\nr.lua\nsheet.png\n", shell.out("ls " .. dir))
  end)
  it("makes sounds of weft make again, in every format", function()
    local sounds = micro.make(micro.temp(), { narrow = true, sounds = true })
    for _, ending in ipairs { "wav", "flac", "ogg", "opus" } do
      local name = "s." .. ending
      assert.are.equal(0, (shell.weft(dir, ("make audio 'a high meow' -o %s steps=2 seed=1 -m %s")
        :format(name, sounds))))
      local rc, out = shell.weft(dir, ("repro %s -m %s"):format(name, sounds))
      assert.are.equal(name .. ": identical\n", out)
      assert.are.equal(0, rc)
      local _, info = shell.weft(dir, "info --json " .. name)
      assert.is_falsy(info:find("Size", 1, true) or info:find('"size"', 1, true)
        or info:find('"fps"', 1, true), info)
    end
    micro.remove(sounds)
  end)
  it("makes each of several pictures again", function()
    assert.are.equal(0, (weft "make image 'a cat' n=2 steps=2 seed=4 -o n.png"))
    for _, name in ipairs { "n-4.png", "n-5.png" } do
      local _, out = weft("repro " .. name)
      assert.are.equal(name .. ": identical\n", out)
    end
  end)
  it("makes the one call of a script again, with all that it was given", function()
    local function call(code)
      micro.write(dir .. "/call.lua", ([[
        local weft = require "weft"
        local m = weft.load %q
        local function make(o)
          return m:image(weft.with({ seed = 1, steps = 2, progress = false }, o))
        end
        %s
      ]]):format(model, code))
      local rc, _, err = shell.run(dir, shell.program .. ' -e "$(cat call.lua)"')
      assert.are.equal("", err)
      assert.are.equal(0, rc)
    end
    for name, options in pairs {
      g = 'guidance = { 5, rescale = 0.7, last = 0.4 }',
      w = 'weft.weigh(" blue", 1.6)',
      n = 'negative = { "blurry", weft.weigh("dim", 0.5) }',
    } do
      call(('make { "a cat", %s }:save "%s.png"'):format(options, name))
      local _, out, err = weft("repro " .. name .. ".png")
      assert.are.equal("", err)
      assert.are.equal(name .. ".png: identical\n", out)
    end
    local source = 'local im = weft.image.new(64, 64, "red") '
    for missing, code in pairs {
      ["what edit was given"] = 'm:edit(im, { "a cat", seed = 1, steps = 2, progress = false })',
      latents = 'make { "a cat", latents = weft.tensor.randn { 1, 16, 16, 8 } }',
      init = 'make { "a cat", init = im, strength = 0.5 }',
      ["part 2 of the prompt"] = 'make { "a", im }',
    } do
      call(source .. code .. ':save "missing.png"')
      local rc, out, err = weft "repro missing.png"
      assert.are.equal(4, rc)
      assert.are.equal("", out)
      assert.is_truthy(err:find("input missing: " .. missing, 1, true), err)
    end
    micro.write(dir .. "/plain.lua", 'require "weft".image.new(4, 4):save "plain.png"')
    assert.are.equal(0, (shell.run(dir, "WEFT_PROVENANCE=hash " .. shell.program
      .. " run plain.lua")))
    local rc, _, err = weft "repro plain.png"
    assert.are.equal(4, rc)
    assert.is_truthy(err:find("neither the call nor the recipe", 1, true))
  end)
  it("says what differs and why", function()
    local other = micro.make(micro.temp(), { narrow = true, seed = 6 })
    assert.are.equal(0, (weft "make image 'a cat' steps=2 seed=1 -o d.png"))
    local rc, out = shell.weft(dir, "repro d.png -m " .. other)
    assert.are.equal(1, rc)
    assert.is_truthy(out:match "^d.png: differs, PSNR [%d.]+ dB %(other model%)\n$")
    micro.remove(other)
  end)
  it("does not run what a file's recipe should not do", function()
    micro.write(dir .. "/evil.lua", [[
      local weft = require "weft"
      if os.execute then os.execute "touch stolen" end
      weft.image.new(4, 4):save "evil.png"
    ]])
    assert.are.equal(0, (weft "run evil.lua"))
    os.execute(("rm %s/stolen"):format(dir))
    local rc, _, err = weft "repro evil.png"
    assert.are.equal(2, rc)
    assert.is_truthy(err:find("not available here", 1, true))
    assert.is_truthy(err:find("--trust gives it everything", 1, true))
    assert.is_falsy(io.open(dir .. "/stolen"))
  end)

  --- A picture whose recipe does this when it is run again, fenced in.
  local function trap(body)
    micro.write(dir .. "/trap.lua", ([[
      local weft = require "weft"
      weft.image.new(4, 4):save "trap.png"
      if not pcall(function() return io.open end) then
        %s
      end
    ]]):format(body))
    assert.are.equal(0, (weft "run trap.lua"))
  end

  local traps = {
    loop = "while true do end",
    pcall = "while true do pcall(function() while true do end end) end",
    pattern = '(("a"):rep(40)):find(("a*"):rep(40) .. "b")',
  }
  for name, body in pairs(traps) do
    it("ends what does not end, and takes its folder away: " .. name, function()
      trap(body)
      local rc, out, err = weft "repro trap.png --timeout 1s"
      assert.are.equal(75, rc)
      assert.are.equal("", out)
      assert.are.equal("weft: trap.png: not made again within 1s (--timeout)\n", err)
      for signal, wanted in pairs { INT = 130, TERM = 143, HUP = 143 } do
        rc, out, err = shell.run(dir, ("%s repro trap.png -m %s & P=$!; sleep 1; kill -%s $P; "
          .. "wait $P"):format(shell.program, model, signal))
        assert.are.equal(wanted, rc)
        assert.are.equal("", out)
        assert.are.equal("weft: stopped\n", err)
      end
      assert.are.equal(dir .. "/trap.lua\n", shell.out "ls /tmp/lua_*/trap.lua")
    end)
  end
  it("passes on what the recipe raised", function()
    trap 'error("no fox")'
    local rc, out, err = weft "repro trap.png"
    assert.are.equal(1, rc)
    assert.are.equal("", out)
    assert.is_truthy(err:find('error("no fox")', 1, true))       -- with its line
    assert.are.equal(2, (weft "repro trap.png --timeout soon"))
    assert.are.equal(dir .. "/trap.lua\n", shell.out "ls /tmp/lua_*/trap.lua")
  end)
end)
