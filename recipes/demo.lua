-- demo.lua: what `weft demo` and `make demo` run: words to pictures, an edit, variations, a blend
local weft = require "weft"
local p = weft.params { out = { "out/demo", path = true, help = "folder to write into" }, seed = 7,
  steps = 20 }
local m = weft.load "micro"

local prompts = {
  "a large plain red cat at the left in the snow",
  "a medium striped green frog at the right in a meadow",
  "a small dotted yellow star at the top at night",
  "a large plain blue robot at the center in the city",
}
local list, labels = {}, {}
local function show(im, label)
  list[#list + 1], labels[#labels + 1] = im, label
  return im
end

local started = os.clock()
for i, text in ipairs(prompts) do
  show(m:image { text, seed = p.seed + i, steps = p.steps },
    text):save(("%s/%d.png"):format(p.out, i), { overwrite = true })
end
local cat = list[1]
show(m:edit(cat, { "a large plain blue cat at the left in the snow", seed = p.seed,
  steps = p.steps }), "edit: blue")
show(m:edit(cat, { "a large plain red cat at the left at night", seed = p.seed, steps = p.steps }),
  "edit: at night")
show(m:image { cat, seed = p.seed + 20, steps = p.steps }, "variation")
show(m:image { weft.embedding.slerp(m:encode(cat), m:encode(list[2]), 0.5), seed = p.seed,
  steps = p.steps }, "blend 1 and 2")
local path = weft.sheet(list, { columns = 4, labels = labels, title = "weft demo" }):save(p.out
  .. "/sheet.png", { overwrite = true })
print(("8 pictures in %.1f s of processor time: %s"):format(os.clock() - started, path))
