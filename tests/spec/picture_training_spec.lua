--- The training of pictures: what the denoiser is shown.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path
local weft = require "weft"
local data = require "data"
local diffusion = require "diffusion"
local foretold = require "foretold"
local names = require "world.names"
local run = require "run"
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
  it("have sources as tasks have them: one thing changes, many, or none is left", function()
    local n = { source = 0, one = 0, many = 0, empty = 0, emptied = 0, calling = 0, corrupted = 0 }
    local function count(name, yes) if yes then n[name] = n[name] + 1 end end
    local list = examples(30)
    for _, e in ipairs(list) do
      count("corrupted", e.target.quality)
      count("source", e.source)
      count("empty", e.source and #e.source.objects == 0)
      count("emptied", #e.target.objects == 0)
      count("calling", e.source and e.target.objects[1] and e.target.objects[1].calling)
      if e.source and #e.source.objects == #e.target.objects then
        local changes = count_changes(e.source, e.target)
        count("one", changes == 1)
        count("many", changes > 1)
      end
    end
    assert.is_true(math.abs(n.source / #list - 0.6) < 0.07, n.source .. " of " .. #list)
    assert.is_true(n.one > 0.25 * #list and n.many > 0.03 * #list, n.one .. " " .. n.many)
    assert.is_true(n.empty > 5 and n.emptied > 5 and n.calling > 5 and n.corrupted > 5)
  end)
end)

describe("the rates of a stage", function()
  it("rise, stay, and fall over the last steps, half of them where nothing is said", function()
    local p = { steps = 101, warmup = 4, lr = 1 }
    local half, most = diffusion.rate(p), diffusion.rate(p, 0.6, 0.02)
    assert.are.equal(0.5, half(2))
    assert.are.same({ 1, 1, 1 }, { half(5), half(50), most(40) })
    assert.is_true(half(51) < 1 and most(41) < 1)
    assert.are.near(1 / 40, half(101), 1e-12)
    assert.are.near(0.02, most(101), 1e-12)
    assert.are.equal(1, diffusion.rate(p, 0)(101))
  end)
end)

describe("features as the language model foretells them", function()
  local WEIGHTS = "recipes/micro/weights"
  local list = data.examples("foretold", 1, 24)
  local scenes = {}
  for i, e in ipairs(list) do scenes[i] = e.target end
  local encoder = run.trained(WEIGHTS, "image_encoder")
  local media = weft.normalize(encoder { pixels = data.pictures(scenes) }.embeds)

  --- Cosines with the pictures' own features of those told, by example.
  local function cosines(share, seed)
    local told = foretold.new { out = WEIGHTS, share = share, tok = run.tokenizer(WEIGHTS) }
      :features(media, list, seed)
    return (told * media):sum({ 2 }):reshape(-1):totable()
  end
  local function count_told(list_of)
    local n = 0
    for _, c in ipairs(list_of) do n = n + (c < 0.99999 and 1 or 0) end
    return n
  end

  it("stand for those of tasks that are told the very picture, near them", function()
    local sum, n = 0, 0
    for i, c in ipairs(cosines(1, 1)) do
      local is_task = list[i].task ~= nil and list[i].feature == "image"
      assert.are.equal(is_task, c < 0.99999, i)
      if is_task then sum, n = sum + c, n + 1 end
    end
    -- of another picture it would be about 0; what is foretold of edits is .95 on the mean
    assert.is_true(n > 4 and sum / n > 0.8, n .. " " .. sum)
  end)
  it("do so for a share, drawn by the seed", function()
    local all, some = count_told(cosines(1, 1)), cosines(0.5, 2)
    assert.are.equal(0, count_told(cosines(0, 1)))
    assert.is_true(count_told(some) > 0 and count_told(some) < all)
    assert.are.same(some, cosines(0.5, 2))
    assert.are_not.same(some, cosines(0.5, 3))
  end)
end)
