--- Scenes a second on one core: sampling, rendering to floats and a caption each.
--   luajit recipes/micro/world/bench.lua [n]
package.path = "./recipes/micro/?.lua;" .. package.path

local ffi = require "ffi"
local caption = require "world.caption"
local edit = require "world.edit"
local render = require "world.render"
local rng = require "world.rng"
local scene = require "world.scene"

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
