--- What the features of depth maps hold: a linear probe of each attribute that depth shows,
-- retrieval of pictures, and the words that belong to a map, which the tower never met.
--
--   weft run recipes/micro/eval/tower_depth.lua
--
-- Probes are trained on features of maps of one object and read those of others. Naming asks which
-- of the captions that differ in one attribute, one for each of its values, is nearest to the map.
-- Retrieval is among a scene and its five twins; twins of one depth map count alike.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local weft = require "weft"
local caption = require "world.caption"
local data = require "data"
local names = require "world.names"
local probe = require "eval.probe"
local scene = require "world.scene"

local p = weft.params {
  n_train = { 4000, min = 100 }, n = { 1000, min = 50 }, steps = 300, twins = 6,
  out = { "recipes/micro/weights", path = true, help = "folder of the weights" },
}
local tok = weft.tokenizer.load(p.out .. "/tokenizer")
local function load(name) return weft.model.load(p.out .. "/" .. name, { dtype = "f32" }) end
local depth, image, text = load "depth_encoder", load "image_encoder", load "text_encoder"

local function of_maps(list) return depth { pixels = (data.depths(list)) }.embeds end
local function of_pictures(list) return image { pixels = data.pictures(list) }.embeds end
local function of_words(list)
  local texts = {}
  for i, s in ipairs(list) do texts[i] = caption.complete(s) end
  return text { ids = (data.text_ids(tok, texts)) }.embeds
end

-- What a depth map shows, and beside it what it does not: there the probe should read no more than
-- the share of the commonest value, an eighth of the colours and half of the patterns.
local ATTRIBUTES = { "kind", "size", "cell", "colour", "pattern" }
local SHOWN = { kind = true, size = true, cell = true }

local function labels(list, name)
  local out = {}
  for i, s in ipairs(list) do out[i] = s.objects[1][name] end
  return out
end

--- Share of maps whose nearest caption, among those that say each value of an attribute, says the
-- right one.
local function naming(maps, list, name)
  local captions = {}
  for _, s in ipairs(list) do
    for value = 0, names[name].count - 1 do
      local v = scene.copy(s)
      v.objects[1][name] = value
      captions[#captions + 1] = v
    end
  end
  return probe.naming(maps, probe.features(captions, of_words), names[name].count,
    labels(list, name))
end

local report = { probe = {}, naming = {} }

--- One line of shares.
local function say(label, shares)
  local cells = {}
  for i, name in ipairs(ATTRIBUTES) do
    cells[i] = shares[name] and ("%s %.3f"):format(name, shares[name])
  end
  print(("%-8s %s"):format(label, table.concat(cells, "  ")))
end

local known, asked = {}, {}
for i = 1, p.n_train do known[i] = scene.at("train", i, { objects = 1 }) end
for i = 1, p.n do asked[i] = scene.at("val", i, { objects = 1 }) end
local x, y = probe.features(known, of_maps), probe.features(asked, of_maps)
for _, name in ipairs(ATTRIBUTES) do
  report.probe[name] = probe.linear(x, labels(known, name), y, labels(asked, name),
    { classes = names[name].count, steps = p.steps })
  if SHOWN[name] then report.naming[name] = naming(y, asked, name) end
end
say("probe", report.probe)
say("naming", report.naming)

local scenes = data.twins("eval-tower-depth", 1, p.n, p.twins)
local maps, keys = probe.features(scenes, of_maps), nil
weft.scope(function() keys = select(2, data.depths(scenes)) end)
report.to_pictures = probe.retrieval(maps, probe.features(scenes, of_pictures), p.twins, keys)
report.to_words = probe.retrieval(maps, probe.features(scenes, of_words), p.twins, keys)
print(("map to picture among %d twins: %.3f, to words: %.3f"):format(p.twins, report.to_pictures,
  report.to_words))
print(weft.json.encode(report))
