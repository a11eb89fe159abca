--- weft: make and edit images, sound, video and text from Lua.
-- The package table. Parts load on first touch and are also requirable (`require "weft.train"`).
local core = require "weft.core"
local host = require "weft.host"

local here = debug.getinfo(1, "S").source
core.set_home((here:gsub("init%.lua$", "")))

local weft = { version = host.version, core = core }

--- The package's folder, with a slash at its end: what ships is found relative to it.
weft.home = here:gsub("init%.lua$", ""):gsub("^@", "")

--- Free what f makes and does not return, error or not: `local y = weft.scope(f, ...)`.
weft.scope = core.scope
--- Loss and gradients: `local loss, grads, ... = weft.grad(f, params)`. A gradient is false where
-- the loss does not depend on the parameter.
weft.grad = core.grad
--- What f computes is a constant to the gradient around it.
weft.no_grad = core.no_grad
--- A block that keeps only its inputs and runs again in backward: `y = weft.checkpoint(f, a, b)`.
weft.checkpoint = core.checkpoint
--- Threads of the engine: `weft.threads()` reads, `weft.threads(n)` sets.
weft.threads = core.threads
--- Products on the CPU in bf16: `weft.bf16(true)`; never on unless asked for.
weft.bf16 = core.bf16

--- Bytes the engine holds: live, peak (since the last reset), cached, mapped; and allocs, a count.
---@param reset? boolean  start measuring the peak anew
function weft.memory(reset) return core.memory(reset) end

--- Call f; its values, or nil and the error.
function weft.try(f, ...)
  local function pack(ok, ...)
    if ok then return ... end
    return nil, (...)
  end
  return pack(pcall(f, ...))
end

--- Load a model by path or name: `local m = weft.load "micro"`; see weft.load.
function weft.load(...) return require("weft.load").load(...) end

--- How a file was made: its provenance, or nil when it carries none.
function weft.info(path)
  require("weft.check").type("info: path", path, "string")
  return require("weft.provenance").read(path)
end

--- A merged copy: more wins over opts.
function weft.with(opts, more)
  local check = require "weft.check"
  check.type("with: the options", opts, "table")
  check.type("with: what wins over them", more, "table")
  local out = {}
  for k, v in pairs(opts) do out[k] = v end
  for k, v in pairs(more) do out[k] = v end
  return out
end

for name, f in pairs(require "weft.ops") do weft[name] = f end
weft.embedding = nil                 -- the part of this name, which is the op when it is called
weft.tensor = require "weft.tensor"

--- The logarithm of a tensor; with a string, a line on stderr as string.format makes it.
function weft.log(x, ...)
  if weft.tensor.is(x) then return core.ops.log(x) end
  return require("weft.tools").log(x, ...)
end

--- Elapsed time of f in seconds, then what it returned.
function weft.time(f, ...)
  local start = host.clock()
  local function pack(...) return host.clock() - start, ... end
  return pack(f(...))
end

local draws = 0
local stream = nil

--- The start of a run's seeds, which no other run has that began in the same second.
local function fresh_stream()
  local file, n = io.open("/dev/urandom", "rb"), 0
  local bytes = file and file:read(6) or ""
  if file then file:close() end
  for i = 1, #bytes do n = n * 256 + bytes:byte(i) end
  return #bytes == 6 and n or os.time()
end

--- The run's seed stream: `weft.seed(n)` starts it at n, `weft.seed()` draws the next seed.
function weft.seed(n)
  if n then
    require("weft.check").int("seed", n, nil, 0, 2 ^ 53 - 1)
    stream, draws = n, 0
    return n
  end
  stream = stream or fresh_stream()
  draws = draws + 1
  return core.bits(stream, 0, 5, draws - 1)
end

--- Functions that live in parts of their own.
local functions = {
  params = "params", exists = "tools", glob = "tools", slug = "tools", sweep = "tools",
  inspect = "inspect",
  show = "show", weigh = "prompt", depth = "prompt", example = "prompt", prompt = "prompt",
}

local parts = {
  spec = true, options = true, config = true,
  train = true, image = true, audio = true, mel = true, video = true, model = true, json = true,
  guidance = true, tokenizer = true, rng = true, nn = true, embedding = true,
  sampler = true, sheet = true, provenance = true, chat = true, report = true,
}

return setmetatable(weft, {
  __index = function(t, name)
    local from = functions[name]
    if not from and not parts[name] then return nil end
    local part = from and require("weft." .. from)[name] or require("weft." .. name)
    rawset(t, name, part)
    return part
  end,
})
