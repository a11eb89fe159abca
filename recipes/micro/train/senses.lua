--- What the losses of the language model ask of pictures and of sounds, in this order.
local audio_data = require "audio_data"
local data = require "data"
local layout = require "layout"

---@class micro.Sense
---@field prefix string                                     of the names of its parts
---@field render fun(records: table[]): weft.Tensor         [n,64,64,C], what towers read
---@field layout fun(records: table[]): weft.Tensor         [n,8,8,K], what stands where
---@field stands? fun(records: table[]): weft.Tensor        [n,8,8,4], how things stand there
---@field has fun(medium: table): boolean                   whether a medium is of it

---@type micro.Sense[]
return {
  { prefix = "", render = data.pictures, layout = layout.of_scenes, stands = layout.standing,
    has = function(t) return t.objects ~= nil end },
  { prefix = "audio_", render = audio_data.mels, layout = layout.of_sounds,
    has = function(t) return (t.events or t.instrument) ~= nil end },
}
