--- Pictures: [H,W,C] f32 tensors in 0 ... 1 with C of 1, 3 or 4, in host memory, and what people do
-- with them.
-- Methods give new pictures. Positions and sizes are measured in pixels from 0 at the top left.
local core = require "weft.core"
local check = require "weft.check"
local finite = require "weft.finite"
local T = require "weft.tensor"
local ops = require "weft.ops"
local paths = require "weft.paths"
local pointer = require "weft.pointer"

local M = {}
local host = { device = "cpu" }      -- where pictures lie, whatever computes
---@class weft.Image
---@field width integer
---@field height integer
---@field channels integer
local Image = {}
Image.kind = "image"

local sizes = { height = 1, width = 2, channels = 3 }

Image.__index = function(self, name)
  if sizes[name] then return rawget(self, "data"):size(sizes[name]) end
  return Image[name]
end

local function wrap(data, meta) return setmetatable({ data = data, meta = meta }, Image) end

function M.is(v) return getmetatable(v) == Image end

local function check_image(what, v)
  if not M.is(v) then check.fail("%s must be an image, got %s", what, type(v)) end
  return v
end

-- ---- making ----

--- A picture over a tensor [H,W,C] (or [H,W], or [1,H,W,C]) of values in 0 ... 1; memory is shared
-- where the dtype is f32 and the device the CPU.
function M.from(t)
  t = check.tensor("image.from: tensor", t):to "cpu"
  if t.rank == 4 and t:size(1) == 1 then t = t:select(1, 1) end
  if t.rank == 2 then t = t:unsqueeze(3) end
  local C = t.rank == 3 and t:size(3)
  if C ~= 1 and C ~= 3 and C ~= 4 then
    check.fail("image.from: [%s] is not [H,W,C] with C of 1, 3 or 4", table.concat(t:size(), ","))
  end
  if t.dtype == "u8" then return wrap(t:to "f32" / 255) end
  return wrap(finite.must("image.from", t:to "f32"))
end

local names = {
  black = { 0, 0, 0 }, white = { 1, 1, 1 }, gray = { 0.5, 0.5, 0.5 }, red = { 1, 0, 0 },
  green = { 0, 1, 0 }, blue = { 0, 0, 1 },
}

