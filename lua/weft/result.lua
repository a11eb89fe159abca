--- What generate returns: the parts in order, and lists by kind.
local check = require "weft.check"
local tools = require "weft.tools"

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

local extensions = { image = "png", audio = "wav", video = "png" }

--- A pattern's fields: {index} {index:02} {seed} {kind} {ext} {tag} {text:slug}.
local function fill(pattern, fields)
  return (pattern:gsub("{(%w+):?(%w*)}", function(name, how)
    local v = fields[name]
    if v == nil then check.fail("save: the pattern has no field {%s}", name) end
    if how == "slug" then return tools.slug(tostring(v)) end
    if how == "" then return tostring(v) end
    if type(v) ~= "number" then check.fail("save: {%s:%s} is no number", name, how) end
    return ("%" .. how .. "d"):format(v)
  end))
end

--- The words of a prompt.
local function words_of(prompt)
  local words = {}
  for _, part in ipairs(prompt or {}) do
    if type(part) == "string" then words[#words + 1] = part end
  end
  return table.concat(words, " ")
end

--- The media in order, and the path of each by a pattern. No two may write one file.
local function places(self, pattern)
  local media, paths, taken, params = {}, {}, {}, self.params or {}
  local tag, text = params.tag or "", words_of(params.prompt)
  local function take(path, i)
    if taken[path] then
      check.fail("save: parts %d and %d would both be %s; {index} tells them apart", taken[path],
        i, path)
    end
    taken[path] = i
  end
  for _, part in ipairs(self) do
    if type(part) ~= "string" then
      local i = #media + 1
      media[i] = part
      paths[i] = fill(pattern, { index = i, seed = self.seeds[i], kind = part.kind,
        ext = extensions[part.kind], tag = tag, text = text })
      take(paths[i], i)
      local has_wav = part.kind == "video" and part.audio and paths[i]:find "%.a?png$"
      if has_wav then take(paths[i]:gsub("%.%w+$", ".wav"), i) end
    end
  end
  return media, paths
end

--- Save every medium, in order, under a pattern such as "out/{index:02}-{seed}.png".
---@return string[] paths
function Result:save(pattern, opts)
  local media, paths = places(self, pattern)
  for i, part in ipairs(media) do part:save(paths[i], opts) end
  return paths
end

Result.__tostring = function(r)
  local names = {}
  for i, part in ipairs(r) do names[i] = tostring(part) end
  return ("Result of %d: %s"):format(#r, table.concat(names, ", "))
end

return M
