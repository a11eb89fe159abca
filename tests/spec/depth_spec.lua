--- Depth maps: what scenes look like in depth, the tower's training, and maps as parts of prompts.
package.path = "./tests/lib/?.lua;./recipes/micro/?.lua;./recipes/micro/train/?.lua;"
  .. package.path
local ffi = require "ffi"
local weft = require "weft"
local error_of = require "error_of"
local data = require "data"
local micro = require "micro"
local render = require "world.render"
local rng = require "world.rng"
local scene = require "world.scene"
local shell = require "shell"

--- The map of a scene as a picture.
local function map_of(s)
  local out = ffi.new("float[?]", 64 * 64)
  render.depth_into(s, out)
  local t = weft.tensor.empty({ 64, 64, 1 })
  ffi.copy(t:ptr(), out, 64 * 64 * 4)
  return weft.image.from(t)
end

describe("the depth map of a scene", function()
  -- FNV-1a of the floats, by the kind of the first object. They change only when the world's
  -- definition does.
  local GOLDEN = {
    [0] = 0x7c2f9433, 0xd28a246b, 0xcba94c47, 0x92517e25, 0xca0782e2, 0xe3c19ecd,
    0x09706b55, 0x75629f5a, 0x7d4e0319, 0x35b8e4ea, 0xc5fb3939, 0xd9133fd4,
  }

  local function golden(kind)
    local s = scene.at("golden", kind, { split = "val", objects = 1 + kind % 3 })
    s.objects[1].kind = kind
    return s
  end

  local function fingerprint(s)
    local out = ffi.new("float[?]", 64 * 64)
    render.depth_into(s, out)
    return rng.hash(ffi.string(out, 64 * 64 * 4))
  end

  it("is the golden one", function()
    for kind = 0, 11 do
      assert.equal(("%08x"):format(GOLDEN[kind]), ("%08x"):format(fingerprint(golden(kind))))
    end
  end)

  it("shows kinds, sizes and cells, and neither colours, patterns, places nor styles", function()
    local n = 0
    for i = 1, 200 do
      local r = rng.new("depth", i)
      local base = scene.sample(r, { objects = 1 })
      local o = base.objects[1]
      for _, twin in ipairs(scene.twins(r, base, 5)) do
        local t = twin.objects[1]
        local is_same = t.kind == o.kind and t.size == o.size and t.cell == o.cell
        assert.equal(is_same, fingerprint(twin) == fingerprint(base))
        n = n + (is_same and 1 or 0)
      end
    end
    assert.is_true(n > 200)
  end)

  it("comes in batches with a key that equal maps share", function()
    local scenes = data.twins("depth", 1, 6, 6)
    local maps, keys = data.depths(scenes)
    assert.are.same({ 36, 64, 64, 1 }, maps:size())
    for i = 1, 36 do
      local one = map_of(scenes[i]):tensor() * 2 - 1
      assert.is_true((maps[i] - one):abs():max():item() < 1e-6)
      for k = 1, 36 do
        local equal = (maps[i] - maps[k]):abs():max():item() == 0
        assert.equal(equal, keys[i] == keys[k])
      end
    end
  end)
end)

describe("the tower of depth maps", function()
  it("is trained beside the image tower, and goes on where it stopped", function()
    local straight, halves = micro.make(micro.temp()), micro.temp()
    os.execute(("cp -r %s/* %s/"):format(straight, halves))
    local function run(folder, more)
      local rc, _, err = shell.weft(".", ("run --plain --threads 1 "
        .. "recipes/micro/train/tower_depth.lua steps=4 groups=2 out=%s work=%s/work %s"):format(
        folder, folder, more))
      assert.are.equal(0, rc, err)
    end
    local before = shell.read(straight .. "/image_encoder/model.safetensors")
    run(straight, "")
    run(halves, "stop=2")
    run(halves, "")
    local file = "/depth_encoder/model.safetensors"
    assert.is_true(shell.read(straight .. file) == shell.read(halves .. file))
    assert.is_true(before == shell.read(straight .. "/image_encoder/model.safetensors"))
    assert.are.same({ "text", "image", "depth" }, weft.load(straight).caps.input)
    micro.remove(straight)
    micro.remove(halves)
  end)
end)

describe("depth in a prompt", function()
  local dir, m, blind
  local map = map_of(scene.at("val", 3, { objects = 1 }))
  setup(function()
    dir = micro.make(micro.temp(), { narrow = true, depth = true, language = true })
    m = weft.load(dir)
    blind = weft.load(dir, { parts = { "text_encoder", "tokenizer", "image_encoder", "unet",
      "conditioner", "vae", "scheduler" } })
  end)
  teardown(function() micro.remove(dir) end)

  it("is read where the model has the part for it", function()
    assert.are.same({ "text", "image", "depth" }, m.caps.input)
    assert.are.same({ "image", "text" }, m.caps.output)
    assert.are.same({ "text", "image" }, blind.caps.input)
    assert.truthy(error_of(blind.encode, blind, weft.depth(map)):find(
      "has no depth_encoder", 1, true))
    assert.are.equal(64, blind:image { map, steps = 2, seed = 1, progress = false }.width)
  end)

  it("is a picture of distances, and not one of gray things", function()
    local f = m:encode(weft.depth(map)).tensor
    assert.are.same({ 1, 128 }, f:size())
    assert.is_true(math.abs(f:norm():item() - 1) < 1e-5)
    local pixels = map:tensor():reshape(1, 64, 64, 1) * 2 - 1
    local own = weft.normalize(m.parts.depth_encoder { pixels = pixels }.embeds)
    assert.is_true((f - own):abs():max():item() < 1e-6)
    assert.is_true(m:similarity(weft.depth(map), map) < 0.999)
    assert.is_true(math.abs(m:similarity(weft.depth(map:as(3)), weft.depth(map)) - 1) < 1e-5)
  end)

  it("is resized where it must be, and noted", function()
    local told
    m.on_warning = function(text) told = text end
    m:encode(weft.depth(map:resize(32, 32)))
    m.on_warning = nil
    assert.truthy(told:find("picture of 32x32 resized to 64x64", 1, true))
  end)

  it("makes pictures, alone, weighted and beside words", function()
    local o = { steps = 2, seed = 1, progress = false }
    local function make(...) return m:image(weft.with(o, { ... })) end
    local alone = make(weft.depth(map))
    assert.are.equal(0, (alone:tensor() - make(m:encode(weft.depth(map))):tensor())
      :abs():max():item())
    make(weft.weigh(weft.depth(map), 0.5), m:encode "a cat")
    local spoken = make("a red cat like ", weft.depth(map))
    local other = make("a red cat like ", weft.depth(map_of(scene.at("val", 9))))
    assert.is_true((spoken:tensor() - other:tensor()):abs():max():item() > 0)
    assert.is_true(spoken.meta.call.prompt[2].depth)
    assert.are.equal("made here", spoken.meta.call.prompt[2].image)
  end)

  it("is made of pictures only, and is no source", function()
    assert.truthy(error_of(weft.depth, "x"):find("wants a picture of distances, got string", 1,
      true))
    assert.truthy(error_of(m.edit, m, weft.depth(map), { "x" }):find(
      "the source must be a picture or a sound", 1, true))
    local err = error_of(m.generate, m, { map, to = "depth" })
    assert.truthy(err:find('to cannot be "depth"', 1, true), err)
  end)
end)
