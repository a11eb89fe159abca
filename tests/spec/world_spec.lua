--- The small world: numbers, scenes, pictures, words, edits, tasks and the judge.
--   busted --lua=luajit tests/spec/world_spec.lua
package.path = "./recipes/micro/?.lua;" .. package.path

local ffi = require "ffi"
local caption = require "world.caption"
local edit = require "world.edit"
local filter = require "world.filter"
local forms = require "world.forms"
local holdout = require "world.holdout"
local judge = require "world.judge"
local names = require "world.names"
local oracle = require "world.oracle"
local render = require "world.render"
local rng = require "world.rng"
local scene = require "world.scene"
local sequence = require "world.sequence"
local tasks = require "world.tasks"
local template = require "world.template"
local transform = require "world.transform"
local vocabulary = require "world.vocabulary"

local function fingerprint(s)
  return rng.hash(ffi.string(render.new(s), render.N_ELEMS))
end

--- A scene with every kind, place, style, pattern, corruption and effect among its first 36.
local function golden_scene(i)
  local s = scene.at("golden", i, { split = "val", objects = 1 + i % 3 })
  s.objects[1].kind, s.place, s.style = i % 12, i % 10, i % 6
  s.objects[1].pattern = math.floor(i / 2) % 3
  if i >= 30 then s.quality = i % 4 end
  if i >= 34 then s.quality, s.effect = nil, i == 34 and "hue" or "flip" end
  return s
end

--- Place, style and texture around one object; what a test does not name is plain.
local function simple(changes)
  local o = { kind = 6, colour = 1, size = 2, pattern = 0, cell = 4, jx = 0, jy = 0 }
  local s = { objects = { o }, place = 0, style = 0, texture = 7 }
  for k, v in pairs(changes or {}) do
    if s[k] ~= nil or k == "effect" or k == "quality" then s[k] = v else o[k] = v end
  end
  return s
end

--- How many pairs (a, b) a predicate holds for.
local function count_pairs(n_a, n_b, predicate)
  local n = 0
  for a = 0, n_a - 1 do
    for b = 0, n_b - 1 do n = n + (predicate(a, b) and 1 or 0) end
  end
  return n
end

--- A scene whose texture is drawn anew.
local function retextured(s)
  local v = scene.copy(s)
  v.texture = (s.texture * 7 + 13) % 2 ^ 31
  return v
end

describe("world.rng", function()
  it("gives the published answers of Philox4x32-10", function()
    local f = 0xffffffff
    assert.same({ 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 }, { rng.block(0, 0, 0, 0, 0, 0) })
    assert.same({ 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd }, { rng.block(f, f, f, f, f, f) })
    assert.same({ 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 },
      { rng.block(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0) })
  end)

  it("hashes by FNV-1a", function()
    assert.equal(0x811c9dc5, rng.hash(""))
    assert.equal(0xbf9cf968, rng.hash("foobar"))
  end)

  it("depends on split, index and stream alone", function()
    local function first(...) return rng.new(...):u32() end
    local a = first("train", 5)
    rng.new("train", 4):u32()
    assert.equal(a, first("train", 5))
    local seen = { [a] = true }
    for _, v in ipairs { first("val", 5), first("train", 6), first("train", 5, 1), first(5, 5) } do
      assert.is_nil(seen[v])
      seen[v] = true
    end
  end)

  it("draws what it says", function()
    local r, sum, squares, counts = rng.new("moments"), 0, 0, { 0, 0, 0 }
    for _ = 1, 20000 do
      local v = r:normal()
      sum, squares = sum + v, squares + v * v
      local w = r:weighted { 1, 0, 3 }
      counts[w] = counts[w] + 1
      local i, u = r:int(5), r:uniform(-2, 2)
      assert.is_true(i >= 0 and i < 5 and i % 1 == 0 and u >= -2 and u < 2)
    end
    -- Five standard errors of 20,000 draws.
    assert.is_true(math.abs(sum / 20000) < 0.036 and math.abs(squares / 20000 - 1) < 0.05)
    assert.equal(0, counts[2])
    assert.is_true(math.abs(counts[1] / 20000 - 0.25) < 0.016)
    local list = r:shuffle { 1, 2, 3, 4, 5 }
    table.sort(list)
    assert.same({ 1, 2, 3, 4, 5 }, list)
  end)
end)

