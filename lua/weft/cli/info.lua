--- `weft info FILE [FILE]`: how a file was made; of two, what differs.
local args = require "weft.cli.args"
local json = require "weft.json"
local provenance = require "weft.provenance"

local M = {}

--- Nested tables as one level: { ["call.options.steps"] = 25 }.
local function flatten(t, prefix, out)
  for k, v in pairs(t) do
    local name = prefix == "" and tostring(k) or prefix .. "." .. tostring(k)
    if type(v) == "table" then flatten(v, name, out) else out[name] = v end
  end
  return out
end

local function sorted_names(...)
  local seen, list = {}, {}
  for _, t in ipairs { ... } do
    for k in pairs(t) do
      if not seen[k] then list[#list + 1] = k end
      seen[k] = true
    end
  end
  table.sort(list)
  return list
end

--- The fields in which two objects differ: { name = { first, second } }.
function M.differences(a, b)
  local x, y, out = flatten(a, "", {}), flatten(b, "", {}), {}
  for _, name in ipairs(sorted_names(x, y)) do
    if x[name] ~= y[name] then out[name] = { x[name], y[name] } end
  end
  return out
end

local function read(path)
  local meta = provenance.read(path)
  if meta then return meta end
  local core = require "weft.core"
  return core.raise("format", path .. ": does not say how it was made", "weft writes that into "
    .. "PNG, animated PNG, JPEG, WAV, FLAC, Ogg and Opus files")
end

local function text_of(v)
  local s = tostring(v)
  return #s > 70 and s:sub(1, 67) .. "..." or s
end

local function show_one(path, meta)
  io.write(path, "\n", provenance.human(meta), "\n")
  local flat = flatten(meta, "", {})
  flat["recipe.text"] = flat["recipe.text"] and #flat["recipe.text"] .. " bytes"
  for _, name in ipairs(sorted_names(flat)) do
    io.write(("  %-28s %s\n"):format(name, text_of(flat[name])))
  end
end

local function show_two(a, b, found)
  local names = sorted_names(found)
  if #names == 0 then io.write "made alike: every field is the same\n" end
  for _, name in ipairs(names) do
    io.write(("%-28s %s: %s   %s: %s\n"):format(name, a, text_of(found[name][1]), b,
      text_of(found[name][2])))
  end
end

function M.main(a)
  local path, other = a.words[1] or args.fail "info: which file? (weft info fox.png)", a.words[2]
  if a.words[3] then args.fail("info: one file or two, '%s' is left over", a.words[3]) end
  local meta = read(path)
  if not other then
    if a.options.json then io.write(json.encode(meta), "\n") else show_one(path, meta) end
    return 0
  end
  local found = M.differences(meta, read(other))
  if a.options.json then io.write(json.encode(found), "\n") else show_two(path, other, found) end
  return 0
end

return M
