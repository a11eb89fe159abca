--- Words and media as one sequence of a language model.
--
--     <s> <user> turn this <image> F T... </image> into neon style
--     <bot> <image> <#1> F T... </image> </s>
--
-- F is the place of a feature: the projected feature of a medium stands there instead of a token's
-- embedding, behind it (T) words of the things that it shows (weft.pipeline.micro_things). A reply
-- shows a medium by its tag and a pointer, <#k>: the k-th medium of the conversation is shown to
-- the denoiser as its source, <#0> none. The state at the pointer becomes the feature (CoDi-2,
-- arXiv 2311.18775, section 3.2), which then stands in the sequence like any other.
local things = require "weft.pipeline.micro_things"

local M = {}

---@class weft.Sequence
---@field ids integer[]      from 0
---@field learned boolean[]  whether the model is to say the token at i itself
---@field places { at: integer, medium: any, sense: string }[]  where features stand, and what they
--- show: "picture" or "sound"
---@field replies { at: integer, kind: string, medium: any, source: any }[]  where features are to
--- be foretold
---@field media any[]        in the order of their first mention
local Sequence = {}
Sequence.__index = Sequence

M.KINDS = { "image", "audio", "video", "text" }
M.MAX_SOURCE = 12
--- Of several media a reply says these first, in training as in use: what words say of the first is
-- true of those after it.
M.RANK = { video = 1, image = 2, audio = 3 }

--- What a feature of a kind is read as: frames are pictures, and so is what texts say.
---@return "picture"|"sound"
function M.sense_of(kind) return kind == "audio" and "sound" or "picture" end

--- The ids that structure a sequence, by name.
function M.markers(tok)
  local ids = { begin = tok:id "<s>", stop = tok:id "</s>", user = tok:id "<user>",
    bot = tok:id "<bot>", feature = tok:id "<feature>", open = {}, close = {}, source = {} }
  for _, kind in ipairs(M.KINDS) do
    ids.open[kind], ids.close[kind] = tok:id("<" .. kind .. ">"), tok:id("</" .. kind .. ">")
  end
  for k = 0, M.MAX_SOURCE do ids.source[k] = tok:id(("<#%d>"):format(k)) end
  return ids
end

--- An empty conversation.
---@param tok weft.Tokenizer
---@return weft.Sequence
function M.new(tok)
  local s = setmetatable({ tok = tok, marker = M.markers(tok), ids = {}, learned = {}, places = {},
    replies = {}, media = {} }, Sequence)
  s:push(s.marker.begin)
  return s
end

--- The ids of a text's words. What is spelled like a control piece stays words: every one of them
-- begins with a bracket, which a space parts from the rest.
---@param tok weft.Tokenizer
---@return integer[]
function M.encode(tok, text)
  return tok:encode((text:gsub("<", "< ")), { special = false })
end

function Sequence:push(id, learned)
  self.ids[#self.ids + 1], self.learned[#self.ids + 1] = id, learned or false
end

function Sequence:push_text(text, learned)
  for _, id in ipairs(M.encode(self.tok, text)) do self:push(id, learned) end
end

--- The number of a medium in the conversation: the same object keeps its number.
function Sequence:number(medium)
  for k, known in ipairs(self.media) do
    if known == medium then return k end
  end
  self.media[#self.media + 1] = medium
  return #self.media
end

---@param kind "image"|"audio"|"video"|"text"
function Sequence:push_feature(medium, kind)
  self:push(self.marker.feature)
  self.places[#self.places + 1] = { at = #self.ids, medium = medium, sense = M.sense_of(kind) }
  for _ = 1, things.count(M.sense_of(kind)) do self:push(self.marker.feature) end
end

-- Frames of a video that stand for it, of every eight from 0: among them its first, one in which
-- any call is seen, and none that an early and a late call share.
local SHOWN, OF = { 0, 2, 4, 5 }, 8

--- Numbers, from 1, of the frames that stand for a video of n frames.
---@return integer[]
function M.shown_frames(n)
  local out = {}
  for i, k in ipairs(SHOWN) do out[i] = 1 + math.floor(k / (OF - 1) * (n - 1) + 0.5) end
  return out
end

--- A medium as it is shown to the model: by its own feature, or by those of its frames.
---@param kind "image"|"audio"|"video"|"text"
---@param frames? any[]
function Sequence:show(kind, medium, frames)
  if kind ~= "text" then self:number(medium) end
  self:push(self.marker.open[kind])
  for _, part in ipairs(frames or { medium }) do self:push_feature(part, kind) end
  self:push(self.marker.close[kind])
end

--- What the user says. kind_of(part) is nil for a string's words, else the kind of a medium, the
-- medium, and the frames of a video.
---@param parts any[]
---@param kind_of fun(part: any): string?, any, any[]?
function Sequence:ask(parts, kind_of)
  self:push(self.marker.user)
  for _, part in ipairs(parts) do
    local kind, medium, frames = kind_of(part)
    if kind then self:show(kind, medium, frames) else self:push_text(part) end
  end
  self:push(self.marker.bot)
end

--- A reply in words, as the model is to give it.
function Sequence:reply_text(text) self:push_text(text, true) end

--- A reply's medium, as the model is to give it; source is a medium of the conversation or nil.
-- Returns its row of replies.
function Sequence:reply_medium(kind, medium, source)
  self:push(self.marker.open[kind], true)
  self:push(self.marker.source[source and self:number(source) or 0], true)
  local reply = { at = #self.ids, kind = kind, medium = medium, source = source }
  self.replies[#self.replies + 1] = reply
  self:push_feature(medium, kind)
  self:push(self.marker.close[kind], true)
  self:number(medium)
  return reply
end

--- The end of a turn.
function Sequence:stop() self:push(self.marker.stop, true) end

return M
