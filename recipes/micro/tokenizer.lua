--- The tokenizer of the small model: 768 pieces, written as a tokenizer.json.
--
--   weft run recipes/micro/tokenizer.lua out=recipes/micro/weights/tokenizer
--
-- Three control pieces, 256 bytes, 24 markers, a piece for every word and mark of the small
-- world, and letters, digits and common endings, so that any text can be written in them.
package.path = "./recipes/micro/?.lua;" .. package.path

local json = require "weft.json"
local vocabulary = require "world.vocabulary"

local M = {}

M.COUNT = 768
local SPACE = "\226\150\129"          -- U+2581, the space of a piece

-- Scores only have to prefer a word to its letters, and letters to bytes.
local WORD, PART, LETTER, BYTE = -1, -3, -4, -20

--- The markers around media and turns, and the pointers to sources.
function M.markers()
  local list = { "<image>", "</image>", "<audio>", "</audio>", "<video>", "</video>",
                 "<text>", "</text>", "<feature>" }
  for k = 0, 12 do list[#list + 1] = ("<#%d>"):format(k) end
  list[#list + 1] = "<user>"
  list[#list + 1] = "<bot>"
  return list
end

local ENDINGS = [[ ing ed er est ly tion ment ness able ful less ous ive al en es
  th ch sh st nd nt ea ou ai ee oo in on an at re de un is it or ar ra la le lo ma me mi mo
  na ne no pa pe pi po ro ri sa se si so ta te ti to ca co cu ba be bi bo da di do fa fe fi fo
  ga ge gi go ha he hi ho ju ka ke ki ku va ve vi vo wa we wi wo ]]

--- All pieces with their scores, in the order of their ids.
function M.pieces()
  local pieces, known = {}, {}
  local function add(text, score)
    if known[text] or #pieces >= M.COUNT then return end
    known[text] = true
    pieces[#pieces + 1] = { text, score }
  end
  for _, text in ipairs { "<unk>", "<s>", "</s>" } do add(text, 0) end
  for byte = 0, 255 do add(("<0x%02X>"):format(byte), BYTE) end
  for _, text in ipairs(M.markers()) do add(text, 0) end
  for _, word in ipairs(vocabulary.words()) do add(SPACE .. word, WORD) end
  for _, mark in ipairs(vocabulary.PUNCTUATION) do add(mark, WORD) end
  add(SPACE, LETTER)
  for c in ("abcdefghijklmnopqrstuvwxyz0123456789"):gmatch "." do add(c, LETTER) end
  for ending in ENDINGS:gmatch "%a+" do add(ending, PART) end
  for c in ("abcdefghijklmnopqrstuvwxyz0123456789"):gmatch "." do add(SPACE .. c, LETTER) end
  for i = #pieces + 1, M.COUNT do add(("<unused%d>"):format(i), 0) end
  return pieces
end

--- The document of tokenizer.json.
function M.document()
  local pieces, added = M.pieces(), {}
  for id, piece in ipairs(pieces) do
    if piece[1]:match "^<.+>$" and not piece[1]:match "^<0x" then
      added[#added + 1] = { id = id - 1, content = piece[1], special = true }
    end
  end
  return {
    version = "1.0", added_tokens = added,
    normalizer = { type = "Lowercase" },
    pre_tokenizer = { type = "Metaspace", replacement = SPACE, prepend_scheme = "always",
                      split = false },
    model = { type = "Unigram", unk_id = 0, byte_fallback = true, vocab = pieces },
  }
end

--- Write it into a folder that exists.
function M.write(folder)
  local path = folder .. "/tokenizer.json"
  local file = assert(io.open(path, "w"))
  file:write(json.encode(M.document()), "\n")
  file:close()
  return path
end

return M
