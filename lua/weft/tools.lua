--- Small tools of the package table: exists, glob, slug, log, sweep.
local host = require "weft.host"
local check = require "weft.check"
local core = require "weft.core"
local paths = require "weft.paths"

local M = {}

--- Is there a file or folder of this name? Never raises.
function M.exists(path) return type(path) == "string" and host.stat(path) ~= nil end

--- A glob's one path component as a Lua pattern.
local function pattern_of(part)
  local p = part:gsub("[%^%$%(%)%%%.%+%-]", "%%%0")
  return "^" .. p:gsub("%*", "[^/]*"):gsub("%?", "[^/]"):gsub("%[!", "[^") .. "$"
end

--- Names in dir that fit part, sorted; hidden ones only when the pattern begins with a dot.
local function fitting(dir, part)
  local out, pattern = {}, pattern_of(part)
  for _, name in ipairs(host.list(dir == "" and "." or dir) or {}) do
    if name:match(pattern) and (name:sub(1, 1) ~= "." or part:sub(1, 1) == ".") then
      out[#out + 1] = name
    end
  end
  table.sort(out)
  return out
end

local function expand(dir, parts, i, out)
  local part = parts[i]
  if not part then
    out[#out + 1] = dir
    return
  end
  local prefix = dir == "" and "" or dir == "/" and "/" or dir .. "/"
  if not part:find("[%*%?%[]") then
    if host.stat(prefix .. part) then expand(prefix .. part, parts, i + 1, out) end
    return
  end
  for _, name in ipairs(fitting(dir, part)) do expand(prefix .. name, parts, i + 1, out) end
end

--- Paths that fit a pattern with * ? [a-z], sorted: `weft.glob "mug/*.jpg"`. They are looked for
-- where files are that a recipe reads. With some = true a pattern that nothing fits is an error.
-- The empty pattern gives none.
---@param opts? { some: boolean }
function M.glob(pattern, opts)
  check.type("glob: pattern", pattern, "string")
  opts = check.keys("glob", opts, { "some" })
  if pattern == "" then return {} end
  local parts, out = {}, {}
  for part in pattern:gmatch("[^/]+") do parts[#parts + 1] = part end
  local function from(root) expand(root, parts, 1, out) end
  from(pattern:sub(1, 1) == "/" and "/" or "")
  for _, dir in ipairs { paths.recipe_dir or false, paths.start_dir or false } do
    if #out == 0 and dir and pattern:sub(1, 1) ~= "/" then from(dir) end
  end
  if opts.some and #out == 0 then
    core.raise("io", ("glob: no file fits '%s'"):format(pattern))
  end
  return out
end

--- Text as part of a file name: small letters, digits and dashes, at most 60 bytes.
function M.slug(text)
  check.type("slug: text", text, "string")
  local s = text:lower():gsub("[^%w]+", "-"):gsub("^%-+", ""):sub(1, 60):gsub("%-+$", "")
  return s == "" and "untitled" or s
end

--- A line on stderr, as string.format makes it; quiet with --quiet.
function M.log(fmt, ...)
  if M.is_quiet then return end
  local text = select("#", ...) > 0 and fmt:format(...) or tostring(fmt)
  io.stderr:write(text, "\n")
end

--- Check the axes of a sweep: { {name, v1, v2...}, ... }.
local function check_axes(axes)
  check.type("sweep", axes, "table")
  for i, axis in ipairs(axes) do
    if type(axis) ~= "table" or type(axis[1]) ~= "string" then
      check.fail("sweep: axis %d must be { \"name\", value, ... }", i)
    end
    if #axis < 2 then check.fail("sweep: axis '%s' has no values", axis[1]) end
  end
end

--- Iterate the product of the axes, the last one fastest: `for job in weft.sweep{ {"seed", 1, 2}
-- } do`. zip pairs the values instead.
---@param axes table   { {name, v1, v2...}, ... }, plus zip = true
function M.sweep(axes)
  check_axes(axes)
  local n, count = #axes, 1
  for i, axis in ipairs(axes) do
    local k = #axis - 1
    if axes.zip and i > 1 and k ~= count then
      check.fail("sweep: with zip every axis has as many values; '%s' has %d, '%s' %d",
        axes[1][1], count, axis[1], k)
    end
    count = axes.zip and k or count * k
  end
  local at = -1
  return function()
    at = at + 1
    if at >= count then return nil end
    local job, rest = {}, at
    for i = n, 1, -1 do
      local k = #axes[i] - 1
      job[axes[i][1]] = axes[i][2 + (axes.zip and at or rest % k)]
      rest = math.floor(rest / k)
    end
    return job
  end
end

return M
