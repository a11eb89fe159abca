--- The small world's videos: frames, their sound, words and the judge.
--   busted --lua=luajit tests/spec/video_world_spec.lua
package.path = "./recipes/micro/?.lua;" .. package.path

local ffi = require "ffi"
local caption = require "world.video_caption"
local hearing = require "world.hearing"
local names = require "world.names"
local oracle = require "world.oracle"
local render = require "world.render"
local rng = require "world.rng"
local scene = require "world.scene"
local video = require "world.video"
local vocabulary = require "world.vocabulary"
local watch = require "world.watch"

local N = render.N_ELEMS

local function one(changes)
  local o = { kind = 6, colour = 1, size = 1, pattern = 0, cell = 4, jx = 0, jy = 0 }
  local v = { motion = 0, scene = { objects = { o }, place = 0, style = 0, texture = 7 } }
  for k, value in pairs(changes or {}) do
    if k == "motion" or k == "call" then v[k] = value
    elseif k == "place" or k == "style" or k == "texture" then v.scene[k] = value
    else o[k] = value end
  end
  return v
end

--- Another texture and jitter.
local function redrawn(v)
  local w = video.copy(v)
  w.scene.texture = (v.scene.texture * 7 + 13) % 2 ^ 31
  w.scene.objects[1].jx, w.scene.objects[1].jy = -v.scene.objects[1].jx, 1
  return w
end

--- Mean column and row of the pixels that are not the white room's, and how many there are.
local function body_of(bytes, k)
  local x, y, n = 0, 0, 0
  for i = 0, 64 * 64 - 1 do
    local r, b = bytes[k * N + 3 * i], bytes[k * N + 3 * i + 2]
    if math.abs(r - 236) > 30 or math.abs(b - 236) > 30 then
      x, y, n = x + i % 64, y + math.floor(i / 64), n + 1
    end
  end
  return x / n, y / n, n
end

describe("world.video", function()
  it("is a function of split and index, and trains on what is seen and heard alone", function()
    assert.same(video.at("train", 12), video.at("train", 12))
    assert.are_not.same(video.at("train", 12), video.at("val", 12))
    local seen = {}
    for i = 1, 2000 do
      local v = video.at("train", i)
      assert(video.is_seen(v) and video.is_valid(v), "train " .. i)
      seen["motion" .. v.motion], seen["call" .. tostring(v.call)] = true, true
    end
    for id = 0, 7 do assert.is_true(seen["motion" .. id]) end
    for call = 1, 5 do assert.is_true(seen["call" .. call]) end
    assert.is_true(seen.callnil)
  end)

  it("moves as it says", function()
    for motion, expected in pairs { [1] = { -30.8, 0 }, [2] = { 30.8, 0 }, [3] = { 0, -30.8 },
                                    [4] = { 0, 30.8 } } do
      local bytes = video.new(one { motion = motion })
      local x0, y0 = body_of(bytes, 0)
      local x1, y1 = body_of(bytes, 7)
      assert.near(expected[1], x1 - x0, 0.7)
      assert.near(expected[2], y1 - y0, 0.7)
    end
    local grown = video.new(one { motion = 5 })
    local _, _, n0 = body_of(grown, 0)
    local _, _, n7 = body_of(grown, 7)
    assert.is_true(n7 / n0 > 2.4 and n7 / n0 < 1.09 ^ 14)     -- the outline stays as wide
    local bounced = video.new(one { motion = 7 })
    local _, top = body_of(bounced, 0)
    for _, k in ipairs(video.CONTACTS) do
      local _, ground = body_of(bounced, k)
      assert.near(10, ground - top, 0.5)
    end
  end)

  it("shows a call for two frames and nothing else changes", function()
    local still, calls = video.new(one()), video.new(one { call = 3 })
    for k = 0, 7 do
      local same = ffi.string(still + k * N, N) == ffi.string(calls + k * N, N)
      assert.equal(k ~= 3 and k ~= 4, same)
    end
  end)

  it("sounds as it looks", function()
    local v = one { call = 3, motion = 7, size = 0, place = 7 }
    assert.same({ { voice = 0, pitch = 1, slot = 2 }, { voice = 6, pitch = 2, slot = 3 },
                  { voice = 0, pitch = 1, slot = 6 } }, video.find_sound(v, 1).events)
    assert.equal(1, video.find_sound(v, 1).ambience)
    assert.is_nil(video.find_sound(one(), 1))
    assert.is_false(video.is_valid(one { call = 2, motion = 7 }))
    assert.is_false(video.is_valid(one { motion = 1, cell = 3 }))
  end)
end)

