--- Coroutines that run within coroutines: a limit to their depth. Each level takes some of the C
-- stack, which LuaJIT does not count: without a limit f() = coroutine.wrap(f)() ends in a fault of
-- the process instead of a "stack overflow".
local host = require "weft.host"

local M = { MAX = 100 }

local OVERFLOW = "stack overflow: coroutines within coroutines"

-- What one coroutine may take of the C stack before LuaJIT's own limits stop it, when it recurses
-- through gsub, is 60 MB. The program's stack holds this three times (lua/main.c): for what stands
-- when a coroutine is resumed outside of any, for that coroutine, and for the innermost.
local MAX_STACK_BYTES = 2 * 64 * 2^20

local create, resume, running = coroutine.create, coroutine.resume, coroutine.running
local error, type = error, type

local depth = 0

--- May one more be resumed? Outside of any the depth is 0, whatever a stop in the middle left.
local function check_depth()
  if not running() then
    depth = 0
  elseif depth >= M.MAX or host.stack_bytes() > MAX_STACK_BYTES then
    error(OVERFLOW, 3)
  end
end

local function left(...)
  depth = depth - 1
  return ...
end

--- What a wrapped coroutine gave: an error goes on as one of the line that called it, as Lua's own
-- does; an overflow names its line once, not at every level.
local function unwrapped(ok, ...)
  depth = depth - 1
  if ok then return ... end
  local err = ...
  error(err, type(err) == "string" and err:find(OVERFLOW, 1, true) and 0 or 2)
end

local function limited_resume(co, ...)
  if type(co) ~= "thread" then return resume(co, ...) end
  if depth > 0 then check_depth() end
  depth = depth + 1
  return left(resume(co, ...))
end

local function limited_wrap(f)
  if type(f) ~= "function" then
    error(("bad argument #1 to 'wrap' (function expected, got %s)"):format(type(f)), 2)
  end
  local co = create(f)
  return function(...)
    if depth > 0 then check_depth() end
    depth = depth + 1
    return unwrapped(resume(co, ...))
  end
end

--- Put the limit in the place of Lua's own functions, for all that this state runs.
function M.install()
  rawset(coroutine, "resume", limited_resume)
  rawset(coroutine, "wrap", limited_wrap)
end

return M
