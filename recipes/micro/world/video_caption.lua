--- Captions of videos: that of the scene, then the motion, then when it calls.
--
--   video := scene motion ["and calling" ("early" | "in the middle" | "late")]
--
-- A complete caption says every motion, "staying still" too; that nothing calls is unsaid.
local caption = require "world.caption"
local names = require "world.names"

local M = {}

-- When a call begins, by frame 1..5, and the phrases in order.
local TIMES = { "early", "early", "in the middle", "late", "late" }

--- "early", "in the middle" or "late".
---@param call integer
---@return string
function M.time(call) return TIMES[call] end

--- The phrase of motion and call, with a space in front.
local function tail(v, no_motion)
  local text = no_motion and "" or " " .. names.motion[v.motion]
  if not v.call then return text end
  return text .. " and calling " .. TIMES[v.call]
end

--- How it moves and calls.
---@param v world.Video
---@return string
function M.motion(v) return tail(v):sub(2) end

--- Everything that words can say.
---@param v world.Video
---@param r? world.Rng
---@return string
function M.complete(v, r) return caption.complete(v.scene, r) .. tail(v) end

--- Everything but where the object is.
---@param v world.Video
---@return string
function M.without_cell(v)
  local style = v.scene.style > 0 and " in " .. names.style[v.scene.style] .. " style" or ""
  return caption.object(v.scene.objects[1], { cell = true }) .. " " .. names.place[v.scene.place]
    .. style .. tail(v)
end

--- A caption that leaves attributes out as those of pictures do.
function M.partial(v, r, drop)
  return caption.partial(v.scene, r, drop) .. tail(v, r:chance(drop or 0.3))
end

--- A caption for training: complete in seven of ten.
---@return string text
---@return boolean is_complete
function M.sample(v, r)
  if r:chance(0.7) then return M.complete(v, r), true end
  return M.partial(v, r), false
end

--- Take a phrase off the end of a text: the rest, or nil when it does not end so.
local function find_cut(text, phrase)
  if text:sub(-#phrase - 1) == " " .. phrase then return text:sub(1, -#phrase - 2) end
end

---@class world.ParsedVideo
---@field scene world.Parsed
---@field motion? integer
---@field call? string  a phrase of TIMES
---@field ok boolean

--- Read a caption.
---@param text string
---@return world.ParsedVideo
function M.parse(text)
  local parsed = {}
  text = text:lower()
  for call = 1, #TIMES do
    local rest = find_cut(text, "and calling " .. TIMES[call])
    if rest then text, parsed.call = rest, TIMES[call] end
  end
  for motion = 0, names.motion.count - 1 do
    local rest = not parsed.motion and find_cut(text, names.motion[motion])
    if rest then text, parsed.motion = rest, motion end
  end
  parsed.scene = caption.parse(text)
  parsed.ok = parsed.scene.ok
  return parsed
end

--- Compare a caption with the video it should describe completely.
---@param text string
---@param v world.Video
---@return table<string, boolean[]|boolean> right
function M.score(text, v)
  local parsed = M.parse(text)
  local rest = text:lower()
  if parsed.call then rest = find_cut(rest, "and calling " .. parsed.call) end
  if parsed.motion then rest = find_cut(rest, names.motion[parsed.motion]) end
  local right = caption.score(rest, v.scene)
  right.motion = { parsed.motion == v.motion }
  right.call = { parsed.call == (v.call and TIMES[v.call]) }
  right.all = right.all and right.motion[1] and right.call[1]
  return right
end

return M
