--- Who may include whom (docs/map.md).
package.path = "tests/style/lib/?.lua;" .. package.path
local code = require "code"

-- Folder of core -> folders it may include, itself left out.
local arrows = {
  base = "", tensor = "base", file = "base tensor", media = "base tensor file",
  text = "base tensor file", nn = "base tensor", train = "base tensor",
  model = "base tensor file nn text", sample = "base tensor file",
}

local function allowed(folder, target)
  return folder == target or (" " .. arrows[folder] .. " "):find(" " .. target .. " ", 1, true)
end

for _, path in ipairs(code.files("core", { "*.c", "*.h" })) do
  local folder = path:match "^core/([^/]+)/"
  if not arrows[folder] then code.complain("%s: tests/style/include.lua has no arrows", path) end
  for i, line in ipairs(code.lines(path)) do
    local target = line:match '#include "core/([^/]+)/'
    local other = line:match '#include "([^"]+)"'
    if target and not allowed(folder, target) then
      code.complain("%s:%d: core/%s may not include core/%s", path, i, folder, target)
    elseif other and not target and other:match "%.h$" then
      code.complain("%s:%d: core includes %s", path, i, other)
    end
    if line:match "<lua" or line:match "<immintrin" then
      code.complain("%s:%d: %s does not belong in core", path, i, line)
    end
  end
end

for _, path in ipairs(code.files("kernels", { "*.c", "*.h" })) do
  for i, line in ipairs(code.lines(path)) do
    local target = line:match '#include "core/([^/]+)/'
    if target and target ~= "tensor" and target ~= "base" then
      code.complain("%s:%d: kernels may not include core/%s", path, i, target)
    end
  end
end
code.done()
