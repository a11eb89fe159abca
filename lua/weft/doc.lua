--- Help for what has no card: methods and functions of weft's parts, by the comments above them in
-- the source; and where a function stands.
local paths = require "weft.paths"

local M = {}

local home = debug.getinfo(1, "S").source:gsub("doc%.lua$", ""):gsub("^@", "")

-- The parts whose functions are meant for recipes, in the order in which a bare name is looked for.
local parts = {
  "image", "audio", "video", "pipeline/micro", "model", "result", "chat", "tensor", "embedding",
  "prompt", "tools", "sampler", "rng", "tokenizer", "mel", "train", "nn", "guidance", "init",
  "report", "sheet", "show", "provenance", "json",
}

--- The functions of one file: { name, class, signature, help, path, line }, in order.
local function functions_of(part)
  local path = home .. part .. ".lua"
  local out, comment, class, n = {}, {}, nil, 0
  for line in ((paths.slurp(path) or "") .. "\n"):gmatch("(.-)\n") do
    n = n + 1
    class = line:match("^%-%-%-@class weft%.(%w+)") or class
    local owner, mark, name, args = line:match("^function (%w+)([.:])([%w_]+)(%b())")
    if owner and not name:match("^__") and comment[1] then
      out[#out + 1] = {
        name = name, class = owner == "M" and class or owner, path = path, line = n,
        signature = (mark == ":" and owner:lower() .. ":" or owner == "weft" and "weft."
          or "weft." .. part .. ".") .. name .. args,
        help = (table.concat(comment, " "):gsub("%s+", " ")),
      }
    end
    local said = line:match("^%-%-%-?%s?(.*)")
    if not said then comment = {}
    elseif not said:match("^@") then comment[#comment + 1] = said end
  end
  return out
end

--- Functions called name: "resize", "image.load", "image:resize"; or all of a class, "Image".
---@return table[]
function M.find(name)
  local out = {}
  local owner, tail = name:match("^(%w+)[.:]([%w_]+)$")
  for _, part in ipairs(parts) do
    for _, f in ipairs(functions_of(part)) do
      local is_owner = owner and (owner:lower() == part or owner:lower() == (f.class or ""):lower())
      if f.name == name or (is_owner and f.name == tail) or f.class == name then
        out[#out + 1] = f
      end
    end
  end
  return out
end

--- Source text of the function that f found, from its comment to its end.
function M.source(f)
  local lines, from = {}, f.line
  for line in ((paths.slurp(f.path) or "") .. "\n"):gmatch("(.-)\n") do lines[#lines + 1] = line end
  while from > 1 and lines[from - 1]:match("^%-%-") do from = from - 1 end
  local to = f.line
  if not lines[to]:match("%f[%w]end$") then
    while to < #lines and lines[to] ~= "end" do to = to + 1 end
  end
  return ("%s:%d\n%s"):format(f.path, f.line, table.concat(lines, "\n", from, to))
end

return M
