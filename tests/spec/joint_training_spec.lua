--- The training of connectors end to end on a few steps, and its evaluation.
package.path = "./tests/lib/?.lua;" .. package.path
local weft = require "weft"
local micro = require "micro"
local shell = require "shell"

describe("the training of connectors", function()
  local straight, halves
  setup(function()
    straight, halves = micro.temp(), micro.temp()
    micro.make(straight, { sounds = true })
    os.execute(("cp -r %s/* %s/"):format(straight, halves))
  end)
  teardown(function()
    micro.remove(straight)
    micro.remove(halves)
  end)

  local function run(folder, more)
    local command = ("./weft run --plain --threads 1 recipes/micro/train/joint.lua steps=4 "
      .. "groups=1 twins=2 out=%s work=%s/work %s >/dev/null 2>&1"):format(folder, folder, more)
    assert.are.equal(0, os.execute(command))
  end

  it("goes on where it stopped to the same weights, and leaves the denoisers alone", function()
    local unet = shell.read(straight .. "/unet/diffusion_pytorch_model.safetensors")
    run(straight, "")
    run(halves, "stop=2")
    run(halves, "")
    local file = "/joint/model.safetensors"
    assert.is_true(shell.read(straight .. file) == shell.read(halves .. file))
    assert.is_true(shell.read(straight .. "/unet/diffusion_pytorch_model.safetensors") == unet)
    local m = weft.load(straight)
    assert.is_true(m.caps.joint)
    assert.is_true(m.parts.joint:size() < 400000)
    assert.are.equal(8192, m:generate({ m:encode "a cat", to = { "image", "audio" }, steps = 1,
      seed = 1, progress = false }).audio.samples)
  end)

  it("is measured by what nobody said", function()
    local path = straight .. "/rows.csv"
    local command = ("./weft run --plain --threads 1 recipes/micro/eval/joint.lua n=2 steps=1 "
      .. "only=place model=%s csv=%s"):format(straight, path)
    local said = shell.out(command)
    assert.truthy(said:find "place unsaid, together +ambience", said)
    assert.truthy(shell.read(path):find('"place unsaid, shuffled","ambience",2,', 1, true))
  end)
end)
