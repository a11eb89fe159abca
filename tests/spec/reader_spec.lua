package.path = "./recipes/micro/?.lua;" .. package.path
local weft = require "weft"
local configs = require "configs"
local reader = require "weft.pipeline.reader"
local sequence = require "weft.pipeline.sequence"
local things = require "weft.pipeline.micro_things"

local folder = os.tmpname()
os.remove(folder)
os.execute("mkdir -p " .. folder)
require("tokenizer").write(folder)

--- Parts with random weights, small.
local function new_parts()
  local parts = { tokenizer = weft.tokenizer.load(folder) }
  for i, name in ipairs { "language_model", "feature_in", "feature_out" } do
    local config = weft.with(configs.micro[name].config, {})
    if name == "language_model" then config.num_hidden_layers = 2 end
    parts[name] = weft.model.new(configs.micro[name].arch, config, { seed = 40 + i })
  end
  return parts
end

local parts = new_parts()
local r = reader.new(parts)
local tok = parts.tokenizer

local function picture(seed)
  local feature = weft.normalize(weft.tensor.randn({ 1, 128 }, { seed = seed }))
  return { kind = "image", feature = feature }
end
local function feature_of(medium) return medium.feature end
local function kind_of(part) if type(part) == "table" then return part.kind, part end end
local ALL = { image = true, audio = true, video = true }

--- A sequence with one question.
local function asked(...)
  local s = r:sequence()
  s:ask({ ... }, kind_of)
  return s
end

local function spelled(s, from)
  local out = {}
  for i = from, #s.ids do out[#out + 1] = tok:piece(s.ids[i]) end
  return table.concat(out, " ")
end

