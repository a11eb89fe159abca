--- Stage A for depth: the tower of depth maps, aligned with the pictures of the same scenes.
--
--   weft run recipes/micro/train/tower_depth.lua steps=1000 out=recipes/micro/weights bf16=1
--
-- The image tower stays as it is, and depth meets nothing but pictures: what its features have in
-- common with those of words and sounds comes by way of them (ImageBind, arXiv 2305.05665, section
-- 3.1). Twins that differ in a colour, a pattern, the place or the style have one depth map, and
-- match each other's pictures.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local weft = require "weft"
local contrast = require "contrast"
local data = require "data"
local new_learner = require "learner"
local nn = require "weft.nn"
local run = require "run"
local train = weft.train

local p = run.params {
  steps = 1000, groups = 16, twins = 6, lr = 1.5e-3, warmup = 50, seed = 71,
  out = "recipes/micro/weights", work = "checkpoints/tower_depth", stop = 0,
}

local image = run.trained(p.out, "image_encoder")
local depth = run.model("depth_encoder", p.seed)
local extra = nn.new { seed = p.seed + 1 }
local log_scale = extra:param("log_scale", { 1 }, nn.constant(math.log(1 / 0.07)))
local params = train.parameters { depth = depth, extra = extra }
local learner = new_learner(p, params, { betas = { 0.9, 0.98 }, weight_decay = 0.05 })

local function step(i)
  local scenes = data.twins("tower-depth", i, p.groups, p.twins)
  local maps, keys = data.depths(scenes)
  local match = contrast.matches(keys)
  local seen = weft.normalize(image { pixels = data.pictures(scenes) }.embeds)
  local loss, grads, hits = weft.grad(function()
    local a = weft.normalize(depth { pixels = maps }.embeds)
    return contrast.info_nce(a, seen, match, log_scale)
  end, params)
  local norm = learner:step(i, grads)
  return { loss = loss:item(), hits = hits:item(), norm = norm }
end

run.loop {
  p = p, learner = learner, step = step,
  finish = function() run.save(p.out, "depth_encoder", depth) end,
}
