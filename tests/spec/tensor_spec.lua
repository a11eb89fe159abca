--- Tensors from Lua: makers, indexing, views, arithmetic, conversions, printing.
local weft = require "weft"
local T = weft.tensor

local function same(want, t) assert.are.same(want, t:totable()) end

describe("makers", function()
  it("take nested lists", function()
    local t = T{ { 1, 2, 3 }, { 4, 5, 6 } }
    assert.are.same({ 2, 3 }, t:size())
    assert.are.equal("f32", t.dtype)
    same({ { 1, 2, 3 }, { 4, 5, 6 } }, t)
    same(7, T(7))
    assert.are.equal(0, T(7).rank)
  end)
  it("refuse ragged lists and other values", function()
    assert.has_error(function() T{ { 1, 2 }, { 3 } } end)
    assert.has_error(function() T{ 1, "2" } end)
    assert.has_error(function() T{ { 1 }, 2 } end)
  end)
  it("keep whole numbers exact in i64", function()
    local big = 2 ^ 53 - 1
    same({ big, -big }, T({ big, -big }, { dtype = "i64" }))
    same({ true, false }, T({ true, false }, { dtype = "bool" }))
  end)
  it("take sizes as numbers or a list", function()
    same({ { 0, 0 } }, T.zeros(1, 2))
    same({ { 1 }, { 1 } }, T.ones({ 2, 1 }, { dtype = "f16" }))
    same({ 2.5, 2.5 }, T.full({ 2 }, 2.5))
    same({ 1, 2, 3 }, T.arange(1, 3, { dtype = "i32" }))
    same({ 0, 0.5, 1 }, T.linspace(0, 1, 3))
    same({ 3, 2, 1 }, T.arange(3, 1, -1))
  end)
  it("round through strings of bytes", function()
    local t = T({ 1, 2, 3 }, { dtype = "bf16" })
    same({ 1, 2, 3 }, T.from_bytes(t:bytes(), "bf16", { 3 }))
    assert.has_error(function() T.from_bytes("abc", "f32", { 1 }) end)
  end)
  it("give an index the same noise whatever the size", function()
    local a, b = T.randn({ 4 }, { seed = 5 }), T.randn({ 2, 4 }, { seed = 5 })
    same(a:totable(), b[1])
    local other = T.randn({ 4 }, { seed = 6 })
    assert.are_not.same(a:totable(), other:totable())
    same(b[2]:totable(), T.randn({ 4 }, { seed = 5, first = 4 }))
  end)
end)