describe("world.video_caption", function()
  it("says everything, in English, and comes back", function()
    assert.equal("a medium plain orange cat at the center in a white room moving left"
      .. " and calling in the middle", caption.complete(one { motion = 1, call = 3 }))
    local known = {}
    for _, word in ipairs(vocabulary.words()) do known[word] = true end
    for i = 1, 300 do
      local v = video.at("caption", i, { split = "val" })
      local text = caption.complete(v)
      assert.is_true(caption.score(text, v).all, text)
      assert.is_true(caption.parse(caption.partial(v, rng.new("partial", i))).ok)
      for word in text:gmatch("%a+") do assert.is_true(known[word], word) end
    end
  end)

  it("scores what is wrong and nothing else", function()
    local v = one { motion = 1, call = 1 }
    local right = caption.score(caption.complete(one { motion = 2, call = 2 }), v)
    assert.same({ { false }, { true }, { true }, false },
      { right.motion, right.call, right.kind, right.all })
    assert.is_false(caption.score(caption.complete(one { motion = 1 }), v).all)
    assert.is_false(caption.parse("a cat flying away").ok)
  end)
end)

describe("world.watch", function()
  it("finds everything right in true frames, whatever their texture and jitter", function()
    for i = 1, 10 do
      local v = video.at("watch", i, { split = "val" })
      assert.is_true(watch.attributes(video.new(v), v).all, caption.complete(v))
    end
    local rates = {}
    for i = 1, 20 do
      local v = video.at("watch", i, { split = "val" })
      rates[i] = watch.attributes(video.new(redrawn(v)), v, { free_texture = true })
    end
    assert.is_true(oracle.rates(rates).all >= 0.9)
  end)

  it("calls the changed attribute wrong", function()
    for name, id in pairs { motion = 5, call = 4, kind = 9, colour = 5, pattern = 1, place = 5 } do
      local base = { motion = 6, call = 2 }
      local v = one(base)
      base[name] = id
      local verdict = watch.attributes(video.new(one(base)), v)
      assert.is_false(verdict[name][1], name)
      assert.is_false(verdict.all)
    end
  end)

  it("reads floats as it reads bytes", function()
    local v, floats = one { motion = 3, call = 2, place = 6 }, ffi.new("float[?]", 8 * N)
    video.float_into(v, floats)
    assert.equal(ffi.string(video.new(v), 8 * N), ffi.string(watch.to_bytes(floats), 8 * N))
  end)

  it("hears whether sound and picture call together", function()
    for i = 1, 8 do
      local v = video.at("sync", i, { split = "val", call = 1 })
      local mel = hearing.of { video.find_sound(v, 99) }:select(1, 1)
      assert.is_true(watch.sync(video.new(redrawn(v)), mel, v).success)
      local late = video.copy(v)
      late.call = (v.call + 1) % 5 + 1
      if video.is_valid(late) then
        local wrong = watch.sync(video.new(late), mel, v)
        assert.same({ false, late.call, v.call }, { wrong.success, wrong.seen, wrong.heard })
      end
    end
  end)

  it("knows whether a sound belongs to a scene", function()
    local links = require "world.links"
    local right, wrong, n = 0, 0, 12
    for i = 1, n do
      local s = scene.at("belongs", i, { split = "val" })
      local t = scene.at("belongs", i + 100, { split = "val" })
      local a = links.find_sound(s, 3)
      if #a.events > 0 then
        local mel = hearing.of { a }:select(1, 1)
        right = right + (watch.belongs(mel, s) and 1 or 0)
        wrong = wrong + (watch.belongs(mel, t) and 1 or 0)
      end
    end
    assert.is_true(right >= n - 1)
    assert.equal(0, wrong)
  end)

  it("has words for every motion", function() assert.equal(8, names.motion.count) end)
end)
