--- The language model's training on the model that ships: losses of pictures and sounds, phases,
-- adapters; and what the denoisers' loss weighs.
package.path = "./tests/lib/?.lua;./recipes/micro/?.lua;" .. package.path
local weft = require "weft"
local micro = require "micro"
local shell = require "shell"

local WEIGHTS = "recipes/micro/weights"

--- Run a stage over a copy of the weights, to which change(folder) may do something; its folder and
-- the rows of its log.
local function train(stage, options, change)
  local dir = micro.temp()
  os.execute(("mkdir -p '%s' && cp -r %s/* '%s'"):format(dir, WEIGHTS, dir))
  if change then change(dir) end
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
  it("reads the layouts of pictures and sounds in what it foretells", function()
    local options = "more=1 sounds=1 phases=1 steps=4 batch=6 "
    local _, without = train("language", options .. "legible=0")
    local _, rows = train("language", options .. "legible=2")
    for i, has_media in ipairs { true, false, true, true } do
      assert.are.equal(has_media, rows[i].legible ~= nil, i)
      assert.is_nil(without[i].legible)
      if has_media then assert.is_true(rows[i].legible > 0.01 and rows[i].legible < 2) end
    end
    local more = rows[1].loss - without[1].loss
    assert.is_true(math.abs(more - 2 * rows[1].legible) < 1e-4, more)
  end)
  it("learns how far off the things of a source come to stand", function()
    --- How far one step moves what reads it; the rounding to f16 moves it by less than 1e-3.
    local function moved(dir)
      local after, far = weft.model.load(dir .. "/anchor_out"), 0
      local values = {}
      for name, t in after:parameters() do values[name] = t:to "f32" end
      for name, t in weft.model.load(WEIGHTS .. "/anchor_out"):parameters() do
        far = math.max(far, (t:to "f32" - values[name]):abs():max():item())
      end
      return far
    end
    local options = "more=1 steps=1 batch=12 seed=5 warmup=1 lr=0.02 "
    local dir, rows = train("language", options)
    local kept, without = train("language", options .. "carry=0")
    assert.is_nil(without[1].carry)
    assert.is_true(math.abs(rows[1].loss - without[1].loss - rows[1].carry) < 1e-4)
    assert.is_true(moved(dir) > 0.01 and moved(kept) < 1e-3, moved(dir) .. " " .. moved(kept))
    local function without_part(folder) os.execute(("rm -r '%s/anchor_out'"):format(folder)) end
    -- Weights that have none get one where it is learned, and none that nobody taught.
    assert.is_true(moved((train("language", options, without_part))) > 0.01)
    local none = train("language", options .. "carry=0", without_part)
    assert.is_nil(io.open(none .. "/anchor_out/config.json"))
  end)
  it("goes on from weights with fewer layers", function()
    local dir, rows = train("language", "more=1 steps=1 batch=6 lr=0", function(folder)
      local lm = weft.model.load(folder .. "/language_model")
      local config = weft.with(lm.config, { num_hidden_layers = 2 })
      weft.model.new("llama", config, { seed = 5 }):save(folder .. "/language_model",
        { file = "model.safetensors" })
    end)
    assert.is_true(rows[1].loss > 1)
    local after = weft.model.load(dir .. "/language_model").config
    assert.are.equal(require("configs").parts.language_model.config.num_hidden_layers,
      after.num_hidden_layers)
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
  it("tells denoisers what it foretells", function()
    for _, stage in ipairs { "unet", "unet_audio" } do
      local options = "more=1 steps=1 batch=12 "
      local _, own = train(stage, options)
      local _, told = train(stage, options .. "foretold=1")
      assert.are_not.equal(own[1].loss, told[1].loss)
      assert.is_true(math.abs(own[1].loss / told[1].loss - 1) < 0.3)
    end
  end)
  for stage, module in pairs { unet = "data", unet_audio = "audio_data" } do
    it("draws other examples with another seed: " .. stage, function()
      local dir, drawn = micro.temp(), {}
      os.execute(("mkdir -p '%s' && cp -r %s/* '%s'"):format(dir, WEIGHTS, dir))
      finally(function() micro.remove(dir) end)
      local file = assert(io.open(dir .. "/watch.lua", "w"))
      file:write(([[
        package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path
        local data = require "%s"
        local examples = data.examples
        data.examples = function(from, ...)
          print("drawn from " .. from)
          return examples(from, ...)
        end
        dofile "recipes/micro/train/%s.lua"
      ]]):format(module, stage))
      file:close()
      for seed = 5, 6 do
        local command = "run --plain '%s/watch.lua' steps=1 batch=2 seed=%d out='%s' work='%s/w%d'"
        local rc, out, err = shell.weft(".", command:format(dir, seed, dir, dir, seed))
        assert.are.equal(0, rc, err)
        drawn[seed] = assert(out:match "drawn from (%S+)", out)
      end
      assert.are_not.equal(drawn[5], drawn[6])
    end)
  end
  it("weighs the places of things", function()
    local _, even = train("unet", "steps=1 batch=4 foreground=1")
    local _, weighed = train("unet", "steps=1 batch=4 foreground=4")
    assert.is_true(weighed[1].loss > even[1].loss * 1.2)
  end)
end)
