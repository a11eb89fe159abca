--- Tokenizers: text to ids and back, by the model that a file describes: tokenizer.json (BPE and
-- Unigram), a sentencepiece model, or vocab.json with merges.txt (CLIP, GPT-2, RoBERTa).
--
-- Ids count from 0, as in the vocabulary.
local core = require "weft.core"
local check = require "weft.check"

local M = {}
---@class weft.Tokenizer
local Tokenizer = {}
Tokenizer.__index = Tokenizer

--- A tokenizer from a tokenizer.json, a *.model, or from the folder that holds one.
---@param path string
---@return weft.Tokenizer
function M.load(path)
  check.type("tokenizer: path", path, "string")
  local handle = core.open_tokenizer(path)
  local tok = newproxy(true)                     -- a table has no length of its own choosing
  local meta = getmetatable(tok)
  meta.__index = setmetatable({ core = handle }, Tokenizer)
  meta.__len = function() return handle:count() end
  meta.__tostring = function() return ("Tokenizer of %d pieces"):format(handle:count()) end
  return tok
end

--- Ids of a text, with the begin and end tokens unless special is false; max cuts the list (the end
-- token stays); pad fills it up to max with that id.
---@param text string
---@param opts? { special: boolean, max: integer, pad: integer }
---@return integer[] ids
function Tokenizer:encode(text, opts)
  check.type("encode: text", text, "string")
  opts = check.keys("encode", opts, { "special", "max", "pad" })
  local special = opts.special ~= false
  local max = check.int("encode: max", opts.max, nil, 1)
  local pad = check.int("encode: pad", opts.pad, nil, 0, self.core:count() - 1)
  if pad and not max then check.fail("encode: pad wants max, the length to fill up to") end
  local ids = self.core:encode(text, special)
  if max and #ids > max then
    local last = ids[#ids]
    for i = #ids, max + 1, -1 do ids[i] = nil end
    if special then ids[max] = last end
  end
  for i = #ids + 1, pad and max or 0 do ids[i] = pad end
  return ids
end

--- Text of ids, without the special tokens unless skip_special is false.
---@param ids integer[]
---@param opts? { skip_special: boolean }
function Tokenizer:decode(ids, opts)
  check.type("decode: ids", ids, "table")
  opts = check.keys("decode", opts, { "skip_special" })
  return self.core:decode(ids, opts.skip_special ~= false)
end

--- The piece of an id, nil outside the vocabulary; the id of a piece, nil where there is none.
function Tokenizer:piece(id)
  return self.core:piece(check.int("piece: id", check.type("piece: id", id, "number")))
end
function Tokenizer:id(piece) return self.core:id(check.type("id: piece", piece, "string")) end

--- How many pieces there are, which `#tok` says too.
function Tokenizer:size() return self.core:count() end

return M
