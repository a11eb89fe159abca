--- Signals at any moment: fixed exit codes, nothing half written, and the same work goes on to the
-- same bytes. Processes that share a file or a folder.
package.path = "./tests/lib/?.lua;" .. package.path
local micro = require "micro"
local shell = require "shell"

local dir, models

local LOOP = [[
  local weft = require "weft"
  local m = weft.load "micro"
  io.stderr:write "ready\n"
  for i = 1, 500 do
    m:image { "a cat", seed = i, steps = 6, progress = false }:save(("o/%03d.png"):format(i))
  end
]]

local JOB = [[
  local weft = require "weft"
  local p = weft.params { seed = 1, steps = 8 }
  weft.load "micro":image { "a cat", seed = p.seed, steps = p.steps, progress = false }
    :save "x.png"
]]

setup(function()
  dir, models = micro.temp(), micro.temp()
  os.execute(("mkdir %s/micro"):format(models))
  micro.make(models .. "/micro", { narrow = true })
  micro.write(dir .. "/loop.lua", LOOP)
  micro.write(dir .. "/job.lua", JOB)
end)
teardown(function()
  micro.remove(dir)
  micro.remove(models)
end)

--- A shell line in dir with the model found by name.
local function sh(line)
  return shell.run(dir, ("export WEFT_MODELS=%s; "):format(models)
    .. line:gsub("%$W", shell.program))
end

