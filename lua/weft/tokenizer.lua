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

--- Ids of a text. special adds the begin and end tokens; max cuts the list (the end token stays);
-- pad fills it up to max with that id.
---@param text string
---@param opts? { special: boolean, max: integer, pad: integer }
---@return integer[] ids
function Tokenizer:encode(text, opts)
  check.type("encode: text", text, "string")
  opts = check.keys("encode", opts, { "special", "max", "pad" })
  local ids = self.core:encode(text, opts.special)
  if opts.max and #ids > opts.max then
    local last = ids[#ids]
    for i = #ids, opts.max + 1, -1 do ids[i] = nil end
    if opts.special then ids[opts.max] = last end
  end
  if opts.pad then
    for i = #ids + 1, opts.max or 0 do ids[i] = opts.pad end
  end
  return ids
end

--- Text of ids.
---@param ids integer[]
---@param opts? { skip_special: boolean }
function Tokenizer:decode(ids, opts)
  check.type("decode: ids", ids, "table")
  opts = check.keys("decode", opts, { "skip_special" })
  return self.core:decode(ids, opts.skip_special)
end

--- The piece of an id, nil outside the vocabulary; the id of a piece, nil where there is none.
function Tokenizer:piece(id) return self.core:piece(id) end
function Tokenizer:id(piece) return self.core:id(piece) end

--- How many pieces there are, which `#tok` says too.
function Tokenizer:size() return self.core:count() end

return M
