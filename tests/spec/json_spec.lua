--- JSON: round trips, order, refusals.
local json = require "weft.json"

describe("json", function()
  it("round-trips values", function()
    for _, text in ipairs{
      "null", "true", "[]", "{}", "0.1", "-1.5e-07", "9007199254740991", '"a\\"\\\\\\n\\u0001"',
      '[1,[2,{"a":[]}]]', '{"a":1,"b":{"c":[true,false,null]}}', '"é€😀"',
    } do
      assert.are.equal(text, json.encode(json.decode(text)))
    end
  end)
  it("writes keys in order and numbers whole", function()
    assert.are.equal('{"a":1,"b":0.1,"c":100000}', json.encode{ c = 1e5, a = 1, b = 0.1 })
    local v = 0.1 + 0.2
    assert.are.equal(v, json.decode(json.encode(v)))
    assert.are.equal('{\n  "a": [\n    1\n  ]\n}', json.encode({ a = { 1 } }, "  "))
  end)
  it("reads escapes, spaces and surrogate pairs", function()
    assert.are.equal("😀/\t", json.decode ' "\\ud83d\\ude00\\/\\t" ')
    assert.are.same({ 1, 2 }, { unpack(json.decode " [ 1 ,\n2 ] ") })
  end)
  it("refuses what is not JSON", function()
    for _, text in ipairs{
      "", "[1,]", "{a:1}", '{"a":1,"a":2}', "01", "1.e", "nul", '"\\x"', '"\\ud800"', '"a', "[1] 2",
      ("["):rep(65) .. ("]"):rep(65), "1.", "1e999", "-1e999", "1e", "0x10",
      "1.5.2", "+1", ".5", "nan",
      '{"a"}', "- 1", "\"\1\"",
    } do
      assert.has_error(function() json.decode(text) end)
    end
    assert.has_error(function() json.encode(0 / 0) end)
    assert.has_error(function() json.encode{ [{}] = 1 } end)
    assert.has_error(function() json.encode{ 5, concat = 1.5 } end)
    assert.has_error(function() json.encode{ 1, nil, 3 } end)
    assert.has_error(function() json.encode(json.list { x = 1 }) end)
    local deep = ("["):rep(64) .. "1" .. ("]"):rep(64)
    assert.are.equal(deep, json.encode(json.decode(deep)))
    local cycle = {}
    cycle.x = cycle
    assert.has_error(function() json.encode(cycle) end)
  end)
end)
