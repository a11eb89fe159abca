--- What the conditioner's layout says of each object, at the place where its cell's middle lies:
-- the likeliest value of each attribute, from features of pictures and of captions.
--
--   weft run recipes/micro/eval/layout.lua
--
-- Scenes are drawn with seeds that no training used. `all` is all four of an object.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local weft = require "weft"
local caption = require "world.caption"
local configs = require "configs"
local data = require "data"
local labels = require "labels"
local names = require "world.names"
local probe = require "eval.probe"
local render = require "world.render"
local scene = require "world.scene"

local p = weft.params {
  n = { 500, min = 1, help = "scenes a row" },
  out = { "recipes/micro/weights", path = true, help = "folder of the weights" },
}
local tok = weft.tokenizer.load(p.out .. "/tokenizer")
local function load(name) return weft.model.load(p.out .. "/" .. name, { dtype = "f32" }) end
local image, text, conditioner = load "image_encoder", load "text_encoder", load "conditioner"

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

local ATTRIBUTES = { "kind", "colour", "size", "pattern", "all" }

--- What the layout says of an object, by attribute; a colour that no picture shows is not asked.
local function read(said, o, style)
  local verdict = { all = true }
  for _, f in ipairs(labels.PLACE) do
    local is_asked = o[f.name] and not (f.name == "colour" and names.colourless[style])
    if is_asked then
      local value = said:narrow(1, f.first + 1, f.count):argmax(1):item()
      verdict[f.name] = value == o[f.name]
      verdict.all = verdict.all and verdict[f.name]
    end
  end
  return verdict
end

local function row(label, list, features_of)
  local layout = conditioner { feature = probe.features(list, features_of) }.layout
  local right, asked = {}, {}
  for i, s in ipairs(list) do
    for _, o in ipairs(s.objects) do
      local y, x = place_of(o)
      for name, is_right in pairs(read(layout[i][y][x], o, s.style)) do
        right[name] = (right[name] or 0) + (is_right and 1 or 0)
        asked[name] = (asked[name] or 0) + 1
      end
    end
  end
  local cells = {}
  for k, name in ipairs(ATTRIBUTES) do cells[k] = ("%6.3f"):format(right[name] / asked[name]) end
  print(("%-24s %s"):format(label, table.concat(cells, "  ")))
end

print(("%-24s %s"):format("", "  kind  colour    size  pattern   all"))
for _, count in ipairs { 1, 2 } do
  local list = {}
  for i = 1, p.n do list[i] = scene.at("val", i, { objects = count }) end
  row(count .. " object: pictures", list, of_pictures)
  row(count .. " object: captions", list, of_captions)
end
