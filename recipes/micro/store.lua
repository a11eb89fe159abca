--- Store parts of the small model anew in another dtype: q8 halves the files, f16 is as they ship.
--
--   weft run recipes/micro/store.lua part=language_model,unet dtype=q8 out=models/small
--   weft run recipes/micro/store.lua part=all dtype=q8 from=models/small out=models/small
--   weft run recipes/micro/store.lua part=unet from=models/before with=models/after out=models/mean
--
-- Two states of one training are often at their best half way between: with `with`, the mean of the
-- values of both folders is stored (model soups, arXiv 2203.05482); the history is that of `with`.
-- Prints what a part's file takes before and after, and how far its values moved: the root mean
-- square of the change over that of the values. A part is read from `from` and written with its
-- history into `out`; its folder's other files and the index are not touched.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local weft = require "weft"
local host = require "weft.host"
local run = require "run"

local p = weft.params {
  part = { "language_model", help = "names of parts, with commas; all for all of them" },
  dtype = { "q8", choices = { "f32", "f16", "bf16", "q8" } },
  from = { "recipes/micro/weights", path = true, help = "folder of the weights" },
  with = { "", path = true, help = "another folder of them: the mean of both is stored" },
  out = { "models/small", help = "folder to write them into" },
}

--- The file of weights in a part's folder, and its bytes; nil for a part that has none.
local function find_file(folder)
  for _, name in ipairs(host.list(folder) or {}) do
    if name:find "%.safetensors$" then
      local file = assert(io.open(folder .. "/" .. name))
      local n_bytes = file:seek "end"
      file:close()
      return name, n_bytes
    end
  end
end

local function parts()
  local list = {}
  for _, name in ipairs(p.part == "all" and host.list(p.from) or {}) do
    if find_file(p.from .. "/" .. name) then list[#list + 1] = name end
  end
  if p.part ~= "all" then
    for name in p.part:gmatch "[^,]+" do list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

--- Root mean square of what changed, over that of the values before.
local function change(before, after)
  local values = {}
  for name, t in after:parameters() do values[name] = t end
  local moved, all = 0, 0
  for name, t in before:parameters() do
    local d, e = weft.scope(function()
      local x = t:to "f32"
      return (values[name]:to "f32" - x):square():sum(), x:square():sum()
    end)
    moved, all = moved + d:item(), all + e:item()
  end
  return math.sqrt(moved / all)
end

local function history_of(folder) return run.read_json(folder .. "/training.json") end

--- Write the history of `from`, and what the mean was taken with.
local function keep_history(from, other, to)
  local history = history_of(from)
  if not history then return end
  local with = other and history_of(other)
  history.mean_with = with and { command = with.command, step = with.step } or history.mean_with
  weft.core.save_text(to .. "/training.json", weft.json.encode(history) .. "\n", true)
end

--- A part with the mean of its values and those of the other folder's.
local function mean(from, other)
  local model, values = weft.model.load(from):to "f32", {}
  for name, t in weft.model.load(other, { dtype = "f32" }):parameters() do values[name] = t end
  for name, t in model:parameters() do
    if not values[name] then error(("%s: has no '%s' as %s has"):format(other, name, from), 0) end
    weft.scope(function() t:copy_((t + values[name]) * 0.5) end)
  end
  return model
end

local function store(name)
  local from, to = p.from .. "/" .. name, p.out .. "/" .. name
  local other = p.with ~= "" and p.with .. "/" .. name or nil
  local file, n_before = find_file(from)
  if not file then error(from .. ": holds no file of weights", 0) end
  local model = other and mean(from, other) or weft.model.load(from)
  run.mkdir(to)
  model:save(to, { dtype = p.dtype, file = file })
  keep_history(other or from, other and from, to)
  local _, n_after = find_file(to)
  print(("%-20s %9d -> %9d bytes  change %.5f"):format(name, n_before, n_after,
    change(model, weft.model.load(to))))
end

for _, name in ipairs(parts()) do store(name) end
