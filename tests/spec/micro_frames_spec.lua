--- What the denoiser of videos is told of where in its thing, and in the arcs of a call, a latent
-- lies.
package.path = "./tests/lib/?.lua;./recipes/micro/?.lua;./recipes/micro/train/?.lua;"
  .. package.path
local ffi = require "ffi"
local weft = require "weft"
local configs = require "configs"
local courses = require "courses"
local layout = require "layout"
local micro_frame = require "weft.pipeline.micro_frame"
local micro_frames = require "weft.pipeline.micro_frames"
local micro_video = require "weft.pipeline.micro_video"
local render = require "world.render"
local rng = require "world.rng"
local scene = require "world.scene"
local video = require "world.video"

local SIDE, L = render.SIDE_PX, video.N_FRAMES
local DX, DY, SIN, COS = 3, 4, 12, 13

local function clips(n, opts)
  local list = {}
  for i = 1, n do
    list[i] = video.sample(rng.new("frames", i), weft.with({ split = "val", style = 0 }, opts))
  end
  return list
end

--- Clips as a stage tells of them.
local function told(list)
  local out = {}
  for i, clip in ipairs(list) do
    out[i] = { clip = clip, motion = "staying still and calling early", placed = true }
  end
  return out
end

--- Where every pixel of every frame lies, [n,8,64,64,13].
local function standing(list)
  local scenes = {}
  for i, v in ipairs(list) do scenes[i] = v.scene end
  return micro_frames.standing(layout.of_scenes(scenes), courses.of(told(list)), SIDE)
end

--- The first colour of a frame's pixels, without what the caller takes away.
local function pixels(v, k, change)
  local s = video.frame(v, k)
  change(s.objects[1])
  local bytes = ffi.new("uint8_t[?]", render.N_ELEMS)
  render.into(s, bytes)
  return bytes
end