describe("weft.pipeline.reader", function()
  it("replies with the kinds it is told, a source and a feature each", function()
    local a = picture(1)
    local s = asked("make it red", a)
    local n = #s.ids
    local list = r:reply(s, feature_of, { to = { "image", "audio" }, can = ALL })
    assert.equal(2, #list)
    assert.same({ "image", "audio" }, { list[1].kind, list[2].kind })
    local function medium(kind)
      local count = 1 + things.count(sequence.sense_of(kind))
      return ("<%s> <#%%d+>%s </%s>"):format(kind, (" <feature>"):rep(count), kind)
    end
    -- an untrained model says any words before its tags
    assert.truthy(spelled(s, n + 1)
      :match("^.-" .. medium "image" .. " .-" .. medium "audio" .. " </s>$"))
    for _, part in ipairs(list) do
      assert.is_true(part.plan == nil or type(part.plan) == "string")
      assert.is_true(math.abs(part.feature:norm():item() - 1) < 1e-5)
      assert.is_true(part.source == nil or part.source == a)      -- and never what is not made yet
    end
  end)

  it("says media in the order it was taught, and gives them in the order asked for", function()
    local function reply(to)
      local s = asked("a cat", picture(1))
      return r:reply(s, feature_of, { to = to, can = ALL, seed = 3, max_tokens = 8 }), spelled(s, 1)
    end
    local wanted, said = reply { "video", "image", "audio" }
    for _, to in ipairs { { "audio", "video", "image" }, { "image", "audio", "video" } } do
      local list, words = reply(to)
      assert.equal(said, words)
      for i, kind in ipairs(to) do
        assert.equal(kind, list[i].kind)
        for _, part in ipairs(wanted) do
          if part.kind == kind then
            assert.equal(0, (part.feature - list[i].feature):abs():max():item())
          end
        end
      end
    end
    local list, words = reply { "text", "audio", "text", "video", "audio" }
    local kinds = {}
    for i, part in ipairs(list) do kinds[i] = part.kind end
    assert.same({ "text", "audio", "text", "video", "audio" }, kinds)
    assert.truthy(words:find("</video>.*<audio>.*<audio>"))
  end)

  it("draws what it decides for by the seed, and keeps to the likeliest when told", function()
    local function plan(o)
      o.to, o.can = "image", ALL
      return r:reply(asked("a cat"), feature_of, o)[1].plan or ""
    end
    assert.equal(plan { seed = 1 }, plan { seed = 1 })
    local seen, n = {}, 0
    for seed = 1, 6 do
      local text = plan { seed = seed }
      if not seen[text] then seen[text], n = true, n + 1 end
    end
    assert.is_true(n > 1)                  -- an untrained model says something else each time
    assert.equal(plan { seed = 1, temperature = 1, top_p = 1e-6 },
      plan { seed = 2, temperature = 1, top_p = 1e-6 })
  end)

  it("foretells pictures without the words that it decides for, too", function()
    local direct, n = nil, 0
    for seed = 1, 6 do
      local s = asked("a cat")
      local part = r:reply(s, feature_of, { to = "image", can = ALL, seed = seed })[1]
      assert.equal(part.plan ~= nil, part.direct ~= nil)
      if part.plan then
        n, direct = n + 1, direct or part.direct
        assert.is_true((part.direct - direct):abs():max():item() < 1e-5)     -- whatever they were
        assert.is_true((part.direct - part.feature):abs():max():item() > 1e-4)
        local hidden = parts.language_model { embeds = r:embeds(s, feature_of) }.hidden
        local x = hidden:select(2, s.places[1].at - 1)
        local whole = weft.normalize(parts.feature_out { x = x })
        assert.is_true((whole - part.feature):abs():max():item() < 1e-4)
      end
    end
    assert.is_true(n > 0)
    assert.is_nil(r:reply(asked("a cat"), feature_of, { to = "audio", can = ALL })[1].direct)
  end)

  it("reads what a feature shows, as much of it as the feature counts", function()
    local f, n = picture(4).feature, things.count "picture"
    local seeing = reader.new(weft.with(parts, { conditioner = weft.model.new("conditioner",
      configs.micro.conditioner.config, { seed = 44 }) }))
    local once, half = seeing:inner(f, "picture"), seeing:inner(f * 0.5, "picture")
    assert.same({ 1 + n, configs.language_width }, once:size())
    local function shown(x) return x:narrow(1, 2, n) end
    assert.is_true(shown(once):abs():max():item() > 0)
    assert.is_true((shown(once) * 0.5 - shown(half)):abs():max():item() < 1e-6)
    assert.equal(0, shown(seeing:inner(f * 0, "picture")):abs():max():item())
    assert.equal(0, shown(r:inner(f, "picture")):abs():max():item())
  end)

  it("reads on after the scope in which it first read", function()
    local seeing = reader.new(weft.with(parts, { conditioner = weft.model.new("conditioner",
      configs.micro.conditioner.config, { seed = 44 }) }))
    local f = picture(4).feature
    weft.scope(function() seeing:inner(f, "picture") end)
    assert.is_true(seeing:inner(f, "picture"):abs():max():item() > 0)
  end)

  it("foretells the feature that the whole sequence gives in one pass", function()
    local a, b = picture(2), picture(3)
    local s = asked("given", a, "and", b, "what comes next")
    local part = r:reply(s, feature_of, { to = "image", can = ALL })[1]
    local at
    for i, id in ipairs(s.ids) do
      if tok:piece(id):match "^<#%d+>$" then at = i end
    end
    local hidden = parts.language_model { embeds = r:embeds(s, feature_of) }.hidden
    local c = weft.normalize(parts.feature_out { x = hidden:select(2, at) })
    -- The cache's products are of other shapes than the whole pass's; f32 sums of 512 terms.
    assert.is_true((c - part.feature):abs():max():item() < 1e-4)
  end)

  it("says what becomes of a source's offsets, of a picture that has a source", function()
    local config = configs.micro.anchor_out.config
    local with = weft.with(parts, { anchor_out = weft.model.new("projector", config,
      { seed = 47 }) })
    local told, n = reader.new(with), 0
    for seed = 1, 12 do
      local s = asked(("make it red "):rep(seed % 4 + 1), picture(seed))
      local list = told:reply(s, feature_of, { to = { "image", "audio" }, can = ALL, seed = seed })
      local at, states
      for i, id in ipairs(s.ids) do
        if tok:piece(id):match "^<#%d+>$" then at = at or i end
      end
      states = parts.language_model { embeds = r:embeds(s, feature_of) }.hidden
      local carry = with.anchor_out { x = states:select(2, at) }
      if list[1].source then
        n = n + 1
        assert.same({ 1, 6 }, list[1].carry:size())
        assert.is_true((carry - list[1].carry):abs():max():item() < 1e-4)
      else
        assert.is_nil(list[1].carry)
      end
      assert.is_nil(list[2].carry)
    end
    assert.is_true(n > 0 and n < 12, n .. " of 12 have a source")
    assert.is_nil(r:reply(asked("as it is", picture(1)), feature_of,
      { to = "image", can = ALL })[1].carry)
  end)

  it("says words and no marker when words are wanted", function()
    local s = asked("describe", picture(4))
    local list = r:reply(s, feature_of, { to = "text", can = ALL, max_tokens = 12, temperature = 1,
      seed = 5 })
    assert.equal("text", list[1].kind)
    assert.is_nil(list[1].text:find "<")
    assert.equal(tok:id "</s>", s.ids[#s.ids])
  end)

  it("tells words piece by piece, characters whole", function()
    for seed = 1, 4 do
      local told = {}
      local list = r:reply(asked("hello"), feature_of, { to = "text", can = ALL, max_tokens = 24,
        temperature = 3, seed = seed, on_token = function(piece) told[#told + 1] = piece end })
      assert.equal(list[1].text, table.concat(told))
      assert.is_true(#told > 1)
    end
  end)

  it("draws the same words from the same seed, others from another", function()
    local function words(seed)
      return r:reply(asked("hello"), feature_of,
        { to = "text", can = ALL, max_tokens = 16, temperature = 1.5, seed = seed })[1].text
    end
    assert.equal(words(1), words(1))
    assert.are_not.equal(words(1), words(2))
    local function likeliest(seed)
      return r:reply(asked("hello"), feature_of,
        { to = "text", can = ALL, max_tokens = 16, seed = seed })[1].text
    end
    assert.equal(likeliest(1), likeliest(2))
  end)

  it("makes only what the model can", function()
    for seed = 1, 8 do
      local list = r:reply(asked("hello"), feature_of,
        { to = "auto", can = { image = true }, max_tokens = 40, temperature = 3, seed = seed })
      for _, part in ipairs(list) do assert.is_true(part.kind == "text" or part.kind == "image") end
    end
  end)

  it("refuses what is longer than it can read", function()
    local s = asked(("a red cat "):rep(200))
    local ok, err = pcall(r.reply, r, s, feature_of, { to = "image", can = ALL })
    assert.is_false(ok)
    assert.truthy(tostring(err):find "tokens leave no room")
  end)

  it("knows the folders that have it", function()
    assert.is_true(reader.is_in(parts))
    assert.is_false(reader.is_in { tokenizer = tok })
    assert.equal(12, sequence.MAX_SOURCE)
  end)
end)
