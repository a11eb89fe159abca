--- m:video of the small model with random weights, and the training that makes its weights.
package.path = "./tests/lib/?.lua;./recipes/micro/?.lua;./recipes/micro/train/?.lua;"
  .. package.path

local weft = require "weft"
local captions = require "world.video_caption"
local caption = require "world.caption"
local configs = require "configs"
local micro = require "weft.pipeline.micro"
local micro_course = require "weft.pipeline.micro_course"
local micro_video = require "weft.pipeline.micro_video"
local names = require "world.names"
local shell = require "shell"
local tokenizer = require "weft.tokenizer"
local video = require "world.video"

local zeros, ones = {}, {}
for i = 1, configs.latent_channels do zeros[i], ones[i] = 0, 1 end

local function temporary()
  local path = os.tmpname()
  os.remove(path)
  return path
end

local function part(name, seed)
  local p = configs.micro[name]
  local config = name == "vae" and weft.with(p.config, { latents_mean = zeros, latents_std = ones })
    or p.config
  return weft.model.new(p.arch, config, { seed = seed })
end

--- A folder of random weights, as the training stages leave it before the one of videos.
local function folder_of_parts()
  local folder = temporary()
  os.execute("mkdir -p '" .. folder .. "'")
  require("run").tokenizer(folder)
  for i, name in ipairs { "unet", "conditioner", "vae", "image_encoder", "text_encoder" } do
    part(name, i):save(folder .. "/" .. name)
  end
  return folder
end

local folder = folder_of_parts()
teardown(function() os.execute("rm -r '" .. folder .. "'") end)

local function model()
  local list = { tokenizer = tokenizer.load(folder .. "/tokenizer"),
    unet_video = part("unet_video", 9),
    scheduler = weft.sampler.from_config(configs.micro.scheduler) }
  for _, name in ipairs { "conditioner", "vae", "image_encoder", "text_encoder" } do
    list[name] = weft.model.load(folder .. "/" .. name)
  end
  return micro.new("micro", list)
end

local m = model()
local TEXT = "a small red cat in the snow moving left"

local function make(opts)
  return m:video(weft.with({ TEXT, seed = 3, steps = 2, guidance = 2, progress = false },
    opts or {}))
end
local function differ(a, b) return (a:tensor() - b:tensor()):abs():max():item() end
local function error_of(...)
  local ok, err = pcall(...)
  assert.is_false(ok)
  return tostring(err)
end

describe("what moves in a description", function()
  it("is cut off, for every motion and call of the world", function()
    for i = 1, 60 do
      local v = video.at("val", i)
      local scene, motion = micro_video.split(captions.complete(v))
      assert.are.equal(caption.complete(v.scene), scene)
      assert.are.equal(1, (motion:find(names.motion[v.motion], 1, true)))
      assert.are.equal(v.call and captions.time(v.call) or nil,
        motion:match "and calling (.*)$")
    end
  end)
  it("may be all or nothing of a text", function()
    assert.are.same({ "", "moving left" }, { micro_video.split "moving left" })
    assert.are.same({ "a red cat", "Bouncing" }, { micro_video.split "a red cat, Bouncing" })
    assert.are.same({ "a growingly red cat", "" }, { micro_video.split "a growingly red cat" })
  end)
end)

