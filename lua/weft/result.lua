--- What generate returns: the parts in order, and lists by kind.
local check = require "weft.check"

local M = {}
---@class weft.Result
local Result = {}
Result.__index = Result

---@param o table  images?, audios?, videos?, text?, seed, params, stopped
function M.new(o)
  local r = { seeds = {}, params = o.params, stopped = o.stopped, text = o.text,
              images = o.images or {}, audios = o.audios or {}, videos = o.videos or {} }
  for _, list in ipairs { r.images, r.audios, r.videos } do
    for i, part in ipairs(list) do
      r[#r + 1] = part
      r.seeds[#r.seeds + 1] = o.seed + i - 1
    end
  end
  r.image, r.audio, r.video = r.images[1], r.audios[1], r.videos[1]
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
