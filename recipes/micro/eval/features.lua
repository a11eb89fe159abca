--- How right the language model's features are, apart from what the denoiser makes of them: the
-- feature it foretells against that of the right picture and of 24 others that differ from it in
-- one attribute; and whether it points at the right source.
--
--   weft run recipes/micro/eval/features.lua n=60
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;./recipes/micro/eval/?.lua;"
  .. package.path

local weft = require "weft"
local common = require "common"
local data = require "data"
local reply = require "weft.pipeline.micro_reply"
local rng = require "world.rng"
local scene = require "world.scene"
local tasks = require "world.tasks"

local p = weft.params { model = "micro", n = { 60, min = 1, help = "examples a row" } }
local m = weft.load(p.model)
local OTHERS = 24

--- Whether the right picture is the nearest, its cosine, and whether the pointer is right.
local function judge(example, r)
  local pictures, parts = {}, {}
  for k, part in ipairs(example.prompt) do
    if type(part) == "string" then
      parts[k] = part
    else
      pictures[part.image] = pictures[part.image] or common.picture_of(part.image)
      parts[k] = pictures[part.image]
    end
  end
  local plan = reply.plan(m, { { role = "user", parts = parts } }, { seed = 1 }, "image")[1]
  local list = scene.twins(r, example.image, OTHERS, function() return true end)
  table.insert(list, 1, example.image)
  local f = weft.normalize(m.parts.image_encoder { pixels = data.pictures(list) }.embeds)
  local scores, best = plan.feature:matmul(f:t()):reshape(-1):totable(), 1
  for k = 2, #scores do if scores[k] > scores[best] then best = k end end
  local source = example.media[example.source]
  return best == 1, scores[1], plan.source == (source and pictures[source] or nil)
end

for _, row in ipairs { { "generate" }, { "edit" }, { "towards" }, { "compose" }, { "together" },
  { "next" }, { "exemplar", "L0" }, { "exemplar", "L1" }, { "exemplar", "L2" } } do
  local nearest, cosine, pointed = 0, 0, 0
  for i = 1, p.n do
    weft.scope(function()
      local r = rng.new("eval features", i)
      local is_best, c, is_source = judge(tasks[row[1]](r, { split = "val", level = row[2] }), r)
      nearest, cosine = nearest + (is_best and 1 or 0), cosine + c
      pointed = pointed + (is_source and 1 or 0)
    end)
  end
  print(("%-9s %-3s nearest of %d %.2f  cosine %.3f  source %.2f"):format(row[1], row[2] or "",
    OTHERS + 1, nearest / p.n, cosine / p.n, pointed / p.n))
end
