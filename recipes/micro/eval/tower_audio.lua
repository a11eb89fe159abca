--- What the features of sounds hold: a linear probe of each attribute, retrieval across the
-- senses, and how far the text tower went from what it made of captions of pictures.
--
--   weft run recipes/micro/eval/tower_audio.lua before=checkpoints/tower_audio/text_encoder_before
--
-- Probes are trained on features of sounds of one event and read those of others. Retrieval is
-- among a sound and its five twins; twins of one caption, or of one sound, count alike.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local weft = require "weft"
local audio_data = require "audio_data"
local caption = require "world.caption"
local data = require "data"
local music = require "world.music"
local names = require "world.names"
local probe = require "eval.probe"
local rng = require "world.rng"
local scene = require "world.scene"
local sound = require "world.sound"

local p = weft.params {
  n_train = { 4000, min = 100 }, n = { 1000, min = 50 }, steps = 300, twins = 6,
  out = { "recipes/micro/weights", path = true, help = "folder of the weights" },
  before = { "", path = true, help = "folder of the text tower before sounds" },
}
local tok = weft.tokenizer.load(p.out .. "/tokenizer")
local function load(path) return weft.model.load(path, { dtype = "f32" }) end
local audio, image = load(p.out .. "/audio_encoder"), load(p.out .. "/image_encoder")
local text = load(p.out .. "/text_encoder")

local function of_sounds(list) return audio { pixels = audio_data.mels(list) }.embeds end
local function of_pictures(list) return image { pixels = data.pictures(list) }.embeds end
local function of_texts(tower)
  return function(list) return tower { ids = (data.text_ids(tok, list)) }.embeds end
end
local function captions(list)
  local texts = {}
  for i, s in ipairs(list) do texts[i] = audio_data.complete(s) end
  return texts
end
local function of_words(list) return of_texts(text)(captions(list)) end

--- Attributes by what is probed for them: classes, and the class of a record.
local OF_SOUNDS = {
  { "voice", 12, function(s) return s.events[1].voice end },
  { "pitch", 3, function(s) return s.events[1].pitch end },
  { "slot", 7, function(s) return s.events[1].slot end, is_unsaid = true },
  { "ambience", 6, function(s) return s.ambience end },
  { "echo", 2, function(s) return s.echo and 1 or 0 end },
  { "reverse", 2, function(s) return s.reverse and 1 or 0 end },
  { "level", 3, function(s) return s.gain_db and (s.gain_db > 0 and 2 or 1) or 0 end },
}
local OF_MUSIC = {}
for i, name in ipairs(music.ATTRIBUTES) do
  OF_MUSIC[i] = { name, music.count(name), function(m) return m[name] end,
    is_unsaid = not names[name] }
end

local function one_sound(split, i)
  local r, s = rng.new("probe-" .. split, i), sound.at(split, i, { events = 1, echo = 0.3 })
  if r:chance(0.3) then s.reverse = true end
  if r:chance(0.5) then s.gain_db = r:pick { 6, -6 } end
  return s
end

local report = {}

--- Probes of all attributes of records draw(split, i), from the features of a sense.
local function probes(label, sense, attributes, draw, embed)
  local known, asked, cells = {}, {}, {}
  for i = 1, p.n_train do known[i] = draw("train", i) end
  for i = 1, p.n do asked[i] = draw("val", i) end
  local x, y = probe.features(known, embed), probe.features(asked, embed)
  report[label] = {}
  for _, a in ipairs(attributes) do
    local wanted, right = {}, {}
    for i, s in ipairs(known) do wanted[i] = a[3](s) end
    for i, s in ipairs(asked) do right[i] = a[3](s) end
    if sense == "audio" or not a.is_unsaid then
      local share = probe.linear(x, wanted, y, right, { classes = a[2], steps = p.steps })
      report[label][a[1]], cells[#cells + 1] = share, ("%s %.3f"):format(a[1], share)
    end
  end
  print(("%-16s %s"):format(label, table.concat(cells, "  ")))
end

for _, sense in ipairs { { "audio", of_sounds }, { "text", of_words } } do
  probes("sounds, " .. sense[1], sense[1], OF_SOUNDS, one_sound, sense[2])
  probes("music, " .. sense[1], sense[1], OF_MUSIC, music.at, sense[2])
end

--- One line of a number.
local function say(label, value)
  report[label] = value
  print(("%-42s %.4f"):format(label, value))
end

local records = audio_data.twins("eval-tower-audio", 1, p.n, p.twins)
local said, keys = captions(records), {}
say("sound to words among twins", probe.retrieval(probe.features(records, of_sounds),
  probe.features(records, of_words), p.twins, said))
local scenes, heard = audio_data.pairs("eval-tower-audio", 1, p.n, p.twins)
for i, s in ipairs(heard) do keys[i] = audio_data.key(s) end
say("picture to sound among twins", probe.retrieval(probe.features(scenes, of_pictures),
  probe.features(heard, of_sounds), p.twins, keys))

if p.before ~= "" then
  local texts, pictures = {}, {}
  for i = 1, p.n do
    local r = rng.new("eval-drift", i)
    pictures[i] = scene.sample(r, { split = "val" })
    texts[i] = r:chance(0.5) and caption.complete(pictures[i], r) or caption.partial(pictures[i], r)
  end
  local now = probe.features(texts, of_texts(text))
  local was = probe.features(texts, of_texts(load(p.before)))
  say("cosine of picture captions to before", (now * was):sum(2):mean():item())
  say("least cosine", (now * was):sum(2):min():item())
end
print(weft.json.encode(report))
