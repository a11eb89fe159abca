--- The size mini: its parts, its stages, and a model of it beside one of micro.
package.path = "./tests/lib/?.lua;./recipes/micro/?.lua;./recipes/micro/train/?.lua;"
  .. package.path
local weft = require "weft"
local configs = require "configs"
local micro = require "micro"
local shell = require "shell"

local function parts_of(size)
  local out = {}
  for name, part in pairs(configs[size]) do
    if part.arch then out[name] = part end
  end
  return out
end

describe("the size mini", function()
  it("has every part that micro has, larger or as large", function()
    local total = 0
    for name, part in pairs(parts_of "micro") do
      local other = configs.mini[name]
      assert.are.equal(part.arch, other.arch, name)
      local n = weft.model.new(part.arch, part.config, { seed = 1 }):size()
      local m = weft.model.new(other.arch, other.config, { seed = 1 }):size()
      assert.is_true(m >= n, name)
      total = total + (name == "unet_video" and 0 or m)
    end
    assert.is_true(total > 25e6 and total < 35e6, total .. " values")
  end)

  it("fits together: what one part gives, the next takes", function()
    local c = {}
    for name, part in pairs(parts_of "mini") do c[name] = part.config end
    for _, name in ipairs { "image_encoder", "audio_encoder", "depth_encoder", "text_encoder" } do
      assert.are.equal(192, c[name].projection_dim, name)
    end
    for _, front in ipairs { "", "audio_" } do
      local unet, conditioner = c[front .. "unet"], c[front .. "conditioner"]
      assert.are.equal(192, unet.projection_class_embeddings_input_dim)
      assert.are.equal(192, conditioner.feature_dim)
      assert.are.equal(unet.cross_attention_dim, conditioner.context_dim)
      assert.are.equal(unet.cross_attention_dim, c.text_encoder.hidden_size)
    end
    assert.are.same({ 192, 256, 256, 192 }, { c.feature_in.in_dim, c.feature_in.out_dim,
      c.feature_out.in_dim, c.feature_out.out_dim })
    assert.are.same({ 256, 6 }, { c.anchor_out.in_dim, c.anchor_out.out_dim })
  end)

  it("is taken by a stage, and what follows it", function()
    finally(function() configs.use "micro" end)
    assert.are.same({ 128, 40, 192, configs.micro },
      { configs.feature_width, configs.text_tokens, configs.language_width, configs.parts })
    configs.use "mini"
    assert.are.same({ 192, 48, 256, configs.mini },
      { configs.feature_width, configs.text_tokens, configs.language_width, configs.parts })
  end)
end)

describe("a folder of size mini", function()
  local dir
  setup(function()
    dir = micro.make(micro.temp(), { size = "mini", language = true, depth = true })
  end)
  teardown(function() micro.remove(dir) end)

  --- A stage's exit code and errors.
  local function run(stage, out, more)
    local rc, _, err = shell.weft(".", ("run --plain --threads 1 recipes/micro/train/%s.lua "
      .. "steps=1 out=%s work=%s/work/%s %s"):format(stage, out, dir, stage, more))
    return rc, err
  end

  it("is trained by the stages, a step each", function()
    for _, stage in ipairs { { "towers", "groups=1" }, { "tower_depth", "groups=1" },
      { "unet", "batch=2" }, { "unet_video", "batch=1" },
      { "language", "batch=2 dm=1 dm_batch=1" } } do
      local rc, err = run(stage[1], dir, "size=mini " .. stage[2])
      assert.are.equal(0, rc, stage[1] .. ": " .. err)
    end
    local folder = weft.json.decode(shell.read(dir .. "/model_index.json"))
    assert.are.equal("mini", folder._name)
    local config = weft.json.decode(shell.read(dir .. "/text_encoder/config.json"))
    assert.are.equal(48, config.max_position_embeddings)
    assert.are.equal("mini",
      weft.json.decode(shell.read(dir .. "/unet/training.json")).params.size)
  end)

  it("makes pictures, edits, videos and replies like any other", function()
    local m = weft.load(dir)
    local o = { steps = 1, seed = 3, progress = false }
    assert.are.equal("mini", m.name)
    assert.are.same({ 1, 192 }, m:encode("a red cat").tensor:size())
    assert.are.same({ 1, 192 }, m:feature({}):size())
    local im = m:image(weft.with(o, { m:encode "a red cat" }))
    m:image(weft.with(o, { "a red cat" }))
    m:edit(im, weft.with(o, { m:encode "a red cat", strength = 0.5 }))
    m:video(weft.with(o, { "a red cat moving left", frames = 2 }))
    assert.are.equal("string", type(m:text { "What is in ", im, "?", max_tokens = 4, seed = 1 }))
    assert.is_true(m:similarity(weft.depth(im), im) < 1)
  end)

  it("takes no part of another size", function()
    local rc, err = run("unet", dir, "batch=1")
    assert.is_true(rc ~= 0)
    assert.truthy(err:find("holds the model at size mini: size=micro wants a folder", 1, true), err)
    rc, err = run("towers", "recipes/micro/weights", "groups=1 size=mini")
    assert.is_true(rc ~= 0)
    assert.truthy(err:find("recipes/micro/weights holds the model at size micro", 1, true), err)
    rc, err = run("unet", dir, "size=large")
    assert.is_true(rc ~= 0)
    assert.truthy(err:find("micro", 1, true), err)
  end)
end)
