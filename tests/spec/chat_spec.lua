--- Prompts and conversations that the small model's language model reads, on random weights.
package.path = "./tests/lib/?.lua;" .. package.path
local weft = require "weft"
local error_of = require "error_of"
local micro = require "micro"

describe("the small model's language model", function()
  local dir, plain, m

  setup(function()
    dir, plain = micro.temp(), micro.temp()
    m = weft.load(micro.make(dir, { narrow = true, sounds = true, language = true }))
  end)
  teardown(function()
    micro.remove(dir)
    micro.remove(plain)
  end)

  local function quick(t)
    return weft.with({ steps = 2, seed = 3, progress = false }, t)
  end
  local function differ(a, b) return (a:tensor() - b:tensor()):abs():max():item() end
  it("adds words to what the model makes", function()
    assert.same({ "image", "audio", "text" }, m.caps.output)
    assert.equal("string", type(m:text { "describe it", max_tokens = 4 }))
  end)

  it("reads words and media in one prompt", function()
    local a = m:image(quick { "draw a red cat" })
    local b = m:image(quick { "turn", a, "into neon style" })
    local c = m:image(quick { "turn", b, "into neon style" })
    assert.is_true(differ(b, c) > 0)
    assert.equal(0, differ(b, m:image(quick { "turn", a, "into neon style" })))
    assert.equal("image", m:edit(a, quick { "make it blue" }).kind)
  end)

  it("weighs what it reads by the mix of kinds", function()
    local a = m:image(quick { "draw a red cat" })
    local sound = weft.audio.silence(1.024, 8000)
    local function make(mix)
      return m:image(quick { "turn", a, sound, m:encode "a dog", "blue", concat = false,
        mix = mix })
    end
    local even = make()
    assert.equal(0, differ(even, make { text = 1, image = 1 }))
    for _, kind in ipairs { "image", "audio", "text" } do
      assert.is_true(differ(even, make { [kind] = 0.2 }) > 0, kind)
    end
    assert.equal(0, differ(even, make { video = 0.2 }))
    local clip = weft.video.new { frames = { a, a } }
    local function film(mix, weight)
      return m:image(quick { "like", weft.weigh(clip, weight or 1), concat = false, mix = mix })
    end
    assert.is_true(differ(film(), film { video = 0.2 }) > 0)
    assert.equal(0, differ(film(nil, 0.5), film { video = 0.5 }))
    local warnings = {}
    m.on_warning = function(text) warnings[#warnings + 1] = text end
    m:image(quick { "a cat", mix = { text = 0.5 } })
    m.on_warning = nil
    assert.truthy(warnings[1]:find "words of the prompt are read as they are")
  end)

  it("reads sounds, and makes them of words, pictures and sounds", function()
    local tone = weft.audio.from(weft.tensor.arange(0, 8191):mul_(0.3):sin() * 0.5, 8000)
    local a = m:audio(quick { "add echo to this audio", tone })
    assert.are.same({ "audio", 8192, "audio" }, { a.kind, a.samples, a.meta.call.fn })
    assert.is_true(differ(a, m:audio(quick { "add echo to this audio", a })) > 0)
    assert.equal("audio", m:edit(tone, quick { "add echo to it" }).kind)
    local r = m:generate(quick { "show", tone, to = { "image", "audio" } })
    assert.are.same({ "image", "audio" }, { r[1].kind, r[2].kind })
  end)

  it("goes straight to the feature without words", function()
    local a = m:image(quick { "a red cat" })
    local direct = m:image(quick { a })
    local same = m:image(quick { m:encode(a) })
    assert.equal(0, differ(direct, same))
  end)

  it("shows the denoiser what the call says, or nothing", function()
    local a, b = m:image(quick { "a" }), m:image(weft.with(quick { "b" }, { seed = 9 }))
    local with_a = m:image(quick { "do", a, concat = a })
    local with_b = m:image(quick { "do", a, concat = b })
    local without = m:image(quick { "do", a, concat = false })
    assert.is_true(differ(with_a, with_b) > 0)
    assert.is_true(differ(with_a, without) > 0)
  end)

  it("warns of words it never met, once, and of more media than it can point at", function()
    local warnings = {}
    m.on_warning = function(text) warnings[#warnings + 1] = text end
    m:image(quick { "draw a unicorn and a cat" })
    m:image(quick { "draw a unicorn" })
    assert.same({ "the model never met 'unicorn' and will hardly understand" }, warnings)
    local a, many = m:image(quick { "a" }), { "look at" }
    for i = 1, 14 do many[i + 1] = a:clone() end
    m:image(quick(many))
    m.on_warning = nil
    assert.truthy(warnings[2]:find "14 pictures and sounds; only the first 12")
    assert.equal(2, #warnings)
    local five = { "look at" }
    for i = 1, 5 do five[i + 1] = a:clone() end
    m.on_warning = function(text) warnings[#warnings + 1] = text end
    m:image(quick(five))
    m:image(quick(five))
    m.on_warning = nil
    assert.truthy(warnings[3]:find "5 pictures and sounds in one prompt; .* trained with 4")
    assert.equal(3, #warnings)
  end)

  it("warns of prompts that say nothing, of tags, and of words of other letters", function()
    local warnings
    local function told(...)
      warnings, m.told_words = {}, nil
      m.on_warning = function(text) warnings[#warnings + 1] = text end
      m:image(quick { ... })
      m.on_warning = nil
      return table.concat(warnings, "\n")
    end
    assert.truthy(told():find "says nothing")
    assert.truthy(told("   "):find "says nothing")
    assert.equal("", told "a red cat")
    assert.truthy(told("猫 in the snow"):find("never met '猫'", 1, true))
    for _, tag in ipairs { "[image0]", "[audio]", "#image#_0", "<image> </image>", "<audio_2>" } do
      local tagged = told("a cat like " .. tag)
      assert.truthy(tagged:find(tag:match "^%S+$" and tag:gsub("_0", "") or "<image>", 1, true))
      assert.truthy(tagged:find "stands in the prompt itself")
    end
  end)

  it("makes several pictures in one reply", function()
    assert.equal(2, #m:generate(quick { "two cats", to = { "image", "image" } }).images)
  end)

  it("makes several kinds in turn", function()
    local r = m:generate(quick { "a storm", to = { "image", "audio" } })
    assert.same({ "image", "audio" }, { r[1].kind, r[2].kind })
    assert.equal(r.image, r[1])
    assert.equal(3, #m:generate(quick { "a cat", to = "image", n = 3 }).images)
    local pair = quick { "a storm", to = { "image", "audio" }, n = 2, seed = 4 }
    local saved = m:generate(pair):save(dir .. "/{index}-{kind}-{seed}.{ext}")
    for i, path in ipairs(saved) do
      assert.equal(weft.info(path).seed, tonumber(path:match "%-(%d)%.%w+$"), path)
      saved[i] = path:match "[^/]*$"
    end
    assert.equal(4, #saved)
    assert.equal(4, #m:generate(pair):save(dir .. "/{seed}.{ext}"))
    local named = m:generate(weft.with(pair, { tag = "t", n = 1 })):save(dir
      .. "/{tag}-{text:slug}-{kind}.{ext}")
    assert.equal("t-a-storm-image.png", named[1]:match "[^/]*$")
    assert.truthy(error_of(function() m:generate(pair):save(dir .. "/{kind:02}.png") end)
      :find("{kind:02} is no number", 1, true))
    local before = assert(io.popen("ls " .. dir)):read "*a"
    assert.truthy(error_of(function() m:generate(pair):save(dir .. "/{kind}.{ext}") end)
      :find "parts %d and %d would both be ")
    assert.equal(before, assert(io.popen("ls " .. dir)):read "*a")
  end)

  it("has the negative prompt in every branch where the code has it", function()
    local paper = m:image(quick { "a cat", negative = "blurry", seed = 4 })
    local code = m:image(quick { "a cat", negative = "blurry", seed = 4, mode = "code" })
    assert.is_true(differ(paper, code) > 0)
  end)

  it("says that a folder without it cannot answer", function()
    local other = weft.load(micro.make(plain, { narrow = true }))
    assert.truthy(error_of(other.text, other, { "hello" }):find "has no language model")
    assert.truthy(error_of(function() other:chat {} { "hello" } end):find "has no language model")
  end)

  describe("in a chat", function()
    local function new() return m:chat { to = "image", steps = 2, seed = 5, progress = false } end

    it("remembers the rounds", function()
      local chat = new()
      local first = chat { "a red cat" }
      local second = chat { "make it blue" }
      assert.equal(2, select(2, tostring(chat):gsub("2 rounds", "")) + 1)
      assert.equal("a red cat", chat[1].parts[1])
      assert.equal(first.image, chat[2].parts[1])
      assert.equal(second.image, chat[4].parts[1])
      local alone = new() { "make it blue" }
      assert.is_true(differ(second.image, alone.image) > 0)
    end)

    it("reads what the system says before the first words", function()
      local plain_reply = new() { "a red cat" }
      local chat = m:chat { to = "image", steps = 2, seed = 5, progress = false,
        system = "draw it blue" }
      assert.is_true(differ(plain_reply.image, chat { "a red cat" }.image) > 0)
      assert.same({ "a red cat" }, chat[1].parts)
      assert.equal(0, differ(plain_reply.image, new() { "a red cat", system = "" }.image))
    end)

    it("takes rounds back, makes them anew and forks", function()
      local chat = new()
      chat { "a red cat" }
      local second = chat { "make it blue" }
      local fork = chat:fork()
      chat:undo()
      assert.equal("Chat of 1 rounds", tostring(chat))
      assert.equal("Chat of 2 rounds", tostring(fork))
      assert.equal(0, differ(second.image, chat { "make it blue" }.image))
      local again = chat:retry()
      assert.is_true(differ(second.image, again.image) > 0)
      assert.equal(0, differ(second.image, chat:retry { seed = 5 }.image))
      assert.has_error(function() new():retry() end)
      assert.has_error(function() chat:undo(7) end)
    end)

    it("goes on after it was saved and loaded", function()
      local chat = new()
      chat { "a red cat" }
      chat { m:image(quick { "a dog" }), "make it blue" }
      local path = dir .. "/session.json"
      chat:save(path)
      local loaded = weft.chat.load(path, m)
      assert.equal(tostring(chat), tostring(loaded))
      assert.is_true(differ(chat[4].parts[1], loaded[4].parts[1]) <= 1 / 255)
      assert.equal("image", loaded { "make it small" }.image.kind)
    end)

    it("keeps a source that is no part of a turn", function()
      local chat, other = new(), m:image(quick { "a dog" })
      chat { "a red cat", concat = other }
      local path = dir .. "/source.json"
      chat:save(path)
      local function check_source()
        local source = weft.chat.load(path, m)[2].sources[1]
        assert.equal("image", source and source.kind)
        assert.is_true(differ(other, source) <= 1 / 255)
      end
      check_source()
      -- a bare name is of the reply's kind
      local text = assert(io.open(path)):read "*a"
      local bare, n = text:gsub('"sources":%[{"image":("[^"]*")}%]', '"sources":[%1]')
      assert.equal(1, n)
      micro.write(path, bare)
      check_source()
    end)

    it("keeps a round that is not made anew, and the options it began with", function()
      local defaults = { to = "image", steps = 2, seed = 5, progress = false }
      local chat = m:chat(defaults)
      defaults.seed = 9
      chat { "a red cat" }
      assert.equal(5, chat.last.seed)
      for _, wrong in ipairs { { stps = 2 },
        { on_step = function() error "not now" end } } do
        error_of(chat.retry, chat, wrong)
        assert.equal(2, #chat)
        assert.same({ "a red cat" }, chat[1].parts)
      end
      assert.equal(1, #chat[1])
      assert.equal(chat[2].parts[1], chat[2][1])
    end)

    it("refuses an option that no round takes before anything is said", function()
      assert.truthy(error_of(m.chat, m, { stps = 2 }):find "unknown option 'stps'")
      assert.truthy(error_of(m.chat, m, { steps = 0 }):find "steps must be")
    end)

    it("saves weights, depth and options that are tables; what no file holds it names", function()
      local dog = m:image(quick { "a dog" })
      local chat = m:chat { to = { "image" }, steps = 2, seed = 5, progress = false,
        guidance = { 6, concat = 1.6 }, mix = { image = 0.5 }, concat = { image = dog },
        negative = { "blurry", weft.weigh("dim", 0.5) }, on_token = function() end }
      chat { "make", weft.weigh(dog, 1.2), "and", weft.weigh("blue", 0.5) }
      chat[1].parts[2] = weft.depth(dog)
      local path = dir .. "/tables.json"
      chat:save(path)
      local loaded = weft.chat.load(path, m)
      local o, parts = loaded.defaults, loaded[1].parts
      assert.same({ scale = 6, concat = 1.6 }, o.guidance)
      assert.same({ image = 0.5 }, o.mix)
      assert.equal("image", o.to[1])
      assert.equal("blurry", o.negative[1])
      assert.same(weft.weigh("dim", 0.5), o.negative[2])
      assert.is_true(differ(dog, o.concat.image) <= 1 / 255)
      assert.equal("depth", parts[2].kind)
      assert.is_true(differ(dog:gray(), parts[2].picture) <= 2 / 255)
      assert.same(weft.weigh("blue", 0.5), parts[4])
      chat[1].parts[3] = weft.tensor { 1 }
      assert.truthy(error_of(chat.save, chat, dir .. "/none.json")
        :find "part 3 of turn 1 is .*, which no file holds")
      assert.is_nil(io.open(dir .. "/none.001.png"))
    end)

    it("saves embeddings to the last digit", function()
      local cat = m:encode "a cat"
      local chat = m:chat { to = { "image" }, steps = 2, progress = false, concat = false }
      chat { cat, weft.weigh(m:encode "a dog", 0.5) }
      chat.defaults.negative = { cat }      -- no call of this model takes one there
      local path = dir .. "/embedded.json"
      chat:save(path)
      local loaded = weft.chat.load(path, m)
      local parts = loaded[1].parts
      assert.equal(cat.tensor:bytes(), parts[1].tensor:bytes())
      assert.equal(0.5, parts[2].weft_weight)
      assert.equal(cat.tensor:bytes(), loaded.defaults.negative[1].tensor:bytes())
      assert.equal(0, differ(m:image(quick { cat }), m:image(quick { parts[1] })))
      for _, values in ipairs { '"x"', "[]", "[[1]]", '["a"]', "7" } do
        micro.write(path, '{"v":1,"turns":[{"role":"user","parts":[{"embedding":' .. values
          .. '}]},{"role":"model","parts":[]}]}')
        assert.truthy(error_of(weft.chat.load, path, m):find "an embedding is no list of numbers")
      end
    end)

    it("refuses a damaged file by name", function()
      local path = dir .. "/damaged.json"
      local model = '{"role":"model","parts":[]}'
      local user = '{"role":"user","parts":[{"image":"../x.png"}]}'
      for _, turns in ipairs { "", "{", "[]", model .. "," .. user, user .. "," .. model, user } do
        micro.write(path, turns == "" and "" or '{"v":1,"turns":[' .. turns .. "]}")
        assert.truthy(error_of(weft.chat.load, path, m):find("damaged.json", 1, true))
      end
      micro.write(path, '{"v":2,"turns":[]}')
      assert.truthy(error_of(weft.chat.load, path, m):find "version 1")
      assert.truthy(error_of(weft.chat.load, dir .. "/none.json", m):find "no such file")
    end)
  end)
end)