describe("m:video", function()
  it("makes frames that the seed decides, and says how", function()
    local v = make()
    assert.are.same({ 8, 64, 64, 8 }, { #v, v.width, v.height, v.fps })
    assert.are.equal(0, differ(v, make()))
    assert.is_true(differ(v, make { seed = 4 }) > 0.01)
    local path = temporary() .. ".apng"
    v:save(path)
    local meta = weft.video.load(path).meta
    os.remove(path)
    assert.are.equal("video", meta.call.fn)
    assert.are.equal(TEXT, meta.call.prompt[1].text)
    assert.are.equal(8, meta.call.options.frames)
    assert.are.equal(3, meta.seed)
  end)
  it("carries the hash of the model, whatever was made before", function()
    local fresh, n = micro.new("micro", m.parts), 0
    fresh.hash = function()       -- what weft.load leaves of a folder
      n = n + 1
      return "c0ffee"
    end
    for _ = 1, 2 do
      local v = fresh:video { TEXT, seed = 3, steps = 1, frames = 1, progress = false }
      assert.are.equal("c0ffee", v.meta.model.sha256)
    end
    assert.are.equal(1, n)
  end)
  it("hears the words of motion, and the rest of the text", function()
    local v = make()
    assert.is_true(differ(v, make { "a small red cat in the snow moving right" }) > 1e-4)
    assert.is_true(differ(v, make { "a small blue cat in the snow moving left" }) > 1e-4)
  end)
  it("takes a picture as the first frame, unless it may not", function()
    local first = make()[1]
    local with = make { first, "moving left" }
    local without = make { first, "moving left", concat = false }
    assert.is_true(differ(with, without) > 1e-4)
    assert.are.equal(0, differ(with, make { first, "moving left", concat = first }))
    assert.are.equal(0, differ(with, make { weft.weigh(first, 1), "moving left" }))
    local dial = make { first, "moving left", guidance = { 2, concat = 1.5 } }
    assert.is_true(differ(with, dial) > 1e-5)
  end)
  it("takes several pictures as a subject, none as the first frame", function()
    local v = make()
    local prompt = { v[1], v[5], "a small cat moving left" }
    assert.are.equal(0, differ(make(prompt), make(weft.with(prompt, { concat = false }))))
    assert.is_true(differ(make(prompt), make(weft.with(prompt, { concat = v[1] }))) > 1e-4)
  end)
  it("follows the course that the words say, where the model has a part for it", function()
    local with = micro.new("micro", weft.with(m.parts, { motion = part("motion", 11) }))
    local function both(text)
      local o = { text, seed = 3, steps = 2, guidance = 2, progress = false }
      return differ(m:video(o), with:video(o))
    end
    assert.is_true(both(TEXT) > 1e-4)
    assert.are.equal(0, both "a small red cat in the snow")
    local of, from_first = micro_course.of, nil
    finally(function() micro_course.of = of end)
    micro_course.of = function(foretold, o)
      from_first = o.from_first
      return of(foretold, o)
    end
    local function told(prompt)
      with:video(weft.with(prompt, { seed = 3, steps = 1, progress = false }))
      return from_first
    end
    local first = make()[1]
    assert.is_true(told { first, "moving left" })
    assert.is_false(told { first, "moving left", concat = false })
    assert.is_false(told { first, TEXT })
  end)
  it("moves the maps of the branch of the prompt alone", function()
    local with = micro.new("micro", weft.with(m.parts, { motion = part("motion", 11) }))
    local maps, reach = micro_course.maps, {}
    finally(function() micro_course.maps = maps end)
    micro_course.maps = function(map, course)
      reach[#reach + 1] = course:abs():max():item()
      return maps(map, course)
    end
    with:video { TEXT, seed = 3, steps = 1, guidance = 2, progress = false }
    assert.is_true(reach[1] > 0)
    assert.are.same({ 0, 0 }, { reach[2], reach[3] })
  end)
  it("has the negative prompt in every branch where the code has it", function()
    local paper = make { TEXT, negative = "blue" }
    assert.is_true(differ(paper, make { TEXT, negative = "blue", mode = "code" }) > 1e-5)
  end)
  it("says once that a picture is resized", function()
    local warnings = {}
    m.on_warning = function(text) warnings[#warnings + 1] = text end
    make { make()[1]:resize(32, 32), "moving left" }
    m.on_warning = nil
    assert.are.equal(1, #warnings)
    assert.truthy(warnings[1]:find("resized to 64x64", 1, true))
  end)
  it("makes as many frames as are asked for", function()
    assert.are.equal(3, #make { frames = 3 })
    assert.are.equal(4, #make { seconds = 0.5 })
    local v = make { frames = 2, fps = 4 }
    assert.are.equal(0.5, v.seconds)
    assert.truthy(error_of(make, { frames = 9 })
      :find("9 frames, this model makes 1 to 8", 1, true))
  end)
  it("stops when a callback says so, and shows what is there", function()
    local seen = 0
    local v = make { steps = 5, on_step = function(st)
      seen = seen + 1
      assert.is_true(st.preview().width >= 8 * 64)
      return seen < 2
    end }
    assert.are.same({ 2, 8 }, { seen, #v })
    local r = m:generate { TEXT, to = "video", steps = 5, seed = 3, progress = false,
      on_step = function() return false end }
    assert.is_true(r.stopped)
  end)
  it("is decoded as far as it is when it is cancelled at the prompt", function()
    local config = require "weft.config"
    config.keeps_partial = true
    local ok, err = pcall(make, { on_step = function() error({ kind = "cancelled" }, 0) end })
    config.keeps_partial = false
    assert.is_false(ok)
    assert.are.same({ 8, true }, { #err.partial, err.partial.meta.stopped })
  end)
  it("refuses what it cannot do", function()
    assert.truthy(error_of(make, { size = "32x32" }):find("makes 64x64, not 32x32", 1, true))
    assert.truthy(error_of(make, { init = make()[1] }):find("takes no 'init'", 1, true))
    assert.truthy(error_of(make, { latents = weft.tensor.zeros(1, 2, 16, 16, 8) })
      :find("wanted [1,8,16,16,8]", 1, true))
    local bare = micro.new("micro", weft.with(m.parts, {}))
    bare.parts.unet_video = nil
    assert.truthy(error_of(bare.video, bare, { TEXT }):find("no part 'unet_video'", 1, true))
  end)
end)

describe("the training", function()
  it("makes folders of any name, and says when it cannot", function()
    local made = folder .. "/mother's/first child"
    require("run").mkdir(made)
    assert.are.equal("dir", require("weft.host").stat(made))
    assert.truthy(error_of(require("run").mkdir, folder .. "/unet/config.json/below")
      :find("config.json", 1, true))
  end)
  it("shows the denoiser maps that follow the clips", function()
    local recipe = folder .. "/watched.lua"
    local file = assert(io.open(recipe, "w"))
    file:write [[
      local micro_video = require "weft.pipeline.micro_video"
      local denoise = micro_video.denoise
      micro_video.denoise = function(unet, sample, t, source, c)
        local apart = (c.map:select(2, 1) - c.map:select(2, 8)):abs():max():item()
        print("ends apart by " .. apart)
        return denoise(unet, sample, t, source, c)
      end
      package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path
      local courses = require "courses"
      local of = courses.of
      courses.of = function(told)
        for _, e in ipairs(told) do
          assert(e.placed == not e.has_source, "told where no frame shows it")
          assert(e.clip.call, "calls=1 has every clip call")
        end
        return of(told)
      end
      dofile "recipes/micro/train/unet_video.lua"
    ]]
    file:close()
    local rc, out, err = shell.weft(".", ("run --plain '%s' steps=1 batch=6 calls=1 muon=1 "
      .. "out='%s' work='%s/watched'"):format(recipe, folder, folder))
    assert.are.equal(0, rc, err)
    assert.is_true(tonumber(out:match "ends apart by (%S+)") > 0.1, out)
    -- Muon keeps no second moment of the matrices that it steps.
    local state = weft.tensor.load(folder .. "/watched/state.safetensors")
    assert.is_nil(state["v:conv_in.weight"])
    assert.is_table(state["v:conv_in.bias"]:size())
  end)
  it("moves what lies over frames alone while the rest is frozen", function()
    local command = "./weft run --threads 1 recipes/micro/train/unet_video.lua steps=2 batch=1 "
      .. "freeze=%g out='%s' work='%s/work' >/dev/null 2>&1"
    assert.is_true(os.execute(command:format(1, folder, folder)) == 0)
    local trained = weft.load(folder, { parts = { "unet_video", "scheduler" } }).parts.unet_video
    local before, n = {}, 0
    for name, t in weft.model.load(folder .. "/unet"):parameters() do before[name] = t end
    for name, t in trained:parameters() do
      if before[name] then
        -- stored as f16: half a step of its 11 bits; the first layer reads a channel of calls more
        if name == "conv_in.weight" then
          local n_more = t:size(4) - before[name]:size(4)
          assert.are.equal(1, n_more)
          assert.are.equal(0, t:narrow(4, t:size(4), 1):to("f32"):abs():max():item())
          t = t:narrow(4, 1, t:size(4) - n_more)
        end
        local gap = (t:to "f32" - before[name]:to "f32"):abs():max():item()
        assert.is_true(gap <= before[name]:to("f32"):abs():max():item() / 2048, name)
      elseif name:find "proj_out.weight" or name:find "conv1.2.weight" then
        assert.is_true(t:to("f32"):abs():max():item() > 0, name)
        n = n + 1
      end
    end
    assert.are.equal(20, n)     -- 14 convolutions and six transformers over frames
  end)
end)
