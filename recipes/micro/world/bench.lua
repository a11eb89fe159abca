--- Scenes, sounds and videos a second on one core: sampling, rendering and a caption each.
--   luajit recipes/micro/world/bench.lua [n]
package.path = "./recipes/micro/?.lua;" .. package.path

local ffi = require "ffi"
local caption = require "world.caption"
local edit = require "world.edit"
local render = require "world.render"
local rng = require "world.rng"
local scene = require "world.scene"
local audio = require "world.audio"
local music = require "world.music"
local sound = require "world.sound"
local sound_caption = require "world.sound_caption"
local sound_tasks = require "world.sound_tasks"
local video = require "world.video"
local video_caption = require "world.video_caption"

local n = tonumber(arg and arg[1]) or 6000
local picture = ffi.new("float[?]", render.N_ELEMS)

--- Run work(i) n times and print how many items a second it makes.
local function measure(name, per_call, work)
  for i = 1, n / 10 do work(i) end
  local start = os.clock()
  for i = 1, n do work(i) end
  print(("%-24s %7.0f a second"):format(name, n * per_call / (os.clock() - start)))
end

measure("scenes", 1, function(i)
  local r = rng.new("bench", i)
  local s = scene.sample(r, { quality = 0.1 })
  render.float_into(s, picture)
  caption.sample(s, r)
end)

measure("pictures of twins", 6, function(i)
  local r = rng.new("bench-twins", i)
  local s = scene.sample(r)
  local group = scene.twins(r, s, 5)
  group[6] = s
  for _, v in ipairs(group) do
    render.float_into(v, picture)
    caption.sample(v, r)
  end
end)

measure("pairs of edits", 1, function(i)
  local e = edit.sample(rng.new("bench-edits", i))
  render.float_into(e.source, picture)
  render.float_into(e.target, picture)
end)

local samples = ffi.new("float[?]", audio.N_SAMPLES)
local frames = ffi.new("float[?]", video.N_FRAMES * render.N_ELEMS)

measure("sounds", 1, function(i)
  local r = rng.new("bench-sounds", i)
  local s = sound.sample(r)
  audio.into(s, samples)
  sound_caption.sample(s, r)
end)

measure("music", 1, function(i) audio.into(music.at("bench", i), samples) end)

measure("videos of eight frames", 1, function(i)
  local r = rng.new("bench-videos", i)
  local v = video.sample(r)
  video.float_into(v, frames)
  video_caption.sample(v, r)
end)

measure("examples with sound", 1, function(i) sound_tasks.sample(rng.new("bench-tasks", i)) end)
