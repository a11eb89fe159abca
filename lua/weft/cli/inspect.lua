--- `weft inspect MODEL`: what a model file or folder is, read from headers alone.
local args = require "weft.cli.args"
local inspect = require "weft.inspect"
local json = require "weft.json"
local term = require "weft.term"

local M = {}

local FIRST = 12      -- tensors shown without --all

--- After --check: what is not finite, tensor by tensor.
local function show_odd(found)
  local n = 0
  for _, t in ipairs(found.tensors) do
    if t.odd then io.write(("  !! %-61s %s\n"):format(t.name, t.odd)) end
    n = n + (t.odd and 1 or 0)
  end
  io.write(n == 0 and "  every value is finite\n" or ("  %d tensors hold such values\n"):format(n))
  return n
end

local function show_file(found, options)
  io.write(("%s: %d tensors, %.2f M values, %s\n"):format(found.path, #found.tensors,
    found.values / 1e6, term.bytes(found.bytes)))
  for i, t in ipairs(found.tensors) do
    if i > FIRST and not options.all then
      io.write(("  ... %d more (--all)\n"):format(#found.tensors - FIRST))
      break
    end
    io.write(("  %-64s %-5s [%s]\n"):format(t.name, t.dtype, table.concat(t.sizes, ",")))
  end
  if options.check then show_odd(found) end
end

local function show_folder(found, options)
  io.write(("%s: %s\n"):format(found.path, found.kind or "a folder"))
  for _, f in ipairs(found.files) do show_file(f, options) end
  for _, part in ipairs(found.parts) do show_folder(part, options) end
end

function M.main(a)
  local path = a.words[1] or args.fail "inspect: which model? (weft inspect models/sd21)"
  local found = inspect.inspect(path, { check = a.options.check })
  if a.options.json then io.write(json.encode(found), "\n")
  elseif found.tensors then show_file(found, a.options)
  else show_folder(found, a.options) end
  return 0
end

return M
