-- from-depth.lua: pictures of what stands where a depth map says, in any colour and place
--   weft run recipes/from-depth.lua input=map.png n=7
local weft = require "weft"
local p = weft.params {
  input = { "", path = true, help = "a gray picture, 0 near and 1 far; none: a disc is drawn" },
  n = { 7, min = 1, max = 64 }, guidance = 3, steps = 25, seed = 1,
  out = { "from-depth.png", path = true, help = "sheet of the map and the pictures" },
}
local m = weft.load "micro"

--- A disc near by, before a floor that comes nearer from 1 to 0.6 downwards.
local function disc()
  local at = weft.tensor.arange(0, 63, 1):reshape(64, 1)
  local far = ((at - 31.5):square() + (at:t() - 31.5):square()):gt(13 ^ 2):to "f32"
  local floor = 1 - at * (0.4 / 63)
  return weft.image.from((floor * far + (1 - far) * 0.15):reshape(64, 64, 1))
end

local map = p.input ~= "" and weft.image.load(p.input):as(1) or disc()
local r = m:generate { weft.depth(map), to = "image", n = p.n, guidance = p.guidance,
  steps = p.steps, seed = p.seed }
weft.sheet({ map:as(3), unpack(r.images) }, { columns = 4, size = 128 }):save(p.out)
