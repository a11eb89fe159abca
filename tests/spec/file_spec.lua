--- Files of tensors: round trips, strided sources, errors that name the file.
local weft = require "weft"
local T = weft.tensor

local function temp(ext)
  local path = os.tmpname()
  os.remove(path)
  return path .. ext
end

describe("files of tensors", function()
  it("round-trip every dtype", function()
    local path, all = temp ".safetensors", {}
    for i, dtype in ipairs{ "f32", "f16", "bf16", "i64", "i32", "i8", "u8", "bool" } do
      all["t." .. dtype] = T.arange(0, 5):reshape(2, 3):to(dtype == "bool" and "u8" or dtype)
      if dtype == "bool" then all["t.bool"] = T({ { true, false } }, { dtype = "bool" }) end
      all["n" .. i] = T.full({}, i)
    end
    T.save(path, all)
    local back = T.load(path)
    for name, t in pairs(all) do
      assert.are.equal(t.dtype, back[name].dtype)
      assert.are.same(t:totable(), back[name]:totable())
    end
    assert.are.same({ { 0, 1, 2 }, { 3, 4, 5 } }, T.load(path, "t.i32"):totable())
    assert.has_error(function() T.load(path, "t.x") end)
    local seen = weft.inspect(path)
    assert.are.equal(#weft.core.open_tensors(path):names(), #seen.tensors)
    assert.is_nil(seen.tensors[1].odd)
    assert.has_error(function() T.save(path, { __metadata__ = all.n1 }) end)
    assert.has_error(function() T.save(path, all.n1) end)
    os.remove(path)
  end)
  it("store views as they look", function()
    local path = temp ".safetensors"
    local t = T.arange(1, 6):reshape(2, 3)
    T.save(path, { a = t:t(), b = t[{ {}, { 2, 3 } }] }, { note = "é" })
    local back = T.load(path)
    assert.are.same({ { 1, 4 }, { 2, 5 }, { 3, 6 } }, back.a:totable())
    assert.are.same({ { 2, 3 }, { 5, 6 } }, back.b:totable())
    local file = weft.core.open_tensors(path)
    assert.are.equal("é", file:meta "note")
    assert.is_nil(file:meta "other")
    assert.are.same({ "a", "b" }, file:names())
    os.remove(path)
  end)
  it("that were read are not replaced by name", function()
    local path = temp ".safetensors"
    T.save(path, { a = T.ones(2) })
    local ok, err = pcall(T.save, path, T.load(path))
    assert.is_false(ok)
    assert.is_truthy(tostring(err):find("was read by this run", 1, true))
    os.remove(path)
  end)
  it("may be replaced while their tensors live", function()
    local path = temp ".safetensors"
    weft.core.save_tensors(path, { x = T{ 1, 2 } })
    local old = T.load(path).x
    weft.core.save_tensors(path, { x = T{ 3, 4 } })
    assert.are.same({ 1, 2 }, old:totable())
    assert.are.same({ 3, 4 }, T.load(path).x:totable())
    os.remove(path)
  end)
  it("are read only", function()
    local path = temp ".safetensors"
    T.save(path, { x = T{ 1, 2 } })
    local x = T.load(path).x
    local opt = weft.train.adamw{ { x } }
    for _, write in ipairs{
      function() x[1] = 3 end, function() x:fill_(3) end, function() x[{ { 1, 2 } }]:add_(1) end,
      function() opt:step{ T{ 1, 1 } } end,
    } do
      local ok, err = pcall(write)
      assert.is_false(ok)
      assert.is_truthy(err.message:find("read only", 1, true))
    end
    local copy = x:clone()
    copy[1] = 3
    assert.are.same({ 3, 2 }, copy:totable())
    assert.are.same({ 1, 2 }, x:totable())
    os.remove(path)
  end)
  it("round-trip .npy", function()
    local path = temp ".npy"
    T.save(path, T.arange(1, 6):reshape(2, 3):t())
    assert.are.same({ { 1, 4 }, { 2, 5 }, { 3, 6 } }, T.load(path):totable())
    os.remove(path)
  end)
  it("fail with a kind and the path", function()
    local ok, err = pcall(T.load, "/nowhere/x.safetensors")
    assert.is_false(ok)
    assert.are.equal("io", err.kind)
    assert.is_truthy(err.message:find("/nowhere/x.safetensors", 1, true))
    ok, err = pcall(T.save, "/nowhere/x.safetensors", { a = T{ 1 } })
    assert.is_false(ok)
    assert.are.equal("io", err.kind)
    assert.has_error(function() T.save("x.safetensors", { a = 1 }) end)
  end)
end)
