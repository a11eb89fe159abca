--- What identifies a medium: a hash of the values that its file holds. A picture in memory, the PNG
-- it was saved to and the prompt that another file remembers thus know each other.
local core = require "weft.core"
local host = require "weft.host"

local M = {}

local PICTURE_STEPS, SOUND_STEPS = 255, 32768      -- as PNG and WAV have it when nothing is said

local SMALL_PX, SMALL_SAMPLES = 64, 2 ^ 18

-- Where media were last saved; keeps none of them alive.
local paths = setmetatable({}, { __mode = "k" })

-- What prompts of this run held, in small, by hash; each lives as long as the part of provenance
-- that names it, so a picture keeps its inputs in small and not whole.
local seen = setmetatable({}, { __mode = "v" })
local held = setmetatable({}, { __mode = "k" })

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

--- Pictures at most SMALL_PX on a side, the first frame of a video, sounds unless they are long.
-- Without provenance, which would keep alive what they were made from.
local function small(v)
  if v.kind == "audio" then
    return v.samples <= SMALL_SAMPLES and require("weft.audio").from(v.data, v.rate) or nil
  end
  local im = require("weft.image").from(v.kind == "video" and v[1].data or v.data)
  local k = SMALL_PX / math.max(im.width, im.height)
  if k >= 1 then return im end
  return im:resize(math.ceil(k * im.width), math.ceil(k * im.height), { filter = "box" })
end

--- Note a medium of a prompt beside the part that describes it, and give its hash; nil when it is
-- no medium.
---@param part table
function M.note(v, part)
  local sha256 = M.of(v)
  if not sha256 then return nil end
  held[part] = seen[sha256] or small(v)
  seen[sha256] = held[part]
  return sha256
end

--- The medium with a hash that a prompt of this run held, in small; nil when none is known.
function M.find(sha256) return seen[sha256] end

--- Note where a medium was saved; nil forgets it.
function M.saved(v, path) paths[v] = path and require("weft.paths").absolute(path) or nil end

--- The absolute path that a medium was last saved to; nil for one that was not.
function M.path(v) return paths[v] end

return M
