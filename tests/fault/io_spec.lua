--- Every step of writing a file failed in turn, for each kind of file: an error of kind io that
-- names the file, nothing half written under a final name, no temporary file left. Then a disk
-- that is really full.
package.path = "./tests/lib/?.lua;" .. package.path
local weft = require "weft"
local core, T = weft.core, weft.tensor
local micro = require "micro"

local root = io.popen("pwd"):read "*l"

local function slurp(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read "*a"
  f:close()
  return text
end

--- Contents of a folder's files by name, hidden ones too.
local function contents(dir)
  local out = {}
  for _, name in ipairs(require("weft.host").list(dir)) do
    out[name] = slurp(dir .. "/" .. name)
  end
  return out
end

local sound = weft.audio.from(T.rand({ 3000, 1 }, { seed = 1 }) * 0.5, 16000)
local picture = weft.image.from(T.rand({ 40, 30, 3 }, { seed = 2 }))
local frames = { picture, picture:flip "x", picture }

local vae, params, opt
local function training()
  if vae then return end
  vae = weft.model.new("vae", micro.config("vae", true), { seed = 1 })
  params = weft.train.parameters(vae)
  opt = weft.train.adamw { params }
end

-- What is saved, by the name that the error must hold.
local kinds = {
  ["a.png"] = function(path) picture:save(path) end,
  ["a.jpg"] = function(path) picture:save(path) end,
  ["v.png"] = function(path) weft.video.new { frames = frames, fps = 4 }:save(path) end,
  ["a.wav"] = function(path) sound:save(path) end,
  ["a.flac"] = function(path) sound:save(path) end,
  ["a.ogg"] = function(path) sound:save(path) end,
  ["a.opus"] = function(path) sound:save(path) end,
  ["t.safetensors"] = function(path) T.save(path, { x = T.arange(1, 9), y = T.ones(2, 2) }) end,
  ["t.npy"] = function(path) T.save(path, T.arange(1, 9)) end,
  ["config.json"] = function(path)
    training()
    vae:save(path:match "^(.*)/", { file = "w.safetensors" })
  end,
  ["state.safetensors"] = function(path)
    training()
    weft.train.checkpoint(path, { params = params, optim = opt }):save(3)
  end,
  ["log.jsonl"] = function(path) weft.train.log(path):close() end,
}

--- Fail each step of save(dir/name) over what holds old; returns how many there are.
local function fail_steps(name, save, old)
  local dir, steps = micro.temp(), 0
  local path = dir .. "/" .. name
  save(path)
  local good = contents(dir)
  if not old then os.execute(("rm %s/*"):format(dir)) end
  local before = contents(dir)
  for n = 1, 10000 do
    core.fail_io(n)
    local ok, err = pcall(save, path)
    core.fail_io(0)
    if ok then break end
    steps = n
    assert.are.equal("io", err.kind)
    local told = err.message:match "([%w.]+): %l"
    assert.is_truthy(good[told], ("%s is no file of the save"):format(tostring(err.message)))
    for file, text in pairs(contents(dir)) do
      assert.is_true(text == good[file] or text == before[file],
        ("step %d leaves a broken %s"):format(n, file))
    end
    assert.are.same(before[told], contents(dir)[told])
  end
  assert.are.same(good, contents(dir))
  micro.remove(dir)
  return steps
end

describe("a write that fails", function()
  for name, save in pairs(kinds) do
    it("leaves nothing half done: " .. name, function()
      assert.is_true(fail_steps(name, save, false) >= 4)
      assert.is_true(fail_steps(name, save, true) >= 4)
    end)
  end
end)

describe("a disk that is full", function()
  --- Run a recipe with a shell line before it. Exit code, output, names of the files left.
  local function run(before, out)
    local dir = micro.temp()
    micro.write(dir .. "/r.lua", [[
      local weft = require "weft"
      local im = weft.image.from(weft.tensor.rand({ 300, 300, 3 }, { seed = 1 }))
      im:crop(0, 0, 8, 8):save "small.png"
      im:save "large.png"
    ]])
    local line = ("cd %s && mkdir out && (%s %s/weft run r.lua -o out; rc=$?; ls -A out; exit $rc)"
      .. " 2>&1; echo rc=$?"):format(dir, before, root)
    local pipe = io.popen(out and out:format(line) or line)
    local text = pipe:read "*a"
    pipe:close()
    micro.remove(dir)
    return tonumber(text:match "rc=(%d+)"), text
  end

  it("is said with the file's name, and what was whole stays (a limit of file size)", function()
    local rc, text = run "ulimit -f 16;"
    assert.are.equal(4, rc)
    assert.is_truthy(text:find("large.png: writing failed: File too large", 1, true))
    assert.is_truthy(text:find("\nsmall.png\n", 1, true))
    assert.is_nil(text:find("part", 1, true))
  end)
  it("is said with what is wanted and what is free (a small file system)", function()
    if os.execute "unshare -m true 2>/dev/null" ~= 0 then
      pending "mounting takes root"
      return
    end
    local mount = "mount -t tmpfs -o size=64k none out;"
    local rc, text = run(mount, "unshare -m sh -c '%s'")
    assert.are.equal(4, rc)
    assert.is_truthy(text:match "large.png: no space: %d+ bytes more wanted, %d+ free")
    assert.is_truthy(text:find("\nsmall.png\n", 1, true))
    assert.is_nil(text:find("part", 1, true))
  end)
  it("stops a batch, which goes on when there is room", function()
    if os.execute "unshare -m true 2>/dev/null" ~= 0 then
      pending "mounting takes root"
      return
    end
    local dir = micro.temp()
    micro.write(dir .. "/r.lua", [[
      local weft = require "weft"
      local p = weft.params { seed = 1 }
      weft.image.from(weft.tensor.rand({ 90, 90, 3 }, { seed = p.seed })):save "x.png"
    ]])
    local batch = root .. "/weft batch r.lua --sweep seed=1..20 -o out; echo rc=$?;"
    local pipe = io.popen(("cd %s; mkdir out; unshare -m sh -c '"
      .. "mount -t tmpfs -o size=200k none out; %s mount -o remount,size=5m out; %s "
      .. "ls out/r | wc -l;"
      .. "find out -name \"*.part\"' 2>&1"):format(dir, batch, batch))
    local text = pipe:read "*a"
    pipe:close()
    micro.remove(dir)
    assert.is_truthy(text:find("the disk is full: no more jobs are started", 1, true), text)
    assert.is_truthy(text:match "rc=75\n.*rc=0\n20\n$", text)
  end)
end)
