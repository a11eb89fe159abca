--- Tokenizers of every public kind against the libraries that define them, on tricky texts.
local weft = require "weft"

local ROOT = "tests/text/vectors/"

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

local function list(ids) return table.concat(ids, " ") end

local folders = {
  "llama_legacy", "llama_first", "llama_bytes", "clip_json", "clip_files", "gpt2_files", "roberta",
  "llama_model_file", "llama_normalised", "t5_model_file", "t5_json",
}

for _, name in ipairs(folders) do
  describe(name, function()
    local tok = weft.tokenizer.load(ROOT .. name)
    local wanted = weft.json.decode(read(ROOT .. name .. "/cases.json"))
    it("has as many pieces", function() assert.are.equal(wanted.size, #tok) end)
    for i, case in ipairs(wanted.cases) do
      it(("encodes and decodes text %d"):format(i), function()
        assert.are.equal(list(case.ids), list(tok:encode(case.text, { special = false })))
        assert.are.equal(list(case.special), list(tok:encode(case.text)))
        assert.are.equal(case.decoded, tok:decode(case.ids, { skip_special = false }))
        assert.are.equal(case.skipped, tok:decode(case.special))
      end)
    end
  end)
end
