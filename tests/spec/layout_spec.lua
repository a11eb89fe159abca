--- What stands where: the labels of places, and the conditioner that says them.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;./tests/lib/?.lua;"
  .. package.path
local weft = require "weft"
local configs = require "configs"
local data = require "data"
local labels = require "labels"
local layout = require "layout"
local micro = require "micro"
local scenes = require "world.scene"
local shell = require "shell"
local video = require "world.video"

--- The ids that are told of a field at a place, of one layout [8,8,K].
local function told(set, x, row, column, name)
  local values, ids = x[row][column]:totable(), {}
  for _, f in ipairs(set) do
    for id = 0, f.name == name and f.count - 1 or -1 do
      if values[f.first + id + 1] == 1 then ids[#ids + 1] = id end
    end
  end
  return ids
end

describe("the layout of a picture", function()
  local scene = { place = 3, style = 0, texture = 1, objects = {
    { kind = 5, colour = 2, size = 0, pattern = 1, cell = 0, jx = 0, jy = 0 },
    { kind = 7, colour = 4, size = 2, pattern = 0, cell = 4, jx = 0, jy = 0 } } }
  local x = layout.of_scenes({ scene, scene })[2]
  local function at(row, column, name) return told(labels.PLACE, x, row, column, name) end

  it("has as many channels as the configs say", function()
    assert.are.same({ 8, 8, configs.layout_channels.picture }, x:size())
  end)
  it("tells each object where it stands, the last over the others", function()
    assert.are.same({ 5 }, at(2, 2, "kind"))
    assert.are.same({ 2 }, at(2, 2, "colour"))
    assert.are.same({ 7 }, at(4, 4, "kind"))
    assert.are.same({ 2 }, at(5, 5, "size"))
    assert.are.same({ 7 }, at(3, 3, "kind"))
  end)
  it("tells place and style everywhere, and nothing else where nothing stands", function()
    assert.are.same({}, at(8, 1, "kind"))
    assert.are.same({ 3 }, at(8, 1, "place"))
    assert.are.same({ 0 }, at(2, 2, "style"))
  end)
end)

describe("where a thing is seen", function()
  local function scene_of(objects)
    return { place = 1, style = 0, texture = 1, objects = objects }
  end
  it("holds what it changes of a picture, as it moves, swells and calls", function()
    for i = 1, 20 do
      local v = video.at("val", i, { call = 1, style = 0 })
      for _, k in ipairs { 0, v.call, 7 } do
        local with = video.frame(v, k)
        local without = scenes.copy(with)
        without.objects = {}
        local x = data.pictures { with, without }
        local seen = layout.seen({ with }, 64)
        local changed = (x:narrow(1, 1, 1) - x:narrow(1, 2, 1)):abs():max({ 4 }, true)
        local missed = (changed * (1 - seen)):sum():item()
        assert.is_true(missed < 0.01 * changed:sum():item())
      end
    end
  end)
  it("is where the body is, and wider where it calls", function()
    local o = { kind = 1, colour = 1, size = 0, pattern = 0, cell = 4, jx = 0, jy = 0 }
    local still = layout.seen({ scene_of { o } }, 16):squeeze()
    assert.are.equal(1, still[8][8])
    assert.are.equal(0, still[1][1])
    local moved, calling = scenes.copy_object(o), scenes.copy_object(o)
    moved.jx, calling.calling = 20, true
    assert.are.equal(0, layout.seen({ scene_of { moved } }, 16):squeeze()[8][8])
    local wide = layout.seen({ scene_of { calling } }, 16)
    assert.is_true(wide:sum():item() > still:sum():item())
  end)
end)

describe("the layout of a sound", function()
  local sound = { ambience = 2, seed = 1, echo = true, events = {
    { voice = 3, pitch = 1, slot = 1 }, { voice = 9, pitch = 2, slot = 2 } } }
  local function at(x, row, name) return told(labels.SOUND, x, row, 5, name) end

  it("has as many channels as the configs say, and tells voices by slot", function()
    local x = layout.of_sounds({ sound })[1]
    assert.are.same({ 8, 8, configs.layout_channels.sound }, x:size())
    local voices = {}
    for row = 1, 8 do voices[row] = at(x, row, "voice")[1] or -1 end
    assert.are.same({ -1, 3, 9, 9, -1, -1, -1, -1 }, voices)
    assert.are.same({ 1 }, at(x, 8, "ambience"))
    assert.are.same({ 0 }, at(x, 1, "effect"))
  end)
  it("tells backwards what was played backwards", function()
    local x = layout.of_sounds({ weft.with(sound, { reverse = true }) })[1]
    assert.are.same({ 3 }, at(x, 7, "voice"))
    assert.are.same({ 9 }, at(x, 6, "voice"))
  end)
  it("tells music in every slot", function()
    local x = layout.of_sounds({ { instrument = 2, mode = 1, tempo = 0, root = 3 } })[1]
    assert.are.same({ 2 }, at(x, 1, "instrument"))
    assert.are.same({ 1 }, at(x, 8, "mode"))
  end)
end)

describe("a conditioner", function()
  local feature = weft.normalize(weft.tensor.randn({ 2, 128 }, { seed = 1 }))
  it("says the layout, and puts it behind the map", function()
    local config = micro.config("conditioner", true)
    local c = weft.model.new("conditioner", config, { seed = 2 })
    local out = c { feature = feature }
    local n, K = config.map_channels, config.layout_channels
    assert.are.same({ 2, 8, 8, n + K }, out.map:size())
    local named = {}
    for name, t in c:parameters() do named[name] = t end
    local logits = weft.linear(feature * math.sqrt(128), named["layout.weight"],
      named["layout.bias"]):reshape(2, 8, 8, K)
    assert.is_true((logits - out.layout):abs():max():item() < 1e-5)
    assert.is_true((logits:sigmoid() - out.map:narrow(4, n + 1, K)):abs():max():item() < 1e-6)
  end)
  it("of sounds reads it by more than a linear map, and says it of slots", function()
    local config = micro.config("audio_conditioner", true)
    local c = weft.model.new("conditioner", config, { seed = 2 })
    local K, named = config.layout_channels, {}
    for name, t in c:parameters() do named[name] = t end
    local more = named["layout_more.2.weight"]
    assert.are.equal(0, more:abs():max():item())
    c:set("layout_more.2.weight", weft.tensor.randn(more:size(), { seed = 3 }))
    for name, t in c:parameters() do named[name] = t end
    local f = feature * math.sqrt(128)
    local function linear(x, name)
      return weft.linear(x, named[name .. ".weight"], named[name .. ".bias"])
    end
    local logits = linear(f, "layout")
      + linear(weft.silu(linear(f, "layout_more.0")), "layout_more.2")
    local out = c { feature = feature }
    assert.are.same({ 2, 8, 8, K }, out.layout:size())
    assert.are.same({ 2, 8, 8, config.map_channels + K }, out.map:size())
    for column = 1, 8 do
      local off = out.layout:narrow(3, column, 1):reshape(2, 8, K) - logits:reshape(2, 8, K)
      assert.is_true(off:abs():max():item() < 1e-4)
    end
  end)
  it("refuses columns that make no map", function()
    local config = micro.config("audio_conditioner", true)
    config.layout_columns = 3
    local ok, err = pcall(weft.model.new, "conditioner", config)
    assert.is_false(ok)
    assert.matches("layout_columns is 3, wanted 1 or map_size, 8", tostring(err))
  end)
  it("has none where its config names none", function()
    local config = micro.config("conditioner", true)
    config.layout_channels = nil
    local out = weft.model.new("conditioner", config, { seed = 2 }) { feature = feature }
    assert.is_nil(out.layout)
    assert.are.same({ 2, 8, 8, config.map_channels }, out.map:size())
  end)
end)

describe("a denoiser's stage", function()
  it("teaches the conditioner to say the layout", function()
    local dir = micro.make(micro.temp())
    finally(function() micro.remove(dir) end)
    local rc, _, err = shell.weft(".", ("run --plain recipes/micro/train/unet.lua batch=4 steps=24 "
      .. "warmup=1 lr=0.01 foreground=1 out=%s work=%s/work"):format(dir, dir))
    assert.are.equal(0, rc, err)
    local first, last
    for line in io.lines(dir .. "/work/log.jsonl") do
      last = weft.json.decode(line).layout
      first = first or last
    end
    -- Everything begins as likely as not, .69 x 42 for the few that are: soon less than half.
    assert.is_true(last < first / 2, ("%g, then %g"):format(first, last))
  end)
end)

describe("weft.glob", function()
  it("raises where some are wanted and nothing fits", function()
    assert.are.same({}, weft.glob "no-such-*.png")
    assert.are.same({}, weft.glob("", { some = true }))
    local ok, err = pcall(weft.glob, "no-such-*.png", { some = true })
    assert.is_false(ok)
    assert.truthy(tostring(err):find("no file fits 'no-such-*.png'", 1, true))
  end)
end)
