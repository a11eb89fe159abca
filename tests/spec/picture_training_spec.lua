--- The training of pictures: what the denoiser is shown.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path
local data = require "data"
local names = require "world.names"
local scene = require "world.scene"

local function examples(n)
  local out = {}
  for step = 1, n do
    for _, e in ipairs(data.examples("a", step, 20)) do out[#out + 1] = e end
  end
  return out
end

--- How many attributes of objects and ground differ between two scenes of as many objects.
local function count_changes(a, b)
  local n = (a.place ~= b.place and 1 or 0) + (a.style ~= b.style and 1 or 0)
  for i, o in ipairs(a.objects) do
    for _, name in ipairs(names.OBJECT_ATTRIBUTES) do
      if o[name] ~= b.objects[i][name] then n = n + 1 end
    end
  end
  return n
end

describe("examples of the denoiser of pictures", function()
  it("are a function of stage and step", function()
    assert.are.same(data.examples("a", 3, 5), data.examples("a", 3, 5))
    assert.are_not.same(data.examples("a", 3, 5), data.examples("a", 4, 5))
    assert.are_not.same(data.examples("a", 3, 5), data.examples("b", 3, 5))
  end)
  it("hold nothing that training may not see", function()
    for _, e in ipairs(examples(30)) do
      assert.is_true(scene.holdout.is_seen(e.target), scene.key(e.target))
      if e.source then assert.is_true(scene.holdout.is_seen(e.source), scene.key(e.source)) end
    end
  end)
  it("have sources as tasks have them: one thing changes, many, or the place of none", function()
    local n = { source = 0, one = 0, many = 0, empty = 0, calling = 0, corrupted = 0 }
    local function count(name, yes) if yes then n[name] = n[name] + 1 end end
    local list = examples(30)
    for _, e in ipairs(list) do
      count("corrupted", e.target.quality)
      count("source", e.source)
      count("empty", e.source and #e.source.objects == 0)
      count("calling", e.source and e.target.objects[1].calling)
      if e.source and #e.source.objects == #e.target.objects then
        local changes = count_changes(e.source, e.target)
        count("one", changes == 1)
        count("many", changes > 1)
      end
    end
    assert.is_true(math.abs(n.source / #list - 0.7) < 0.07, n.source .. " of " .. #list)
    assert.is_true(n.one > 0.3 * #list and n.many > 0.03 * #list, n.one .. " " .. n.many)
    assert.is_true(n.empty > 5 and n.calling > 5 and n.corrupted > 5)
  end)
end)
