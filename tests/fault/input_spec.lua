--- Wrong input of every kind, as a user meets it: one error that names the file, option or part and
-- what was expected, a fixed exit code, nothing on stdout, no file written, no crash.
package.path = "./tests/lib/?.lua;" .. package.path
local weft = require "weft"
local micro = require "micro"
local shell = require "shell"

local dir, model

--- Run Lua code in dir. It must fail with this exit code and say this.
local function fails(code, exit, says)
  micro.write(dir .. "/r.lua", 'local weft = require "weft"\n' .. code)
  local rc, out, err = shell.run(dir, "timeout 20 " .. shell.program .. " run r.lua -o out")
  assert.is_truthy(err:find(says, 1, true), ("%q is not in %q"):format(says, err))
  assert.are.equal(exit, rc)
  assert.are.equal("", out)
  assert.are.equal("", shell.out(("ls -A %s/out"):format(dir)))
end

local function slurp(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read "*a"
  f:close()
  return text
end

--- The first n bytes of a file, or all but the last -n, as another file.
local function cut(from, to, n)
  micro.write(dir .. "/" .. to, slurp(dir .. "/" .. from):sub(1, n))
end

local function number(n, bytes)
  local out = {}
  for i = 1, bytes do out[i], n = string.char(n % 256), math.floor(n / 256) end
  return table.concat(out)
end

--- A safetensors file with this header and so many bytes of data.
local function tensors(name, header, n)
  micro.write(dir .. "/" .. name, number(#header, 8) .. header .. ("\0"):rep(n or 0))
end

setup(function()
  dir = micro.temp()
  model = micro.make(micro.temp(), { narrow = true })
  weft.image.new(20, 20, "red"):save(dir .. "/ok.png")
  weft.image.new(20, 20, "red"):save(dir .. "/ok.jpg")
  weft.audio.silence(0.2, 8000):save(dir .. "/ok.wav")
  weft.tensor.save(dir .. "/ok.safetensors", { x = weft.tensor.ones(4, 4) })
end)
teardown(function()
  micro.remove(dir)
  micro.remove(model)
end)

describe("a bad media file", function()
  local lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 3\n"

  it("is named: pictures", function()
    local load = 'weft.image.load "%s"'
    cut("ok.png", "a.png", 60)
    fails(load:format "a.png", 4, "a.png: row 0 of 20: damaged PNG: the file ends too early")
    cut("ok.jpg", "a.jpg", 200)
    fails(load:format "a.jpg", 4, "a.jpg: ")
    micro.write(dir .. "/web.png", "<!DOCTYPE html><html>")
    fails(load:format "web.png", 4, "web.png: is a web page")
    micro.write(dir .. "/lfs.png", lfs)
    fails(load:format "lfs.png", 4, "lfs.png: is a Git LFS pointer")
    micro.write(dir .. "/none.png", "")
    fails(load:format "none.png", 4, "none.png: is empty")
    os.execute(("mkfifo %s/pipe.png"):format(dir))
    fails(load:format "pipe.png", 4, "pipe.png: is a pipe")
    fails(load:format ".", 4, "is a folder")
    fails(load:format "gone.png", 4, "gone.png: cannot be opened: No such file")
    os.execute(("cp %s/ok.wav %s/wave.png"):format(dir, dir))
    fails(load:format "wave.png", 4, "wave.png: is a RIFF file, not a PNG picture")
  end)
  it("is named: a picture that says it is larger than it can be", function()
    local png = slurp(dir .. "/ok.png")
    micro.write(dir .. "/large.png", png:sub(1, 16) .. "\0\0\64\0\0\0\64\0" .. png:sub(25))
    fails('weft.image.load "large.png"', 4, "large.png: ")
  end)
  it("is named: sounds", function()
    local load = 'weft.audio.load "%s"'
    cut("ok.wav", "a.wav", 50)
    fails(load:format "a.wav", 4, "a.wav: says it holds 3200 bytes of sound, 6 are there")
    micro.write(dir .. "/none.wav", "")
    fails(load:format "none.wav", 4, "none.wav: is empty")
    local wav = slurp(dir .. "/ok.wav")
    micro.write(dir .. "/fast.wav", wav:sub(1, 24) .. "\255\255\255\127" .. wav:sub(29))
    fails(load:format "fast.wav", 4, "fast.wav: ")
    os.execute(("cp %s/ok.png %s/picture.wav"):format(dir, dir))
    fails(load:format "picture.wav", 4, "picture.wav: is a PNG picture, not a sound")
  end)
end)

describe("a bad file of tensors", function()
  local load = 'weft.tensor.load "a.safetensors"'
  local function one(shape, from, to)
    return ('{"x":{"dtype":"F32","shape":%s,"data_offsets":[%s,%s]}}'):format(shape, from, to)
  end

  it("is named, with what is missing or too much", function()
    cut("ok.safetensors", "a.safetensors", 5)
    fails(load, 4, "a.safetensors: ")
    cut("ok.safetensors", "a.safetensors", 100)
    fails(load, 4, "a.safetensors: ")
    cut("ok.safetensors", "a.safetensors", -3)
    fails(load, 4, "a.safetensors: ")
    micro.write(dir .. "/a.safetensors", slurp(dir .. "/ok.safetensors") .. "xy")
    fails(load, 4, "2 extra bytes")
    micro.write(dir .. "/a.safetensors", ("\255"):rep(8) .. "{}")
    fails(load, 4, "a.safetensors: ")
  end)
  it("is refused when it lies about a tensor", function()
    tensors("a.safetensors", one("[2,2]", 0, 12), 12)
    fails(load, 4, '"x"')
    tensors("a.safetensors", one("[4294967296,4294967296]", 0, 0), 0)
    fails(load, 4, '"x"')
    tensors("a.safetensors", one("[-1]", 0, 4), 4)
    fails(load, 4, "a.safetensors: ")
    tensors("a.safetensors", one("[1.0]", 0, 4), 4)
    fails(load, 4, "a.safetensors: ")
    tensors("a.safetensors", one("[1]", 4, 0), 4)
    fails(load, 4, "a.safetensors: ")
    tensors("a.safetensors", one("[1]", 0, 400), 4)
    fails(load, 4, "a.safetensors: ")
    tensors("a.safetensors", one("[2]", 0, 8):sub(1, -2)
      .. ',"y":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}', 12)
    fails(load, 4, '"y"')
  end)
end)

describe("a saved run whose counters lie", function()
  local core = weft.core

  --- A run of so many calls, saved: its tensors and its two texts.
  local function saved(class, opts)
    local s = core.new_sampler(weft.json.encode { _class_name = class, num_train_timesteps = 100 })
    local o = { steps = 6, seed = 1, latents = weft.tensor.randn({ 1, 4 }, { seed = 2 }) }
    for k, v in pairs(opts or {}) do o[k] = v end
    local run, all = core.new_run(s, o), {}
    for _ = 1, 3 do run:give((run:next())) end
    run:save(dir .. "/run.safetensors")
    local f = core.open_tensors(dir .. "/run.safetensors")
    for _, name in ipairs(f:names()) do all[name] = f:get(name):clone() end
    return { tensors = all, config = f:meta "config", run = f:meta "run" }
  end

  --- After change(counters as JSON, tensors), which may return other counters, it is refused.
  local function refuses(of, says, change)
    local all = {}
    for k, v in pairs(of.tensors) do all[k] = v end
    local run = change(of.run, all) or of.run
    local path = dir .. "/bad.safetensors"
    core.save_tensors(path, all, { config = of.config, run = run })
    local ok, err = pcall(core.load_run, path)
    assert.is_false(ok, says)
    assert.are.equal("format", err.kind)
    assert.is_truthy(err.message:find(path, 1, true), err.message)
    assert.is_truthy(err.message:find(says, 1, true), ("%q is not in %q"):format(says, err.message))
  end

  local noises = {}
  for i = 1, 6 do noises[i] = weft.tensor.randn({ 1, 4 }, { seed = 10 + i }) end
  local kinds = {
    UniPCMultistepScheduler = {}, PNDMScheduler = {}, HeunDiscreteScheduler = {},
    EulerAncestralDiscreteScheduler = { noise = noises },
  }

  for class, opts in pairs(kinds) do
    it("is refused, naming file and counter: " .. class, function()
      local of = saved(class, opts)
      assert.is_truthy(core.load_run(dir .. "/run.safetensors"):next())
      for _, key in ipairs { "steps", "begin", "at", "done", "draws", "last_order", "history",
        "noises", "order" } do
        for _, v in ipairs { "-1", "5000000000", "1.5", '"1"', "9223372036854775808" } do
          refuses(of, v:find "^9" and "not JSON" or ('"%s"'):format(key), function(run)
            local changed, n = run:gsub(('"%s": %%d+'):format(key), ('"%s": %s'):format(key, v))
            assert.are.equal(1, n)
            return changed
          end)
        end
        refuses(of, ('"%s" is missing'):format(key), function(run)
          return (run:gsub(('"%s": %%d+, '):format(key), ""))
        end)
      end
    end)
  end

  local function set(key, v)
    return function(run)
      return (run:gsub(('"%s": %%d+'):format(key), ('"%s": %d'):format(key, v)))
    end
  end

  it("is refused when they are no run's", function()
    local of = saved "UniPCMultistepScheduler"
    refuses(of, '"steps" is 101, wants 1 ... 100', set("steps", 101))
    refuses(of, '"at" is 7, wants 0 ... 6', set("at", 7))
    refuses(of, '"done" is 2, wants 3', set("done", 2))
    refuses(of, '"draws" is 4, wants 0 ... 3', set("draws", 4))
    refuses(of, '"last_order" is 0, wants 1 ... 3', set("last_order", 0))
    refuses(of, '"last_order" is 5000, wants 1 ... 3', set("last_order", 5000))
    refuses(of, '"history" is 1, but history.1 is there', set("history", 1))
    refuses(of, '"history" is 3, but history.2 is missing', set("history", 3))
    refuses(of, '"done" is 0, but saved is there', function(run)
      return (run:gsub('"([%a_]+)": %d+', { at = '"at": 0', done = '"done": 0',
        last_order = '"last_order": 0' }))
    end)
  end)
  it("is refused when a tensor is missing, too much or of another shape", function()
    local of = saved("EulerAncestralDiscreteScheduler", { noise = noises })
    local function without(name) return function(_, t) t[name] = nil end end
    refuses(of, "x is missing", without "x")
    refuses(of, '"noises" is 6, wants 5', without "noise.5")
    refuses(of, '"noises" is 6, wants 0', function(_, t)
      for i = 0, 5 do t["noise." .. i] = nil end
    end)
    refuses(of, '"noises" is 6, wants 7', function(_, t) t["noise.6"] = t["noise.0"] end)
    refuses(of, '"noises" is 6, but noise.5 is missing', function(_, t)
      t["noise.9"], t["noise.5"] = t["noise.5"], nil
    end)
    for _, name in ipairs { "x0", "noise.2" } do
      refuses(of, name .. " is f32 [4], its x f32 [1,4]", function(_, t)
        t[name] = t[name]:reshape(4)
      end)
    end
  end)
end)

describe("a bad model folder", function()
  local make = ('weft.load "%s":image { "a", steps = 1, seed = 1, progress = false }:save "x.png"')
  local bad

  before_each(function()
    bad = micro.temp()
    os.execute(("cp -r %s/. %s"):format(model, bad))
  end)
  after_each(function() micro.remove(bad) end)

  --- Change a JSON file of the model by f; the model must be refused so.
  local function refuses(file, f, says, exit)
    local path = bad .. "/" .. file
    local before = slurp(path)
    local t = weft.json.decode(before)
    micro.write(path, weft.json.encode(f(t) or t))
    fails(make:format(bad), exit or 4, says)
    micro.write(path, before)
  end
  local function set(key, v)
    return function(t) t[key] = v end
  end

  it("is told by its config", function()
    local unet = "unet/config.json"
    refuses(unet, set("block_out_channels", "x"), bad .. '/unet: unet2d: "block_out_channels" must')
    refuses(unet, set("block_out_channels", { 16, 33 }), "the config wants [33,16,3,3]")
    refuses(unet, set("layers_per_block", 1000000000), '"layers_per_block" must be a whole number')
    refuses(unet, set("attention_head_dim", 0), '"attention_head_dim" must be a whole number')
    refuses(unet, set("in_channels", -5), '"in_channels" must be a whole number')
    refuses(unet, set("in_channels", "38"), 'config.json: "in_channels" must be a whole number')
    refuses(unet, set("strange", 3), 'config key "strange" is not supported')
    refuses(unet, set("act_fn", "zelu"), '"act_fn" is "zelu"')
    refuses(unet, set("_class_name", "Nothing"), "names no architecture")
    refuses("text_encoder/config.json", set("num_hidden_layers", 3),
      "tensors that the config wants are missing: text_model.encoder.layers")
    refuses("vae/config.json", set("latents_std", { 0, 0, 0, 0, 0, 0, 0, 0 }), "deviations above 0")
    refuses("vae/config.json", set("latents_mean", { 1, 2 }), "must be 8 numbers each")
    refuses("scheduler/scheduler_config.json", set("beta_schedule", "zz"),
      bad .. '/scheduler/scheduler_config.json: sampler: "beta_schedule" is "zz"')
    refuses("tokenizer/tokenizer.json", set("normalizer", { type = "Evil" }),
      'normalizer "Evil" is not supported', 1)
  end)
  it("is told by its index", function()
    local index = "model_index.json"
    refuses(index, set("_class_name", "OtherPipeline"), "pipeline 'OtherPipeline' is not supported")
    refuses(index, function() return { 1 } end, "names no pipeline")
    refuses(index, set("../vae", { "weft", "x" }), "'../vae' is no name of a part")
    refuses(index, set("more", { "weft", "x" }), bad .. "/more/config.json: cannot be opened")
    refuses(index, set("unet", nil), "has no unet")
    refuses(index, set("tokenizer", nil), "has no tokenizer")
    micro.write(bad .. "/unet/config.json", '{"a":')
    fails(make:format(bad), 4, "unet/config.json: not JSON")
  end)
  it("is told by a shard that lies elsewhere or nowhere", function()
    local name = "diffusion_pytorch_model.safetensors"
    os.execute(("mv %s/unet/%s %s/w.safetensors"):format(bad, name, bad))
    for _, shard in ipairs { "../w.safetensors", "/etc/passwd", "a/../../w.safetensors" } do
      micro.write(bad .. "/unet/" .. name .. ".index.json",
        weft.json.encode { weight_map = { ["conv_in.bias"] = shard } })
      fails(make:format(bad), 4, shard)
    end
    os.remove(bad .. "/unet/" .. name .. ".index.json")
    fails(make:format(bad), 4, bad .. "/unet: holds no .safetensors file")
  end)
  it("stops at the first value that is not finite, and says where", function()
    local function spoil(part, file, name)
      local path = ("%s/%s/%s"):format(bad, part, file)
      local all = {}
      for k, t in pairs(weft.tensor.load(path)) do all[k] = t:clone() end
      local x = all[name]:to "f32" * 0
      all[name] = (x / x):to "f16"
      weft.core.save_tensors(path, all)
    end
    spoil("unet", "diffusion_pytorch_model.safetensors", "mid_block.resnets.0.conv1.weight")
    fails(make:format(bad), 4, "first non-finite value after conv2d at "
      .. "mid_block.resnets.0.conv1 of unet2d, step 1/1")
    spoil("vae", "diffusion_pytorch_model.safetensors", "decoder.conv_out.weight")
    local rc, out = shell.weft(dir, ("inspect --check %s/vae"):format(bad))
    assert.are.equal(0, rc)
    assert.is_truthy(out:match "!! decoder.conv_out.weight +%d+ NaN, 0 infinite")
    spoil("text_encoder", "model.safetensors", "text_projection.weight")
    fails(make:format(bad), 4, "at text_projection of clip_text, reading the prompt")
  end)
end)

describe("a wrong call", function()
  it("is told at its line with the fix", function()
    local call = ('local m = weft.load "%s"\nm:image { %%s }'):format(model)
    fails(call:format '"a", smapler = "ddim"', 2, "option 'smapler' (did you mean 'sampler'?)")
    fails(call:format '"a", cfg_scale = 3', 2, "weft calls it guidance")
    fails(call:format '"a", steps = "thirty"', 2, "steps must be 1 … 1000, got \"thirty\"")
    fails(call:format '"a", steps = 0', 2, "steps must be 1 … 1000, got 0")
    fails(call:format '"a", seed = 0/0', 2, "seed must be")
    fails(call:format '"a", nothing, "b"', 2, "'nothing' is not defined")
    fails(call:format '"a", _G.nothing, "b"', 2, "prompt part 2 is nil")
    fails(call:format '"a", strength = 0.5', 2, "strength without init")
    fails(call:format '"a", fps = 8', 2, "makes no sense for image")
    fails(call:format '{}', 2, "prompt: a table")
    fails('weft.load "mikro"', 4, "there is no model 'mikro'")
    fails('weft.image.load(3)', 2, "path must be a string, got number")
    fails('weft.tensor.zeros(-1)', 2, "zeros")
    fails('weft.tensor.zeros(1e6, 1e6, 1e6)', 2, "is not a shape")
    fails('weft.tensor.zeros(1e5, 1e5, 100)', 5, "out of memory")
  end)
end)

describe("a wrong command line", function()
  local function says(words, exit, text)
    local rc, out, err = shell.weft(dir, words)
    assert.is_truthy(err:find(text, 1, true), ("%q is not in %q"):format(text, err))
    assert.are.equal(exit, rc)
    assert.are.equal("", out)
  end

  it("is told with the nearest word, exit 2", function()
    micro.write(dir .. "/p.lua", 'local p = require "weft".params { seed = 1, k = { 1, max = 3 } }')
    says("rnu p.lua", 2, "did you mean 'run'")
    says("run p.lua --modle x", 2, "did you mean '--model'")
    says("run p.lua sed=3", 2, "unknown parameter 'sed' (did you mean 'seed'?)")
    says("run p.lua seed=x", 2, 'parameter seed must be a number, got "x"')
    says("run p.lua k=4", 2, "parameter k must be at most 3, got")
    says("run p.lua -o /proc", 4, "/proc/weft: making a temporary file beside it failed")
    says("run p.lua --threads 0", 2, "--threads must be a whole number 1 … 1024")
    says("run p.lua --out", 2, "--out wants DIR")
    says("run", 2, "which recipe?")
    says("run gone.lua", 4, "gone.lua: there is no such file")
    says("run .", 4, "is a folder")
    says("make picture x", 2, "kind must be image, audio, video or text")
    says("make image a cat", 2, "quote the text")
    says("make image x steps=0 -m " .. model, 2, "steps must be 1 … 1000")
    says("make image x stesp=3 -m " .. model, 2, "did you mean 'steps'")
    says("info", 2, "which file?")
    says("help bacth", 2, "did you mean 'batch'")
  end)
  it("of a recipe that does not compile shows the place", function()
    micro.write(dir .. "/syntax.lua", "local x = = 3\n")
    says("run syntax.lua", 1, "syntax.lua:1")
    micro.write(dir .. "/code.lua", string.dump(function() return 1 end))
    says("run code.lua", 4, "code.lua is compiled Lua, not source")
  end)
end)

describe("a wrong argument", function()
  it("is said at the line that gives it", function()
    for code, says in pairs {
      ["weft.with(1)"] = "with: the options must be a table, got number",
      ["weft.with({}, 2)"] = "with: what wins over them must be a table, got number",
      ["weft.image.new(2)"] = "image.new: height must be a number, got nil",
      ["weft.tensor.zeros { -1 }"] = "zeros: each size must be in 0 ... inf, got -1",
      ["weft.tensor.ones(2, 0.5)"] = "ones: each size must be a whole number, got 0.5",
      ["weft.seed(-1)"] = "seed must be in 0 ",
      ['weft.seed "x"'] = "seed must be a number, got string",
    } do
      fails(code, 2, says)
      local _, _, err = shell.run(dir, shell.program .. " run r.lua")
      assert.is_truthy(err:find("r.lua:2\n", 1, true), err)
      assert.is_truthy(err:find("    2 | " .. code, 1, true), err)
    end
  end)
  it("is said by models before they work", function()
    local on = ('local m = weft.load "%s"\n'):format(model)
    for code, says in pairs {
      ["m:edit(weft.image.new(4, 4))"] = "edit: options must be a table, got nil",
      ['m:image { "a", mix = { text = "a" } }'] = 'image: mix.text cannot be "a"',
      ['m:image { "a", mix = { text = -1 } }'] = "image: mix.text cannot be -1",
      ['m:image { "a", mix = { 1, 2 } }'] = "image: mix.1 cannot be 1",
      ["m:chat(3)"] = "chat: options must be a table, got number",
      ['m:generate { "a cat", to = {} }'] = "generate: to names nothing",
      ['m:image { "\\255\\254 cat" }:save "u.png"'] = "image: prompt part 1 is not UTF-8",
      ['m:image { "a ", weft.weigh("\\237\\160\\128", 2) }'] = "image: prompt part 2 is not UTF-8",
    } do
      fails(on .. code, 2, says)
    end
  end)
  it("is no text that is UTF-8", function()
    local check = require "weft.check"
    for _, text in ipairs { "", "a", "\195\164", "\226\130\172 x", "\240\159\166\138" } do
      assert.is_true(check.is_utf8(text))
    end
    for _, text in ipairs { "\255", "a\195", "\192\128", "\224\128\128", "\237\160\128",
      "\244\144\128\128", "\226\130", "\128", "\240\159\166" } do
      assert.is_false(check.is_utf8(text))
    end
  end)
  it("of the environment is named with what it may be", function()
    for name, says in pairs {
      WEFT_CPU = "WEFT_CPU=foo: must be one of amx avx512bf16 avx512 avx2 plain",
      WEFT_TERM = "WEFT_TERM=foo: must be one of kitty blocks ascii none",
      WEFT_PROVENANCE = "WEFT_PROVENANCE=foo: must be one of full hash none",
    } do
      local rc, _, err = shell.run(dir, name .. "=foo " .. shell.program .. " models")
      assert.are.equal(2, rc)
      assert.is_truthy(err:find(says, 1, true), err)
      assert.are.equal(0, (shell.run(dir, name .. "= " .. shell.program .. " models")))
    end
  end)
  it("of weft -e shows the code", function()
    local rc, _, err = shell.weft(dir, "-e 'print(('")
    assert.are.equal(1, rc)
    assert.is_truthy(err:find("  command line:1\n    1 | print((", 1, true), err)
    rc, _, err = shell.weft(dir, "-e 'local x = 1\nerror(\"hm\")'")
    assert.are.equal(1, rc)
    local page = 'error: hm\n  command line:2\n    1 | local x = 1\n    2 | error("hm")'
    assert.is_truthy(err:find(page, 1, true), err)
  end)
end)

describe("a tokenizer", function()
  it("that has more pieces than the model has rows is refused at load", function()
    os.execute(("cp -r %s %s/wide && rm -r %s/wide/text_encoder"):format(model, dir, dir))
    local config = weft.with(micro.config("text_encoder", true), { vocab_size = 100,
      eos_token_id = 2 })
    weft.model.new(require "configs".micro.text_encoder.arch, config)
      :save(dir .. "/wide/text_encoder")
    local n = #weft.tokenizer.load(model .. "/tokenizer")
    local ok, err = pcall(weft.load, dir .. "/wide")
    assert.is_false(ok)
    assert.are.equal("model", err.kind)
    assert.is_truthy(err.message:find(("wide/tokenizer: the tokenizer has %d pieces, but the "
      .. "embedding of %s/wide/text_encoder has 100 rows"):format(n, dir), 1, true), err.message)
  end)
end)
