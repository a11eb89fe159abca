--- What features show, thing by thing, in words that a language model reads behind each.
--
-- A feature holds at once all that stands in a picture or sounds in a sound, and which colour is
-- which thing's is hard to read out of one token. A conditioner's layout says it place by place:
-- each thing that it finds is told in words, "small dotted red cat top left", one token an
-- attribute. Where the layout is unsure a token is the mean of the words that it may be.
local course = require "weft.pipeline.micro_course"
local ops = require "weft.ops"
local tensor = require "weft.tensor"

local M = {}

-- Side of a layout; of its rows and columns, from 1, those in which the middles of the first and
-- the last cell lie, and the two between which that of the middle cell lies.
local SIDE, FIRST, LAST, BETWEEN = 8, 2, 7, { 4, 5 }
local N_CELLS, N_SLOTS = 9, SIDE
-- What a layout says of a thing: of one that is seen, and of a voice.
local SEEN, HEARD = course.N_OF_THINGS, course.N_KINDS + course.N_PITCHES

--- The words of things, of voices and of where they are, in the order of their values in a layout.
M.KIND = { "circle", "square", "triangle", "star", "heart", "cross", "cat", "dog", "bird",
  "fish", "robot", "frog" }
M.COLOUR = { "red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink" }
M.SIZE = { "small", "medium", "large" }
M.PATTERN = { "plain", "striped", "dotted" }
M.CELL = { "top left", "top", "top right", "left", "center", "right", "bottom left", "bottom",
  "bottom right" }
M.PLACE = { "in a white room", "in a dark room", "in a meadow", "in the sea", "on the beach",
  "in the snow", "at night", "in the rain", "in the city", "on a checkered floor" }
M.STYLE = { "photo", "sketch", "mosaic", "gray", "negative", "neon" }
M.VOICE = { "drum", "beep", "bell", "sparkle", "heartbeat", "rattle", "meow", "bark", "chirp",
  "bubble", "beeps", "croak" }
M.PITCH = { "low", "mid", "high" }

---@class weft.MicroField
---@field first integer   of its values in a row, from 1
---@field words string[]  one a value

--- By sense, how many things are told at most, as many as the world's examples show, and by which
--- words, in their order: where in a thing's row their values begin.
---@type table<"picture"|"sound", { n: integer, fields: weft.MicroField[] }>
M.told = {
  picture = { n = 2, fields = {
    { first = 21, words = M.SIZE },
    { first = 24, words = M.PATTERN },
    { first = 13, words = M.COLOUR }, { first = 1, words = M.KIND },
    { first = SEEN + 1, words = M.CELL },
  } },
  sound = { n = 3, fields = {
    { first = 13, words = M.PITCH }, { first = 1, words = M.VOICE },
    { first = HEARD + 1, words = { "0", "1", "2", "3", "4", "5", "6", "7" } },
  } },
}

--- Values of a row of M.of.
M.WIDTH = { picture = SEEN + N_CELLS, sound = HEARD + N_SLOTS }

--- Tokens behind a feature.
---@param sense "picture"|"sound"
---@return integer
function M.count(sense) return M.told[sense].n * #M.told[sense].fields end

--- One dim of a layout, of 8 places, as that of 3 cells. A large thing reaches into the places of
-- the cell beside it, and may hide what stands there in one of the two: what its own cell shows too
-- does not count.
local function cells(x, dim)
  local function at(i) return x:narrow(dim, i, 1) end
  local a, b = at(BETWEEN[1]) * (at(FIRST) * -1 + 1), at(BETWEEN[2]) * (at(LAST) * -1 + 1)
  return ops.cat({ at(FIRST), ops.maximum(a, b), at(LAST) }, dim)
end

-- What is true at each place, [B,n,V], and whether a thing is there, [B,n].
local read = {}

function read.picture(layout)
  local each = cells(cells(layout:narrow(4, 1, SEEN), 2), 3):reshape(-1, N_CELLS, SEEN)
  return each, each:narrow(3, 1, course.N_KINDS):max({ 3 }):gt(0.5):to "f32"
end

--- What is true in each cell of a picture, [B,9,26], and whether a thing is there, [B,9].
---@param layout weft.Tensor  [B,8,8,K] values of 0 to 1
M.cells = read.picture