describe("weft.pipeline.micro_frames", function()
  it("has as many channels as the configs say", function()
    assert.are.equal(configs.standing_channels, micro_frames.N_CHANNELS)
    assert.are.equal(configs.micro.unet.config.in_channels + 1,
      configs.micro.unet_video.config.in_channels)
  end)

  it("knows the middle of the thing in every frame", function()
    local list = clips(12, { call = 0.5 })
    local t = standing(list)
    for n, v in ipairs(list) do
      for k = 0, L - 1 do
        local o = video.frame(v, k).objects[1]
        local x, y = scene.offset(o.cell)
        x, y = 31.5 + x + o.jx, 31.5 + y + o.jy
        local px, py = math.floor(x), math.floor(y)
        if px >= 0 and py >= 0 and px < SIDE and py < SIDE then
          local at = t:select(1, n):select(1, k + 1):select(1, py + 1):select(1, px + 1):totable()
          assert.is_true(math.abs(at[DX] * micro_frame.DISTANCE_PX - (px - x)) < 1e-3)
          assert.is_true(math.abs(at[DY] * micro_frame.DISTANCE_PX - (py - y)) < 1e-3)
        end
      end
    end
  end)

  it("tells where the arcs of a call are light", function()
    local list, light, crests, hidden, arcs = clips(12, { call = 1 }), 0, 0, 0, 0
    local t = standing(list)
    for n, v in ipairs(list) do
      local calling = pixels(v, v.call, function() end)
      local silent = pixels(v, v.call, function(o) o.calling = nil end)
      local rows = t:select(1, n):select(1, v.call + 1)
        :reshape(-1, micro_frames.N_CHANNELS):totable()
      for i, row in ipairs(rows) do
        local at, is_changed = (i - 1) * 3, false
        for c = 0, 2 do is_changed = is_changed or calling[at + c] ~= silent[at + c] end
        local is_told = row[SIN] ~= 0 or row[COS] ~= 0
        arcs, hidden = arcs + (is_changed and 1 or 0),
          hidden + (is_changed and not is_told and 1 or 0)
        if row[COS] > 0.9 * micro_frame.WAVE then
          crests, light = crests + 1, light + (calling[at] > 200 and 1 or 0)
        end
      end
    end
    assert.is_true(crests > 300, crests)
    assert.is_true(light > 0.95 * crests, light .. " of " .. crests)
    assert.is_true(hidden < 0.1 * arcs, hidden .. " of " .. arcs)
  end)

  it("tells no arcs in frames without a call, and nothing where no thing is", function()
    local list = clips(4, { call = 1 })
    local t = standing(list):narrow(5, SIN, 2):abs():max({ 3, 4, 5 }):totable()
    for n, v in ipairs(list) do
      for k = 0, L - 1 do
        local calls = k == v.call or k == v.call + 1
        assert.are.equal(calls, t[n][k + 1] > 0)
      end
    end
    local empty = weft.tensor.zeros { 1, 8, 8, 42 }
    assert.are.equal(0, micro_frames.standing(empty, courses.of(told { list[1] }), 16)
      :abs():max():item())
  end)

  it("leaves it out of maps where the words do not say where the thing is", function()
    local v = clips(1, { call = 1 })[1]
    local function placed(motion, is_placed)
      return courses.placed({ { clip = v, motion = motion, placed = is_placed } }):totable()[1]
    end
    assert.are.same({ 1, 0, 0, 0 }, { placed("moving left and calling late", true),
      placed("and calling late", true), placed("", true), placed("moving left", false) })
    local map = weft.cat({ weft.tensor.ones { 1, 8, 8, 4 }, layout.of_scenes { v.scene } }, 4)
    local path = courses.of(told { v })
    local function maps(x) return micro_frames.maps(map, path, weft.tensor { x }, 16) end
    local yes, no, n = maps(1), maps(0), micro_frames.N_CHANNELS
    assert.are.same({ 1, L, 16, 16, n + 47 }, yes:size())
    assert.is_true(yes:narrow(5, 1, n):abs():max():item() > 0)
    assert.are.equal(0, no:narrow(5, 1, n):abs():max():item())
    assert.are.equal(0, (yes - no):narrow(5, n + 1, 46):abs():max():item())
  end)

  it("has the channel of calls on the side where arcs are, of things in the middle too", function()
    local v = clips(1, { call = 1 })[1]
    v.motion = 0
    v.scene.objects[1].cell = 4
    for _, jx in ipairs { -2, -0.2, 0.2, 0.8, 2 } do
      v.scene.objects[1].jx = jx
      -- surer of its right half than of its left: by its weight the thing stands farther right
      local said = layout.of_scenes { v.scene }
      said = weft.cat({ said:narrow(3, 1, 4) * 0.6, said:narrow(3, 5, 4) }, 3)
      local map = weft.cat({ weft.tensor.ones { 1, 8, 8, 4 }, said }, 4)
      local maps = micro_frames.maps(map, courses.of(told { v }), weft.tensor { 1 }, 16)
        :select(2, v.call + 1):reshape(16, 16, -1)
      local last = maps:size(3)
      local function side(x)
        return x:narrow(2, 9, 8):sum():item() - x:narrow(2, 1, 8):sum():item()
      end
      local calls = maps:narrow(3, last, 1)
      local waves = maps:narrow(3, SIN, 2):abs()
      assert.is_true(side(calls) * side(waves) > 0, "jx " .. jx)
      assert.are.equal(jx < 0.5, side(calls) > 0, "jx " .. jx)
    end
  end)

  it("knows words that say a course from those that say a call alone", function()
    local seen = {}
    for _, motion in ipairs { "moving left", "And calling late", "", "staying still" } do
      seen[#seen + 1] = micro_video.says_course(motion)
    end
    assert.are.same({ true, false, false, true }, seen)
  end)

  it("refuses a denoiser with channels that nothing fills", function()
    local unet = { config = { in_channels = 99 } }
    local z = weft.tensor.zeros { 1, 2, 16, 16, 8 }
    local ok, e = pcall(micro_video.denoise, unet, z, weft.tensor { 0 },
      z:narrow(2, 1, 1), { map = weft.tensor.zeros { 1, 2, 16, 16, 85 } })
    assert.is_false(ok)
    assert.truthy(tostring(e):find("unet_video: in_channels in config.json is 99", 1, true))
  end)
end)
