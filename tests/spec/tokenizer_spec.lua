--- Tokenizers from Lua: pieces, special tokens, bytes, cutting and padding.
local weft = require "weft"

local SPACE = "\226\150\129"

--- A tokenizer.json of words, written to path.
local function write(path)
  local vocab, added = {}, {}
  for i, text in ipairs{ "<unk>", "<s>", "</s>", "<image>" } do
    vocab[i] = { text, 0 }
    added[i] = { id = i - 1, content = text, special = true }
  end
  for b = 0, 255 do vocab[#vocab + 1] = { ("<0x%02X>"):format(b), -20 } end
  for _, word in ipairs{ "a", "red", "cat" } do vocab[#vocab + 1] = { SPACE .. word, -1 } end
  vocab[#vocab + 1] = { SPACE, -4 }
  local f = assert(io.open(path, "w"))
  f:write(weft.json.encode{
    added_tokens = added,
    normalizer = { type = "Sequence", normalizers = {
      { type = "Lowercase" }, { type = "Prepend", prepend = SPACE },
      { type = "Replace", pattern = { String = " " }, content = SPACE },
    } },
    model = { type = "Unigram", unk_id = 0, byte_fallback = true, vocab = vocab },
  })
  f:close()
end

describe("a tokenizer", function()
  local path = os.tmpname() .. ".json"
  write(path)
  local tok = weft.tokenizer.load(path)
  os.remove(path)

  local words = { special = false }
  it("gives a word one piece and others bytes", function()
    assert.are.equal(264, tok:size())
    assert.are.same({ 260, 261, 262 }, tok:encode("A red cat", words))
    assert.are.same({ 1, 262, 2 }, tok:encode "cat")
    assert.are.equal(SPACE .. "cat", tok:piece(262))
    assert.are.equal(262, tok:id(SPACE .. "cat"))
    assert.is_nil(tok:id "zebra")
    assert.is_nil(tok:piece(264))
    assert.are.same({ 263, 4 + 122 }, tok:encode("z", words))
  end)
  it("puts no second space in front of one", function()
    assert.are.same({ 262 }, tok:encode("cat", words))
    assert.are.same({ 262 }, tok:encode(" cat", words))
    assert.are.same({ 260, 3, 262 }, tok:encode("a<image> cat", words))
  end)
  it("round-trips any text but its case", function()
    for _, text in ipairs{ "a red cat", "zebra", "a cat!? 3", "é ü 日本", "" } do
      assert.are.equal(text, tok:decode(tok:encode(text)))
    end
  end)
  it("finds special tokens inside text", function()
    assert.are.equal(3, tok:encode("a <image>", words)[3])
    assert.are.equal("a", tok:decode { 1, 260, 2 })
    assert.are.equal("<s> a</s>", tok:decode({ 1, 260, 2 }, { skip_special = false }))
  end)
  it("cuts and pads", function()
    assert.are.same({ 1, 260, 2 }, tok:encode("a red cat", { max = 3 }))
    assert.are.same({ 260, 261 }, tok:encode("a red cat", { special = false, max = 2 }))
    assert.are.same({ 260, 0, 0 }, tok:encode("a", { special = false, max = 3, pad = 0 }))
  end)
  it("refuses what it cannot take", function()
    assert.has_error(function() tok:encode("a", { maxx = 5 }) end)
    assert.has_error(function() tok:encode(3) end)
    assert.has_error(function() tok:encode("a", { max = 0 }) end)
    assert.has_error(function() tok:encode("a", { pad = 0 }) end)
    assert.has_error(function() tok:encode("a", { max = 3, pad = 264 }) end)
    assert.has_error(function() tok:id() end)
    assert.has_error(function() tok:decode{ 264 } end)
    assert.has_error(function() tok:decode{ 1.5 } end)
    local ok, err = pcall(weft.tokenizer.load, "/nowhere")
    assert.is_false(ok)
    assert.are.equal("io", err.kind)
  end)
  it("frees what a failed call made", function()
    collectgarbage() collectgarbage()
    local before = weft.memory().live
    for n = 1, 12 do
      weft.core.fail_alloc(n)
      pcall(tok.encode, tok, "a red cat, and more of it")
      weft.core.fail_alloc(0)
    end
    collectgarbage() collectgarbage()
    assert.are.equal(before, weft.memory().live)
  end)
end)
