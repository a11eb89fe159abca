--- Scopes, husks and the collector: who frees what, and when.
local weft = require "weft"
local T = weft.tensor

local function live()
  collectgarbage() collectgarbage()
  return weft.memory().live
end

describe("a scope", function()
  it("frees what it does not return, at once", function()
    local before = live()
    local y = weft.scope(function()
      local big = T.zeros(1000, 1000)
      return big:sum()
    end)
    assert.is_true(weft.memory().live - before < 1e5)
    assert.are.equal(0, y:item())
  end)
  it("returns everything that f returns", function()
    local a, n, b = weft.scope(function(k) return T{ k }, 5, { x = { T{ 2 * k } } } end, 3)
    assert.are.equal(3, a[1])
    assert.are.equal(5, n)
    assert.are.equal(6, b.x[1][1])
  end)
  it("returns tensors at any depth, through tables that are shared or lead back", function()
    local chain, deepest = weft.scope(function()
      local list = { t = T{ 0 } }
      for i = 1, 20000 do list = { next = list, t = i % 1000 == 0 and T{ i } or nil } end
      return list, { { { { { { { { { { { T{ 7 } } } } } } } } } } } }
    end)
    local at, n = chain, 0
    while at do
      if at.t then n = n + at.t:item() end
      at = at.next
    end
    assert.are.equal(210000, n)
    for _ = 1, 11 do deepest = deepest[1] end
    assert.are.equal(7, deepest:item())
    local began = os.clock()
    local nodes = weft.scope(function()
      local all = {}
      for i = 1, 200 do all[i] = { all = all, first = all[1], t = T{ i } } end
      return all
    end)
    assert.is_true(os.clock() - began < 2)
    for i, node in ipairs(nodes) do assert.are.equal(i, node.t:item()) end
  end)
  it("returns values that are no tensors", function()
    local file, ptr = weft.scope(function() return io.stdout, T{ 1 }:ptr() end)
    assert.are.equal(io.stdout, file)
    assert.is_truthy(ptr)
    assert.are.equal(0, select("#", weft.scope(function() end)))
    assert.are.same({ 1, nil, 3 }, { weft.scope(function(...) return ... end, 1, nil, 3) })
    local most = { weft.scope(function() return unpack({}, 1, 5000) end) }
    assert.are.equal(0, #most)
  end)
  it("makes husks of handles that stay outside", function()
    local husk
    weft.scope(function() husk = T{ 1, 2 } end)
    assert.is_true(husk:is_dead())
    for _, f in ipairs{
      function() return husk + 1 end, function() return husk:item() end,
      function() return husk:totable() end, function() return husk[1] end,
      function() return husk:ptr() end, function() weft.grad(function() end, { husk }) end,
    } do
      local ok, err = pcall(f)
      assert.is_false(ok)
      assert.are.equal("usage", err.kind)
      assert.is_truthy(tostring(err):find("scope has closed") or tostring(err):find("scope closed"))
    end
    assert.are.equal("Tensor (freed)", tostring(husk))
  end)
  it("frees on errors and passes them on", function()
    local before = live()
    for _ = 1, 20 do
      local ok, err = pcall(weft.scope, function()
        weft.scope(function()
          local t = T.zeros(100, 100)
          error({ mine = t:numel() })
        end)
      end)
      assert.is_false(ok)
      assert.are.equal(10000, err.mine)
    end
    assert.are.equal(before, live())
  end)
  it("nests", function()
    local y = weft.scope(function()
      local a = weft.scope(function() return T{ 1, 2 } end)
      return a + weft.scope(function() return weft.scope(function() return a * 2 end) end)
    end)
    assert.are.same({ 3, 6 }, y:totable())
  end)
  it("refuses to be left by a yield", function()
    local co = coroutine.wrap(function() weft.scope(function() coroutine.yield() end) end)
    assert.has_error(co)
    assert.are.equal(1, T{ 1 }:item())
  end)
end)

describe("the collector", function()
  it("keeps memory bounded without scopes", function()
    collectgarbage() collectgarbage()
    weft.memory(true)
    local base = weft.memory().live
    local sum = 0
    for i = 1, 400 do
      local t = T.full({ 1024, 1024 }, i)
      sum = sum + t[{ 1, 1 }]
    end
    assert.are.equal(400 * 401 / 2, sum)
    assert.is_true(weft.memory().peak - base < 512 * 2 ^ 20)
  end)
  it("frees what t:free() names, once", function()
    local before = live()
    local t = T.zeros(1000)
    t:free()
    assert.are.equal(before, weft.memory().live)
    t:free()
    assert.are.equal(before, weft.memory().live)
    assert.has_error(function() return t + 1 end)
    local finalise = getmetatable(t).__gc
    finalise(t)
    for _, other in ipairs { 1, "x", io.stdout, {} } do
      assert.has_error(function() finalise(other) end)
    end
  end)
end)
