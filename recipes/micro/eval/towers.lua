--- What the aligned features hold: a linear probe of each attribute, naming and retrieval across
-- the senses.
--
--   weft run recipes/micro/eval/towers.lua
--
-- Probes are trained on features of scenes of one object and read those of others; the words are
-- complete captions. Naming asks which of the captions that differ in one attribute, one for each
-- of its values, is nearest to the picture. Retrieval is among a scene and its five twins, which
-- differ in one attribute.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local weft = require "weft"
local caption = require "world.caption"
local data = require "data"
local names = require "world.names"
local probe = require "eval.probe"
local rng = require "world.rng"
local scene = require "world.scene"

local p = weft.params {
  n_train = { 4000, min = 100 }, n = { 1000, min = 50 }, steps = 300, twins = 6,
  out = { "recipes/micro/weights", help = "folder of the weights" },
}
local tok = weft.tokenizer.load(p.out .. "/tokenizer")
local image = weft.model.load(p.out .. "/image_encoder", { dtype = "f32" })
local text = weft.model.load(p.out .. "/text_encoder", { dtype = "f32" })

local function of_pictures(list) return image { pixels = data.pictures(list) }.embeds end
local function of_words(list)
  local texts = {}
  for i, s in ipairs(list) do texts[i] = caption.complete(s) end
  return text { ids = (data.text_ids(tok, texts)) }.embeds
end

local ATTRIBUTES = { "kind", "colour", "size", "pattern", "cell", "place", "style" }
local function value(s, name)
  return name ~= "place" and name ~= "style" and s.objects[1][name] or s[name]
end
local function labels(list, name)
  local out = {}
  for i, s in ipairs(list) do out[i] = value(s, name) end
  return out
end

local function classes(name) return name == "style" and 6 or names[name].count end

--- Share of pictures whose nearest caption, among those that say each value of an attribute, says
-- the right one.
local function naming(pictures, list, name)
  local captions = {}
  for _, s in ipairs(list) do
    for value_id = 0, classes(name) - 1 do
      local v = scene.copy(s)
      local holder = (name == "place" or name == "style") and v or v.objects[1]
      holder[name] = value_id
      captions[#captions + 1] = v
    end
  end
  return probe.naming(pictures, probe.features(captions, of_words), classes(name),
    labels(list, name))
end

--- Share of scenes whose picture's nearest caption among the twins' is their own.
local function retrieval()
  local scenes = {}
  for g = 1, p.n do
    local r = rng.new("eval retrieval", g)
    local base = scene.sample(r, { split = "val", objects = 1 })
    scenes[#scenes + 1] = base
    for _, s in ipairs(scene.twins(r, base, p.twins - 1)) do scenes[#scenes + 1] = s end
  end
  return probe.retrieval(probe.features(scenes, of_pictures), probe.features(scenes, of_words),
    p.twins)
end

local known, asked = {}, {}
for i = 1, p.n_train do known[i] = scene.at("train", i, { objects = 1 }) end
for i = 1, p.n do asked[i] = scene.at("val", i, { objects = 1 }) end
local report = {}
print(("%-10s %s"):format("probe", "  kind colour   size pattern  cell  place  style"))
for _, sense in ipairs { { "image", of_pictures }, { "text", of_words } } do
  local x, y = probe.features(known, sense[2]), probe.features(asked, sense[2])
  local cells = {}
  report[sense[1]] = {}
  for i, name in ipairs(ATTRIBUTES) do
    local share = probe.linear(x, labels(known, name), y, labels(asked, name),
      { classes = classes(name), steps = p.steps })
    report[sense[1]][name], cells[i] = share, ("%6.3f"):format(share)
  end
  print(("%-10s %s"):format(sense[1], table.concat(cells, " ")))
end
local pictures, cells = probe.features(asked, of_pictures), {}
report.naming = {}
for i, name in ipairs(ATTRIBUTES) do
  local share = naming(pictures, asked, name)
  report.naming[name], cells[i] = share, ("%6.3f"):format(share)
end
print(("%-10s %s"):format("naming", table.concat(cells, " ")))
report.retrieval = retrieval()
print(("picture to words among %d twins: %.3f"):format(p.twins, report.retrieval))
print(weft.json.encode(report))
