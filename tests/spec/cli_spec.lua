-- The program as a user runs it: commands, exit codes, a batch that is stopped and goes on.
local root = io.popen("pwd"):read "*l"
local weft_bin = root .. "/weft"

local function temp()
  local path = os.tmpname()
  os.remove(path)
  os.execute("mkdir -p " .. path)
  return path
end

--- Run a shell line in dir; exit code, stdout, stderr.
local function sh(dir, line)
  local err = os.tmpname()
  local p = io.popen(("cd %s && ( %s ) 2>%s; echo \"rc=$?\""):format(dir, line, err))
  local out = p:read "*a"
  p:close()
  local f = io.open(err)
  local text = f:read "*a"
  f:close()
  os.remove(err)
  local rc = tonumber(out:match "rc=(%d+)\n$")
  return rc, (out:gsub("rc=%d+\n$", "")), text
end

local function weft(dir, words) return sh(dir, weft_bin .. " " .. words) end

local function write(path, text)
  local f = assert(io.open(path, "w"))
  f:write(text)
  f:close()
end

local RECIPE = [[
local weft = require "weft"
local p = weft.params { seed = { 1, help = "of all" }, k = { 2, min = 1, max = 9 } }
if p.seed == 3 then error("no three") end
if p.seed == 9 then
  local t = os.clock()
  while os.clock() - t < 20 do end
end
weft.image.from(weft.tensor.full({ 4, 4, 3 }, p.k / 10)):save("x.png")
]]

describe("weft", function()
  local dir

  setup(function()
    dir = temp()
    write(dir .. "/a.lua", RECIPE)
  end)
  teardown(function() os.execute("rm -rf " .. dir) end)

  it("shows help, a page for each command, and what a word means", function()
    local rc, out = weft(dir, "--help")
    assert.equal(0, rc)
    assert.matches("weft run fox.lua", out)
    for _, c in ipairs(require("weft.cli.commands").names()) do
      assert.matches(c, out)
      local code, page = weft(dir, "help " .. c)
      assert.equal(0, code, c)
      assert.matches("weft " .. c, page)
      assert.is_true(pcall(require, "weft.cli." .. c), c .. " has no module")
    end
    rc, out = weft(dir, "help guidance")
    assert.equal(0, rc)
    assert.matches("pull towards the prompt", out)
    local err
    rc, out, err = weft(dir, "help bach")
    assert.equal(2, rc)
    assert.equal("", out)
    assert.matches("did you mean 'batch'", err)
  end)

  it("is of the version that scripts and its sources name", function()
    local f = assert(io.open "core/base/version.h")
    local stated = f:read("*a"):match 'WF_VERSION "([^"]*)"'
    f:close()
    assert.equal(stated, require("weft").version)
    assert.matches("weft " .. stated:gsub("%.", "%%."), select(2, weft(dir, "--version")))
  end)

  it("refuses unknown commands and options with the nearest", function()
    local rc, _, err = weft(dir, "btch")
    assert.equal(2, rc)
    assert.matches("did you mean 'batch'", err)
    rc, _, err = weft(dir, "run a.lua --modle x")
    assert.equal(2, rc)
    assert.matches("did you mean '%-%-model'", err)
  end)

  it("prints the parameters of a recipe without running it", function()
    local rc, out = weft(dir, "params a.lua")
    assert.equal(0, rc)
    assert.matches("seed%s+1%s+a number%s+of all", out)
    assert.matches("k%s+2%s+1 … 9", out)
  end)

  it("starts a recipe, and does not replace one", function()
    assert.equal(0, (weft(dir, "new fox")))
    local rc, out = weft(dir, "params fox.lua")
    assert.equal(0, rc)
    assert.matches("guidance", out)
    local again, _, err = weft(dir, "new fox")
    assert.equal(2, again)
    assert.matches("is there already", err)
  end)

  it("looks at model files and folders", function()
    local rc, out = weft(root, "inspect tests/model/vectors/unet_unclip")
    assert.equal(0, rc)
    assert.matches("UNet2DConditionModel", out)
    assert.matches("conv_in.weight", out)
    local missing, _, err = weft(dir, "inspect nowhere")
    assert.equal(4, missing)
    assert.matches("nowhere", err)
  end)

  it("says that a file does not tell how it was made", function()
    assert.equal(0, (sh(dir, "WEFT_PROVENANCE=none " .. weft_bin .. " run a.lua")))
    local rc, _, err = weft(dir, "info x.png")
    assert.is_true(rc ~= 0)
    assert.matches("does not say how it was made", err)
    rc, _, err = weft(dir, "info none.png")
    assert.is_true(rc ~= 0)
    assert.matches("there is no such file", err)
  end)

  it("checks the machine, one line a check", function()
    local _, out = weft(root, "doctor")
    assert.matches("ok computes", out)
    assert.matches("ok files", out)
  end)
end)

