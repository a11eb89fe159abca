--- What identifies a medium: a hash of the values that its file holds. A picture in memory, the PNG
-- it was saved to and the prompt that another file remembers thus know each other.
local core = require "weft.core"
local host = require "weft.host"

local M = {}

local PICTURE_STEPS, SOUND_STEPS = 255, 32768      -- as PNG and WAV have it when nothing is said

-- Media that prompts of this run held, by hash, and where media were last saved; neither keeps
-- anything alive.
local seen = setmetatable({}, { __mode = "v" })
local paths = setmetatable({}, { __mode = "k" })

local function picture(im)
  return core.scope(function()
    return (im.data:clamp(0, 1) * PICTURE_STEPS):round():to("u8"):bytes()
  end)
end

local function sound(a)
  return core.scope(function()
    local x = (a.data * SOUND_STEPS):clamp(-SOUND_STEPS, SOUND_STEPS - 1)
    return x:round():to("i32"):bytes()
  end)
end

local hashes = {
  image = function(im)
    return host.sha256(("image %dx%dx%d\n"):format(im.width, im.height, im.channels) .. picture(im))
  end,
  audio = function(a)
    return host.sha256(("audio %d Hz %d\n"):format(a.rate, a.channels) .. sound(a))
  end,
  video = function(v)
    local list = {}
    for i, frame in ipairs(v) do list[i] = host.sha256(picture(frame:as(3))) end
    return host.sha256("video\n" .. table.concat(list, "\n"))
  end,
}

--- The hash of a picture, sound or video; nil for anything else.
---@param v any
---@return string? sha256
function M.of(v)
  local hash = type(v) == "table" and hashes[v.kind]
  return hash and hash(v) or nil
end

--- The hash of a medium, which M.find then knows as long as the medium lives.
function M.note(v)
  local sha256 = M.of(v)
  if sha256 then seen[sha256] = v end
  return sha256
end

--- The medium of this run with a hash; nil when none is known.
function M.find(sha256) return seen[sha256] end

--- Note where a medium was saved; nil forgets it.
function M.saved(v, path) paths[v] = path and require("weft.paths").absolute(path) or nil end

--- The absolute path that a medium was last saved to; nil for one that was not.
function M.path(v) return paths[v] end

return M
