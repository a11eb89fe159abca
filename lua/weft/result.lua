--- What generate returns: the parts in order, and lists by kind.
local check = require "weft.check"

local M = {}
---@class weft.Result
local Result = {}
Result.__index = Result

-- The list and the field of each kind of medium.
local lists = { image = "images", audio = "audios", video = "videos" }

---@param o table  parts: strings and media in order, seeds: of each medium; params, stopped
function M.new(o)
  local r = { weft_result = true, seeds = {}, params = o.params, stopped = o.stopped,
    images = {}, audios = {}, videos = {} }
  local words = {}
  for i, part in ipairs(o.parts) do
    r[i] = part
    if type(part) == "string" then
      words[#words + 1] = part
    else
      local list = r[lists[part.kind]]
      list[#list + 1] = part
      r[part.kind] = r[part.kind] or part
      r.seeds[#r.seeds + 1] = o.seeds[#r.seeds + 1]
    end
  end
  if words[1] then r.text = table.concat(words, " ") end
  return setmetatable(r, Result)
end

local kinds = { images = "image", audios = "audio", videos = "video" }
local extensions = { image = "png", audio = "wav", video = "png" }

--- A pattern's fields: {index} {index:02} {seed} {kind} {ext}.
local function fill(pattern, fields)
  return (pattern:gsub("{(%w+):?(%w*)}", function(name, width)
    local v = fields[name]
    if v == nil then check.fail("save: the pattern has no field {%s}", name) end
    return width ~= "" and ("%" .. width .. "d"):format(v) or tostring(v)
  end))
end

--- Save every part under a pattern such as "out/{index:02}-{seed}.png".
---@return string[] paths
function Result:save(pattern, opts)
  local paths, index = {}, 0
  for _, list in ipairs { "images", "audios", "videos" } do
    for _, part in ipairs(self[list]) do
      index = index + 1
      local kind = kinds[list]
      local path = fill(pattern,
        { index = index, seed = self.seeds[index], kind = kind, ext = extensions[kind] })
      paths[#paths + 1] = part:save(path, opts)
    end
  end
  return paths
end

Result.__tostring = function(r)
  local names = {}
  for i, part in ipairs(r) do names[i] = tostring(part) end
  return ("Result of %d: %s"):format(#r, table.concat(names, ", "))
end

return M
