--- An autoencoder's pictures tile by tile, for sizes whose activations would not fit in memory.
--
-- Tiles overlap by a share; where two meet, the one fades into the other. Source: diffusers,
-- AutoencoderKL.tiled_decode and tiled_encode.
local check = require "weft.check"
local core = require "weft.core"
local ops = require "weft.ops"
local tensor = require "weft.tensor"

local M = {}

--- The last `extent` rows (dim 2) or columns (dim 3) of `before` fading into the first of x.
local function blend(before, x, dim, extent)
  extent = math.min(before:size(dim), x:size(dim), extent)
  if extent == 0 then return x end
  local ramp, sizes = {}, { 1, 1, 1, 1 }
  for i = 1, extent do ramp[i] = (i - 1) / extent end
  sizes[dim] = extent
  local share = tensor(ramp, { device = x.device }):reshape(unpack(sizes))
  local old = before:narrow(dim, before:size(dim) - extent + 1, extent)
  local mixed = old * (1 - share) + x:narrow(dim, 1, extent) * share
  local rest = x:size(dim) - extent
  if rest == 0 then return mixed end
  return ops.cat({ mixed, x:narrow(dim, extent + 1, rest) }, dim)
end

--- At most n rows and columns of x from its first.
local function crop(x, n)
  return x:narrow(2, 1, math.min(n, x:size(2))):narrow(3, 1, math.min(n, x:size(3)))
end

--- One row of tiles, blended with the row above and from left to right.
---@param above weft.Tensor[]?
---@return weft.Tensor[] tiles
local function make_row(f, x, y, how, above)
  local tiles = {}
  for left = 1, x:size(3), how.step do
    local k, width = #tiles + 1, math.min(how.tile, x:size(3) - left + 1)
    tiles[k] = core.scope(function()
      local height = math.min(how.tile, x:size(2) - y + 1)
      local t = f(x:narrow(2, y, height):narrow(3, left, width):contiguous())
      if above then t = blend(above[k], t, 2, how.blend) end
      return k > 1 and blend(tiles[k - 1], t, 3, how.blend) or t
    end)
  end
  return tiles
end

--- f over x [B,H,W,C] in tiles.
---@param f fun(x: weft.Tensor): weft.Tensor
---@param tile integer     side of a tile of x
---@param made integer     side of what f makes of it
---@param overlap number   share of a tile
local function map(f, x, tile, made, overlap)
  local how = { tile = tile, step = math.floor(tile * (1 - overlap)),
    blend = math.floor(made * overlap) }
  local limit, rows, above = made - how.blend, {}, nil
  for y = 1, x:size(2), how.step do
    local tiles = make_row(f, x, y, how, above)
    local cut = {}
    for k, t in ipairs(tiles) do cut[k] = crop(t, limit) end
    rows[#rows + 1], above = ops.cat(cut, 3), tiles
  end
  return ops.cat(rows, 2)
end

--- Side of a tile of pixels and of its latents, and the overlap.
---@param opts { tile: integer?, overlap: number? }  pixels, a multiple of the autoencoder's scale,
--- 512 when not given; a share of a tile, 0.25 when not given
local function sides(what, vae, opts)
  opts = check.keys(what, opts, { "tile", "overlap" })
  local levels = vae.config.block_out_channels
  if type(levels) ~= "table" then check.fail("%s: %s is no autoencoder", what, vae.arch) end
  local scale = 2 ^ (#levels - 1)
  local tile = check.int(what .. ": tile", opts.tile, 512, scale)
  local overlap = check.number(what .. ": overlap", opts.overlap, 0.25)
  local step = tile / scale * (1 - overlap)
  if tile % scale ~= 0 or overlap < 0 or step < 1 then
    check.fail("%s: tile must be a multiple of %d pixels, overlap a share below 1 that leaves a "
      .. "latent to move by", what, scale)
  end
  return tile, tile / scale, overlap
end

--- vae:decode(z, { tile = 512, overlap = 0.25 }).
function M.decode(vae, z, opts)
  local tile, latent, overlap = sides("decode", vae, opts)
  check.tensor("decode: z", z)
  return core.scope(map, function(x) return vae:decode(x) end, z, latent, tile, overlap)
end

--- vae:encode(x, { tile = 512, overlap = 0.25 }).
function M.encode(vae, x, opts)
  local tile, latent, overlap = sides("encode", vae, opts)
  check.tensor("encode: x", x)
  local mean, logvar = core.scope(function()
    local moments = map(function(part)
      local m = vae:encode(part)
      return ops.cat({ m.mean, m.logvar }, 4)
    end, x, tile, latent, overlap)
    local n = moments:size(4) / 2
    return moments:narrow(4, 1, n), moments:narrow(4, n + 1, n)
  end)
  return { mean = mean, logvar = logvar }
end

return M
