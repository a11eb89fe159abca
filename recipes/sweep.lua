-- sweep.lua: one prompt over guidance and seeds, as a labelled sheet
--   weft run recipes/sweep.lua prompt="a small dotted pink heart at the top on the beach"
local weft = require "weft"
local p = weft.params {
  prompt = "a small dotted pink heart at the top on the beach",
  steps = 25, seed = 1, out = { "sweep.png", path = true },
}
local m = weft.load "micro"

local list, labels = {}, {}
for job in weft.sweep { { "guidance", 1, 2, 3, 5 },
  { "seed", p.seed, p.seed + 1, p.seed + 2, p.seed + 3 } } do
  list[#list + 1] = m:image { p.prompt, guidance = job.guidance, steps = p.steps, seed = job.seed }
  labels[#labels + 1] = ("g %g seed %d"):format(job.guidance, job.seed)
end
weft.sheet(list, { columns = 4, labels = labels, title = p.prompt }):save(p.out)
