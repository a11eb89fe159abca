--- How well the small model makes sounds: accuracy by the world's judge, ceilings and controls.
--
--   weft run recipes/micro/eval/sounds.lua n=100
--
-- via=feature takes the text tower's feature of the words as the condition; via=language has the
-- language model read them. Each row is one experiment over n sounds drawn with seeds that no
-- training used; edits stand in sound_edits.lua. The last line is JSON.
package.path = "./recipes/micro/?.lua;" .. package.path

local weft = require "weft"
local caption = require "world.sound_caption"
local common = require "eval.common"
local hearing = require "world.hearing"
local judge = require "world.sound_judge"
local listen = require "world.listen"
local music = require "world.music"
local oracle = require "world.oracle"
local rng = require "world.rng"
local sound = require "world.sound"
local tasks = require "world.sound_tasks"
local tune = require "world.tune"

local p = weft.params {
  n = { 100, min = 1, help = "sounds a row" },
  steps = 25, guidance = 3, model = "micro", seed = 1000,
  via = { "feature", choices = { "feature", "language" }, help = "how words become a condition" },
  vocoder = { "griffin-lim", choices = { "griffin-lim", "hifigan" } },
  out = { "", path = true, help = "folder for the first sounds" },
}
local m = weft.load(p.model)
local report, kept = {}, 0

local function options(i, prompt)
  return weft.with(prompt, { steps = p.steps, guidance = p.guidance, seed = p.seed + i,
    progress = false })
end

--- Words as a part of a prompt.
local function words(text) return p.via == "feature" and m:encode(text) or text end

--- One sound of a prompt; the first of a run are kept as files.
local function make(i, prompt)
  local a = m:audio(weft.with(options(i, prompt), { vocoder = p.vocoder }))
  if p.out ~= "" and kept < 32 then
    kept = kept + 1
    a:save(("%s/%02d.wav"):format(p.out, kept))
  end
  return a
end

--- One row: the rates of a list of verdicts by attribute, all last.
local function show(label, verdicts)
  local rates, cells = oracle.rates(verdicts), {}
  for name, rate in pairs(rates) do
    if not name:find "^n_" and name ~= "all" then
      cells[#cells + 1] = ("%s %.3f"):format(name, rate)
    end
  end
  table.sort(cells)
  print(("%-34s all %.3f   %s"):format(label, rates.all, table.concat(cells, "  ")))
  report[label] = rates
end

--- Verdicts of sounds made for captions; prompt_of(i) says what the model is told.
local function judged(texts, prompt_of)
  local verdicts = {}
  for i, text in ipairs(texts) do
    verdicts[i] = select(2, listen.caption(make(i, prompt_of(i)), text))
  end
  return verdicts
end

local function texts_of(split, opts)
  local texts, list = {}, {}
  for i = 1, p.n do
    list[i] = sound.at(split, i, opts)
    texts[i] = caption.complete(list[i])
  end
  return texts, list
end

local function words_to_sounds()
  for _, row in ipairs { { "val", 1 }, { "val", 2 }, { "heldout", 2 } } do
    local texts = texts_of(row[1], { events = row[2] })
    show(("words, %d event%s, %s"):format(row[2], row[2] > 1 and "s" or "", row[1]),
      judged(texts, function(i) return { words(texts[i]) } end))
  end
  local texts = texts_of("val", { events = 1 })
  show("control: another's words",
    judged(texts, function(i) return { words(texts[(i + math.floor(p.n / 2)) % p.n + 1]) } end))
  show("control: no words", judged(texts, function() return { words "" } end))
end

local function words_to_music()
  local verdicts = {}
  for i = 1, p.n do
    local text = caption.music(music.at("val", i))
    verdicts[i] = tune.attributes(make(i, { words(text) }), caption.parse_music(text))
  end
  show("words, music", verdicts)
end

--- From a sound alone, slots included; what the autoencoder and Griffin-Lim leave of it; the truth.
local function from_sounds()
  local made, coded, played, truth = {}, {}, {}, {}
  for i = 1, p.n do
    local s = sound.at("val", i, { events = { 0.5, 0.5, 0 } })
    local given = sound.copy(s)
    given.seed = (s.seed + 7919) % 2 ^ 31
    local x = common.sound_of(given)
    made[i] = listen.attributes(make(i, { x }), s)
    coded[i] = listen.attributes(m:decode_encode(x, { vocoder = p.vocoder }), s)
    played[i] = listen.attributes(hearing.sound(hearing.to_mel(x), i), s)
    truth[i] = listen.attributes(x, s)
  end
  show("sound to sound, by its feature", made)
  show("ceiling: autoencoder", coded)
  show("ceiling: Griffin-Lim", played)
  show("ceiling: truth, other noise", truth)
end

--- Pictures and what they sound like, by the tasks of the world.
local function across()
  for _, row in ipairs { { "picture to sound", "sound_of", "audio" },
    { "sound to picture", "picture_of", "image" } } do
    local right = 0
    for i = 1, p.n do
      local e = tasks[row[2]](rng.new("eval-" .. row[2], i))
      local given = e.media[1]
      local part = given.objects and common.picture_of(given) or common.sound_of(given)
      local made = m[row[3]](m, options(i, { part }))
      local output = row[3] == "audio" and { audio = made } or { image = common.bytes_of(made) }
      right = right + (judge.example(output, e) and 1 or 0)
    end
    report[row[1]] = { all = right / p.n }
    print(("%-34s all %.3f"):format(row[1], right / p.n))
  end
end

words_to_sounds()
words_to_music()
from_sounds()
if #m.caps.output > 1 then across() end
print(weft.json.encode(report))
