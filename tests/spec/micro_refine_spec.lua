--- Answers by example, checked on the example and made whole.
package.path = "./tests/lib/?.lua;./recipes/micro/?.lua;./recipes/micro/train/?.lua;"
  .. package.path
local weft = require "weft"
local heard = require "weft.pipeline.micro_heard"
local layout = require "layout"
local media = require "weft.pipeline.micro_media"
local micro = require "micro"
local prompt = require "weft.prompt"
local refine = require "weft.pipeline.micro_refine"
local reply = require "weft.pipeline.micro_reply"
local T = weft.tensor

--- A sound of one drum: when it is heard, and in what ambience.
local function sound(slot, ambience)
  return { events = { { voice = 0, pitch = 1, slot = slot } }, ambience = ambience, seed = 1 }
end

-- A model whose features are numbers: the tens are slots, the ones are ambiences.
local function of(feature)
  local n = feature:item()
  return math.floor(n / 10), n % 10
end
local function feature(slot, ambience) return T { { slot * 10 + ambience } } end
local function logits(f) return layout.of_sounds { sound(of(f)) } * 8 - 4 end

--- It changes a source as one became another, but only the one thing or the other.
local function change_one(before, after, source)
  local slot, ambience = of(source)
  local s0, a0 = of(before)
  local s1, a1 = of(after)
  if s1 ~= s0 then return feature(slot + s1 - s0, ambience) end
  return feature(slot, a1 ~= a0 and a1 or ambience)
end

local STILL, MIRRORED = { { 0, 0, 0, 0, 0, -1 } }, { { -2, 0, 0, 0, 0, -1 } }

--- The answer after the check, nil where the first stays; calls counts what was asked.
local function better(change, example, source, first, carries)
  local calls = 0
  local got = refine.of({ sense = heard, logits = logits, ask = function(...)
    calls = calls + 1
    return { feature = change(...), carry = carries and T(carries[calls]) }
  end }, example[1], example[2], source, { feature = first, carry = carries and T(carries.first) })
  return got, calls
end

describe("an answer by example", function()
  local two = { feature(1, 0), feature(2, 3) }
  local source = feature(4, 0)

  it("that makes a part of the change makes the rest, too", function()
    local got = better(change_one, two, source, change_one(two[1], two[2], source))
    assert.are.same({ 5, 3 }, { of(got.feature) })
  end)
  it("that makes all of it stays, after one question", function()
    local one = { feature(1, 2), feature(2, 2) }
    local got, calls = better(change_one, one, source, change_one(one[1], one[2], source))
    assert.is_nil(got)
    assert.are.equal(1, calls)
  end)
  it("stays where the rest brings the example no nearer", function()
    local function stubborn(_, _, s)
      local slot, ambience = of(s)
      return feature(math.min(slot + 1, 6), ambience)
    end
    assert.is_nil((better(stubborn, two, source, stubborn(nil, nil, source))))
  end)
  it("keeps what becomes of how things stand, of the change that is of that", function()
    local first = change_one(two[1], two[2], source)
    local function carry_of(carries)
      local got = better(change_one, two, source, first, carries)
      return got and got.carry:totable()[1][1]
    end
    assert.are.equal(-2, carry_of { first = MIRRORED, STILL, STILL, STILL })
    assert.are.equal(-2, carry_of { first = STILL, STILL, MIRRORED, STILL })
    assert.are.equal(0, carry_of { first = STILL, STILL, STILL, STILL })
    assert.is_nil(carry_of { first = MIRRORED, STILL, MIRRORED, STILL })
  end)
end)

describe("a prompt with an example", function()
  local dir = micro.make(micro.temp(), { narrow = true, language = true, sounds = true })
  local m = weft.load(dir)
  micro.remove(dir)
  local function noise(seed) return weft.audio.from(T.rand({ 8192, 1 }, { seed = seed }), 8000) end
  local a, b, c = noise(1), noise(2), noise(3)

  --- How often the language model is asked for the answer to a prompt: it points at `source`.
  local function questions(parts, opts, source)
    local asked, reader = 0, m.reader
    reply.plan(m, { { role = "user", parts = { "hm" } } }, { seed = 1 }, "audio")
    local real = m.reader.reply
    finally(function() m.reader.reply, heard.of_layout = nil, opts.of_layout end)
    opts.of_layout = heard.of_layout
    local slot = 0
    heard.of_layout = function()                    -- no two features show the same
      slot = slot + 1
      return heard.of_words("a mid drum in silence", slot)
    end
    m.reader.reply = function(self, s, feature_of, how)
      how.may_misread = false
      local list = real(self, s, feature_of, how)
      asked = asked + 1
      if asked == 1 then list[1].source, list[1].plan = source, nil end
      return list
    end
    local turn = { role = "user", parts = prompt.flat(parts) }
    reply.plan(m, { turn }, { seed = 1, refine = opts.refine }, "audio")
    m.reader.reply, heard.of_layout = nil, opts.of_layout
    m.reader = reader or m.reader
    return asked
  end

  local example = weft.example(a, b)
  it("is checked, and one without where the call says so", function()
    assert.is_true(questions({ example, "do the same to", c }, {}, c) > 1)
    assert.are.equal(1, questions({ example, "do the same to", c }, { refine = false }, c))
    assert.are.equal(1, questions({ a, "becomes", b, "do the same to", c }, {}, c))
    assert.is_true(questions({ a, "becomes", b, "do the same to", c }, { refine = true }, c) > 1)
  end)
  it("is not where nothing is to be changed, or the media are not three", function()
    assert.are.equal(1, questions({ example, "hm" }, {}, b))
    assert.are.equal(1, questions({ example, "do the same to", c }, {}, nil))
    assert.are.equal(1, questions({ example, c, "do the same to", noise(4) }, {}, c))
  end)
  it("is refused for videos and words", function()
    assert.is_true(media.media.audio.sense == heard)
    for _, verb in ipairs { "text", "video" } do
      local ok, e = pcall(m[verb], m, { "x", refine = true })
      assert.is_false(ok)
      assert.matches("refine", tostring(e))
    end
  end)
end)
