--- Functions, files and lines keep to their sizes.
package.path = "tests/style/lib/?.lua;" .. package.path
local code = require "code"

local COLUMNS, FILE_LINES, TEST_LINES, LONG, MEDIAN, SHARE = 100, 600, 1000, 60, 15, 0.03
local KERNEL_LONG = 80      -- inner loops are not cut in two

local function columns_of(line)
  return select(2, line:gsub("[^\128-\191]", ""))
end

local function check_file(path)
  local lines = code.lines(path)
  local most = path:match "^tests" and TEST_LINES or FILE_LINES
  if #lines > most then code.complain("%s: %d lines, at most %d", path, #lines, most) end
  for i, line in ipairs(lines) do
    if columns_of(line) > COLUMNS then
      code.complain("%s:%d: %d columns, at most %d", path, i, columns_of(line), COLUMNS)
    end
    if line:match "%s$" then code.complain("%s:%d: blanks at the end", path, i) end
    if line:match "\t" then code.complain("%s:%d: a tab", path, i) end
  end
end

for _, path in ipairs(code.files("core kernels lua tests/unit", { "*.c", "*.h" })) do
  check_file(path)
end

local lengths, long = {}, 0
for _, path in ipairs(code.files("core kernels lua", { "*.c" })) do
  for _, f in ipairs(code.c_functions(path)) do
    lengths[#lengths + 1] = f.lines
    if f.lines > LONG then long = long + 1 end
    if f.lines > (path:match "^kernels" and KERNEL_LONG or 2 * LONG) then
      code.complain("%s:%d: %s has %d lines", path, f.from, f.name, f.lines)
    end
  end
end
table.sort(lengths)
local median = lengths[math.ceil(#lengths / 2)]
if #lengths < 1000 then
  code.complain("only %d functions found: is the check broken?", #lengths)
end
if median > MEDIAN then
  code.complain("median of functions: %d lines, at most %d", median, MEDIAN)
end
if long > SHARE * #lengths then
  code.complain("%d of %d functions are longer than %d lines", long, #lengths, LONG)
end
print(("%d functions, median %d lines, %d longer than %d"):format(#lengths, median, long, LONG))
code.done()
