--- What the aligned features hold: a linear probe of each attribute, naming and retrieval across
-- the senses.
--
--   weft run recipes/micro/eval/towers.lua
--
-- Probes are trained on features of scenes of one object and read those of others; the words are
-- complete captions. "of two" probes the object at the centre where another stands elsewhere, which
-- only a feature that holds what stands where can answer. Naming asks which of the captions that
-- differ in one attribute, one for each of its values, is nearest to the picture. Retrieval is
-- among a scene and its five twins, which differ in one attribute or by an exchange of one between
-- two objects.
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
local OF_TWO = { "kind", "colour", "size", "pattern" }
local CENTRE = 4

--- The object that is asked for: the one at the centre of two, or the only one.
local function subject(s)
  local first, second = s.objects[1], s.objects[2]
  return second and second.cell == CENTRE and second or first
end

local function value(s, name)
  if name == "place" or name == "style" then return s[name] end
  return subject(s)[name]
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
  local list = {}
  for g = 1, p.n do
    local r = rng.new("eval retrieval", g)
    local base = scene.sample(r, { split = "val" })
    list[#list + 1] = base
    for _, s in ipairs(scene.twins(r, base, p.twins - 1)) do list[#list + 1] = s end
  end
  return probe.retrieval(probe.features(list, of_pictures), probe.features(list, of_words),
    p.twins)
end

local function scenes(split, n, options)
  local list = {}
  for i = 1, n do list[i] = scene.at(split, i, options) end
  return list
end

local report = {}

--- Print a row of shares by attribute and keep it.
local function row(label, attributes, share)
  local cells = {}
  report[label] = {}
  for i, name in ipairs(attributes) do
    report[label][name] = share(name)
    cells[i] = ("%6.3f"):format(report[label][name])
  end
  print(("%-14s %s"):format(label, table.concat(cells, " ")))
end

--- A row of linear probes of features, trained on scenes `known` and asked about `asked`.
local function probe_row(label, attributes, embed, known, asked)
  local x, y = probe.features(known, embed), probe.features(asked, embed)
  row(label, attributes, function(name)
    return probe.linear(x, labels(known, name), y, labels(asked, name),
      { classes = classes(name), steps = p.steps })
  end)
end

local one, two = { objects = 1 }, { objects = 2, fixed = { cell = CENTRE } }
local known, asked = scenes("train", p.n_train, one), scenes("val", p.n, one)
local known_two, asked_two = scenes("train", p.n_train, two), scenes("val", p.n, two)
print(("%-14s %s"):format("probe", "  kind colour   size pattern  cell  place  style"))
for _, sense in ipairs { { "image", of_pictures }, { "text", of_words } } do
  probe_row(sense[1], ATTRIBUTES, sense[2], known, asked)
  probe_row(sense[1] .. " of two", OF_TWO, sense[2], known_two, asked_two)
end
local pictures = probe.features(asked, of_pictures)
row("naming", ATTRIBUTES, function(name) return naming(pictures, asked, name) end)
report.retrieval = retrieval()
print(("picture to words among %d twins: %.3f"):format(p.twins, report.retrieval))
print(weft.json.encode(report))