--- A voice is heard in more slots than one; it is told in that in which it begins.
function read.sound(layout)
  local each = layout:narrow(4, 1, HEARD):narrow(3, 1, 1):reshape(-1, N_SLOTS, HEARD)
  local none = tensor.zeros({ each:size(1), 1, HEARD }, { device = each.device })
  local before = ops.cat({ none, each:narrow(2, 1, N_SLOTS - 1) }, 2)
  return each, (each * (before * -1 + 1)):max({ 3 }):gt(0.5):to "f32"
end

--- A square matrix [n,n] whose value at row i, column j is 1 where is(i, j).
local function matrix(n, is, device)
  local rows = {}
  for i = 1, n do
    rows[i] = {}
    for j = 1, n do rows[i][j] = is(i, j) and 1 or 0 end
  end
  return tensor(rows, { device = device })
end

--- The things of layouts, in the order of their places: what is true of each and, as 0 and 1, where
-- it is. Rows of zeros where there are fewer.
---@param layout weft.Tensor  [B,8,8,K] values of 0 to 1
---@param sense "picture"|"sound"
---@return weft.Tensor  [B,n,V]
function M.of(layout, sense)
  local each, there = read[sense](layout)
  local B, n, device = each:size(1), each:size(2), layout.device
  local rank = there:matmul(matrix(n, function(i, j) return i <= j end, device))
  local chosen = {}
  for k = 1, M.told[sense].n do
    chosen[k] = (there * rank:eq(k):to "f32"):reshape(B, 1, n)
  end
  local where = matrix(n, function(i, j) return i == j end, device):reshape(1, n, n)
  return ops.cat(chosen, 2):matmul(ops.cat({ each, where:expand(B, n, n) }, 3))
end

---@class weft.MicroThings  what tells of things
---@field conditioners { picture: weft.Model?, sound: weft.Model? }
---@field words table<string, { ids: integer[], of: number[][] }[]>  of each field of a sense the
--- pieces of its words and, word by word, which of them are its own
local Things = {}
Things.__index = Things

--- The pieces of a field's words.
local function pieces(tok, words)
  local ids, of, lists = {}, {}, {}
  for i, text in ipairs(words) do
    lists[i] = tok:encode(text, { special = false })
    for _, id in ipairs(lists[i]) do ids[#ids + 1] = id end
  end
  local last = 0
  for i, list in ipairs(lists) do
    of[i] = {}
    for k = 1, #ids do of[i][k] = k > last and k <= last + #list and 1 or 0 end
    last = last + #list
  end
  return { ids = ids, of = of }
end

---@param tok weft.Tokenizer
---@param conditioners { picture: weft.Model?, sound: weft.Model? }
---@return weft.MicroThings
function M.new(tok, conditioners)
  local words = {}
  for sense, told in pairs(M.told) do
    words[sense] = {}
    for i, f in ipairs(told.fields) do words[sense][i] = pieces(tok, f.words) end
  end
  return setmetatable({ conditioners = conditioners, words = words }, Things)
end

--- The things that features show, as M.of; none where a model has no layout of their sense.
---@param features weft.Tensor  [N,D] unit rows
---@param sense "picture"|"sound"
---@return weft.Tensor  [N,n,V]
function Things:of(features, sense)
  local conditioner = self.conditioners[sense]
  if not conditioner or (conditioner.config.layout_channels or 0) == 0 then
    local n, width = M.told[sense].n, M.WIDTH[sense]
    return tensor.zeros({ features:size(1), n, width }, { device = features.device })
  end
  return M.of(ops.sigmoid(conditioner { feature = features }.layout), sense)
end

--- The tokens of things, as a language model reads their words.
---@param lm weft.Model
---@param rows weft.Tensor  [N,n,V] of Things:of
---@param sense "picture"|"sound"
---@return weft.Tensor  [N,count,C]
function Things:embeds(lm, rows, sense)
  local N, n, list = rows:size(1), rows:size(2), {}
  for i, f in ipairs(M.told[sense].fields) do
    local words = self.words[sense][i]
    local e = lm:embed({ ids = { words.ids } }):reshape(#words.ids, -1)
    e = tensor(words.of, { device = e.device }):matmul(e)
    list[i] = rows:narrow(3, f.first, #f.words):reshape(N * n, #f.words):matmul(e)
      :reshape(N, n, 1, -1)
  end
  return ops.cat(list, 3):reshape(N, M.count(sense), -1)
end

return M
