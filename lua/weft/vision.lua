--- What towers of pictures do besides their forward pass: a picture as the model wants it.
--
--     local embeds = tower{ pixels = tower:pixels(weft.image.load "cat.jpg") }.embeds
local check = require "weft.check"
local core = require "weft.core"
local image = require "weft.image"
local json = require "weft.json"
local tensor = require "weft.tensor"

local M = {}

-- Where a preprocessor_config.json lies: in the folder, or beside it in a pipeline's.
local places = { "", "/../feature_extractor", "/../image_processor" }

-- CLIP's, where there is none; and of towers whose stem is ours: -1 ... 1.
local CLIP = {
  image_mean = { 0.48145466, 0.4578275, 0.40821073 },
  image_std = { 0.26862954, 0.26130258, 0.27577711 },
}
local PLAIN = { image_mean = { 0.5, 0.5, 0.5 }, image_std = { 0.5, 0.5, 0.5 } }

-- Pillow's numbers of filters.
local filters = { [0] = "nearest", "lanczos", "bilinear", "bicubic", "box" }

--- The preprocessor_config.json of a model, or what holds without one.
local function read_config(self)
  for _, place in ipairs(self.folder and places or {}) do
    local file = io.open(self.folder .. place .. "/preprocessor_config.json", "rb")
    if file then
      local text = file:read "*a"
      file:close()
      return json.decode(text)
    end
  end
  return self.config.stem and PLAIN or CLIP
end

--- A size of a config as width and height: both of them, or the shorter edge of a picture of this
-- width and height.
local function size_of(v, width, height)
  if type(v) == "table" and v.height then return v.width, v.height end
  local side = type(v) == "table" and v.shortest_edge or v
  local short = math.min(width, height)
  return math.floor(side * width / short), math.floor(side * height / short)
end

--- Bytes [H,W,C] resized and cut as a config says. Bytes, because Pillow's resize rounds and cuts
-- off what is beyond them after each of its two passes.
local function framed(x, p, side)
  if p.do_resize ~= false then
    local w, h = size_of(p.size or side, x:size(2), x:size(1))
    x = core.resize_image(x, w, h, filters[p.resample or 3])
  end
  if p.do_center_crop == false then return x end
  local w, h = size_of(p.crop_size or side, 1, 1)
  local top, left = math.floor((x:size(1) - h) / 2), math.floor((x:size(2) - w) / 2)
  if top < 0 or left < 0 then
    check.fail("pixels: a picture of %dx%d has no middle of %dx%d", x:size(2), x:size(1), w, h)
  end
  return x:narrow(1, top + 1, h):narrow(2, left + 1, w)
end

--- A picture as the tower takes it, [1,H,W,C]: resized, its middle cut out, and normalised as
-- preprocessor_config.json says; without one to the tower's side, by CLIP's numbers.
-- Source: transformers, CLIPImageProcessor.
---@param im weft.Image
---@return weft.Tensor
function M:pixels(im)
  if not image.is(im) then check.fail("pixels: must be a picture, got %s", type(im)) end
  local p, channels = read_config(self), self.config.num_channels or 3
  return core.scope(function()
    local bytes = (im:as(channels):tensor():clamp(0, 1) * 255):round():to "u8"
    local x = framed(bytes, p, self.config.image_size):to "f32" * (1 / 255)
    x = x:reshape(1, x:size(1), x:size(2), channels)
    if p.do_normalize == false then return x:to(self.device) end
    local mean, std = p.image_mean or CLIP.image_mean, p.image_std or CLIP.image_std
    if channels == 1 then mean, std = { mean[1] }, { std[1] } end
    return ((x - tensor(mean)) / tensor(std)):to(self.device)
  end)
end

return M