describe("world.holdout", function()
  it("withholds about a tenth of each pair", function()
    assert.equal(12, count_pairs(12, 8, holdout.kind_colour))
    assert.equal(12, count_pairs(12, 10, holdout.kind_place))
    assert.equal(5, count_pairs(6, 10, holdout.style_place))
    assert.equal(8, count_pairs(sequence.N_RULES, 12, holdout.rule_kind))
  end)

  it("holds out twenty forms of 120 and no opener, verb or reference entirely", function()
    local held, seen = 0, { {}, {}, {} }
    for form = 0, template.N_FORMS - 1 do
      if template.is_held(form) then
        held = held + 1
      else
        for i, part in ipairs { template.split(form) } do seen[i][part] = true end
      end
    end
    assert.equal(20, held)
    assert.same({ 5, 4, 3 }, { #seen[1], #seen[2], #seen[3] })
  end)

  it("has thirty subjects, 21 of them things, whose pairs are seen elsewhere", function()
    local things, known = 0, {}
    assert.equal(30, #holdout.SUBJECTS)
    for _, s in ipairs(holdout.SUBJECTS) do
      things = things + (s.kind < names.N_THINGS and 1 or 0)
      local id = s.kind .. " " .. s.colour .. " " .. s.pattern
      assert.is_nil(known[id])
      known[id] = true
      assert.is_false(holdout.kind_colour(s.kind, s.colour))
      local seen_with = 0
      for pattern = 0, 2 do
        seen_with = seen_with + (holdout.subject(s.kind, s.colour, pattern) and 0 or 1)
      end
      assert.is_true(seen_with > 0)
    end
    assert.equal(21, things)
  end)
end)

describe("world.scene", function()
  it("is a function of split and index", function()
    assert.same(scene.at("train", 12), scene.at("train", 12))
    assert.are_not.same(scene.at("train", 12), scene.at("train", 13))
    assert.are_not.same(scene.at("train", 12), scene.at("val", 12))
  end)

  it("never trains on what is held out, and shows all values of everything", function()
    local seen = {}
    local opts = { objects = { 0.5, 0.3, 0.2 }, style = 0.5, quality = 0.1 }
    for i = 1, 20000 do
      local s = scene.at("train", i, opts)
      assert(holdout.is_seen(s) and scene.is_valid(s), "train " .. i)
      seen["place" .. s.place], seen["style" .. s.style] = true, true
      seen["quality" .. tostring(s.quality)] = true
      for _, o in ipairs(s.objects) do
        for _, attribute in ipairs(names.OBJECT_ATTRIBUTES) do
          seen[attribute .. o[attribute]] = true
        end
      end
    end
    for _, attribute in ipairs { "kind", "colour", "size", "pattern", "cell", "place", "style",
                                 "quality" } do
      for id = 0, names[attribute].count - 1 do assert.is_true(seen[attribute .. id]) end
    end
  end)

  it("shows the asked hold-out, and that one alone, in the held-out split", function()
    for k, hold in ipairs { "H1", "H2", "H3", "H4" } do
      for i = 1, 200 do
        local held = { holdout.of_scene(scene.at("heldout", i, { hold = hold })) }
        for j = 1, 4 do assert.equal(j == k, held[j]) end
      end
    end
    for i = 1, 200 do
      local h1, h2 = holdout.of_scene(scene.at("heldout", i))
      assert.is_true(h1 ~= h2)
    end
  end)

  it("says when fixed attributes cannot be had", function()
    assert.has_error(function() scene.at("train", 1, { fixed = { kind = 3, colour = 3 } }) end)
  end)

  --- Whether the first two objects of v are those of base with one attribute exchanged.
  local function is_exchanged(v, base, attribute)
    local a, b = base.objects[1], base.objects[2]
    return a and b and v.objects[1][attribute] == b[attribute]
      and v.objects[2][attribute] == a[attribute]
  end

  it("makes distinct twins that differ in one attribute, or exchange one", function()
    local n_exchanged = 0
    for i = 1, 100 do
      local r = rng.new("twins", i)
      local base = scene.sample(r)
      local known = { [scene.key(base)] = true }
      for _, v in ipairs(scene.twins(r, base, 7)) do
        local n = (v.place ~= base.place and 1 or 0) + (v.style ~= base.style and 1 or 0)
        local changed
        for k, o in ipairs(v.objects) do
          for _, a in ipairs(names.OBJECT_ATTRIBUTES) do
            if o[a] ~= base.objects[k][a] then n, changed = n + 1, a end
          end
        end
        if n == 2 then n_exchanged = n_exchanged + 1 end
        assert.is_true(n == 1 or n == 2 and is_exchanged(v, base, changed))
        assert.is_true(holdout.is_seen(v) and not known[scene.key(v)])
        known[scene.key(v)] = true
      end
    end
    assert.is_true(n_exchanged > 50)
  end)
end)

describe("world.render", function()
  -- FNV-1a of the bytes. They change only when the world's definition does.
  local GOLDEN = {
    0x004cfdc4, 0xada01404, 0x5a8ea2a5, 0xdbe06c0c, 0x152a6151, 0xa2fe7e53,
    0xae87d290, 0xf9502c8a, 0xd8587a55, 0x9b06839b, 0x2cc6f13e, 0xc32bcbe7,
    0x51c6e42c, 0xf2687745, 0x2d87ee95, 0xf165ffb8, 0xd5c9c387, 0x2670ab6c,
    0xf421e7ab, 0xd5888f50, 0x9bf7b835, 0x6b9a2f0b, 0x0f007207, 0xab0774ad,
    0xb4eb2acb, 0x18759b31, 0x642c9e25, 0x697327bb, 0x289b0e5d, 0xed40d1a4,
    0x9d7934a5, 0x2cc8d01a, 0x503fcb82, 0x30c977da, 0x66528043, 0x90339a1e,
  }

  it("draws the golden pictures", function()
    for i, expected in ipairs(GOLDEN) do
      assert.equal(("%08x"):format(expected), ("%08x"):format(fingerprint(golden_scene(i - 1))))
    end
  end)

  it("leaves the background where nothing stands, and the outline around a body", function()
    local p = render.new(simple())
    assert.same({ 236, 236, 236 }, { p[0], p[1], p[2] })
    local middle = (32 * 64 + 40) * 3
    assert.same({ 240, 140, 30 }, { p[middle], p[middle + 1], p[middle + 2] })
  end)

  it("writes floats that are the bytes of -1 .. 1", function()
    local floats = ffi.new("float[?]", render.N_ELEMS)
    for i = 0, 35, 5 do
      local s = golden_scene(i)
      render.float_into(s, floats)
      local bytes = render.new(s)
      for k = 0, render.N_ELEMS - 1, 7 do
        assert(math.abs(floats[k] - (bytes[k] / 127.5 - 1)) < 1e-6, "element " .. k)
      end
      assert.equal(fingerprint(s), rng.hash(ffi.string(oracle.to_bytes(floats), render.N_ELEMS)))
    end
  end)

  it("turns the hue thrice and flips twice back to the picture", function()
    local p, q = ffi.new("float[?]", render.N_ELEMS), ffi.new("float[?]", render.N_ELEMS)
    render.float_into(simple { place = 2 }, p)
    ffi.copy(q, p, render.N_ELEMS * 4)
    for _ = 1, 3 do filter.effect.hue(q) end
    filter.effect.flip(q)
    assert.are_not.equal(p[0], q[0])
    filter.effect.flip(q)
    assert.equal(ffi.string(p, render.N_ELEMS * 4), ffi.string(q, render.N_ELEMS * 4))
  end)

  it("corrupts visibly, every corruption otherwise", function()
    local known = { [fingerprint(simple())] = true }
    for quality = 0, 3 do
      local h = fingerprint(simple { quality = quality })
      assert.is_nil(known[h])
      known[h] = true
    end
  end)

  it("puts larger objects nearer in the depth map", function()
    local depth = ffi.new("float[?]", 64 * 64)
    for size, expected in pairs { [0] = 0.55, 0.35, 0.15 } do
      render.depth_into(simple { kind = 0, size = size, style = 1 }, depth)
      assert.is_true(math.abs(depth[32 * 64 + 32] - expected) < 1e-6)
      assert.is_true(math.abs(depth[0] - 1) < 1e-6 and math.abs(depth[64 * 64 - 1] - 0.6) < 1e-6)
    end
  end)
end)

describe("world.caption", function()
  local OPTS = { objects = { 0.4, 0.4, 0.2 }, style = 0.4, quality = 0.2 }

  it("says everything, in English", function()
    local s = simple { place = 9, style = 5, pattern = 1 }
    assert.equal("a large striped orange cat at the center on a checkered floor in neon style",
      caption.complete(s))
    assert.equal("a cat in neon style", caption.partial(s, rng.new("x"), 1))
    s.objects[1].size, s.objects[1].pattern = 0, 0
    assert.equal("an orange cat at the center",
      caption.object(s.objects[1], { size = true, pattern = true }))
  end)

  it("comes back through parse, quality included", function()
    for i = 1, 500 do
      local r = rng.new("caption", i)
      local s = scene.sample(r, OPTS)
      local text = caption.with_quality(caption.complete(s, r), s)
      local parsed = caption.parse(text)
      assert.is_true(parsed.ok)
      assert.equal(s.quality, parsed.quality)
      local back = scene.copy(s)
      back.objects, back.place, back.style = parsed.objects, parsed.place, parsed.style
      assert.equal(scene.key(s), scene.key(back))
      assert.is_true(caption.score(text, s).all)
      assert.is_true(caption.score(caption.visible(s), s).all)
      local last = -1
      for _, o in ipairs(caption.parse(caption.visible(s)).objects) do
        assert.is_true(o.cell > last)
        last = o.cell
      end
      assert.is_true(caption.parse(caption.partial(s, r)).ok)
    end
  end)

  it("says of an empty picture that nothing is there", function()
    local s = simple { place = 3, style = 5 }
    s.objects = {}
    local text = caption.complete(s)
    assert.equal("nothing in the sea in neon style", text)
    local parsed = caption.parse(text)
    assert.is_true(parsed.ok)
    assert.same({ {}, 3, 5 }, { parsed.objects, parsed.place, parsed.style })
    assert.is_true(caption.score(text, s).all)
    assert.is_false(caption.score("a cat in the sea in neon style", s).all)
    assert.is_false(caption.score(text, simple { place = 3, style = 5 }).all)
    assert.is_false(caption.parse("in the sea").ok)
    assert.is_true(judge.caption(render.new(s), text))
    assert.is_false((judge.caption(render.new(s), "nothing in a meadow in neon style")))
  end)

  it("scores what is wrong and nothing else", function()
    local s = simple { place = 3 }
    local right = caption.score("a large blue cat at the center in the sea", s)
    assert.same({ false }, right.colour)
    assert.same({ true }, right.kind)
    assert.same({ true }, right.pattern)
    assert.is_false(right.all)
    local two = caption.score("a large orange cat at the center and a red dog in the sea", s)
    assert.same({ false }, two.count)
    assert.is_false(two.all)
  end)

  it("does not take other text for a caption", function()
    for _, text in ipairs { "", "cat", "a red", "a cat and", "a cat in the", "a cat at the moon",
                            "a cat in the sea today" } do
      assert.is_false(caption.parse(text).ok, text)
    end
  end)
end)

describe("world.template", function()
  it("gives 120 surface forms to every task", function()
    for name in pairs(forms.tasks) do
      local slots = { list = "[0] [1] and [2]" }
      for _, slot in ipairs { "text", "obj", "colour", "size", "pattern", "cell", "place", "style",
                              "kind", "new", "adj", "where", "one" } do
        slots[slot] = "<" .. slot .. ">"
      end
      local known, n = {}, 0
      for form = 0, template.N_FORMS - 1 do
        local text = template.expand(name, form, slots)
        assert.is_nil(text:find("[{}]"), text)
        if not known[text] then n, known[text] = n + 1, true end
      end
      assert.equal(120, n, name)
    end
  end)

  it("cuts an instruction at its media", function()
    assert.same({ "given", "A", "and", "B", ", go on" },
      template.parts("given [0] and [1], go on", { "A", "B" }))
    assert.same({ "A", "go on" }, template.parts("[0] go on", { "A" }))
  end)
end)

describe("world.edit", function()
  it("changes what it says and keeps to the split", function()
    for i = 1, 400 do
      local op = edit.OPS[1 + i % #edit.OPS]
      local e = edit.sample(rng.new("edit", i), { op = op, objects = { 0.2, 0.5, 0.3 } })
      assert.is_true(holdout.is_seen(e.source) and holdout.is_seen(e.target))
      assert.is_true(scene.is_valid(e.target))
      assert.are_not.equal(scene.key(e.source), scene.key(e.target))
      assert.is_true(caption.score(e.caption, e.target).all)
      assert.is_false(template.is_held(e.form))
      local shown = 0
      for _, part in ipairs(e.parts) do shown = shown + (type(part) == "table" and 1 or 0) end
      assert.equal(1, shown, e.text)
      local _, n_changed = edit.mask(e.source, e.target)
      assert.is_true(n_changed > 0, e.text)
    end
  end)

  it("draws in training more often what is learned last", function()
    local function share(opts)
      local n = 0
      for i = 1, 400 do
        n = n + (edit.sample(rng.new("shares", i), opts).op == "pattern" and 1 or 0)
      end
      return n / 400
    end
    -- .17 in training, .11 in tests: half way between lies .14
    assert.is_true(share() > 0.14 and share { split = "val" } < 0.14)
  end)

  it("takes the only object away in training, and in no test", function()
    local empty = 0
    for i = 1, 60 do
      local opts = { op = "remove" }
      empty = empty + (#edit.sample(rng.new("empty", i), opts).target.objects == 0 and 1 or 0)
      opts.split = i % 2 == 0 and "val" or "heldout"
      assert.is_true(#edit.sample(rng.new("empty", i), opts).target.objects > 0)
    end
    assert.is_true(empty > 20)
    local nothing = simple()
    nothing.objects = {}
    for i = 1, 40 do
      local op = edit.sample(rng.new("from empty", i), { source = nothing }).op
      assert.is_true(op == "add" or op == "place" or op == "style", op)
    end
  end)

  it("edits towards held-out pairs, with held-out forms, when asked", function()
    for i = 1, 100 do
      local e = edit.sample(rng.new("edit", i), { split = "heldout", held_forms = true })
      assert.is_false(holdout.is_seen(e.target))
      assert.is_true(template.is_held(e.form))
    end
  end)

  it("names an object so that only it is meant", function()
    local s = simple()
    s.objects[2] = { kind = 6, colour = 2, size = 0, pattern = 0, cell = 0, jx = 0, jy = 0 }
    assert.equal("the orange cat", edit.refer(nil, s, 1))
    s.style = 3 -- colours cannot be seen
    assert.equal("the large cat", edit.refer(nil, s, 1))
    s.objects[2].kind = 7
    assert.equal("the cat", edit.refer(nil, s, 1))
  end)

  it("masks the changed pixels only", function()
    local mask, n = edit.mask(simple { colour = 1 }, simple { colour = 2 })
    assert.equal(0, mask[0])
    assert.equal(1, mask[32 * 64 + 40])
    assert.is_true(n > 200 and n < 800)
  end)
end)

describe("world.tasks", function()
  local NAMES = { "edit", "compose", "together", "next", "exemplar", "concept", "subject",
                  "generate", "bare", "towards", "describe", "changed", "count", "which" }

  it("makes examples of words the vocabulary knows", function()
    local known = {}
    for _, word in ipairs(vocabulary.words()) do known[word] = true end
    for _, mark in ipairs(vocabulary.PUNCTUATION) do known[mark] = true end
    local function check(text)
      for _, unit in ipairs(vocabulary.split(text)) do
        assert(known[unit], ("%q in %q"):format(unit, text))
      end
    end
    for _, name in ipairs(NAMES) do
      for i = 1, 100 do
        local split = i % 2 == 0 and "heldout" or "train"
        local e = tasks[name](rng.new("tasks", i), { split = split, held_forms = i % 4 == 0 })
        for _, part in ipairs(e.prompt) do
          if type(part) == "string" then check(part) else assert.is_table(part.image) end
        end
        check(e.text or e.caption)
        assert.is_true((e.image == nil) ~= (e.text == nil))
        assert.is_true(e.source <= #e.media)
      end
    end
  end)

  it("shows training nothing that is held out", function()
    for i = 1, 1000 do
      local e = tasks.sample(rng.new("mixture", i))
      for _, s in ipairs(e.media) do
        assert(s.text or #s.objects == 0 or holdout.is_seen(s), e.task)
      end
      assert(not e.image or holdout.is_seen(e.image), e.task)
      assert(not (e.form and template.is_held(e.form)), e.task)
      if e.op == "L2" or e.op == "L3" then error("trained on " .. e.op) end
    end
  end)

  it("takes subjects and rules from the right side of their hold-outs", function()
    for i = 1, 40 do
      local o = tasks.subject(rng.new("s", i), { split = "heldout" }).media[1].objects[1]
      assert.is_true(holdout.subject(o.kind, o.colour, o.pattern))
      local s = sequence.sample(rng.new("n", i), { split = "heldout" })
      assert.is_true(holdout.rule_kind(s.rules[1], s.inputs[1].objects[1].kind))
      local t = transform.draw(rng.new("t", i), "L2")
      local pair = t.steps[2] and holdout.transform_pair(t.steps[1].family, t.steps[2].family)
      assert.is_true(pair or t.steps[1].value == 3)
    end
    assert.has_error(function() sequence.sample(rng.new("n"), { composed = true }) end)
  end)

  it("shows no change that two transformations explain", function()
    local rotations = 0
    for i = 1, 400 do
      local e = tasks.exemplar(rng.new("plain", i), { level = "L0", objects = 1 })
      local a, b = e.media[1].objects[1], e.media[2].objects[1]
      local turn = (b.colour - a.colour) % 8
      rotations = rotations + (turn > 0 and turn <= 3 and 1 or 0)
      assert.is_false(a.size ~= b.size and a.size + b.size == 2)
      assert.is_false(a.cell ~= b.cell and a.cell % 3 + b.cell % 3 == 2
        and a.cell - a.cell % 3 == b.cell - b.cell % 3)
    end
    assert.equal(0, rotations)
  end)

  it("changes the evidence of an exemplar for its controls", function()
    local e = tasks.exemplar(rng.new("control", 3), { level = "L0" })
    local shuffled = tasks.control(rng.new("other"), e, "shuffled")
    assert.equal(#e.prompt, #shuffled.prompt)
    assert.are_not.equal(e.media[1], shuffled.media[1])
    assert.equal(e.media[3], shuffled.media[3])
    assert.equal(1, #tasks.control(rng.new("other"), e, "removed").media)
    assert.is_table(tasks.control(rng.new("other"), e, "described"))
    local unnamed = tasks.exemplar(rng.new("control", 3), { level = "L1" })
    assert.is_nil(tasks.control(rng.new("other"), unnamed, "described"))
  end)

  it("shows another change in a shuffled pair", function()
    for i = 1, 40 do
      local e = tasks.exemplar(rng.new("shuffled", i), { level = "L1" })
      local other = tasks.control(rng.new("other", i), e, "shuffled")
      local before, after, query = other.media[1], other.media[2], other.media[3]
      assert.equal(scene.key(transform.find_result(other.transform, before, true)),
        scene.key(after))
      local result = transform.find_result(other.transform, query)
      assert.are_not.equal(scene.key(e.image), result and scene.key(result))
    end
  end)
end)

describe("world.oracle", function()
  --- Share of scenes whose picture is judged all right.
  local function share(n, picture_of, opts)
    local verdicts = {}
    for i = 1, n do
      local s = scene.at("val", i)
      verdicts[i] = oracle.attributes(picture_of(s), s, opts)
    end
    return oracle.rates(verdicts).all
  end

  it("finds every attribute of the truth", function()
    assert.equal(1, share(40, render.new))
  end)

  it("finds them with another texture", function()
    local function redraw(s) return render.new(retextured(s)) end
    local rate = share(50, redraw, { free_texture = true })
    assert.is_true(rate >= 0.98, "rate " .. rate)
  end)

  it("finds jitter", function()
    local s = scene.at("val", 3)
    local moved = scene.copy(s)
    for _, o in ipairs(moved.objects) do o.jx, o.jy = -o.jx, 1.5 end
    assert.is_true(oracle.attributes(render.new(moved), s).all)
  end)

  it("calls the changed attribute wrong, and only that one", function()
    local other = { kind = 7, colour = 4, size = 1, pattern = 2, cell = 8, place = 5, style = 4 }
    local s = simple()
    for name, id in pairs(other) do
      local verdict = oracle.attributes(render.new(simple { [name] = id }), s)
      assert.is_false(verdict[name][1], name)
      assert.is_false(verdict.all)
      -- A misplaced body or another style hides the rest, and a wrong colour may look like a
      -- pattern; elsewhere nothing else is wrong.
      if name == "colour" or name == "pattern" or name == "place" then
        for _, also in ipairs { "kind", "size", "cell" } do
          assert.is_true(verdict[also][1], name .. " " .. also)
        end
      end
    end
  end)

  it("does not see an object in an empty place", function()
    local empty = simple { place = 3 }
    empty.objects = {}
    assert.is_false(oracle.attributes(render.new(empty), simple { place = 3, colour = 5 }).kind[1])
  end)

  it("accepts exact targets and neither the source nor a variant", function()
    for i = 1, 30 do
      local e = edit.sample(rng.new("exact", i))
      local verdict = oracle.target(render.new(e.target), e.target, e.source)
      assert.is_true(verdict.success)
      assert.is_true(verdict.preserved_db == nil or verdict.preserved_db == 99)
      assert.is_false(oracle.target(render.new(e.source), e.target, e.source).success)
      local variant = scene.twins(rng.new("variant", i), e.target, 1, function() return true end)[1]
      assert.is_false(oracle.target(render.new(variant), e.target, e.source).success)
    end
  end)

  it("measures what an edit should have left alone", function()
    local source, target = simple { colour = 1 }, simple { colour = 2 }
    local p = render.new(target)
    for i = 0, 64 * 3 - 1 do p[i] = 0 end -- the top row
    local verdict = oracle.target(p, target, source)
    assert.is_true(verdict.success)
    assert.is_true(verdict.preserved_db > 15 and verdict.preserved_db < 20)
  end)
end)

describe("world.judge", function()
  it("accepts the truth of every task and not a copy", function()
    for _, name in ipairs { "edit", "compose", "together", "next", "exemplar", "subject" } do
      for i = 1, 8 do
        local e = tasks[name](rng.new("judge", i))
        local truth = e.source == 0 and retextured(e.image) or e.image
        assert.is_true(judge.example(render.new(truth), e), name .. " " .. i)
        if e.source > 0 then assert.is_false(judge.copy_succeeds(e), name .. " " .. i) end
      end
    end
  end)

  it("judges what a caption says and nothing else", function()
    local p = render.new(simple { place = 2, jx = 1 })
    assert.is_true(judge.caption(p, "an orange cat in a meadow"))
    assert.is_true(judge.caption(p, "a cat at the center"))
    assert.is_false(judge.caption(p, "a red cat in a meadow"))
    assert.is_false(judge.caption(p, "an orange dog"))
  end)

  it("compares answers word by word, captions by what they say", function()
    local e = tasks.describe(rng.new("answer", 1), { objects = 2 })
    assert.is_true(judge.answer(e.text, e))
    assert.is_false(judge.answer("a cat", e))
    local q = tasks.count(rng.new("answer", 2))
    assert.is_true(judge.answer(" " .. q.text:upper() .. ".", q))
    assert.is_false(judge.answer("seven", q))
  end)
end)