describe("weft batch", function()
  local dir

  before_each(function()
    dir = temp()
    os.execute("mkdir -p " .. dir .. "/jobs")
    write(dir .. "/jobs/a.lua", RECIPE)
  end)
  after_each(function() os.execute("rm -rf " .. dir) end)

  it("runs a sweep, says what failed, and does what is missing the next time", function()
    local rc, _, err = weft(dir, "batch jobs --sweep seed=1..4")
    assert.equal(3, rc)
    assert.matches("3 done, 1 failed, 0 skipped", err)
    assert.matches("a.lua:3: no three", err)
    rc, _, err = weft(dir, "batch jobs --sweep seed=1..5")
    assert.equal(3, rc)
    assert.matches("1 done, 1 failed, 3 skipped", err)
    local status, out = weft(dir, "status out")
    assert.equal(0, status)
    assert.matches("4 done, 1 failed, 0 not finished", out)
  end)

  it("does a job again when its file is gone or its recipe has changed", function()
    assert.equal(0, (weft(dir, "batch jobs seed=1")))
    local rc, _, err = weft(dir, "batch jobs seed=1")
    assert.equal(0, rc)
    assert.matches("0 done, 0 failed, 1 skipped", err)
    os.execute("rm " .. dir .. "/out/a/*/x.png")
    _, _, err = weft(dir, "batch jobs seed=1")
    assert.matches("1 done", err)
    write(dir .. "/jobs/a.lua", RECIPE .. "-- changed\n")
    _, _, err = weft(dir, "batch jobs seed=1")
    assert.matches("1 done", err)
  end)

  it("lists jobs without running them", function()
    local rc, out = weft(dir, "batch jobs --sweep seed=1,2 --sweep k=1..3 -n")
    assert.equal(0, rc)
    assert.matches("6 jobs, 6 to run", out)
    assert.equal(nil, io.open(dir .. "/out/a"))
  end)

  it("refuses bad parameters before anything runs", function()
    local rc, _, err = weft(dir, "batch jobs --sweep sed=1,2")
    assert.equal(2, rc)
    assert.matches("did you mean 'seed'", err)
    rc, _, err = weft(dir, "batch jobs k=12")
    assert.equal(2, rc)
    assert.matches("k must be 1 … 9", err)
  end)

  it("ends a job that takes too long, and one output folder has one batch", function()
    local rc, _, err = weft(dir, "batch jobs seed=9 --timeout 1s")
    assert.equal(3, rc)
    assert.matches("took longer than 1s", err)
    rc, _, err = sh(dir, ("%s batch jobs seed=9 & sleep 0.7; %s batch jobs seed=1; rc=$?; "
      .. "kill -TERM %%1 2>/dev/null || kill -TERM $!; wait; exit $rc"):format(weft_bin, weft_bin))
    assert.equal(2, rc)
    assert.matches("is in use by another weft batch", err)
  end)

  it("can be stopped, and has its limits, while a recipe hangs before it says its parameters",
    function()
      write(dir .. "/hangs.lua", "while true do end\nrequire('weft').params { a = 1 }\n")
      local guarded = "timeout -s KILL 15 " .. weft_bin .. " batch hangs.lua "
      local function batch(options) return sh(dir, guarded .. options) end
      local rc, _, err = batch "--timeout 1s"
      assert.equal(3, rc)
      assert.matches("hangs.lua: took longer than 1s", err)
      rc, _, err = batch "jobs/a.lua seed=1 --stall 1s"
      assert.equal(3, rc)
      assert.matches("hangs.lua: no progress for 1.* %(%-%-stall%)", err)
      assert.matches("1 done, 1 failed", err)
      rc, _, err = batch "--max-time 1s"
      assert.equal(75, rc)
      assert.matches("stopped before the first job", err)
      for name, status in pairs { INT = 130, TERM = 143 } do
        rc, _, err = sh(dir, ("%s batch hangs.lua & p=$!; "
          .. "(sleep 15; kill -KILL $p) >/dev/null 2>&1 & guard=$!; "
          .. "sleep 1; kill -%s $p; wait $p; rc=$?; kill $guard; exit $rc"):format(weft_bin, name))
        assert.equal(status, rc)
        assert.matches("stopped before the first job", err)
      end
    end)

  it("goes on after a kill, with nothing half written", function()
    sh(dir, ("%s batch jobs --sweep seed=1,9,2 & sleep 1; kill -KILL $!; wait"):format(weft_bin))
    local _, out = weft(dir, "status out")
    assert.matches("1 done, 0 failed, 1 not finished", out)
    local rc, _, err = weft(dir, "batch jobs --sweep seed=1,2")
    assert.equal(0, rc)
    assert.matches("1 done, 0 failed, 1 skipped", err)
  end)

  it("takes jobs as JSON lines", function()
    local jobs = [['{"recipe":"jobs/a.lua","params":{"seed":5}}\nnonsense\n']]
    local rc, _, err = sh(dir, ("printf %s | %s batch -"):format(jobs, weft_bin))
    assert.equal(3, rc)
    assert.matches("1 done, 1 failed", err)
  end)
end)