describe("indexing", function()
  local t
  before_each(function() t = T.arange(1, 24):reshape(2, 3, 4) end)
  it("counts from 1 and from the end", function()
    assert.are.equal(1, t[1][1][1])
    assert.are.equal(24, t[-1][-1][-1])
    assert.are.equal(24, t[{ 2, 3, 4 }])
    assert.are.equal(2, #t)
    for _, i in ipairs{ 0, 3, -3, 1.5 } do assert.has_error(function() return t[i] end) end
  end)
  it("takes ranges, inclusive, with a step", function()
    same({ { 5, 6 }, { 17, 18 } }, t[{ {}, 2, { 1, 2 } }])
    same({ 1, 3 }, t[{ 1, 1, { 1, -1, 2 } }])
    same({ { 9, 10, 11, 12 } }, t[{ 1, { 3, 3 } }])
    assert.has_error(function() return t[{ { 2, 1 } }] end)
    assert.has_error(function() return t[{ 1, 1, 1, 1 }] end)
  end)
  it("shares memory with its views", function()
    t[{ 1, {}, { 2, 3 } }] = 0
    same({ { 1, 0, 0, 4 }, { 5, 0, 0, 8 }, { 9, 0, 0, 12 } }, t[1])
    t[2] = T{ 1, 2, 3, 4 }
    same({ { 1, 2, 3, 4 }, { 1, 2, 3, 4 }, { 1, 2, 3, 4 } }, t[2])
    t[2][3][4] = 9
    assert.are.equal(9, t[{ -1, -1, -1 }])
  end)
  it("refuses what does not fit", function()
    assert.has_error(function() t[1] = T{ 1, 2, 3 } end)
    assert.has_error(function() t[1] = "x" end)
    assert.has_error(function() t.name = 1 end)
  end)
  it("writes through views of any dim", function()
    local z = weft.tensor.zeros { 4, 4, 3 }
    z[{ { 1, 2 }, {}, 1 }] = 5
    z:select(3, 2):fill_(1)
    z:select(2, 1):copy_(weft.tensor.ones { 4, 3 } * 2)
    z[{ 2, 3, 3 }] = 7
    assert.equal(40 + 16 - 10 - 4 + 24 + 7, z:sum():item())
    assert.equal(7, z[{ 2, 3, 3 }])
    same({ 2, 5, 5, 5 }, z:select(1, 1):select(2, 1))
    -- What no strides can show is a copy.
    local flat = z:permute(2, 1, 3):reshape(-1)
    flat:fill_(9)
    assert.equal(2, z[{ 1, 1, 1 }])
  end)
  it("narrows and selects as tensors", function()
    same({ 5, 17 }, t:select(2, 2):select(-1, 1))
    same({ { { 21, 22, 23, 24 } } }, t:narrow(1, 2, 1):narrow(2, -1, 1))
    assert.are.equal(0, t:select(1, 1):select(1, 1):select(1, 1).rank)
    assert.has_error(function() t:narrow(1, 2, 2) end)
  end)
end)

describe("whole numbers", function()
  local far = { -1e300, -129, -1.5, 0.5, 127.9, 300, 2 ^ 40, 1e300, 1 / 0, -1 / 0, 0 / 0 }
  local want = {
    u8 = { 0, 0, 0, 0, 127, 255, 255, 255, 255, 0, 0 },
    i8 = { -128, -128, -1, 0, 127, 127, 127, 127, 127, -128, 0 },
    i32 = { -2 ^ 31, -129, -1, 0, 127, 300, 2 ^ 31 - 1, 2 ^ 31 - 1, 2 ^ 31 - 1, -2 ^ 31, 0 },
    i64 = { -2 ^ 63, -129, -1, 0, 127, 300, 2 ^ 40, 2 ^ 63, 2 ^ 63, -2 ^ 63, 0 },
    bool = { true, true, true, true, true, true, true, true, true, true, true },
  }
  for dtype, values in pairs(want) do
    it("of " .. dtype .. " are cut and stay in its range, however they are made", function()
      same(values, T(far, { dtype = dtype }))
      for i, v in ipairs(far) do
        same({ values[i] }, T.full({ 1 }, v, { dtype = dtype }))
        same({ values[i] }, T({ v }):to(dtype))
      end
    end)
  end
  it("are one byte of 0 or 1 in a bool", function()
    assert.equal("\1\1\0", T({ 2, 0.5, 0 }, { dtype = "bool" }):bytes())
    assert.equal("\1\1", T.full({ 2 }, 0.5, { dtype = "bool" }):bytes())
    assert.equal(3, T.full({ 3 }, 2, { dtype = "bool" }):to "f32":sum():item())
  end)
  it("are 0 and 1 even where a bool is another byte", function()
    local x = T.from_bytes("\2\0\255", "bool", { 3 })
    same({ 1, 0, 1 }, x:to "f32")
    same({ 1, 0, 1 }, x:to "u8")
    same({ true, false, true }, x)
    assert.are.equal("\1\0\1", x:eq(T({ true, true, true }, { dtype = "bool" })):bytes())
  end)
  it("meet a number that their dtype cannot hold as f32", function()
    local x = T({ 1, 200 }, { dtype = "u8" })
    same({ 3, 202 }, x + 2)
    assert.equal("u8", (x + 2).dtype)
    for v, y in pairs { [300] = { 301, 500 }, [-1] = { 0, 199 }, [0.5] = { 1.5, 200.5 } } do
      same(y, x + v)
      assert.equal("f32", (x + v).dtype)
    end
    assert.equal(1 / 0, (x + 1 / 0):max():item())
  end)
end)

describe("views", function()
  local t = T.arange(1, 6):reshape(2, 3)
  it("reorder dims", function()
    same({ { 1, 4 }, { 2, 5 }, { 3, 6 } }, t:t())
    same(t:t():totable(), t:permute(2, 1))
    same(t:t():totable(), t:transpose(1, -1))
    assert.is_false(t:t():is_contiguous())
    same({ 1, 4, 2, 5, 3, 6 }, t:t():reshape(-1))
    assert.has_error(function() t:t():view(6) end)
  end)
  it("slice by whole numbers that stay inside, whatever is asked", function()
    local ops, x = weft.core.ops, T.arange(1, 4)
    local function refused(says, f, ...)
      local ok, err = pcall(f, ...)
      assert.is_false(ok)
      assert.equal("usage", err.kind)
      assert.is_truthy(err.message:find(says, 1, true), err.message)
    end
    same({ 4, 2 }, ops.slice(x, 0, 3, 2, -2))
    same({ 3 }, ops.slice(x, 0, 2, 1, 2 ^ 52))
    same({ 0, 0, 5, 0 }, ops.slice_dx(T{ 5 }, 0, 2, 2 ^ 52, 4))
    same({}, ops.slice(x, 0, 4, 0, 1))
    for _, case in ipairs{
      { 1, 2 ^ 32 + 1, 2 ^ 32 }, { 3, 2 ^ 32 + 1, -2 ^ 32 }, { 0, 3, 2 }, { 0, 3, 2 ^ 51 },
      { 4, 1, 1 }, { -1, 1, 1 }, { 0, -1, 1 }, { 0, 2, 0 }, { 1, 3, -1 },
      { 5, 0, 1 }, { 100000, 0, 1 }, { 5, 0, -1 },
    } do
      refused("values from position", ops.slice, x, 0, unpack(case))
    end
    refused("leaves a dim of 4", ops.slice_dx, T{ 1, 2 }, 0, 1, 2 ^ 51, 4)
    refused("leaves a dim of 4", ops.slice_dx, T{ 1, 2 }, 0, 1, 0, 4)
    refused("leaves a dim of 4", ops.slice_dx, T{}, 0, 5, 1, 4)
    refused("leaves a dim of -1", ops.slice_dx, T{}, 0, 0, 1, -1)
    for i = 1, 3 do
      for _, v in ipairs{ 1.5, 0 / 0, 1 / 0, -1e300 } do
        local slice, dx = { 0, 1, 1, 1 }, { 0, 0, 1, 4 }
        slice[i + 1], dx[i + 1] = v, v
        refused("wants a whole number", ops.slice, x, unpack(slice))
        refused("wants a whole number", ops.slice_dx, T{ 1 }, unpack(dx))
      end
    end
  end)
  it("of a number are made of it", function()
    same({ 5 }, weft.core.ops.reshape(5, 1))
  end)
  it("add and drop dims of 1", function()
    assert.are.same({ 2, 1, 3 }, t:unsqueeze(2):size())
    assert.are.same({ 2, 3, 1 }, t:unsqueeze(-1):size())
    assert.are.same({ 2, 3 }, t:unsqueeze(1):unsqueeze(-1):squeeze():size())
    assert.has_error(function() t:squeeze(1) end)
  end)
  it("expand, split, join", function()
    same({ { 1, 2, 3 }, { 1, 2, 3 } }, t[1]:expand(2, -1))
    local parts = t:split(2, 2)
    assert.are.equal(2, #parts)
    same(t:totable(), weft.cat(parts, 2))
    local many = {}
    for k = 1, 70 do many[k] = weft.tensor { k, -k } end
    local joined = weft.cat(many, 1):totable()
    assert.equal(140, #joined)
    for k = 1, 70 do assert.equal(-k, joined[2 * k]) end
    assert.are.same({ 2, 2, 3 }, weft.stack{ t, t }:size())
    same({ { 1, 2 }, { 2, 3 }, { 4, 5 }, { 5, 6 } }, t:unfold(2, 2, 1):reshape(4, 2))
  end)
end)

describe("arithmetic", function()
  local a = T{ { 1, 2 }, { 3, 4 } }
  it("works on values and broadcasts", function()
    same({ { 2, 4 }, { 6, 8 } }, a + a)
    same({ { 1, 4 }, { 9, 16 } }, a * a)
    same({ { 11, 22 }, { 13, 24 } }, a + T{ 10, 20 })
    same({ { 0, 1 }, { 2, 3 } }, a - 1)
    same({ { 9, 8 }, { 7, 6 } }, 10 - a)
    same({ { 12, 6 }, { 4, 3 } }, 12 / a)
    same({ { 0.5, 1 }, { 1.5, 2 } }, a / 2)
    same({ { 1, 4 }, { 9, 16 } }, a ^ 2)
    same({ { 1, 8 }, { 27, 64 } }, a ^ 3)
    same({ { 2, 4 }, { 8, 16 } }, 2 ^ a)
    same({ { -1, -2 }, { -3, -4 } }, -a)
  end)
  it("keeps whole dtypes whole", function()
    local ids = T({ 1, 2 }, { dtype = "i64" })
    assert.are.equal("i64", (ids + 1).dtype)
    same({ 2, 3 }, ids + 1)
    same({ 3, 6 }, ids * 3)
  end)
  it("has the dtype that holds the values of both", function()
    local by = { "bool", "u8", "i32", "i64", "f16" }
    for i, small in ipairs(by) do
      for j, large in ipairs(by) do
        local x, y = T({ 1 }, { dtype = small }), T({ 1 }, { dtype = large })
        local want = by[math.max(i, j)]
        assert.are.equal(want, (x + y).dtype, small .. " + " .. large)
        assert.are.equal(want, weft.where(x:eq(y), x, y).dtype, small .. " or " .. large)
      end
    end
    same({ 6, 7 }, T({ true, false }, { dtype = "bool" }) + T({ 5, 7 }, { dtype = "i64" }))
    same({ 3e9 }, T({ 0 }, { dtype = "i32" }) + T({ 3e9 }, { dtype = "i64" }))
    same({ 500 }, T({ 200 }, { dtype = "u8" }) + T({ 300 }, { dtype = "i64" }))
    same({ 0.75 }, weft.where(T{ 1 }:gt(2), T({ 1 }, { dtype = "i64" }), T{ 0.75 }))
    assert.are.equal("f16", (T({ 1 }, { dtype = "f16" }) + T{ 1 }).dtype)
  end)
  it("clamps to the upper bound where it is below the lower", function()
    for _, device in ipairs{ "cpu", "test" } do
      local y = T({ 0, 2, 4, 0 / 0 }, { device = device }):clamp(3, 1):totable()
      assert.are.same({ 1, 1, 1 }, { y[1], y[2], y[3] })
      assert.is_true(y[4] ~= y[4])
    end
  end)
  it("adds exponentials of infinities and NaN as PyTorch does", function()
    local inf, nan = 1 / 0, 0 / 0
    for _, device in ipairs{ "cpu", "test" } do
      local x = T({ { nan, nan }, { nan, inf }, { 1, inf }, { -inf, -inf } }, { device = device })
      local sums, rows = weft.logsumexp(x):totable(), weft.log_softmax(x):totable()
      for i = 1, 2 do assert.is_true(sums[i] ~= sums[i], device) end
      assert.are.same({ inf, -inf }, { sums[3], sums[4] })
      for i = 1, 3 do
        for j = 1, 2 do assert.is_true(rows[i][j] ~= rows[i][j], device .. i .. j) end
      end
      local loss = weft.cross_entropy(x:narrow(1, 3, 1),
        T({ 0 }, { dtype = "i64", device = device })):item()
      assert.is_true(loss ~= loss, device)
    end
  end)
  it("reduces along dims counted from 1", function()
    assert.are.equal(10, a:sum():item())
    same({ 4, 6 }, a:sum(1))
    same({ { 3 }, { 7 } }, a:sum(2, true))
    same({ 1.5, 3.5 }, a:mean(-1))
    same({ 2, 4 }, a:max(2))
    same({ 1, 1 }, a:argmax(2))
    assert.are.near(math.sqrt(5 / 3), a:std():item(), 1e-6)
    assert.are.near(math.sqrt(30), a:norm():item(), 1e-6)
    assert.has_error(function() a:sum(0) end)
  end)
  it("reads dims of 1 whatever their stride", function()
    same({ { 1 }, { 2 } }, T{ { 1 }, { 2 } }:expand(2, 1):cumsum(2))
    same({ 1, 2 }, T{ { 1 }, { 2 } }:expand(2, 1):max(2))
  end)
  it("multiplies matrices", function()
    same({ { 7, 10 }, { 15, 22 } }, a:matmul(a))
    same({ { 5, 11 }, { 11, 25 } }, a:matmul(a, { trans_b = true }))
  end)
  it("multiplies by each of many views of one storage", function()
    local x, w = T.randn({ 3, 64 }, { seed = 2 }), T.randn({ 8, 64, 64 }, { seed = 1 })
    for i = 1, 8 do
      local y = x:matmul(w[i], { trans_b = true })
      -- sums of 64 products in f32, in another order
      assert.is_true((weft.linear(x, w[i]) - y):abs():max():item() < 1e-4)
    end
  end)
  it("looks up rows of a table in 16 bits without expanding all of it", function()
    local full = T.randn({ 20000, 64 }, { seed = 1 })
    for _, dtype in ipairs{ "f16", "bf16" } do
      local w, ids = full:to(dtype), T({ 19999, 0 }, { dtype = "i64" })
      local before = weft.memory(true).peak
      local y = weft.embedding(ids, w)
      assert.is_true(weft.memory().peak - before < 1e5)
      assert.are.equal("f32", y.dtype)
      same(w[-1]:totable(), y[1])
    end
  end)
  it("compares to bool", function()
    same({ { false, true }, { true, true } }, a:gt(1))
    same({ { 0, 2 }, { 3, 4 } }, weft.where(a:gt(1), a, 0))
  end)
  it("takes softmax along any dim", function()
    assert.are.near(1, a:softmax(1):sum(1)[2], 1e-6)
    assert.are.near(1, a:softmax():sum(2)[2], 1e-6)
  end)
end)

describe("in place", function()
  it("writes only what ends in _", function()
    local a = T{ 1, 2, 3 }
    local b = a:add(1)
    same({ 1, 2, 3 }, a)
    a:add_(1):mul_(b)
    same({ 4, 9, 16 }, a)
    a:fill_(2)
    same({ 2, 2, 2 }, a)
    a:zero_()
    a[{ { 1, 2 } }]:copy_(T{ 5, 6 })
    same({ 5, 6, 0 }, a)
  end)
  it("reads what was there before, where the two overlap", function()
    for _, device in ipairs{ "cpu", "test" } do
      local t = T({ 1, 2, 3, 4 }, { device = device })
      t:narrow(1, 2, 3):copy_(t:narrow(1, 1, 3))
      same({ 1, 1, 2, 3 }, t)
      t:narrow(1, 2, 3):lerp_(t:narrow(1, 1, 3), 0.5)
      same({ 1, 1, 1.5, 2.5 }, t)
      local m = T({ { 1, 2 }, { 3, 4 } }, { device = device })
      m:t():copy_(m)
      same({ { 1, 3 }, { 2, 4 } }, m)
    end
  end)
end)

describe("conversion", function()
  it("changes the dtype", function()
    local t = T{ 1.5, -2.25 }
    for _, dtype in ipairs{ "f16", "bf16", "f64" } do
      assert.are.equal(dtype, t:to(dtype).dtype)
      same({ 1.5, -2.25 }, t:to(dtype):to "f32")
    end
    assert.are.equal(t, t:to "f32")
    assert.are.equal(t, t:to "cpu")
    assert.has_error(function() t:to "f33" end)
  end)
  it("knows every dtype of core, and names them all when there is none of that name", function()
    local x = T.arange(0, 31)
    local _, e = pcall(T.zeros, 2, { dtype = "f33" })
    for dtype, bytes in pairs(weft.core.dtypes) do
      local t = x:to(dtype)
      assert.are.equal(dtype, t.dtype)
      assert.truthy(tostring(t):find("Tensor " .. dtype, 1, true))
      assert.truthy((e.hint .. " "):find(" " .. dtype .. " ", 1, true), dtype)
      assert.are.equal(bytes == math.floor(bytes), tostring(t):find(" B", 1, true) ~= nil, dtype)
    end
    assert.are.same({ 4, 2, 1, 34 / 32 }, { weft.core.dtypes.f32, weft.core.dtypes.bf16,
      weft.core.dtypes.bool, weft.core.dtypes.q8_0 })
  end)
  it("gives ffi a typed pointer", function()
    local t = T.zeros(3)
    local p = t:ptr()
    p[1] = 4.5
    same({ 0, 4.5, 0 }, t)
    assert.has_error(function() T.zeros(2, 3):t():ptr() end)
  end)
  it("applies a function to every value", function()
    same({ { 2 }, { 4 } }, T{ { 1 }, { 2 } }:apply(function(v) return 2 * v end))
  end)
end)

describe("quantised values", function()
  local q = T.arange(1, 256):reshape(4, 64):to "q8_0"
  local flat = q:to "f32"
  local function equal(want, got) assert.are.same(want:totable(), got:to "f32":totable()) end

  it("are copied and cut in whole rows", function()
    local ops = weft.core.ops
    equal(flat, q:clone())
    equal(flat:narrow(1, 2, 2), q:narrow(1, 2, 2))
    equal(ops.slice(flat, 0, 3, 2, -2), ops.slice(q, 0, 3, 2, -2):contiguous())
    equal(flat:reshape(2, 2, 64), q:reshape(2, 2, 64))
    equal(flat:reshape(2, 2, 64):transpose(1, 2),
      q:reshape(2, 2, 64):transpose(1, 2):contiguous())
    equal(flat[3], q[3])
    local cut = ops.slice(q, 0, 1, 2, 2)
    equal(weft.linear(T.ones(1, 64), cut:contiguous()), weft.linear(T.ones(1, 64), cut))
  end)
  it("are looked up as rows", function()
    local ids = T({ { 3, 0 } }, { dtype = "i64" })
    assert.are.same(weft.embedding(ids, flat):totable(), weft.embedding(ids, q):totable())
  end)
  it("are refused where their blocks would break or nothing reads them", function()
    local ops, mask = weft.core.ops, T.ones(4, 64):to "bool"
    local ids = T({ 1 }, { dtype = "i64" })
    local refused = {
      function() return q[{ 1, 2 }] end, function() return q:t():contiguous() end,
      function() return q:narrow(2, 1, 32) end, function() return q:reshape(16, 16) end,
      function() return ops.index_select(q, ids, 0) end, function() return q + 1 end,
      function() return weft.cat({ q, q }, 1) end, function() return q:clone():copy_(flat) end,
      function() return flat:clone():copy_(q) end, function() return q:clone():lerp_(flat, 1) end,
      function() return weft.where(mask, q, q) end, function() return ops.pad(q, 0, 0, 1, 1) end,
      function() return ops.gather(q, ids:reshape(1, 1), 0) end, function() return q:item() end,
      function() return q:sum() end,
    }
    for i, f in ipairs(refused) do
      local ok, e = pcall(f)
      assert.is_false(ok, "case " .. i)
      assert.truthy(tostring(e):find("q8_0", 1, true), tostring(e))
    end
  end)
end)

describe("printing", function()
  it("shows statistics and a corner", function()
    local text = tostring(T.arange(1, 100):reshape(10, 10))
    assert.is_truthy(text:find("Tensor f32 [10 10] cpu  100 elements 400 B  contiguous", 1, true))
    assert.is_truthy(text:find("min 1  max 100  mean 50.5", 1, true))
    assert.is_truthy(text:find("[1]  1 2 3 4 … 10", 1, true))
    assert.is_truthy(text:find("… 7 more rows", 1, true))
  end)
  it("counts NaN and infinities", function()
    local text = tostring(T{ 0 / 0, 1 / 0, 3 })
    assert.is_truthy(text:find("NaN 1  Inf 1", 1, true))
    assert.is_truthy(text:find("max 3", 1, true))
  end)
  it("shows scalars, empty and freed ones", function()
    assert.is_truthy(tostring(T(3)):find("3", 1, true))
    assert.is_truthy(tostring(T.zeros(0, 3)):find("[0 3]", 1, true))
    local t = T{ 1 }
    t:free()
    assert.are.equal("Tensor (freed)", tostring(t))
  end)
end)
