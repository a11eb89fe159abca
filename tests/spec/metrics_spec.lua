--- The judges' labels, the metrics' rows and subjects, and the recipes end to end on a few steps.
package.path = "./tests/lib/?.lua;./recipes/micro/?.lua;./recipes/micro/train/?.lua;"
  .. package.path
local audio_data = require "audio_data"
local caption = require "world.caption"
local data = require "data"
local embed = require "eval.embed"
local holdout = require "world.holdout"
local labels = require "labels"
local micro = require "micro"
local rng = require "world.rng"
local scene = require "world.scene"
local scores = require "eval.scores"
local shell = require "shell"
local sound = require "world.sound"
local subjects = require "eval.subjects"
local weft = require "weft"

local read = shell.read

local function near(wanted, got, tolerance)
  assert.is_true(math.abs(wanted - got) <= (tolerance or 1e-6),
    ("wanted %.9g, got %.9g"):format(wanted, got))
end

describe("labels", function()
  --- Names and ids of what a row says.
  local function said(fields, row)
    local out = {}
    for _, f in ipairs(fields) do
      for id = 0, f.count - 1 do
        if row[f.first + id + 1] == 1 then out[#out + 1] = f.name .. id end
      end
    end
    return table.concat(out, " ")
  end

  it("tell what is seen of a scene, colours only where the style shows them", function()
    local s = { objects = { { kind = 6, colour = 5, size = 2, pattern = 1, cell = 3 },
      { kind = 0, colour = 1, size = 0, pattern = 1, cell = 8 } }, place = 9, style = 0 }
    assert.are.equal("kind0 kind6 colour1 colour5 size0 size2 pattern1 cell3 cell8 place9 style0",
      said(labels.SCENE, labels.scenes({ s }, labels.SCENE):totable()[1]))
    s.style = 3
    assert.are.equal("kind0 kind6 pattern1",
      said(labels.IDENTITY, labels.scenes({ s }, labels.IDENTITY):totable()[1]))
    local parsed = caption.parse "a cat at the left"
    assert.are.equal("kind6 cell3 style0",
      said(labels.SCENE, labels.scenes({ parsed }, labels.SCENE):totable()[1]))
  end)

  it("are 32 of a sound", function()
    assert.are.equal(32, labels.SOUND.width)
    local rows = labels.sounds {
      { events = { { voice = 6, pitch = 2, slot = 0 }, { voice = 0, pitch = 2, slot = 1 } },
        ambience = 5, echo = true, gain_db = -6 },
      { events = { { voice = 11, pitch = 0, slot = 0 } }, ambience = 0, reverse = true },
      { instrument = 3, mode = 1, tempo = 0, root = 2 },
    }:totable()
    assert.are.equal("voice0 voice6 pitch2 ambience4 effect0 effect3", said(labels.SOUND, rows[1]))
    assert.are.equal("voice11 pitch0 effect1", said(labels.SOUND, rows[2]))
    assert.are.equal("instrument3 mode1 tempo0", said(labels.SOUND, rows[3]))
  end)

  it("have a loss, and are right where all of a field are", function()
    local fields = { { name = "a", first = 0, count = 2 }, { name = "b", first = 2, count = 1 },
      width = 3 }
    local logits = weft.tensor { { 2, -1, 3 }, { 2, 1, -3 } }
    local has = weft.tensor { { 1, 0, 1 }, { 1, 0, 0 } }
    assert.are.same({ a = 0.5, b = 1 }, labels.accuracy(fields, logits, has))
    local function cost(x) return math.log(1 + math.exp(x)) end
    near((2 * cost(-2) + cost(-1) + cost(1) + 2 * cost(-3)) / 2,
      labels.loss(logits, has):item(), 1e-5)
  end)
end)

describe("the whole world", function()
  it("is drawn for judges, hold-outs among the rest", function()
    local seen, heard = { [true] = 0, [false] = 0 }, { [true] = 0, [false] = 0 }
    for i = 1, 300 do
      local is_seen = holdout.is_seen(scene.sample(rng.new("all", i), { split = "all" }))
      local is_heard = sound.is_seen(sound.sample(rng.new("all", i), { split = "all" }))
      seen[is_seen], heard[is_heard] = seen[is_seen] + 1, heard[is_heard] + 1
    end
    assert.is_true(seen[true] > 100 and seen[false] > 60)
    assert.is_true(heard[true] > 150 and heard[false] > 15)
  end)
end)

describe("scores", function()
  it("have the interval of a mean", function()
    local mean, low, high = scores.mean { 1, 2, 3, 6 }
    near(3, mean)
    near(3 - 1.96 * math.sqrt(14 / 3 / 4), low)
    near(3 + 1.96 * math.sqrt(14 / 3 / 4), high)
    assert.are.same({ 5 }, { scores.mean { 5 } })
  end)

  -- Of a mean over equal blocks the jackknife is the block means' own standard error.
  it("have that of any statistic by leaving blocks out", function()
    local values, blocks = {}, {}
    for i = 1, 40 do values[i] = i * 7 % 11 + i / 10 end
    for b = 0, 9 do
      local sum = 0
      for i = 1, 40 do if i % 10 == b then sum = sum + values[i] end end
      blocks[b + 1] = sum / 4
    end
    local value, low = scores.jackknife(40, function(ids)
      local sum = 0
      for _, i in ipairs(ids) do sum = sum + values[i] end
      return sum / #ids
    end)
    local mean, wanted = scores.mean(blocks)
    near(mean, value)
    near(wanted, low, 1e-9)
    assert.are.same({ 1 }, { scores.jackknife(19, function() return 1 end) })
  end)

  it("become CSV and lines, with nothing where there is nothing", function()
    local row = { task = 'a "b"', metric = "FD", n = 3, best = 0.5, is_distance = true }
    assert.are.equal('task,metric,n,score,low,high,best,copy,shuffled,better\n'
      .. '"a ""b""","FD",3,,,,0.5,,,"low"\n', scores.csv { row })
    assert.are.equal(#scores.HEADER, #scores.line(row))
  end)
end)

describe("the subjects", function()
  it("have 25 prompts each, every pair once in 750", function()
    local known, n = {}, 0
    for i = 1, 750 do
      local s, q = subjects.pair(i)
      if not known[s * 100 + q] then n = n + 1 end
      known[s * 100 + q] = true
      assert.are.equal((i - 1) % 30 + 1, s)
    end
    assert.are.equal(750, n)
    for _, subject in ipairs(subjects.SUBJECTS) do
      assert.are.equal(25, #subjects.prompts(subject))
    end
  end)

  it("are shown, and drawn anew as the caption says", function()
    for i = 1, 60 do
      local s, q = subjects.pair(i * 12)
      local subject, r = subjects.SUBJECTS[s], rng.new("subjects", i)
      local prompt = subjects.prompts(subject)[q]
      for _, view in ipairs(subjects.views(r, subject)) do
        local o = view.objects[1]
        assert.is_true(holdout.subject(o.kind, o.colour, o.pattern) and #view.objects == 1)
      end
      local answer = subjects.answer(r, subject, prompt)
      local text = subjects.caption(subject, prompt)
      local said = caption.parse(text)
      assert.is_true(said.ok, text)
      assert.are.equal(#said.objects, #answer.objects)
      assert.are.same({ said.place, said.style }, { answer.place, answer.style })
      for _, name in ipairs { "kind", "size", "cell" } do
        local wanted = said.objects[1][name]
        local has = wanted == nil
        for _, o in ipairs(answer.objects) do has = has or o[name] == wanted end
        assert.is_true(has, text)
      end
    end
  end)
end)

local PARTS = { "identity", "sound", "encoder/image_encoder", "encoder/text_encoder" }

describe("the recipes", function()
  local model, hearing, judges, halves
  setup(function()
    model, hearing, judges, halves = micro.temp(), micro.temp(), micro.temp(), micro.temp()
    micro.make(model, { narrow = true, language = true })
    micro.make(hearing, { narrow = true, language = true, sounds = true, pictures = false })
  end)
  teardown(function()
    for _, dir in ipairs { model, hearing, judges, halves } do micro.remove(dir) end
  end)

  local function train(name, folder, more)
    local words = ("run --plain --threads 1 recipes/micro/train/judge_%s.lua steps=4 n=8 out=%s "
      .. "work=%s/work/%s %s"):format(name, folder, folder, name, more)
    local code, _, err = shell.weft(".", words)
    assert.are.equal(0, code, err)
  end
  local function metrics(words, folder)
    return shell.weft(".", ("run --plain --threads 1 recipes/micro/eval/metrics.lua model=%s "
      .. "n=2 steps=2 judges=%s %s"):format(folder or model, judges, words))
  end

  it("say which judge is missing", function()
    local code, _, err = metrics("only=sets judges=" .. model .. "/none")
    assert.are_not.equal(0, code)
    assert.is_truthy(err:find("judge_identity.lua", 1, true), err)
    assert.has_error(function() embed.open(model):text { "a cat" } end)
  end)

  it("train the judges, and go on where they stopped to the same weights", function()
    for name, batch in pairs { identity = "batch=2", sound = "batch=2", encoder = "groups=1" } do
      train(name, judges, batch)
      train(name, halves, batch .. " stop=2")
      train(name, halves, batch)
    end
    for _, part in ipairs(PARTS) do
      local file = "/" .. part .. "/model.safetensors"
      assert.is_true(read(judges .. file) == read(halves .. file), part)
    end
  end)

  it("measure pictures and sounds, and name what the model lacks", function()
    local csv, page = judges .. "/m.csv", judges .. "/m.html"
    local code, out, err = metrics(("examples=1 csv=%s page=%s"):format(csv, page))
    assert.are.equal(0, code, err)
    assert.is_truthy(out:find("sounds: no scores, this model has no audio_encoder", 1, true), out)
    local text = read(csv)
    for _, row in ipairs { '"subjects","ID",2', '"subjects","CLIP-T",2', '"sets","FID",2',
      '"edits","directional similarity",2', '"sound drop","KL",2,,,' } do
      assert.is_truthy(text:find(row, 1, true), row)
    end
    local html = read(page)
    assert.is_truthy(html:find("CLIP%-I: ") and html:find("data:image", 1, true))
  end)

  it("measure edits of sounds where the model makes them", function()
    for _, via in ipairs { "language", "feature" } do
      local code, out, err = metrics("only=sounds split=val via=" .. via, hearing)
      assert.are.equal(0, code, err)
      for _, task in ipairs { "add", "drop", "replace" } do
        local line = out:match("sound " .. task .. "%s+LSD %(less%)%s+([^\n]*)")
        assert.is_truthy(line and line:match "^%d+%.%d+%s+%[", out)
      end
    end
  end)
end)

describe("the shipped judges", function()
  local FOLDER = "recipes/micro/judges"
  local judges = embed.open(FOLDER)

  it("are small, and of other seeds than any part of the model", function()
    local seeds, n_bytes = {}, 0
    for path in shell.out("ls recipes/micro/weights/*/training.json"):gmatch "%S+" do
      local params = weft.json.decode(read(path)).params
      for k = 0, 2 do seeds[params.seed + k] = path end
    end
    for _, part in ipairs(PARTS) do
      local folder = FOLDER .. "/" .. part
      assert.is_nil(seeds[weft.json.decode(read(folder .. "/training.json")).params.seed], part)
      n_bytes = n_bytes + #read(folder .. "/model.safetensors")
    end
    assert.is_true(n_bytes < 1e6)
  end)

  local N = 60
  local function draw(of)
    local list = {}
    for i = 1, N do list[i] = of(rng.new("judge spec", i)) end
    return list
  end
  local function check(fields, logits, has, bars)
    local shares = labels.accuracy(fields, logits, has)
    for name, bar in pairs(bars) do
      assert.is_true(shares[name] >= bar, ("%s %.3f"):format(name, shares[name]))
    end
  end

  it("tell who a subject is", function()
    local list = draw(function(r)
      return scene.sample(r, { split = "all", objects = 1, style = 0 })
    end)
    local logits = judges:part "identity" { pixels = data.pictures(list) }.embeds
    check(labels.IDENTITY, logits, labels.scenes(list, labels.IDENTITY),
      { kind = 0.9, colour = 0.95, pattern = 0.9 })
  end)

  it("tell what is heard", function()
    local list = draw(function(r) return audio_data.draw(r, { split = "all" }) end)
    local logits = judges:sound(audio_data.mels(list):select(4, 1))
    check(labels.SOUND, logits, labels.sounds(list), { voice = 0.9, pitch = 0.9, ambience = 0.9 })
  end)

  it("find a picture's words among those of its twins", function()
    local right = 0
    for i = 1, N do
      local r = rng.new("judge spec twins", i)
      local list = scene.twins(r, scene.sample(r, { split = "all", style = 0 }), 4,
        function() return true end)
      local texts = {}
      for k, s in ipairs(list) do texts[k] = caption.complete(s) end
      local scored = judges:image(data.pictures { list[1] }):matmul(judges:text(texts):t())
      right = right + (scored:argmax(2):item() == 0 and 1 or 0)
    end
    assert.is_true(right / N >= 0.7, tostring(right / N))
  end)
end)
