--- `weft doctor`: what this machine has, and one line a problem with what to do about it.
local host = require "weft.host"
local json = require "weft.json"
local term = require "weft.term"

local M = {}

--- Each check gives a name, what was found, and the problem if there is one.
local checks = {}
local function add(name, f) checks[#checks + 1] = { name = name, f = f } end

add("weft", function()
  return host.version .. ", " .. jit.version
end)

add("processor", function()
  local core = require "weft.core"
  local level = core.cpu_level()
  local text = ("%d threads, kernels for %s"):format(core.threads(), level)
  if level == "plain" then
    return text, "this processor has no AVX2: everything works, some ten times slower"
  end
  return text
end)

add("devices", function() return "cpu" end)

add("model", function()
  local ok, m = pcall(require("weft.load").load, "micro")
  if ok then return tostring(m) end
  return "the small model was not found",
    "set WEFT_MODELS to the folder that holds micro/, or run from the source tree"
end)

add("computes", function()
  local weft = require "weft"
  local x = weft.tensor { { 1, 2 }, { 3, 4 } }
  local y = x:matmul(x):totable()
  if y[1][1] == 7 and y[2][2] == 22 then return "a product of matrices is right" end
  return "a product of matrices is wrong", "please report this with the output of weft doctor"
end)

add("files", function()
  local path = os.tmpname()
  local weft = require "weft"
  local ok, err = pcall(function()
    weft.image.from(weft.tensor.zeros { 4, 4, 3 }):save(path .. ".png", { overwrite = true })
    weft.image.load(path .. ".png")
  end)
  os.remove(path .. ".png")
  os.remove(path)
  if ok then return "a picture can be written and read" end
  return "a picture could not be written: " .. tostring(err), "is the disk full, or TMPDIR wrong?"
end)

add("terminal", function()
  local columns, rows = term.size()
  return ("%d x %d, %s"):format(columns, rows, term.is_rich(1) and "colours" or "plain")
end)

function M.main(a)
  local rows, bad = {}, 0
  for i, c in ipairs(checks) do
    local ok, found, problem = pcall(c.f)
    if not ok then found, problem = tostring(found), "the check itself failed" end
    rows[i] = { name = c.name, found = found, problem = problem }
    if problem then bad = bad + 1 end
    if not a.options.json then
      io.write(("%s %-10s %s\n"):format(problem and "!!" or "ok", c.name, found))
      if problem then io.write(("   %-10s %s\n"):format("", problem)) end
    end
  end
  if a.options.json then io.write(json.encode(rows), "\n") end
  return bad > 0 and 1 or 0
end

return M
