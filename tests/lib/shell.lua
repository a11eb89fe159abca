--- The program and shell lines as a test runs them.
local M = {}

local root = io.popen("pwd"):read "*l"

M.program = root .. "/weft"

--- Run a shell line in dir; exit code, stdout, stderr.
function M.run(dir, line)
  local err = os.tmpname()
  local pipe = io.popen(("cd %s && ( %s ) 2>%s; echo \"rc=$?\""):format(dir, line, err))
  local out = pipe:read "*a"
  pipe:close()
  local file = assert(io.open(err))
  local text = file:read "*a"
  file:close()
  os.remove(err)
  return tonumber(out:match "rc=(%d+)\n$"), (out:gsub("rc=%d+\n$", "")), text
end

--- Run weft with these words in dir; exit code, stdout, stderr.
function M.weft(dir, words) return M.run(dir, M.program .. " " .. words) end

--- What a shell line says.
function M.out(line)
  local pipe = io.popen(line .. " 2>/dev/null")
  local text = pipe:read "*a"
  pipe:close()
  return text
end

--- The bytes of a file.
function M.read(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read "*a"
  file:close()
  return bytes
end

return M
