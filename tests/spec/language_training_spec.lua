--- The language model's training on the model that ships: losses of pictures and sounds, phases,
-- adapters; and what the denoisers' loss weighs.
package.path = "./tests/lib/?.lua;" .. package.path
local weft = require "weft"
local micro = require "micro"
local shell = require "shell"

local WEIGHTS = "recipes/micro/weights"

--- Run a stage over a copy of the weights; its folder and the rows of its log.
local function train(stage, options)
  local dir = micro.temp()
  os.execute(("mkdir -p '%s' && cp -r %s/* '%s'"):format(dir, WEIGHTS, dir))
  finally(function() micro.remove(dir) end)
  local command = ("run --plain recipes/micro/train/%s.lua out=%s work=%s/work %s"):format(stage,
    dir, dir, options)
  local rc, _, err = shell.weft(".", command)
  assert.are.equal(0, rc, err)
  local rows = {}
  for line in io.lines(dir .. "/work/log.jsonl") do rows[#rows + 1] = weft.json.decode(line) end
  return dir, rows
end

describe("the language model's training", function()
  it("takes the denoisers' loss of pictures and sounds, in phases", function()
    local _, rows = train("language", "more=1 dm=1 sounds=1 phases=1 steps=4 batch=6 dm_batch=2")
    -- picture, words, picture, sound: words foretell no feature
    for i, has_media in ipairs { true, false, true, true } do
      assert.are.equal(has_media, rows[i].dm ~= nil, i)
      assert.are.equal(has_media, rows[i].cosine ~= nil, i)
    end
  end)
  it("trains adapters beside the weights and merges them", function()
    local dir = train("language", "more=1 lora=2 steps=4 batch=4 warmup=1 lr=0.05")
    local before = weft.model.load(dir .. "/work/language_model_before")
    local after, merged = weft.model.load(dir .. "/language_model"), {}
    for name, t in before:parameters() do merged[name] = t:to "f32" end
    for name, t in after:parameters() do
      local is_adapted = name:find "[qkvo]_proj%.weight$" ~= nil
      local far = (t:to "f32" - merged[name]):abs():max():item()
      -- the rest differs by the rounding of weights in 8 bits to f16
      assert.are.equal(is_adapted, far > 1e-3, ("%s: %g"):format(name, far))
    end
    assert.truthy(shell.read(dir .. "/language_adapter/adapter_config.json"):find '"r": *2')
  end)
  it("weighs the places of things", function()
    local _, even = train("unet", "steps=1 batch=4 foreground=1")
    local _, weighed = train("unet", "steps=1 batch=4 foreground=4")
    assert.is_true(weighed[1].loss > even[1].loss * 1.2)
  end)
end)
