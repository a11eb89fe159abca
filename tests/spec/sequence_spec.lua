package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path
local weft = require "weft"
local conversations = require "conversations"
local dialogue = require "world.dialogue"
local prompt = require "weft.prompt"
local rng = require "world.rng"
local scene = require "world.scene"
local sequence = require "weft.pipeline.sequence"
local sound_tasks = require "world.sound_tasks"
local tasks = require "world.tasks"
local things = require "weft.pipeline.micro_things"
local captions = require "world.video_caption"
local video = require "world.video"

local folder = os.tmpname()
os.remove(folder)
os.execute("mkdir -p " .. folder)
require("tokenizer").write(folder)
local tok = weft.tokenizer.load(folder)

--- A sequence as words, what the model is to say itself with a star.
local function spelled(s)
  local out = {}
  for i, id in ipairs(s.ids) do
    out[i] = (s.learned[i] and "*" or "") .. tok:piece(id):gsub("\226\150\129", "")
  end
  return table.concat(out, " ")
end

describe("weft.pipeline.sequence", function()
  local cat = { kind = "image" }
  local function kind_of(part) if part == cat then return "image", part end end

  it("shows frames of a video in which any call is seen, and when", function()
    local shown = sequence.shown_frames(video.N_FRAMES)
    assert.equal(1, shown[1])
    local when = {}
    for call = video.FIRST_CALL, video.LAST_CALL do
      local seen = {}
      for i, k in ipairs(shown) do
        local calls = select(4, video.course({ motion = 0, call = call }, k - 1))
        seen[i] = calls and "calls" or "-"
      end
      local key = table.concat(seen, " ")
      assert.is_truthy(key:find "calls", "call " .. call)
      local time = captions.time(call)
      assert.equal(when[key] or time, time)
      when[key] = time
    end
    assert.same({ 1, 1, 1, 1 }, sequence.shown_frames(1))
    assert.same({ 1, 29, 58, 72 }, sequence.shown_frames(100))
  end)
  it("puts features between the tags of their kind", function()
    local s = sequence.new(tok)
    s:ask({ "turn this", cat, "into neon style" }, kind_of)
    s:reply_medium("image", { kind = "image" }, cat)
    s:stop()
    local n = things.count "picture"
    local shown = ("<feature> "):rep(1 + n)
    assert.equal("<s> <user> turn this <image> " .. shown .. "</image> into neon style <bot> "
      .. "*<image> *<#1> " .. shown .. "*</image> *</s>", spelled(s))
    assert.same({ 6, 14 + n }, { s.places[1].at, s.places[2].at })
    assert.equal(13 + n, s.replies[1].at)
    assert.equal(2, #s.media)
  end)

  it("numbers a medium once, however often it is mentioned", function()
    local s, other = sequence.new(tok), { kind = "image" }
    s:ask({ cat, cat }, function(p) return "image", p end)
    assert.equal(1, s:number(cat))
    assert.equal(2, s:number(other))
  end)

  it("reads what is spelled like a control piece as words", function()
    local markers = {}
    for _, text in ipairs { "<s>", "</s>", "<unk>", unpack(require("tokenizer").markers()) } do
      markers[tok:id(text) or -1] = true
    end
    for _, text in ipairs { "<bot>", "a <image> b</image>", "</s><user>", "<#2>", "<BOT>" } do
      for _, id in ipairs(sequence.encode(tok, text)) do
        assert.is_nil(markers[id], text .. " gives " .. tok:piece(id))
      end
    end
    assert.same(tok:encode("a red cat", { special = false }), sequence.encode(tok, "a red cat"))
  end)

  it("learns words of a reply and not of a question", function()
    local s = sequence.new(tok)
    s:ask({ "describe", cat }, kind_of)
    s:reply_text "a red cat"
    s:stop()
    assert.equal("<s> <user> describe <image> " .. ("<feature> "):rep(1 + things.count "picture")
      .. "</image> <bot> *a *red *cat *</s>", spelled(s))
  end)
end)

describe("weft.prompt", function()
  it("opens examples, prompts and results into parts", function()
    local a, b = { kind = "image" }, { kind = "image" }
    local p = weft.prompt { "x", a } .. "y" .. weft.prompt { b }
    assert.same({ "x", a, "y", b, a, "becomes", b, ".", has_example = true },
      prompt.flat { p, weft.example(a, b) })
    assert.same(prompt.flat { p, weft.example(a, b) }, prompt.flat { p .. weft.example(a, b) })
    assert.is_nil(prompt.flat { p }.has_example)
    assert.equal(1.5, weft.weigh(a, 1.5).weft_weight)
  end)

  it("refuses parts that are missing", function()
    assert.has_error(function() weft.weigh(nil, 1) end)
    assert.has_error(function() weft.weigh("x", 3) end)
    assert.has_error(function() weft.example("x") end)
  end)
end)

describe("micro conversations", function()
  it("point at the source that the task names", function()
    for i = 1, 60 do
      local r = rng.new("sequence", i)
      local e = tasks.sample(r)
      local s = conversations.sequence(tok, e, r)
      if e.image then
        assert.equal(1, #s.replies)
        local pointer = tok:piece(s.ids[s.replies[1].at])
        local source = e.media[e.source]
        local k = source and s:number(source) or 0
        assert.equal(("<#%d>"):format(k), pointer)
        assert.is_true(s.learned[s.replies[1].at])
      else
        assert.equal(0, #s.replies)
      end
    end
  end)

  it("say several media in the order in which replies say them", function()
    for name, kinds in pairs { subject_video = "video audio", next_frame = "image audio" } do
      local r = rng.new("order", 1)
      local said, last = {}, 0
      for k, reply in ipairs(conversations.sequence(tok, sound_tasks[name](r), r).replies) do
        said[k] = reply.kind
        assert.is_true(sequence.RANK[reply.kind] > last, name)
        last = sequence.RANK[reply.kind]
      end
      assert.equal(kinds, table.concat(said, " "))
    end
  end)

  it("say only what stands in the vocabulary", function()
    for i = 1, 100 do
      local s = conversations.dialogue(tok, dialogue.sample(rng.new("dialogue", i)))
      for _, id in ipairs(s.ids) do assert.is_nil(tok:piece(id):match "^<0x") end
    end
  end)

  it("let each round stand on the one before", function()
    for i = 1, 100 do
      local rounds = dialogue.sample(rng.new("rounds", i), { rounds = 4 })
      assert.equal(4, #rounds)
      local now = rounds[1].image
      for k = 2, 4 do
        local round = rounds[k]
        if round.op == "undo" then
          assert.equal(rounds[k - 1].source, round.image)
        elseif round.image then
          assert.equal(now, round.source)
          assert.are_not.equal(scene.key(now), scene.key(round.image))
        end
        now = round.image or now
        assert.equal(now, round.shown)
      end
    end
  end)
end)

describe("micro batches", function()
  it("hold every place, word and feature of their sequences", function()
    local tiny = { image = function(x)
      return { embeds = weft.tensor.randn({ x.pixels:size(1), 8 }, { seed = 1 }) }
    end, text = function(x)
      return { embeds = weft.tensor.randn({ x.ids:size(1), 8 }, { seed = 2 }) }
    end, things = things.new(tok, {}) }
    local list = conversations.sequences(tok, "batch", 1, 16, {})
    local b = conversations.batch(tok, tiny, list)
    local places, replies, learned, rows = 0, 0, 0, 0
    for _, s in ipairs(list) do
      places, replies = places + #s.places, replies + #s.replies
      for i = 2, #s.ids do learned = learned + (s.learned[i] and 1 or 0) end
    end
    for _, g in ipairs(b.groups) do rows = rows + g.n * g.tokens end
    assert.equal(places, b.place_at:numel())
    assert.equal(1, #b.shown)              -- of pictures and texts; without sounds nothing of them
    assert.same({ places, things.told.picture.n, things.WIDTH.picture }, b.shown[1].rows:size())
    local shown = {}
    for _, at in ipairs(b.shown[1].at:totable()) do shown[at] = true end
    for _, at in ipairs(b.place_at:totable()) do
      for k = 1, things.count "picture" do assert.is_true(shown[at + k]) end
    end
    assert.equal(replies, b.reply_at:numel())
    assert.equal(learned, b.say:numel())
    assert.equal(rows, b.ids:numel())
    local ids, feature = b.ids:reshape(-1):totable(), tok:id "<feature>"
    for _, at in ipairs(b.place_at:totable()) do assert.equal(feature, ids[at + 1]) end
    local next_of = b.say:totable()
    for i, at in ipairs(b.say_at:totable()) do assert.equal(next_of[i], ids[at + 2]) end
  end)
end)

