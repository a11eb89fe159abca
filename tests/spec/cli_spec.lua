-- The program as a user runs it: commands, exit codes, a batch that is stopped and goes on.
package.path = "./tests/lib/?.lua;" .. package.path
local micro = require "micro"
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

  it("takes options before the command too", function()
    for _, line in ipairs { "--plain run a.lua", "-o made -q run a.lua", "--threads=1 a.lua" } do
      local rc, _, err = weft(dir, line)
      assert.equal(0, rc, line .. "\n" .. err)
    end
    assert.truthy(io.open(dir .. "/made/x.png"))
    local rc, _, err = weft(dir, "--plain btch")
    assert.equal(2, rc)
    assert.matches("did you mean 'batch'", err)
  end)

  it("runs code with the package at hand", function()
    local rc, out, err = weft(dir, "-e 'print(weft.slug \"A cat\")'")
    assert.equal("", err)
    assert.equal(0, rc)
    assert.equal("a-cat\n", out)
  end)

  it("prints the parameters of a recipe without running it", function()
    local rc, out = weft(dir, "params a.lua")
    assert.equal(0, rc)
    assert.matches("seed%s+1%s+a number%s+of all", out)
    assert.matches("k%s+2%s+1 … 9", out)
  end)

  it("shows what a recipe says of itself, and its parameters in columns", function()
    write(dir .. "/long.lua", "-- long.lua: makes a thing\n--   weft run long.lua\n\n-- not this\n"
      .. 'local p = require "weft".params { a = { ("w "):rep(40), help = "HELP" }, '
      .. 'b = { 1, help = "HELP" } }\n')
    local rc, out = weft(dir, "run long.lua --help")
    assert.equal(0, rc)
    assert.matches("^long.lua: makes a thing\n  weft run long.lua\n", out)
    assert.no.matches("not this", out)
    local a, b = out:match "\n(  a[^\n]*)HELP\n(  b[^\n]*)HELP"
    assert.equal(require("weft.term").width(a), require("weft.term").width(b))
  end)

  it("runs a recipe from stdin", function()
    local rc, out = sh(dir, "echo 'print(1 + 1)' | " .. weft_bin .. " run -")
    assert.equal(0, rc)
    assert.equal("2\n", out)
  end)

  it("draws other seeds in every run", function()
    local line = weft_bin .. [[ -e 'print(require "weft".seed())'; ]]
    local rc, out = sh(dir, line:rep(4))
    assert.equal(0, rc)
    local seen, n = {}, 0
    for seed in out:gmatch "%d+" do
      if not seen[seed] then seen[seed], n = true, n + 1 end
    end
    assert.equal(4, n)
  end)

  it("guesses nothing for one letter, and writes whole numbers out", function()
    write(dir .. "/k.lua", 'require "weft".params { k = { "x", choices = { "x", "y" } } }\n')
    local rc, _, err = weft(dir, "run k.lua k=z")
    assert.equal(2, rc)
    assert.no.matches("did you mean", err)
    assert.matches("one of x y", err)
    local _, out = weft(dir, "help seed")
    assert.matches("from 0 to 9007199254740991", out)
  end)

  it("refuses odd declarations where they stand, and a wrong variable at the start", function()
    for code, wanted in pairs {
      ['{ 1, min = "x" }'] = "k: min must be a number", ['{ 12, max = 9 }'] = "default of k must",
      ['{ 1, choices = "x" }'] = "k: choices must", ['{ 1, choices = {} }'] = "k: choice 1 must",
      ['{ "z", choices = { "x", "y" } }'] = "the default of k cannot be z",
      ["math.huge"] = "the default of k must be a number",
      ['{ 1, help = {} }'] = "k: help must be a string",
    } do
      write(dir .. "/odd.lua", ('require "weft".params { k = %s }\n'):format(code))
      for _, command in ipairs { "params", "run" } do
        local rc, _, err = weft(dir, command .. " odd.lua")
        assert.equal(2, rc, code)
        assert.matches(wanted, err, 1, true)
      end
    end
    local rc, _, err = sh(dir, "WEFT_PROVENANCE=zz " .. weft_bin .. " run a.lua")
    assert.equal(2, rc)
    assert.matches("WEFT_PROVENANCE=zz: must be one of full hash none", err)
    assert.equal(0, (sh(dir, "WEFT_PROVENANCE= " .. weft_bin .. " run a.lua")))
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
    rc, out = weft(dir, "inspect micro")
    assert.equal(0, rc)
    assert.matches("MicroPipeline", out)
    sh(dir, "mkdir empty")
    assert.equal(4, (weft(dir, "inspect empty")))
    local missing, _, err = weft(dir, "inspect nowhere")
    assert.equal(4, missing)
    assert.matches("nowhere", err)
  end)

  it("names dtypes that weft only stores, as their file does", function()
    local header = '{"a":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]},'
      .. '"b":{"dtype":"I16","shape":[4],"data_offsets":[4,12]}}'
    write(dir .. "/odd.safetensors", string.char(#header) .. ("\0"):rep(7) .. header
      .. ("\0"):rep(12))
    local rc, out = weft(dir, "inspect odd.safetensors")
    assert.equal(0, rc)
    assert.matches("12 bytes", out)
    assert.matches("  a +f8_e4m3 +%[4%]", out)
    assert.matches("  b +i16 +%[4%]", out)
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

describe("the output of weft", function()
  local dir

  before_each(function()
    dir = temp()
    write(dir .. "/a.lua", RECIPE)
  end)
  after_each(function() os.execute("rm -rf " .. dir) end)

  local function bytes(name) return (select(2, sh(dir, "sha256sum < " .. name))) end

  it("does not replace what a sheet or a report is about", function()
    sh(dir, "mkdir s; cd s; " .. weft_bin .. " run ../a.lua; cp x.png y.png")
    local before = bytes "s/x.png"
    local rc, _, err = weft(dir, "report s/x.png -o s/x.png")
    assert.equal(2, rc)
    assert.matches("must end in .html", err)
    assert.equal(4, (weft(dir, "sheet s -o s/x.png")))
    assert.equal(4, (weft(dir, "sheet s -o s/../s/x.png")))
    assert.equal(before, bytes "s/x.png")
  end)

  it("makes a sheet again without the sheets before it", function()
    sh(dir, "mkdir s; cd s; " .. weft_bin .. " run ../a.lua; cp x.png y.png")
    assert.equal(0, (weft(dir, "sheet s -o s/g.png")))
    local first = bytes "s/g.png"
    assert.equal(0, (weft(dir, "sheet s -o s/g.png")))
    assert.equal(first, bytes "s/g.png")
    assert.equal(0, (weft(dir, "sheet s")))
    assert.equal(first, bytes "s/sheet.png")
  end)

  it("gives a made file the next free name, and replaces one only when asked", function()
    local line = 'make image "a cat" steps=1 seed=1'
    for _, name in ipairs { "a-cat.png", "a-cat-2.png", "a-cat-3.png" } do
      local rc, out, err = weft(dir, line)
      assert.equal(0, rc, err)
      assert.equal(name .. "\n", out)
    end
    write(dir .. "/mine.PNG", "mine")
    local rc, _, err = weft(dir, line .. " -o mine.PNG")
    assert.equal(4, rc)
    assert.matches("exists already", err)
    assert.matches("%-%-overwrite", err)
    assert.equal(0, (weft(dir, line .. " -o mine.PNG --overwrite")))
    assert.equal(bytes "a-cat.png", bytes "mine.PNG")
  end)

  it("refuses a name that does not fit before anything is made", function()
    for _, case in ipairs {
      { "image x -o f.wav", 2, "must end in .png" }, { "image x -o f.xyz", 2, "must end in .png" },
      { "audio x -o f.png", 2, "must end in .wav" }, { "image x -o .", 2, "is a folder" },
      { "image x -o /proc/no/f.png", 4, "/proc/no" },
    } do
      local rc, _, err = weft(dir, ("make %s -m nosuch"):format(case[1]))
      assert.equal(case[2], rc, case[1])
      assert.matches(case[3], err, 1, true)
    end
  end)

  it("is one object with --json, also of what fails", function()
    local json = require "weft.json"
    local rc, out = weft(dir, "make image x steps=1 seed=4 --json")
    assert.equal(0, rc)
    local t = json.decode(out)
    assert.same({ "x.png" }, t.files)
    assert.same({ 4 }, t.seeds)
    rc, out = weft(dir, 'make text "what is a cat" --json')
    assert.equal(0, rc)
    assert.equal("string", type(json.decode(out).text))
    write(dir .. "/p.lua", RECIPE .. 'print "words"\n')
    local err
    rc, out, err = weft(dir, "run p.lua -o o --json")
    assert.equal(0, rc)
    assert.same({ "o/x.png" }, json.decode(out).files)
    assert.matches("words", err)
    for line, want in pairs { ["run nosuch.lua"] = "io", ["info nofile"] = "io",
      ["run --bogus"] = "usage", ["run a.lua seed=3"] = "recipe" } do
      rc, out = weft(dir, line .. " --json")
      t = json.decode(out)
      assert.equal(false, t.ok)
      assert.equal(want, t.kind, line)
      assert.equal(rc, t.exit)
      assert.equal("string", type(t.message))
      assert.is_true(not (t.file or ""):find "/lua/weft/", t.file)
    end
  end)

  it("has the tensors of a recipe in it, and pictures are found from where it began", function()
    write(dir .. "/t.lua", [[
      local weft = require "weft"
      local p = weft.params { pictures = "none" }
      weft.tensor.save("sub/t.safetensors", { a = weft.tensor.ones(2) })
      local t = weft.tensor.load "sub/t.safetensors"
      local list = weft.glob(p.pictures, { some = true })
      print(pcall(weft.tensor.save, "sub/t.safetensors", t), #list)
    ]])
    sh(dir, "mkdir frs lib; cp t.lua lib; cd frs; " .. weft_bin .. " run ../a.lua")
    local rc, out, err = weft(dir, "run lib/t.lua pictures='frs/*.png' -o o --json")
    assert.equal(0, rc, err)
    assert.same({ "o/sub/t.safetensors" }, require("weft.json").decode(out).files)
    assert.matches("^false\t1\n", err)
  end)

  it("goes to stdout with -o - when it is one file", function()
    local png = "\137PNG"
    for _, line in ipairs { "make image x steps=1", "run a.lua" } do
      local rc, out, err = weft(dir, line .. " -o - | head -c 4")
      assert.equal(0, rc, err)
      assert.equal(png, out, line)
    end
    assert.equal(nil, io.open(dir .. "/x.png"))
    local last = RECIPE:match "weft%.image.*$"
    write(dir .. "/two.lua", RECIPE .. last:gsub("x%.png", "y.png"))
    local rc, out, err = weft(dir, "run two.lua -o -")
    assert.equal(2, rc)
    assert.equal("", out)
    assert.matches("2 were made", err)
  end)

  it("shows pictures in the terminal with --show", function()
    local _, heard = sh(dir, "script -qc 'echo yes' /dev/null")
    if not heard:find "yes" then return pending "no terminal can be opened here" end
    local _, out = sh(dir, ("COLORTERM=truecolor script -qc '%s run a.lua --show' /dev/null")
      :format(weft_bin))
    assert.matches("Image 4x4", out)
    _, out = weft(dir, "run a.lua")
    assert.equal("", out)
  end)

  it("says why a folder cannot be made, with the exit status of files", function()
    for _, line in ipairs { "batch a.lua -o /sys/no/b", "run a.lua -o /sys/no/b" } do
      local rc, _, err = weft(dir, line)
      assert.equal(4, rc, line)
      assert.matches("/sys/no", err)
      assert.no.matches("No such file", err)
    end
    write(dir .. "/file", "")
    assert.equal(4, (weft(dir, "batch a.lua -o file/b")))
    assert.equal(4, (weft(dir, "status nodir")))
  end)

  it("that nobody reads is no failure, one that cannot be written is", function()
    local _, out = sh(dir, ("bash -c '%s help --markdown | head -1; echo ${PIPESTATUS[0]}'")
      :format(weft_bin))
    assert.matches("# The API\n0\n", out)
    local rc, _, err = weft(dir, "help > /dev/full")
    assert.equal(4, rc)
    assert.matches("No space left", err)
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

  it("pairs the values of a recipe's own sweep that says so", function()
    write(dir .. "/z.lua", 'require "weft".params { a = 1, b = 1, '
      .. 'sweep = { { "a", 1, 2 }, { "b", 3, 4 }, zip = true } }\n')
    local rc, out = weft(dir, "batch z.lua -n")
    assert.equal(0, rc)
    assert.matches("2 jobs, 2 to run", out)
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
    assert.equal(nil, io.open(dir .. "/out"))
    assert.equal(0, (weft(dir, "batch jobs seed=1")))
    local before = select(2, sh(dir, "cat out/weft.jsonl"))
    rc, out = sh(dir, ("%s batch jobs seed=9 >/dev/null 2>&1 & sleep 0.7; %s batch jobs seed=1 -n; "
      .. "rc=$?; kill -TERM $!; wait; exit $rc"):format(weft_bin, weft_bin))
    assert.equal(0, rc)
    assert.matches("done\n1 jobs, 0 to run", out)
    assert.equal(before, (select(2, sh(dir, "cat out/weft.jsonl"))):sub(1, #before))
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

  it("keeps what a recipe writes by default in the job's folder, for sheets and reports", function()
    local rc, _, err = weft(dir, ("batch %s/recipes/text-to-picture.lua --sweep seed=1,2 steps=2")
      :format(root))
    assert.equal(0, rc, err)
    assert.equal(nil, io.open(dir .. "/picture.png"))
    local _, found = sh(dir, "ls out/text-to-picture/*/picture.png")
    assert.equal(2, select(2, found:gsub("\n", "")))
    rc = weft(dir, "sheet out --x seed")
    assert.equal(0, rc)
    assert.equal(0, (weft(dir, "report out")))
    local _, page = sh(dir, "cat out/report.html")
    assert.equal(2, select(2, page:gsub("weft repro [^<\n]*picture%.png", "")))
    rc, _, err = weft(dir, ("batch %s/recipes/text-to-picture.lua --sweep seed=1,2 steps=2")
      :format(root))
    assert.equal(0, rc)
    assert.matches("0 done, 0 failed, 2 skipped", err)
  end)

  it("says which jobs made no file, and leaves a path that was given where it was meant", function()
    write(dir .. "/w.lua", [[
      local weft = require "weft"
      local p = weft.params { out = { "w.txt", path = true } }
      local f = assert(io.open(p.out, "w"))
      f:write("w")
      f:close()
    ]])
    local rc, _, err = weft(dir, "batch w.lua out=given.txt")
    assert.equal(0, rc)
    assert.matches("no file was made there", err)
    assert.matches("1 of the done jobs made no file in its folder", err)
    assert.truthy(io.open(dir .. "/given.txt"))
    rc, _, err = weft(dir, "batch w.lua")
    assert.equal(0, rc)
    assert.no.matches("no file", err)
    assert.equal(0, (sh(dir, "ls out/w/default-*/w.txt")))
  end)

  it("does a job again when a file that it read has changed", function()
    write(dir .. "/r.lua", [[
      local weft = require "weft"
      local p = weft.params { input = { "in.png", path = true } }
      weft.image.load(p.input):save("copy.png")
    ]])
    sh(dir, weft_bin .. " run jobs/a.lua && cp x.png in.png")
    local rc, _, err = weft(dir, "batch r.lua")
    assert.equal(0, rc, err)
    _, _, err = weft(dir, "batch r.lua")
    assert.matches("0 done, 0 failed, 1 skipped", err)
    sh(dir, weft_bin .. " run jobs/a.lua k=9 && cp x.png in.png")
    _, _, err = weft(dir, "batch r.lua")
    assert.matches("1 done", err)
  end)

  it("does a job again when a file of its model has changed", function()
    local model = micro.make(temp(), { narrow = true })
    write(dir .. "/m.lua", ([[
      local weft = require "weft"
      local m = weft.load %q
      m:image { "a cat", steps = 1, seed = 1 }:save "m.png"
    ]]):format(model))
    assert.equal(0, (weft(dir, "batch m.lua")))
    local _, _, err = weft(dir, "batch m.lua")
    assert.matches("0 done, 0 failed, 1 skipped", err)
    write(model .. "/notes.txt", "another")
    local _, out = weft(dir, "batch m.lua -n")
    assert.matches(model .. " has changed", out, 1, true)
    _, _, err = weft(dir, "batch m.lua")
    assert.matches("1 done", err)
    os.execute("rm -r " .. model)
  end)

  it("names the line of each bad job", function()
    write(dir .. "/list.jsonl", table.concat({
      '{"recipe":"jobs/a.lua","out":"../esc"}', '{"recipe":"jobs/a.lua","out":"/tmp/esc"}',
      '{"recipe":"jobs/a.lua","parms":{"seed":2}}', '{"params":{}}', '{"recipe":"nob.lua"}',
      '{"recipe":"jobs/a.lua","params":{"sed":3}}', '{"recipe":"jobs/a.lua","params":3}',
      '{"recipe":"jobs/a.lua","params":{"seed":1},"out":"p"}',
      '{"recipe":"jobs/a.lua","params":{"seed":1e999}}',
      '{"recipe":"jobs/a.lua","params":{"seed":"inf"}}', '{"recipe":"jobs/\255.lua"}',
    }, "\n"))
    local rc, _, err = weft(dir, "batch - < list.jsonl")
    assert.equal(3, rc)
    assert.matches("stdin line 9: json: a number beyond all", err, 1, true)
    assert.matches('stdin line 10: parameter seed must be a number, got "inf"', err, 1, true)
    assert.matches("stdin line 11: is not UTF-8", err, 1, true)
    assert.matches('stdin line 1: out = "../esc" leaves the output folder', err, 1, true)
    assert.matches('stdin line 2: out = "/tmp/esc" leaves', err, 1, true)
    assert.matches("stdin line 3: unknown key 'parms' (did you mean 'params'?)", err, 1, true)
    assert.matches('stdin line 4: a job without "recipe"', err, 1, true)
    assert.matches("stdin line 5: nob.lua: there is no such file", err, 1, true)
    assert.matches("stdin line 6: unknown parameter 'sed' (did you mean 'seed'?)", err, 1, true)
    assert.matches('stdin line 7: "params" is no object', err, 1, true)
    assert.matches("1 done, 10 failed", err)
    assert.no.matches("%.lua:%d", err)
    assert.equal(2, (weft(dir, "run jobs/a.lua seed=inf")))
  end)

  it("gives no two jobs one folder", function()
    write(dir .. "/list.jsonl", table.concat({
      '{"recipe":"jobs/a.lua","params":{"seed":1},"out":"o"}',
      '{"recipe":"jobs/a.lua","params":{"seed":2},"out":"o/"}',
      '{"recipe":"jobs/a.lua","params":{"seed":4},"out":"o/below"}',
      '{"recipe":"jobs/a.lua","params":{"seed":5},"out":"p/q"}',
      '{"recipe":"jobs/a.lua","params":{"seed":6},"out":"p"}',
    }, "\n"))
    local rc, _, err = weft(dir, "batch - < list.jsonl")
    assert.equal(3, rc)
    assert.matches('stdin line 2: out = "o" is where the job of stdin line 1 writes', err, 1, true)
    assert.matches("stdin line 3: [^\n]* of stdin line 1 ", err)
    assert.matches("stdin line 5: [^\n]* of stdin line 4 ", err)
    assert.matches("2 done, 3 failed", err)
  end)

  it("drops no job that looks like another", function()
    for _, name in ipairs { "x", "y" } do
      os.execute(("mkdir %s/jobs/%s"):format(dir, name))
      write(("%s/jobs/%s/main.lua"):format(dir, name), 'local weft = require "weft"\n'
        .. 'weft.image.new(4, 4):save(require "helper" .. ".png")\n')
      write(("%s/jobs/%s/helper.lua"):format(dir, name), ("return %q"):format(name))
    end
    local rc, _, err = weft(dir, "batch jobs/x/main.lua jobs/y/main.lua jobs/./x/main.lua")
    assert.equal(0, rc, err)
    assert.equal("x.png\ny.png\n", (select(2, sh(dir, "ls out/main/* | grep png | sort"))))
    assert.matches("2 done", err)
    write(dir .. "/list.jsonl", table.concat({
      '{"recipe":"jobs/a.lua","params":{"seed":1},"out":"o"}',
      '{"recipe":"jobs/a.lua","params":{"seed":1},"out":"p"}',
      '{"recipe":"jobs/a.lua","params":{"seed":2},"out":"q"}',
    }, "\n"))
    rc, _, err = weft(dir, "batch - < list.jsonl")
    assert.equal(3, rc)
    assert.matches("stdin line 2: is the job of stdin line 1 again", err, 1, true)
    assert.matches("2 done, 1 failed", err)
  end)

  it("names the line of a bad row of a table, and why a range is refused", function()
    write(dir .. "/p.csv", 'seed,k\n1,2\n\n"2",12\n')
    local rc, _, err = weft(dir, "batch jobs --table p.csv")
    assert.equal(2, rc)
    assert.matches("p.csv line 4: parameter k must be 1 … 9", err, 1, true)
    write(dir .. "/p.csv", "seed,k\n1,2,3\n")
    rc, _, err = weft(dir, "batch jobs --table p.csv")
    assert.equal(2, rc)
    assert.matches("p.csv line 2: has 3 fields, the header 2", err, 1, true)
    rc, _, err = weft(dir, "batch jobs --sweep seed=1..1000000000")
    assert.equal(2, rc)
    assert.matches("has more than 100000 values", err)
    rc, _, err = weft(dir, "batch jobs --sweep seed=3..1")
    assert.equal(2, rc)
    assert.matches("goes down", err)
    assert.equal(4, (weft(dir, "batch jobs --table none.csv")))
  end)

  it("takes jobs as JSON lines", function()
    local jobs = [['{"recipe":"jobs/a.lua","params":{"seed":5}}\nnonsense\n']]
    local rc, _, err = sh(dir, ("printf %s | %s batch -"):format(jobs, weft_bin))
    assert.equal(3, rc)
    assert.matches("1 done, 1 failed", err)
  end)
end)
