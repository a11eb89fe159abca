--- Where the bytes of a report's media go: into the page as long as there is room, else beside it.
local base64 = require "weft.base64"
local core = require "weft.core"
local files = require "weft.report.files"
local fingerprint = require "weft.fingerprint"
local host = require "weft.host"
local html = require "weft.report.html"
local paths = require "weft.paths"

local M = {}
---@class weft.report.Store
---@field dir string         folder of the page, as it was given
---@field stem string        its name without the ending
---@field left number        bytes that may still go into the page
---@field is_linked boolean  whether anything stands beside the page
local Store = {}
Store.__index = Store

local MB, DEFAULT_MB = 1e6, 25

---@param path string  of the page
---@param opts { inline: boolean, link: boolean, max_mb: number }
function M.new(path, opts)
  local dir, base = paths.split(path)
  local left = (opts.max_mb or DEFAULT_MB) * MB
  if opts.inline then left = math.huge end
  if opts.link then left = 0 end
  return setmetatable({ dir = dir, stem = (base:gsub("%.%w+$", "")), left = left,
    is_linked = false, n_written = 0, views = {}, thumbs = {} }, Store)
end

local endings = { image = "png", audio = "wav", video = "apng" }

--- Write a medium without changing what is known of where it was saved.
local function save(object, path, ending)
  local before = fingerprint.path(object)
  local what = object.kind == "video" and object:with_audio(nil) or object
  local tell = paths.on_saved
  paths.on_saved = nil
  what:save(path .. "." .. ending, { overwrite = true })
  paths.on_saved = tell
  if what == object then fingerprint.saved(object, before) end
end

--- The bytes of a medium's file.
---@param ending? string  "png", "jpg", "wav", "apng"; that of its kind when not given
function Store:encode(object, ending)
  ending = ending or endings[object.kind]
  local temp = ("%s/.%s.%d.part"):format(self.dir, self.stem, host.pid())
  save(object, temp, ending)
  local bytes = paths.slurp(temp .. "." .. ending)
  os.remove(temp .. "." .. ending)
  return bytes
end

--- Bytes as an address that holds them.
function M.data(bytes, type) return ("data:%s;base64,%s"):format(type, base64.encode(bytes)) end

--- A path from the root as its parts, without "." and "..".
local function parts_of(path)
  local out = {}
  for part in paths.absolute(path):gmatch "[^/]+" do
    if part == ".." then out[#out] = nil
    elseif part ~= "." then out[#out + 1] = part end
  end
  return out
end

--- The path from the page's folder to a file.
function Store:relative(path)
  local from, to, out = parts_of(self.dir), parts_of(path), {}
  local same = 0
  while from[same + 1] and from[same + 1] == to[same + 1] do same = same + 1 end
  for _ = same + 1, #from do out[#out + 1] = ".." end
  for i = same + 1, #to do out[#out + 1] = to[i] end
  return table.concat(out, "/")
end

--- A new file beside the page for a medium that is in no file.
function Store:write(object)
  self.n_written = self.n_written + 1
  local base = ("%s/%s-files/%03d"):format(self.dir, self.stem, self.n_written)
  save(object, base, endings[object.kind])
  return base .. "." .. endings[object.kind]
end

--- The address under which the page finds a medium, and whether it stands in the page.
---@param object any      the medium; nil for a film, which has a path
---@param path? string    the file it came from
---@return string address
---@return boolean is_inside
function Store:place(object, path)
  local type = path and files.type(path)
  local size = type and select(2, host.stat(path))
  local bytes
  if not size then
    bytes, type = self:encode(object), files.type("x." .. endings[object.kind])
    size = #bytes
  end
  if size <= self.left then
    self.left = self.left - size
    bytes = bytes or paths.slurp(path) or core.raise("io", path .. ": cannot be read")
    return M.data(bytes, type), true
  end
  self.is_linked = true
  local saved = bytes and fingerprint.path(object)
  local is_there = saved and host.stat(saved) == "file"
  return html.href(self:relative(bytes and (is_there and saved or self:write(object)) or path)),
    false
end

return M
