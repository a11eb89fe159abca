--- Memory over many pictures in one process: what weft.memory() says beside what the system says.
--
--   weft run tests/bench/memory.lua n=1000 steps=2 model=recipes/micro/weights
--
-- The system's figure is the highest resident set (VmHWM) less what the process had before the
-- model was loaded: code, libraries, the Lua package. weft's figure is the engine's peak (blocks
-- live and cached), the weights mapped from files, and what Lua's heap grew by. Growth is the
-- resident set after the last picture less the one after a tenth of them.
local weft = require "weft"
local p = weft.params {
  n = { 1000, min = 10, max = 1000000, help = "pictures" }, steps = 2, model = "micro",
}

--- A figure of /proc/self/status in bytes.
local function status(name)
  for line in io.lines "/proc/self/status" do
    local kB = line:match("^" .. name .. ":%s+(%d+) kB")
    if kB then return tonumber(kB) * 1024 end
  end
  return 0
end

local function lua_bytes() return collectgarbage "count" * 1024 end

local function mb(x) return ("%7.2f MB"):format(x / 2 ^ 20) end

weft.tensor.ones(64, 64):matmul(weft.tensor.ones(64, 64))          -- threads and BLAS are there
collectgarbage()
local base_rss, base_lua = status "VmRSS", lua_bytes()
weft.memory(true)

local m = weft.load(p.model)
local warm = math.ceil(p.n / 10)
local rss_warm, live_warm, most_lua = 0, 0, 0
for i = 1, p.n do
  local im = m:image { "a large plain red cat", seed = i, steps = p.steps, progress = false }
  if i <= 2 then m:encode(im) end              -- every mapped weight is read once at least
  most_lua = math.max(most_lua, lua_bytes())
  if i == warm or i == p.n then
    collectgarbage()
    collectgarbage()
    if i == warm then rss_warm, live_warm = status "VmRSS", weft.memory().live end
  end
end

local memory = weft.memory()
local system = status "VmHWM" - base_rss
local ours = memory.peak + memory.mapped + math.max(most_lua - base_lua, 0)
print(("system: highest resident set, less the %s before the model  %s"):format(
  mb(base_rss):match "%S+ MB", mb(system)))
print(("weft:   engine %s  mapped %s  Lua %s  in all %s"):format(mb(memory.peak), mb(memory.mapped),
  mb(most_lua - base_lua), mb(ours)))
print(("weft / system  %.3f"):format(ours / system))
print(("growth over the last %d pictures: resident set %s, live bytes %d"):format(p.n - warm,
  mb(status "VmRSS" - rss_warm), memory.live - live_warm))