--- A colour as numbers in 0 ... 1: a number, a list, a name, or "#rrggbb".
local function colour_of(v)
  if type(v) == "number" then return { v, v, v } end
  if type(v) == "table" then
    if #v ~= 1 and #v ~= 3 and #v ~= 4 then
      check.fail("image: a colour is a list of 1, 3 or 4 numbers, got %d", #v)
    end
    for _, x in ipairs(v) do check.given("image: each number of a colour", x) end
    return v
  end
  if names[v] then return names[v] end
  local r, g, b = tostring(v):match("^#(%x%x)(%x%x)(%x%x)$")
  if not r then check.fail("image: no colour %s", tostring(v)) end
  return { tonumber(r, 16) / 255, tonumber(g, 16) / 255, tonumber(b, 16) / 255 }
end

--- A picture of one colour (black).
function M.new(width, height, colour)
  check.int("image.new: width", check.type("image.new: width", width, "number"), nil, 1, 65535)
  check.int("image.new: height", check.type("image.new: height", height, "number"), nil, 1, 65535)
  local c = T.from(colour_of(colour or "black"), host)
  return wrap(c:expand(height, width, -1):clone())
end

--- Read a PNG or JPEG.
---@param opts? { size: integer[] }  resize to {width, height} on the way
function M.load(path, opts)
  opts = check.keys("image.load", opts, { "size" })
  check.type("image.load: path", path, "string")
  if opts.size then check.type("image.load: size", opts.size, "table") end
  local data, meta = core.load_image(paths.read(path))
  local im = M.from(data)
  im.meta = meta and require("weft.provenance").decode(meta)
  if opts.size then im = im:resize(opts.size[1], opts.size[2]) end
  im.name = select(2, paths.split(path))           -- by which provenance knows an input
  return im
end

-- ---- looking ----

--- The values, [H,W,C] in 0 ... 1; memory is shared.
function Image:tensor() return self.data end

function Image:clone() return wrap(self.data:clone(), self.meta) end

local kinds = { [1] = "gray", [3] = "rgb", [4] = "rgba" }

Image.__tostring = function(self)
  local seed = self.meta and self.meta.seed
  return ("Image %dx%d %s%s"):format(self.width, self.height, kinds[self.channels],
    seed and ("  seed %d"):format(seed) or "")
end

--- Peak signal-to-noise ratio in dB against a picture of the same size.
function Image:psnr(other)
  check_image("psnr: other", other)
  local mse = core.scope(function() return ops.mse(self.data, other.data):item() end)
  return mse == 0 and math.huge or -10 * math.log10(mse)
end

-- ---- geometry ----

local filters = { "nearest", "box", "bilinear", "bicubic", "lanczos" }

--- Another size. fit: "stretch", "contain" (bars in colour), "cover" (cropped); filter: "bicubic",
-- "bilinear", "lanczos", "box", "nearest", as Pillow's, which weighs colours by alpha.
---@param opts? { fit: string, filter: string, colour: any }
function Image:resize(width, height, opts)
  opts = check.keys("resize", opts, { "fit", "filter", "colour" })
  check.int("resize: width", check.given("resize: width", width), nil, 1, 65535)
  check.int("resize: height", check.given("resize: height", height), nil, 1, 65535)
  local fit = check.choice("resize: fit", opts.fit, "stretch", { "stretch", "contain", "cover" })
  if fit == "stretch" then
    local filter = check.choice("resize: filter", opts.filter, "bicubic", filters)
    return wrap(core.resize_image(self.data, width, height, filter), self.meta)
  end
  local pick = fit == "contain" and math.min or math.max
  local k = pick(width / self.width, height / self.height)
  local w = math.max(1, math.floor(self.width * k + 0.5))
  local h = math.max(1, math.floor(self.height * k + 0.5))
  local small = self:resize(w, h, { filter = opts.filter })
  if fit == "cover" then
    return small:crop(math.floor((w - width) / 2), math.floor((h - height) / 2), width, height)
  end
  local ground = M.new(width, height, opts.colour):as(self.channels)
  return ground:paste(small, math.floor((width - w) / 2), math.floor((height - h) / 2))
end

--- The part of width w and height h from x, y.
function Image:crop(x, y, w, h)
  for i, name in ipairs { "x", "y", "w", "h" } do
    check.int("crop: " .. name, check.given("crop: " .. name, (select(i, x, y, w, h))))
  end
  if x < 0 or y < 0 or w < 1 or h < 1 or x + w > self.width or y + h > self.height then
    check.fail("crop: %gx%g at %g, %g is outside %dx%d", w, h, x, y, self.width, self.height)
  end
  return wrap(self.data:narrow(1, y + 1, h):narrow(2, x + 1, w):clone(), self.meta)
end

--- Borders of these widths, of colour (black).
function Image:pad(left, top, right, bottom, colour)
  for i, name in ipairs { "left", "top", "right", "bottom" } do
    local v = select(i, left, top, right, bottom)
    check.int("pad: " .. name, check.given("pad: " .. name, v))
  end
  local w, h = self.width + left + right, self.height + top + bottom
  return M.new(w, h, colour):as(self.channels):paste(self, left, top)
end

--- Mirrored along "x" or "y".
function Image:flip(axis)
  check.choice("flip: axis", tostring(axis), nil, { "x", "y" })
  local dim = axis == "y" and 0 or 1
  local n = self.data:size(dim + 1)
  return wrap(core.ops.slice(self.data, dim, n - 1, n, -1):clone())
end

--- Sampled at turned positions, bilinear, by LuaJIT; black outside.
local function turn(data, degrees)
  local src = data:contiguous()
  local from = pointer.of(src)
  local H, W, C = src:size(1), src:size(2), src:size(3)
  local out = T.zeros(H, W, C, host)
  local to = pointer.of(out, H * W * C)
  local c, s = math.cos(math.rad(degrees)), math.sin(math.rad(degrees))
  local cx, cy = (W - 1) / 2, (H - 1) / 2
  for y = 0, H - 1 do
    for x = 0, W - 1 do
      local u, v = c * (x - cx) - s * (y - cy) + cx, s * (x - cx) + c * (y - cy) + cy
      local u0, v0 = math.floor(u), math.floor(v)
      for k = 0, 3 do
        local ux, vy = u0 + k % 2, v0 + math.floor(k / 2)
        local weight = (1 - math.abs(u - ux)) * (1 - math.abs(v - vy))
        if ux >= 0 and vy >= 0 and ux < W and vy < H and weight > 0 then
          for i = 0, C - 1 do
            to[(y * W + x) * C + i] = to[(y * W + x) * C + i] + weight * from[(vy * W + ux) * C + i]
          end
        end
      end
    end
  end
  return out
end

--- Turned counter-clockwise; right angles are exact, others keep the size.
function Image:rotate(degrees)
  check.given("rotate: degrees", degrees, -1e6, 1e6)
  local quarter = degrees / 90 % 4
  if quarter == 0 then return self:clone() end
  if quarter == 2 then return self:flip("x"):flip("y") end
  local turned = function() return wrap(self.data:transpose(1, 2):clone()) end
  if quarter == 1 then return turned():flip "y" end
  if quarter == 3 then return turned():flip "x" end
  return wrap(turn(self.data, degrees))
end

-- ---- values ----

--- The same picture with this number of channels; new alpha is 1.
function Image:as(channels)
  if not kinds[channels] then
    check.fail("as: pictures have 1, 3 or 4 channels, not %s", tostring(channels))
  end
  local C = self.channels
  if C == channels then return self end
  local rgb = self.data
  if C == 4 then rgb = rgb:narrow(3, 1, 3) end
  if channels == 1 then
    -- ITU-R BT.601, as Pillow's "L"
    local weights = T.from({ 0.299, 0.587, 0.114 }, host)
    return wrap((rgb * weights):sum(3, true))
  end
  if C == 1 then rgb = rgb:expand(-1, -1, 3):clone() end
  if channels == 3 then return wrap(rgb:clone()) end
  return wrap(ops.cat({ rgb, T.ones(self.height, self.width, 1, host) }, 3))
end

function Image:gray() return self:as(1) end

--- self + a (other - self).
function Image:blend(other, a)
  check_image("blend: other", other)
  return wrap(core.scope(function()
    return self.data + (other:as(self.channels).data - self.data) * a
  end))
end

--- other laid over self at x, y; what sticks out is cut, and an alpha channel is used.
function Image:paste(other, x, y)
  check_image("paste: other", other)
  x, y = math.floor(x or 0), math.floor(y or 0)
  local x0, y0 = math.max(x, 0), math.max(y, 0)
  local w = math.min(x + other.width, self.width) - x0
  local h = math.min(y + other.height, self.height) - y0
  local out = self:clone()
  if w < 1 or h < 1 then return out end
  local piece = other:crop(x0 - x, y0 - y, w, h)
  local rows, columns = { y0 + 1, y0 + h }, { x0 + 1, x0 + w }
  core.scope(function()
    local new = piece:as(self.channels).data
    if other.channels == 4 then
      local below = out.data[{ rows, columns }]
      new = below + (new - below) * piece.data:narrow(3, 4, 1)
    end
    out.data[{ rows, columns }] = new
  end)
  return out
end

--- Ramp along n pixels: 1 from a to b, falling to 0 over feather pixels outside.
local function ramp(n, a, b, feather)
  local out = {}
  for i = 0, n - 1 do
    local outside = math.max(a - (i + 0.5), i + 0.5 - b, 0)
    out[i + 1] = feather > 0 and math.max(1 - outside / feather, 0) or outside > 0 and 0 or 1
  end
  return T.from(out, host)
end

--- A mask of this picture's size, 1 inside a rectangle: { x, y, w, h, feather, invert }.
function Image:mask(opts)
  opts = check.keys("mask", opts, { "x", "y", "w", "h", "feather", "invert" })
  for _, name in ipairs { "x", "y", "w", "h", "feather" } do
    check.number("mask: " .. name, opts[name])
  end
  local x, y, feather = opts.x or 0, opts.y or 0, opts.feather or 0
  local across = ramp(self.width, x, x + (opts.w or self.width - x), feather)
  local down = ramp(self.height, y, y + (opts.h or self.height - y), feather)
  local data = ops.minimum(across:unsqueeze(1), down:unsqueeze(2)):unsqueeze(3)
  return wrap(opts.invert and 1 - data or data)
end

--- Write text at x, y in colour (white), scale times as large; in place.
function Image:text_(text, x, y, opts)
  opts = check.keys("text_", opts, { "scale", "colour" })
  local scale, colour = opts.scale or 1, colour_of(opts.colour or "white")
  local p, data = pointer.of(self.data), self.data
  local H, W, C = data:size(1), data:size(2), data:size(3)
  x, y, scale = math.floor(x), math.floor(y), math.max(1, math.floor(scale))
  require("weft.font").draw(text, function(dx, dy)
    for py = y + dy * scale, y + dy * scale + scale - 1 do
      for px = x + dx * scale, x + dx * scale + scale - 1 do
        if px >= 0 and py >= 0 and px < W and py < H then
          for i = 0, C - 1 do p[(py * W + px) * C + i] = colour[i + 1] or 1 end
        end
      end
    end
  end)
  return self
end

-- ---- joining ----

local function join(what, list, along, across)
  check.type(what .. ": the pictures", list, "table")
  local size, total, channels = 0, 0, 1
  for i, im in ipairs(list) do
    check_image(what .. ": entry " .. i, im)
    size, total = math.max(size, im[across]), total + im[along]
    channels = math.max(channels, im.channels)
  end
  if #list == 0 then check.fail("%s: the list is empty", what) end
  local across_x = along == "width"
  local out = M.new(across_x and total or size, across_x and size or total):as(channels)
  local at = 1
  for _, im in ipairs(list) do
    local offset = math.floor((size - im[across]) / 2) + 1
    local x, y = across_x and at or offset, across_x and offset or at
    out.data[{ { y, y + im.height - 1 }, { x, x + im.width - 1 } }] = im:as(channels).data
    at = at + im[along]
  end
  return out
end

--- Side by side, centred.
function M.hcat(list) return join("hcat", list, "width", "height") end
--- One below the other, centred.
function M.vcat(list) return join("vcat", list, "height", "width") end

-- ---- saving ----

--- Show it in the terminal, as far as that can; gives it back.
---@param opts? { width: integer, height: integer, protocol: string }
function Image:show(opts) return require("weft.show").show(self, opts) end

--- Write PNG or JPEG by the path's extension, atomically.
---@param opts? { quality: integer, overwrite: boolean, provenance: string }
---@return string path
function Image:save(path, opts)
  opts = check.keys("save", opts, { "quality", "overwrite", "provenance" })
  check.type("save: path", path, "string")
  local text = require("weft.provenance").texts(self, path, opts.provenance)
  paths.write(path)
  core.save_image(path, self.data, opts.quality or 90, text, opts.overwrite ~= false)
  require("weft.fingerprint").saved(self, path)
  paths.saved(self)
  return path
end

M.Image = Image
M.colour_of = colour_of

return M
