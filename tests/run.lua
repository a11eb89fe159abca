--- Run every test that this machine can run; the exit status is the verdict.
--
--   luajit tests/run.lua [unit programs and spec files ...]
--
-- Unit programs are cmocka's (they print "[  PASSED  ] N test(s)."), specs are busted's, checks
-- under tests/style are plain Lua that exits 0 or not. The last line is "N passed, N failed, N
-- skipped".

local function shell(command)
  local pipe = assert(io.popen("(" .. command .. ") 2>&1; echo \" exit $?\""))
  local text = pipe:read("*a")
  pipe:close()
  local body, code = text:match("^(.*) exit (%d+)\n$")
  return body or text, tonumber(code or 1)
end

local function count(text, pattern)
  local n = 0
  for hit in text:gmatch(pattern) do n = n + (tonumber(hit) or 0) end
  return n
end

--- passed, failed, skipped of one test file's output; a run that ended badly has failed at least
-- once.
local function tally_unit(text, code)
  local passed = count(text, "%[  PASSED  %] (%d+) test")
  local failed = count(text, "%[  FAILED  %] (%d+) test")
  local skipped = count(text, "%[  SKIPPED %] (%d+) test")
  if code ~= 0 and failed == 0 then failed = 1 end
  if code == 0 and passed + skipped == 0 then failed = 1 end
  return passed, failed, skipped
end

local function tally_spec(text, code)
  local passed = count(text, "(%d+) success")
  local failed = count(text, "(%d+) failure") + count(text, "(%d+) error")
  local skipped = count(text, "(%d+) pending")
  if code ~= 0 and failed == 0 then failed = 1 end
  if code == 0 and passed + skipped == 0 then failed = 1 end
  return passed, failed, skipped
end

local function tally_check(_, code)
  return code == 0 and 1 or 0, code == 0 and 0 or 1, 0
end

--- How to run a file, by what it is.
local function plan(path)
  if path:match("_spec%.lua$") then
    return "busted --lua=luajit --output=plainTerminal " .. path, tally_spec
  elseif path:match("%.lua$") then
    return "luajit " .. path, tally_check
  end
  return path, tally_unit
end

--- The runner's own first test: what fails must be counted as failed.
local function check_self()
  local _, failed = tally_unit("[  PASSED  ] 3 test(s).\n[  FAILED  ] 1 test(s)", 1)
  local _, crashed = tally_unit("Segmentation fault", 139)
  local _, silent = tally_spec("", 0)
  local _, code = shell("exit 3")
  assert(failed == 1 and crashed == 1 and silent == 1 and code == 3,
    "the runner does not see failures")
end

local function main(files)
  check_self()
  local passed, failed, skipped = 1, 0, 0
  for _, path in ipairs(files) do
    local command, tally = plan(path)
    local started = os.time()
    local text, code = shell(command)
    local p, f, s = tally(text, code)
    passed, failed, skipped = passed + p, failed + f, skipped + s
    io.write(("%-44s %4d passed %3d failed %3d skipped  %d s\n"):format(path, p, f, s,
      os.time() - started))
    if f > 0 then io.write(text, "\n") end
    io.flush()
  end
  io.write(("%d passed, %d failed, %d skipped\n"):format(passed, failed, skipped))
  os.exit(failed == 0 and 0 or 1)
end

main(arg)
