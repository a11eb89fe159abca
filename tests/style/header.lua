--- Every header compiles alone, and says what it is in its first line.
package.path = "tests/style/lib/?.lua;" .. package.path
local code = require "code"

local flags = "-std=c17 -D_GNU_SOURCE -Wall -Wextra -Werror -I. "
  .. io.popen("pkg-config --cflags luajit cmocka 2>/dev/null"):read "*a":gsub("\n", " ")

for _, path in ipairs(code.files("core lua tests/unit", { "*.h" })) do
  local first = code.lines(path)[1] or ""
  local name = path:match "[^/]+$"
  if not first:find("/* " .. name, 1, true) then
    code.complain("%s: the first line does not say what it is", path)
  end
  local source = os.tmpname() .. ".c"
  local file = assert(io.open(source, "w"))
  file:write(('#include "%s"\nint nothing_else;\n'):format(path))
  file:close()
  local status = os.execute(("${CC:-gcc} %s -Wno-unused-function -fsyntax-only %s"):format(flags,
    source))
  os.remove(source)
  if status ~= 0 and status ~= true then code.complain("%s: does not compile alone", path) end
end
code.done()
