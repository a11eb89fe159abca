--- The training of sounds: its batches, and its stages end to end on a few steps.
package.path = "./tests/lib/?.lua;./recipes/micro/?.lua;./recipes/micro/train/?.lua;"
  .. package.path
local weft = require "weft"
local caption = require "world.sound_caption"
local contrast = require "contrast"
local data = require "audio_data"
local links = require "world.links"
local micro = require "micro"
local rng = require "world.rng"
local shell = require "shell"
local sound = require "world.sound"

local function keys(list)
  local out = {}
  for i, s in ipairs(list) do out[i] = data.key(s) end
  return out
end

describe("batches of sounds", function()
  it("are a function of stage and step", function()
    assert.are.same(keys(data.records("a", 3, 20, 0.1)), keys(data.records("a", 3, 20, 0.1)))
    assert.are_not.same(keys(data.records("a", 3, 20)), keys(data.records("a", 4, 20)))
    assert.are_not.same(keys(data.records("a", 3, 20)), keys(data.records("b", 3, 20)))
    assert.are.same(data.examples("a", 3, 5), data.examples("a", 3, 5))
    local mels = data.mels(data.records("a", 1, 3))
    assert.are.same({ 3, 64, 64, 1 }, mels:size())
    assert.is_true(mels:min():item() >= -1.001 and mels:max():item() <= 1.2)
  end)

  it("hold nothing that training may not hear or see", function()
    local n_music, n_source = 0, 0
    local function check(s)
      if s.instrument then n_music = n_music + 1
      else assert.is_true(sound.is_seen(s), data.key(s)) end
    end
    for step = 1, 20 do
      for _, s in ipairs(data.twins("a", step, 4, 6)) do check(s) end
      for _, s in ipairs(data.records("a", step, 20, 0.2)) do check(s) end
      local scenes, heard = data.pairs("a", step, 4, 6)
      assert.are.same({ 24, 24 }, { #scenes, #heard })
      for i, s in ipairs(scenes) do
        assert.is_true(links.is_seen(s))
        assert.are.equal(data.key(links.find_sound(s, 0)), data.key(heard[i]))
      end
      for _, e in ipairs(data.examples("a", step, 20)) do
        check(e.target)
        if e.source then
          n_source = n_source + 1
          check(e.source)
        end
      end
    end
    assert.is_true(n_music > 50 and n_source > 100)
  end)

  it("stand beside twins that differ in one respect", function()
    local records = data.twins("a", 5, 20, 6)
    for g = 0, 19 do
      local seen = {}
      for k = 1, 6 do seen[data.key(records[g * 6 + k])] = true end
      local n = 0
      for _ in pairs(seen) do n = n + 1 end
      assert.are.equal(6, n)
    end
  end)

  it("are described by what words can say, and by what they cannot", function()
    local s = { events = { { voice = 6, pitch = 2, slot = 3 } }, ambience = 1, seed = 1,
      reverse = true, gain_db = -6 }
    assert.are.equal("a high meow with rain in the background, reversed, softer", data.complete(s))
    assert.are.equal("a high meow at 3 with rain in the background, reversed, softer",
      data.everything(s))
    local piece = { instrument = 2, mode = 0, tempo = 1, root = 2 }
    assert.are.equal("fast major flute music 2", data.everything(piece))
    local defects, partial = 0, 0
    for step = 1, 30 do
      for _, e in ipairs(data.examples("a", step, 20)) do
        if e.target.defect then
          defects = defects + 1
          assert.is_true(e.text == caption.NEGATIVE or e.caption:find(e.text, 1, true) ~= nil)
        else
          assert.is_true(e.text == "" or e.text == e.caption)
        end
        partial = partial + (e.feature == "partial" and 1 or 0)
      end
    end
    assert.is_true(defects > 10 and partial > 30)
    assert.are.equal("a meow", data.partial({ events = s.events, ambience = 0 },
      { chance = function() return true end }))
    assert.is_nil(data.draw(rng.new("a", 1), { events = 2 }).defect)
  end)
end)

describe("the contrastive loss", function()
  it("lets rows of one key match each other", function()
    local match = contrast.matches { "a", "b", "a" }
    assert.are.same({ { 0.5, 0, 0.5 }, { 0, 1, 0 }, { 0.5, 0, 0.5 } }, match:totable())
    local a = weft.tensor { { 1, 0 }, { 0, 1 }, { 1, 0 } }
    local loss, hits = contrast.info_nce(a, a, match, weft.tensor { math.log(20) })
    -- both a's share their probability, which costs log 2 for two rows of three
    assert.are.near(2 / 3 * math.log(2), loss:item(), 1e-4)
    assert.are.equal(1, hits:item())
    local _, missed = contrast.info_nce(a, weft.tensor { { 0, 1 }, { 1, 0 }, { 0, 1 } }, match,
      weft.tensor { 0 })
    assert.are.equal(0, missed:item())
  end)
end)

describe("the stages of sounds", function()
  local straight, halves
  setup(function()
    straight, halves = micro.temp(), micro.temp()
    micro.make(straight)
    os.execute(("cp -r %s/* %s/"):format(straight, halves))
  end)
  teardown(function()
    micro.remove(straight)
    micro.remove(halves)
  end)

  local function run(stage, folder, more)
    local command = ("./weft run --plain --threads 1 recipes/micro/train/%s.lua steps=4 out=%s "
      .. "work=%s/work/%s %s >/dev/null 2>&1"):format(stage, folder, folder, stage, more)
    assert.are.equal(0, os.execute(command), stage)
  end
  local read = shell.read

  it("run end to end, and go on where they stopped to the same weights", function()
    for _, stage in ipairs { { "vae_audio", "batch=2" }, { "tower_audio", "groups=1" },
      { "unet_audio", "batch=2" }, { "layout_audio", "batch=4 more=1" },
      { "vocoder", "batch=1" } } do
      run(stage[1], straight, stage[2])
      run(stage[1], halves, stage[2] .. " stop=2")
      run(stage[1], halves, stage[2])
    end
    for _, file in ipairs { "audio_vae/config.json", "audio_encoder/model.safetensors",
      "audio_vae/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors",
      "audio_unet/diffusion_pytorch_model.safetensors", "audio_conditioner/model.safetensors",
      "vocoder/model.safetensors" } do
      assert.is_true(read(straight .. "/" .. file) == read(halves .. "/" .. file), file)
    end
  end)

  --- The weights of a part, by name.
  local function weights_of(part)
    local out = {}
    for name, t in weft.model.load(straight .. "/" .. part):parameters() do
      out[name] = t:to "f32"
    end
    return out
  end

  it("go on from weights, too, without a checkpoint", function()
    local function moved(before)
      local most = 0
      for name, t in pairs(weights_of "audio_unet") do
        most = math.max(most, (t - before[name]):abs():max():item())
      end
      return most
    end
    local before = weights_of "audio_unet"
    -- as if store.lua had made them the mean with another state
    local path = straight .. "/audio_unet/training.json"
    local made = weft.json.decode(read(path))
    made.mean_with = { step = 2, command = "other" }
    weft.core.save_text(path, weft.json.encode(made), true)
    local command = "batch=2 lr=1e-12 seed=5 work=%s/work/more%d more=%d"
    run("unet_audio", straight, command:format(straight, 1, 1))
    assert.are.near(0, moved(before), 1e-6)
    local history = weft.json.decode(read(straight .. "/audio_unet/training.json"))
    assert.truthy(history.before.command:find("unet_audio.lua batch=2", 1, true))
    assert.are.equal(4, history.before.step)
    local loss = history.log[1].loss
    assert.are.equal(loss, tonumber(("%.4g"):format(loss)))
    assert.are.same({ step = 2, command = "other" }, history.before.mean_with)
    run("unet_audio", straight, command:format(straight, 0, 0))
    assert.are_not.near(0, moved(before), 1e-3)
  end)

  it("teach what is laid out alone, where that is asked for", function()
    local before = weights_of "audio_conditioner"
    run("layout_audio", straight, "batch=4 more=1 seed=3 work=" .. straight .. "/work/alone")
    local n = { ["true"] = 0, ["false"] = 0 }
    for name, t in pairs(weights_of "audio_conditioner") do
      local is_layout = name:find "^layout" ~= nil
      assert.are.equal(is_layout, (t - before[name]):abs():max():item() > 0, name)
      n[tostring(is_layout)] = n[tostring(is_layout)] + 1
    end
    assert.are.same({ ["true"] = 6, ["false"] = 8 }, n)
  end)

  it("leave a folder that makes sounds, and the text tower near where it was", function()
    local m = weft.load(straight)
    assert.are.same({ "image", "audio" }, m.caps.output)
    local o = { "a low drum", steps = 2, seed = 1, progress = false }
    assert.are.equal(8192, m:audio(o).samples)
    assert.are.equal(8192, m:audio(weft.with(o, { vocoder = "hifigan" })).samples)
    local before = weft.model.load(straight .. "/work/tower_audio/text_encoder_before")
    local ids = require("weft.pipeline.micro_prompt").ids(m, "a small red cat at the left")
    local was, now = before { ids = ids }.embeds, m.parts.text_encoder { ids = ids }.embeds
    local cosine = (weft.normalize(was) * weft.normalize(now:to "f32")):sum():item()
    assert.is_true(cosine > 0.99 and cosine < 1, "cosine " .. cosine)
  end)
end)
