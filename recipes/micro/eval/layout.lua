--- What the conditioners' layouts say of each object, at the place where its cell's middle lies,
-- from features of pictures and of captions, and of each voice, in the slot where it begins, from
-- features of sounds: the likeliest value of each attribute.
--
--   weft run recipes/micro/eval/layout.lua
--
-- Scenes and sounds are drawn with seeds that no training used. `all` is all of an object or voice.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local weft = require "weft"
local audio_data = require "audio_data"
local caption = require "world.caption"
local configs = require "configs"
local data = require "data"
local labels = require "labels"
local names = require "world.names"
local probe = require "eval.probe"
local render = require "world.render"
local scene = require "world.scene"
local sound = require "world.sound"

local p = weft.params {
  n = { 500, min = 1, help = "scenes or sounds a row" },
  out = { "recipes/micro/weights", path = true, help = "folder of the weights" },
}
local tok = weft.tokenizer.load(p.out .. "/tokenizer")
local function load(name) return weft.model.load(p.out .. "/" .. name, { dtype = "f32" }) end
local image, audio, text = load "image_encoder", load "audio_encoder", load "text_encoder"
local conditioner, audio_conditioner = load "conditioner", load "audio_conditioner"

local function of_pictures(list) return image { pixels = data.pictures(list) }.embeds end
local function of_captions(list)
  local texts = {}
  for i, s in ipairs(list) do texts[i] = caption.complete(s) end
  return text { ids = (data.text_ids(tok, texts)) }.embeds
end

--- Row and column of the place, from 1, in which the middle of an object's cell lies.
local function place_of(o)
  local S = configs.map_size
  local x, y = scene.offset(o.cell)
  local function index(px) return math.floor((px / render.SIDE_PX + 0.5) * S) + 1 end
  return index(y), index(x)
end

local function of_sounds(list) return audio { pixels = audio_data.mels(list) }.embeds end

--- What a layout says of an object or a voice, by the attributes that it has among the labels.
---@param skip? string  an attribute that is not asked
local function read(said, fields, o, skip)
  local verdict = { all = true }
  for _, f in ipairs(fields) do
    if o[f.name] and f.name ~= skip then
      verdict[f.name] = said:narrow(1, f.first + 1, f.count):argmax(1):item() == o[f.name]
      verdict.all = verdict.all and verdict[f.name]
    end
  end
  return verdict
end

--- How often each attribute was right, of a list of verdicts.
local function print_row(label, attributes, verdicts)
  local cells = {}
  for k, name in ipairs(attributes) do
    local right, asked = 0, 0
    for _, v in ipairs(verdicts) do
      right, asked = right + (v[name] and 1 or 0), asked + (v[name] ~= nil and 1 or 0)
    end
    cells[k] = ("%7.3f"):format(right / asked)
  end
  print(("%-22s %s"):format(label, table.concat(cells, " ")))
end

local function print_head(attributes)
  local cells = {}
  for k, name in ipairs(attributes) do cells[k] = ("%7s"):format(name) end
  print(("%-22s %s"):format("", table.concat(cells, " ")))
end

-- ---- pictures ----

local OF_OBJECTS = { "kind", "colour", "size", "pattern", "all" }

--- A colour that no picture shows is not asked.
local function objects(label, list, features_of)
  local layout, verdicts = conditioner { feature = probe.features(list, features_of) }.layout, {}
  for i, s in ipairs(list) do
    for _, o in ipairs(s.objects) do
      local y, x = place_of(o)
      verdicts[#verdicts + 1] = read(layout[i][y][x], labels.PLACE, o,
        names.colourless[s.style] and "colour")
    end
  end
  print_row(label, OF_OBJECTS, verdicts)
end

print_head(OF_OBJECTS)
for _, count in ipairs { 1, 2 } do
  local list = {}
  for i = 1, p.n do list[i] = scene.at("val", i, { objects = count }) end
  objects(count .. " object: pictures", list, of_pictures)
  objects(count .. " object: captions", list, of_captions)
end

-- ---- sounds ----

local OF_VOICES = { "voice", "pitch", "all" }

local function voices(label, list)
  local layout = audio_conditioner { feature = probe.features(list, of_sounds) }.layout
  local verdicts = {}
  for i, s in ipairs(list) do
    for _, e in ipairs(s.events) do
      verdicts[#verdicts + 1] = read(layout[i][e.slot + 1][1], labels.SOUND, e)
    end
  end
  print_row(label, OF_VOICES, verdicts)
end

print_head(OF_VOICES)
for _, count in ipairs { 1, 2, 3 } do
  local list = {}
  for i = 1, p.n do list[i] = sound.at("val", i, { events = count }) end
  voices(count .. " voice: sounds", list)
end