--- Start words in the background, send signals after so many seconds. Exit code, stderr, seconds.
local function stop(words, signals, after)
  local kills = {}
  for s in signals:gmatch "%u+%d?" do kills[#kills + 1] = ("kill -%s $P; sleep 0.05"):format(s) end
  local rc, out, err = sh(("$W %s & P=$!; sleep %g; S=$(date +%%s%%N); %s; wait $P; rc=$?; "
    .. "echo took $(( ($(date +%%s%%N) - S) / 1000000 )); exit $rc"):format(words, after,
    table.concat(kills, "; ") .. " 2>/dev/null"))
  return rc, err, tonumber(out:match "took (%d+)") / 1000
end

local LATE_S = 5          -- a second on a free machine; tests share theirs

describe("weft run", function()
  local codes = { INT = 130, TERM = 143, HUP = 143 }
  for signal, code in pairs(codes) do
    it("ends with " .. code .. " after SIG" .. signal .. ", its files complete", function()
      for _, after in ipairs { 0.3, 0.6, 1.1 } do
        os.execute(("rm -rf %s/o; mkdir %s/o"):format(dir, dir))
        local rc, err, seconds = stop("run loop.lua", signal, after)
        assert.are.equal(code, rc)
        assert.is_truthy(err:find("weft: stopped; files that were complete are kept", 1, true))
        assert.is_true(seconds < LATE_S)
        assert.are.equal("", shell.out(("find %s/o -name '*.part'"):format(dir)))
        local n = tonumber(shell.out(("ls %s/o | wc -l"):format(dir)))
        local _, good = sh("for f in o/*.png; do [ -e $f ] && $W info --json $f 2>/dev/null; "
          .. "done | wc -l")
        assert.are.equal(n, tonumber(good))
      end
    end)
  end
  it("takes away what a killed run has left", function()
    os.execute(("mkdir -p %s/left && cd %s/left && touch .x.png.999999-0.part .y.$$-0.part")
      :format(dir, dir))
    micro.write(dir .. "/nothing.lua", "")
    assert.are.equal(0, (sh "$W run nothing.lua -o left"))
    assert.is_nil(shell.out("ls -A " .. dir .. "/left"):find "x.png")
  end)
  it("leaves a loop that looks at nothing", function()
    micro.write(dir .. "/spin.lua", "local x = 0\nwhile true do x = x + 1 end")
    local rc = stop("run spin.lua", "INT INT", 0.5)
    assert.are.equal(130, rc)
  end)
  it("stops loops that swallow errors, at the first signal", function()
    local loops = {
      engine = [[
        local x = require("weft").tensor.ones(2)
        while true do pcall(function() x = x + 1 end) end ]],
      model = [[
        local m = require("weft").load "micro"
        while true do pcall(m.image, m, { "a cat", steps = 20, progress = false }) end ]],
      coroutine = [[
        local function work()
          while true do xpcall(function() return { tostring(1) } end, function() end) end
        end
        while true do coroutine.resume(coroutine.create(work)) end ]],
    }
    for name, code in pairs(loops) do
      micro.write(dir .. "/eat.lua", code)
      for signal, code_wanted in pairs(codes) do
        local rc, err, seconds = stop("run eat.lua", signal, 0.8)
        assert.are.equal(code_wanted, rc)
        assert.is_truthy(err:find("weft: stopped; files that were complete are kept", 1, true))
        assert.is_true(seconds < 4, name)             -- less than it is given before it is killed
      end
    end
  end)
  it("stops a loop that the JIT compiled after some seconds, and says so", function()
    micro.write(dir .. "/eat.lua", "while true do pcall(function() while true do end end) end")
    local rc, err, seconds = stop("run eat.lua", "INT", 0.6)
    assert.are.equal(130, rc)
    assert.is_truthy(err:find("weft: stopped; files that were complete are kept", 1, true))
    assert.is_true(seconds < 5 + LATE_S)
  end)
end)

describe("weft batch", function()
  local wanted

  local function hashes(folder)
    return shell.out(("cd %s/%s && sha256sum */*/x.png"):format(dir, folder))
  end

  setup(function()
    assert.are.equal(0, (sh "$W batch job.lua --sweep seed=1..12 -o whole -q"))
    wanted = hashes "whole"
    assert.are.equal(12, select(2, wanted:gsub("\n", "")))
  end)

  local codes = { { "INT", 130 }, { "INT INT", 130 }, { "TERM", 143 }, { "HUP", 143 },
    { "USR1", 75 }, { "KILL", 137 } }
  for i, c in ipairs(codes) do
    it("goes on to the same bytes after SIG" .. c[1], function()
      local out = "out" .. i
      local rc = stop("batch job.lua --sweep seed=1..12 -q -o " .. out, c[1], 0.5 + 0.1 * i)
      assert.is_true(rc == c[2] or rc == 0)         -- it may have been done already
      local code, _, err = sh("$W batch job.lua --sweep seed=1..12 -o " .. out)
      assert.are.equal(0, code)
      assert.is_truthy(err:find("0 failed", 1, true))
      assert.are.equal(wanted, hashes(out))
      assert.are.equal("", shell.out(("find %s/%s -name '*.part'"):format(dir, out)))
    end)
  end
  it("does not count a stopped job as failed", function()
    local rc, err = stop("batch job.lua steps=1000 -o slow", "TERM", 1)
    assert.are.equal(143, rc)
    assert.is_truthy(err:find("0 done, 0 failed, 0 skipped, 1 left", 1, true))
    local _, out = sh "$W status slow"
    assert.is_truthy(out:find("0 done, 0 failed, 1 not finished", 1, true))
  end)
  it("tries a job whose worker was killed once more, alone", function()
    -- long enough that no job is done when one is killed
    local rc, _, err = sh("$W batch job.lua --sweep seed=1..3 --sweep steps=1000 -j 2 -o once "
      .. "& P=$!; sleep 1; kill -KILL $(cat /proc/$P/task/*/children | cut -d\" \" -f1); wait $P")
    assert.are.equal(0, rc)
    assert.is_truthy(err:find("killed, probably out of memory; once more, with none beside it",
      1, true))
    assert.is_truthy(err:find("3 done, 0 failed", 1, true))
  end)
  it("ends a job that hangs, tries it once more, and goes on", function()
    micro.write(dir .. "/hang.lua", "while true do end")
    local rc, _, err = sh "$W batch hang.lua job.lua --stall 1s -o hung"
    assert.are.equal(3, rc)
    assert.is_truthy(err:find("no progress for 1.0 s (--stall); once more", 1, true))
    assert.is_truthy(err:find("1 done, 1 failed", 1, true))
  end)
  it("outlives workers that are all killed, and passes over a torn journal", function()
    local rc, _, err = sh("$W batch job.lua --sweep seed=1..3 --sweep steps=300 -o torn & P=$!; "
      .. "while kill -0 $P; do kill -KILL $(cat /proc/$P/task/*/children); sleep 0.2; done "
      .. "2>/dev/null; wait $P")
    assert.are.equal(3, rc)
    assert.is_truthy(err:find("killed, probably out of memory", 1, true))
    assert.is_truthy(err:find("0 done, 3 failed", 1, true))
    local file = io.open(dir .. "/torn/weft.jsonl", "a")
    file:write '{"event":"done","id":"12'
    file:close()
    rc, _, err = sh "$W batch job.lua --sweep seed=1..3 --sweep steps=300 -o torn"
    assert.are.equal(0, rc)
    assert.is_truthy(err:find("3 done, 0 failed", 1, true))
  end)
  it("leaves no worker behind when it is killed", function()
    local _, kid = sh("$W batch job.lua steps=1000 -o lone & P=$!; sleep 1; "
      .. "cat /proc/$P/task/*/children; "
      .. "kill -9 $P; wait $P; sleep 0.5")
    local pid = kid:match "%d+"
    local state = shell.out(("grep State /proc/%s/status"):format(pid))     -- Z: dead, not buried
    assert.is_true(state == "" or state:match "State:%s+[ZX]" ~= nil, state)
  end)
end)

describe("a training", function()
  it("that was stopped ends with the weights of one that was not", function()
    local words = ("run %s/recipes/micro/train/vae.lua batch=2 steps=4"):format(
      shell.program:match "^(.*)/")
    local cd = ("cd %s; "):format(shell.program:match "^(.*)/")
    local function train(name, more)
      return cd .. ("$W %s out=%s/%s work=%s/%s-work %s"):format(words, dir, name, dir, name, more)
    end
    assert.are.equal(0, (sh(train("a", ""))))
    assert.are.equal(0, (sh(train("b", "stop=2"))))
    sh(train("b", "") .. " & P=$!; sleep 0.4; kill -INT $P; wait $P")
    assert.are.equal(0, (sh(train("b", ""))))
    local function hash(name)
      return shell.out(("cd %s/%s && find . -type f | sort | xargs sha256sum"):format(dir, name))
    end
    assert.are.equal(hash "a", hash "b")
    assert.is_truthy(hash("a"):find "safetensors")
  end)
end)

describe("two processes", function()
  it("that write one file leave one whole file", function()
    local rc = sh [[
      for k in 1 2 3 4; do
        $W run loop.lua -o same 2>/dev/null & PIDS="$PIDS $!"
      done
      sleep 1.5; kill $PIDS; wait
      for f in same/o/*.png; do $W info $f >/dev/null || exit 1; done
      test -z "$(find same -name '*.part')"
    ]]
    assert.are.equal(0, rc)
  end)
  it("do not share the folder of a batch", function()
    local rc, _, err = sh("$W batch job.lua steps=1000 -o one -q & P=$!; sleep 0.8; "
      .. "$W batch job.lua -o one; rc=$?; kill $P; wait $P; exit $rc")
    assert.are.equal(2, rc)
    assert.is_truthy(err:match "one is in use by another weft batch, process %d+")
  end)
end)
