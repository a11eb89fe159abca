--- Edits of pictures by directional similarity (CoDi-2, table 4 right): whether a picture changed
-- as its caption did, and how much of it stayed.
--
-- The paper's "CLIPSIM" has no definition; its values are those of InstructPix2Pix's directional
-- similarity, so that stands first and the plain cosine of picture and caption beside it.
local weft = require "weft"
local caption = require "world.caption"
local common = require "eval.common"
local data = require "data"
local edit = require "world.edit"
local making = require "eval.making"
local measures = require "eval.measures"
local oracle = require "world.oracle"
local rng = require "world.rng"
local scores = require "eval.scores"

local NOTE = "Edits whose targets hold pairs that no training showed, unless split=val. Best: the "
  .. "exact target. Copy: the source handed back. Shuffled: against the captions or sources of "
  .. "others. Each card: the source, what was made, the target."

local function draw(p)
  local list = {}
  for i = 1, p.n do
    list[i] = edit.sample(rng.new("metrics edits " .. p.split, i),
      { split = p.split, held_forms = p.split == "heldout" })
  end
  return list
end

local function make_all(make, list)
  local pixels, examples, right = {}, {}, {}
  for i, e in ipairs(list) do
    local media = {}
    local im = make:edit("image", i, e, media)
    pixels[i], right[i] = make.m:pixels(im), oracle.edit(common.bytes_of(im), e.source, e.target)
    if i <= make.p.examples then
      examples[i] = { media[e.source], im, common.picture_of(e.target), title = e.text }
    end
  end
  return weft.cat(pixels, 1), examples, right
end

--- Features of an edit's four sides: pictures before and after, captions before and after.
local function features(judges, list)
  local before, after, was, said = {}, {}, {}, {}
  for i, e in ipairs(list) do
    before[i], after[i] = e.source, e.target
    was[i], said[i] = caption.complete(e.source), caption.complete(e.target)
  end
  return judges:image(data.pictures(before)), judges:image(data.pictures(after)),
    judges:text(was), judges:text(said)
end

local function mean(x) return scores.mean(x:totable()) end

--- A row: of(made) gives one number an edit, of(made, true) against others.
local function row(metric, made, target, source, of)
  local score, low, high = mean(of(made))
  return { metric = metric, score = score, low = low, high = high, best = mean(of(target)),
    copy = mean(of(source)), shuffled = mean(of(made, true)) }
end

---@param make micro.Making
---@return micro.Section
return function(make)
  local list = draw(make.p)
  local pixels, examples, right = make_all(make, list)
  local source, target, was, said = features(make.judges, list)
  local made = make.judges:image(pixels)
  local function other(x, is_shuffled) return is_shuffled and making.shifted(x) or x end
  local directions = measures.directional(source, made, was, said):totable()
  for i, example in ipairs(examples) do
    example.note = ("directional similarity %.3f"):format(directions[i])
  end
  return { title = "Edits", note = NOTE, examples = examples, n = make.p.n, rows = {
    scores.row(nil, "exact change", right),
    row("directional similarity", made, target, source, function(x, s)
      return measures.directional(source, x, other(was, s), other(said, s))
    end),
    row("picture to caption", made, target, source,
      function(x, s) return measures.cosines(x, other(said, s)) end),
    row("picture to source", made, target, source,
      function(x, s) return measures.cosines(x, other(source, s)) end),
  } }
end
