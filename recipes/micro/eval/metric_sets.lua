--- Sets of pictures by the Frechet distance (FID; CoDi-2, section 5.2): what the model makes of
-- captions against renders of the same captions, in the feature of the judge of identity.
local weft = require "weft"
local caption = require "world.caption"
local common = require "eval.common"
local data = require "data"
local making = require "eval.making"
local measures = require "eval.measures"
local rng = require "world.rng"
local scene = require "world.scene"
local scores = require "eval.scores"

local NOTE = "Words to pictures. Best: a second set of renders, with other textures and jitter. "
  .. "The distance shrinks as n grows, the best one too. Each card: what was made, a render."

--- The same scene with what no caption says drawn anew.
local function redrawn(s, i)
  local v, r = scene.copy(s), rng.new("metrics redrawn", i)
  v.texture = r:int(2 ^ 31)
  for _, o in ipairs(v.objects) do
    o.jx = r:uniform(-scene.JITTER_PX, scene.JITTER_PX)
    o.jy = r:uniform(-scene.JITTER_PX, scene.JITTER_PX)
  end
  return v
end

local function make_all(make, list)
  local pixels, examples = {}, {}
  for i, s in ipairs(list) do
    local text = caption.complete(s)
    local words = make.p.via == "feature" and make.m:encode(text) or text
    local im = make:make("image", i, { words })
    pixels[i] = make.m:pixels(im)
    if i <= make.p.examples then
      -- A prompt of words stands on the card already.
      examples[i] = { im, common.picture_of(s), title = words ~= text and text or nil }
    end
  end
  return weft.cat(pixels, 1), examples
end

---@param make micro.Making
---@return micro.Section
return function(make)
  local list, again = {}, {}
  for i = 1, make.p.n do
    list[i] = scene.sample(rng.new("metrics captions", i), { split = "val" })
    again[i] = redrawn(list[i], i)
  end
  local pixels, examples = make_all(make, list)
  local made, real = make.judges:identity(pixels), make.judges:identity(data.pictures(list))
  local score, low, high = scores.jackknife(make.p.n, function(ids)
    return measures.frechet(making.rows(made, ids), making.rows(real, ids))
  end)
  return { title = "Sets", note = NOTE, examples = examples, n = make.p.n, rows = {
    { metric = "FID", score = score, low = low, high = high, is_distance = true,
      best = measures.frechet(make.judges:identity(data.pictures(again)), real) },
  } }
end
