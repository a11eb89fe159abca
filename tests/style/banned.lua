--- Calls that core, kernels and recipes do not make, and words that no comment has.
package.path = "tests/style/lib/?.lua;" .. package.path
local code = require "code"

local banned = {
  "malloc", "calloc", "realloc", "free", "strdup", "printf", "puts", "perror", "exit", "abort",
  "strcpy", "strcat", "sprintf", "vsprintf", "atoi", "atof", "strtok", "gets", "rand", "srand",
  "system", "alloca", "longjmp", "setlocale", "cudaMalloc", "cudaDeviceSynchronize",
}

-- Where one is allowed, and why.
local allowed = {
  ["core/base/mem.c"] = "malloc calloc free",             -- the one caller
  ["core/base/ctx.c"] = "malloc calloc free",             -- the context itself
  ["core/base/thread.c"] = "malloc calloc free",          -- the pool, which has no context
  ["core/file/json.c"] = "free",                          -- what jansson gives
  ["core/file/jpeg.c"] = "longjmp",                       -- how libjpeg's errors are left
}

local function check_calls(path)
  local ok = " " .. (allowed[path] or "") .. " "
  for i, line in ipairs(code.code_lines(path)) do
    for before, name in line:gmatch "([^%w_]?)([%w_]+)%s*%(" do
      local is_method = before == ">" or before == "."
      for _, bad in ipairs(banned) do
        if name == bad and not is_method and not ok:find(" " .. bad .. " ", 1, true) then
          code.complain("%s:%d: calls %s", path, i, bad)
        end
      end
    end
  end
end

for _, path in ipairs(code.files("core kernels", { "*.c", "*.h" })) do check_calls(path) end

-- A shell misreads a path with an apostrophe, and its failure goes unseen.
for _, path in ipairs(code.files("recipes", { "*.lua" })) do
  for i, line in ipairs(code.lines(path)) do
    if line:find("os.execute", 1, true) then code.complain("%s:%d: calls os.execute", path, i) end
  end
end

local words = { "TODO", "FIXME", "XXX", "HACK", "used to be", "issue #" }
for _, path in ipairs(code.files("core kernels lua recipes tests/unit tests/spec",
  { "*.c", "*.h", "*.lua" })) do
  for i, line in ipairs(code.lines(path)) do
    local comment = line:match "/%*.*" or line:match "^%s*%*.*" or line:match "%-%-.*"
    for _, word in ipairs(words) do
      if comment and comment:find(word, 1, true) then
        code.complain("%s:%d: \"%s\" in a comment", path, i, word)
      end
    end
  end
end
code.done()
