--- Whether a picture and a sound that are made together agree in what nobody said.
--
--   weft run recipes/micro/eval/joint.lua n=100
--
-- One caption of a scene with one object leaves things out, for both media alike. What the picture
-- then shows is read by the world's judge, its kind, where that is unsaid too, by the judge of
-- identity; the share is of sounds that have the voice of that kind, the pitch of that size, the
-- ambience of that place. "together" reads the connectors, "apart" does not; "shuffled" puts the
-- sound of another caption beside the picture. "said" is what was told: of pictures everything, of
-- sounds the voice. via=language has the language model read the caption. The last line is JSON.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;./recipes/micro/eval/?.lua;"
  .. package.path

local weft = require "weft"
local caption = require "world.caption"
local common = require "common"
local embed = require "embed"
local judge = require "world.judge"
local labels = require "labels"
local links = require "world.links"
local listen = require "world.listen"
local names = require "world.names"
local rng = require "world.rng"
local scene = require "world.scene"
local scores = require "scores"

local p = weft.params {
  n = { 100, min = 2, help = "captions a row" }, steps = 25, guidance = 3, seed = 1000,
  model = "micro", judges = { "recipes/micro/judges", path = true },
  via = { "feature", choices = { "feature", "language" }, help = "how words become a condition" },
  only = { "", help = "rows whose name holds this" },
  csv = { "", path = true, help = "file for the table" },
}
local m, judges, rows = weft.load(p.model), embed.open(p.judges), {}
if not m.caps.joint then
  error(("the model '%s' has no part 'joint': weft run recipes/micro/train/joint.lua"):format(
    p.model), 0)
end

local ROWS = {
  { name = "place unsaid", place = true, open = { "ambience" } },
  { name = "size unsaid", size = true, open = { "pitch" } },
  { name = "size, place unsaid", size = true, place = true, open = { "pitch", "ambience" } },
  { name = "nothing said", kind = true, open = { "voice", "pitch", "ambience" } },
}

--- The caption of a scene without what a row leaves out; "" where that is all.
local function text_of(s, row)
  if row.kind then return "" end
  local text = caption.object(s.objects[1], { size = row.size })
  return row.place and text or text .. " " .. names.place[s.place]
end

--- The kind that a picture shows.
local function kind_of(im)
  local field = labels.IDENTITY[1]
  return weft.scope(function()
    local logits = judges:part "identity" { pixels = im:tensor():unsqueeze(1) * 2 - 1 }.embeds
    return logits:narrow(2, field.first + 1, field.count):argmax(2):item()
  end)
end

--- A picture and a sound of one caption: the scene that is seen, whether that is all that was said,
-- and the sound.
local function make(text, i, together)
  local r = m:generate { p.via == "feature" and m:encode(text) or text, to = { "image", "audio" },
    steps = p.steps, guidance = p.guidance, seed = p.seed + i, joint = together, progress = false }
  local described = text ~= "" and text or "a " .. names.kind[kind_of(r.image)]
  local right, _, seen = judge.caption(common.bytes_of(r.image), described)
  return { seen = seen, is_right = right, sound = r.audio }
end

--- Which of voice, pitch and ambience a sound has of a scene, "all" for those that are open.
local function agree(sound, seen, row)
  local expected = links.find_sound(seen, 1)
  local heard = listen.attributes(sound, expected, { free_slots = true })
  local out = { voice = heard.voice[1], pitch = heard.pitch[1], ambience = heard.ambience[1] }
  out.all = true
  for _, name in ipairs(row.open) do out.all = out.all and out[name] end
  return out
end

--- Scenes with one object that training may see and hear, but never saw.
local function scenes_of(n)
  local out, i = {}, 0
  while #out < n do
    i = i + 1
    local s = scene.sample(rng.new("eval-joint", i), { objects = 1, style = 0, split = "val" })
    if links.is_seen(s) then out[#out + 1] = s end
  end
  return out
end

--- How often the pairs of an arm agree.
local function show(row, arm, pairs_made)
  local found = { voice = {}, pitch = {}, ambience = {}, all = {}, picture = {} }
  for i, pair in ipairs(pairs_made) do
    local has = agree(pair.sound, pair.seen, row)
    has.picture = pair.is_right
    for name, list in pairs(found) do list[i] = has[name] end
  end
  local function cell(name, what)
    rows[#rows + 1] = scores.row(("%s, %s"):format(row.name, arm), what, found[name])
    print(scores.line(rows[#rows]))
  end
  for _, name in ipairs(row.open) do cell(name, name) end
  if #row.open > 1 then cell("all", "all") end
  if row.kind or arm == "shuffled" then return end
  cell("picture", "said, picture")
  cell("voice", "said, voice")
end

local function run(row)
  local texts, together, apart, shuffled = {}, {}, {}, {}
  for i, s in ipairs(scenes_of(p.n)) do texts[i] = text_of(s, row) end
  for i, text in ipairs(texts) do
    together[i], apart[i] = make(text, i, true), make(text, i, false)
  end
  for i, pair in ipairs(together) do
    local other = together[(i + math.floor(p.n / 2) - 1) % p.n + 1]
    shuffled[i] = { seen = pair.seen, sound = other.sound }
  end
  show(row, "together", together)
  show(row, "apart", apart)
  show(row, "shuffled", shuffled)
end

print(scores.HEADER)
for _, row in ipairs(ROWS) do
  if row.name:find(p.only, 1, true) then run(row) end
end
scores.save(rows, p.csv)
