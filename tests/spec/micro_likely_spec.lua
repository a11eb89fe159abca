--- The picture that a layout says most likely, beside a source; and what of the source stays.
package.path = "./tests/lib/?.lua;./recipes/micro/?.lua;./recipes/micro/train/?.lua;"
  .. package.path
local weft = require "weft"
local kept = require "weft.pipeline.micro_kept"
local likely = require "weft.pipeline.micro_likely"
local media = require "weft.pipeline.micro_media"
local micro = require "micro"
local micro_scene = require "weft.pipeline.micro_scene"
local parts = require "weft.pipeline.micro_parts"
local T = weft.tensor

local ROBOT = "a small plain pink robot at the left"
local HEART = "a large dotted purple heart at the right"
local BEFORE = ROBOT .. " and " .. HEART .. " on the beach"

local function of(text) return (assert(micro_scene.of_words(text), text)) end

--- Logits of layouts that are so sure of these words, the surer the more they weigh.
local function logits(weights)
  local sum = 0
  for text, weight in pairs(weights) do sum = micro_scene.layout(of(text)) * weight + sum end
  return sum * 8 - 4
end

--- The words of things and ground, as a scene orders them.
local function key(scene)
  local rows = {}
  for _, o in ipairs(scene.things) do
    rows[#rows + 1] = ("%d %d %d %d %d"):format(o.kind, o.colour or 0, o.size, o.pattern, o.cell)
  end
  table.sort(rows)
  return ("%s; %d %d"):format(table.concat(rows, ", "), scene.place, scene.style)
end

local function assert_likely(want, weights)
  local got = likely.near(micro_scene, logits(weights), of(BEFORE))
  assert.are.equal(key(of(want)), key(got), want)
end

describe("the likeliest picture beside a source", function()
  it("is what the layout says where that is one change", function()
    for _, after in ipairs {
      "a small plain pink robot at the left and a large dotted purple star at the right "
        .. "on the beach",
      "a small plain green robot at the left and " .. HEART .. " on the beach",
      "a small plain pink robot at the top and " .. HEART .. " on the beach",
      ROBOT .. " and " .. HEART .. " in the snow", HEART .. " on the beach",
      BEFORE .. " in neon style", BEFORE .. " in sketch style",
      ROBOT .. " and a medium plain cyan dog at the bottom and " .. HEART .. " on the beach",
    } do
      assert_likely(after, { [after] = 1 })
    end
  end)
  it("is the source where nothing is likelier", function()
    assert_likely(BEFORE, { [BEFORE] = 1 })
  end)
  it("is what both things become alike", function()
    local purple = "a small plain purple robot at the right and a large dotted purple heart "
      .. "at the left"
    for _, after in ipairs {
      "a small plain purple robot at the left and " .. HEART .. " on the beach",
      "a small plain red robot at the left and a large dotted pink heart at the right on the beach",
      "a small plain purple robot at the left and a large dotted pink heart at the right "
        .. "on the beach",
      "a small plain pink star at the left and a large dotted purple star at the right "
        .. "on the beach",
      "a large plain pink robot at the left and a small dotted purple heart at the right "
        .. "on the beach",
      "a small plain pink robot at the right and a large dotted purple heart at the left "
        .. "on the beach",
    } do
      -- It is unsure of both: a change of one thing after the other would cost too much.
      local got = likely.near(micro_scene, logits { [after] = 0.507, [BEFORE] = 0.493 }, of(BEFORE))
      assert.are.equal(key(of(after)), key(got), after)
    end
    assert_likely(purple .. " on the beach", { [purple .. " on the beach"] = 1 })
  end)
  it("is several changes where they are plain", function()
    local after = "a medium plain cyan dog at the bottom at night"
    assert_likely(after, { [after] = 1 })
  end)
  it("is one change of two that the layout mixes", function()
    local robot = "a small plain green robot at the left and " .. HEART .. " on the beach"
    local both = "a small plain green robot at the left and a large dotted green heart at the "
      .. "right on the beach"
    -- Half unsure of the robot's colour, a little of the heart's too.
    assert_likely(robot, { [robot] = 0.45, [BEFORE] = 0.35, [both] = 0.2 })
  end)
end)

describe("words of two things", function()
  local function assert_said(want, direct, words)
    local got = likely.near(micro_scene.said, logits { [direct] = 1 }, of(words))
    assert.are.equal(key(of(want)), key(got), words)
  end

  it("are set right where they exchange what each is", function()
    for _, slip in ipairs {
      "a small plain purple robot at the left and a large dotted pink heart at the right "
        .. "on the beach",
      "a large plain pink heart at the left and a small dotted purple robot at the right "
        .. "on the beach",
      "a small plain pink heart at the left and a large dotted purple robot at the right "
        .. "on the beach", "a small plain green robot at the left and " .. HEART .. " on the beach",
    } do
      assert_said(BEFORE, BEFORE, slip)
    end
  end)
  it("stay where nothing is surer", function()
    local unsure = micro_scene.layout(of(BEFORE)) * 0.1
    assert.are.equal(key(of(BEFORE)), key(likely.near(micro_scene.said, unsure, of(BEFORE))))
  end)
  it("stay of one thing, and say the ground", function()
    assert_said(ROBOT .. " at night", BEFORE, ROBOT .. " at night")
    assert_said(ROBOT .. " and " .. HEART .. " at night", BEFORE, ROBOT .. " and " .. HEART
      .. " at night")
  end)
end)

describe("what stays of a source", function()
  local before = micro_scene.layout(of(BEFORE))
  local function mask_of(text) return kept.mask(before, micro_scene.layout(of(text))) end

  it("is all but what changes and what is beside that", function()
    local mask = mask_of("a small plain green robot at the left and " .. HEART .. " on the beach")
    assert.are.same({ 1, 16, 16, 1 }, mask:size())
    local rows = mask:reshape(16, 16):totable()
    -- The robot covers places 1 and 2 of a row, 3 and 4 of a column, of 8; a place is two latents.
    for y = 1, 16 do
      for x = 1, 16 do
        local is_near = x <= 8 and y >= 5 and y <= 12
        assert.are.equal(is_near and 1 or 0, rows[y][x] > 0 and 1 or 0, x .. " " .. y)
      end
    end
  end)
  it("is nothing where all changes, or nothing that a layout says", function()
    assert.is_nil(mask_of(BEFORE))
    assert.is_nil(mask_of(ROBOT .. " and " .. HEART .. " at night"))
    assert.is_nil(mask_of(BEFORE .. " in neon style"))
  end)
  it("asks that things stay and are silent", function()
    assert.is_true(kept.is_still(nil))
    assert.is_true(kept.is_still(T { { 0.1, 0, -0.2, 0.1, 0.05, -1 } }))
    for i = 1, 5 do
      local carry = { 0, 0, 0, 0, 0, -1 }
      carry[i] = -2
      assert.is_false(kept.is_still(T { carry }))
    end
    assert.is_false(kept.is_still(T { { 0, 0, 0, 0, 0, 1 } }))
  end)
end)

describe("an edit", function()
  local dir = micro.make(micro.temp(), { narrow = true })
  local m = weft.load(dir)
  micro.remove(dir)
  local image = media.media.image
  local photo = weft.image.from(T.rand({ 64, 64, 3 }, { seed = 3 }))
  local source = parts.latents(m.parts.vae, image.read(m, photo))

  --- How far the latents of an edit are off its source: where it is drawn anew, and elsewhere.
  local function off(opts)
    local mask, near, pictures = kept.mask, likely.near, parts.pictures
    local redrawn, z
    finally(function() kept.mask, likely.near, parts.pictures = mask, near, pictures end)
    likely.near = function() return of(BEFORE) end
    kept.mask = function()
      local rows = {}
      for y = 1, 16 do
        rows[y] = {}
        for x = 1, 16 do rows[y][x] = { x <= 8 and 1 or 0 } end
      end
      redrawn = T { rows }
      return redrawn
    end
    parts.pictures = function(vae, x)
      z = x:totable()
      return pictures(vae, x)
    end
    m:edit(photo, weft.with({ "a red cat", steps = 2, seed = 1, progress = false }, opts or {}))
    kept.mask, likely.near, parts.pictures = mask, near, pictures
    local far = (T(z) - source):abs():mean { 4 }:reshape(16, 16)
    return far:narrow(2, 1, 8):mean():item(), far:narrow(2, 9, 8):max():item()
  end

  it("keeps the source's very latents where nothing changes", function()
    local new, stays = off()
    assert.is_true(new > 0.1)
    assert.are.equal(0, stays)
  end)
  it("draws all of it anew from an init", function()
    local _, stays = off { init = photo, strength = 0.9, steps = 4 }
    assert.is_true(stays > 0.01)
  end)
end)
