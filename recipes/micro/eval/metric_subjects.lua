--- DreamBench in small: pictures of unseen subjects by prompts, measured by ID, CLIP-I and CLIP-T
-- (CoDi-2, table 4 left).
--
-- ID is DINO's formula on a judge of kind, colour and pattern; it is supervised, so it is not
-- called DINO. A subject's real pictures are the views that the model is shown.
local weft = require "weft"
local common = require "eval.common"
local data = require "data"
local making = require "eval.making"
local measures = require "eval.measures"
local rng = require "world.rng"
local scores = require "eval.scores"
local subjects = require "eval.subjects"

--- The subjects of n pairs with their views, and the pairs with their texts and answers.
local function draw(n)
  local bench = { subjects = {}, pairs = {} }
  for i = 1, n do
    local s, q = subjects.pair(i)
    local subject = subjects.SUBJECTS[s]
    if not bench.subjects[s] then
      local views = subjects.views(rng.new("metrics views", s), subject)
      bench.subjects[s] = { views = views, pairs = {} }
    end
    local prompt = subjects.prompts(subject)[q]
    local parts = {}
    for k, view in ipairs(bench.subjects[s].views) do parts[k] = { image = view } end
    table.insert(bench.subjects[s].pairs, i)
    bench.pairs[i] = {
      subject = s, caption = subjects.caption(subject, prompt),
      parts = subjects.instruction(rng.new("metrics form", i), subject, prompt, parts),
      answer = subjects.answer(rng.new("metrics answer", i), subject, prompt),
    }
  end
  return bench
end

--- Mean over subjects of the pairs of their pictures with their own real ones; the same of the real
-- ones, and of the pictures with the real ones of all other subjects.
---@param made weft.Tensor    [n,C] unit rows
---@param real weft.Tensor[]  of each subject, [3,C]
local function of_subjects(bench, made, real)
  local own, among, others = {}, {}, {}
  for s, subject in ipairs(bench.subjects) do
    local mine = making.rows(made, subject.pairs)
    own[s], among[s] = measures.all_pairs(mine, real[s]), measures.real_pairs(real[s])
    for o, theirs in ipairs(real) do
      if o ~= s then others[#others + 1] = measures.all_pairs(mine, theirs) end
    end
  end
  local score, low, high = scores.mean(own)
  local best = scores.mean(among)
  return { score = score, low = low, high = high, best = best, copy = best,
    shuffled = others[1] and scores.mean(others) or nil }
end

--- CLIP-T: made, exact answers and first views against the captions.
local function of_words(made, answers, copies, words)
  local function mean(a, b) return scores.mean(measures.cosines(a, b):totable()) end
  local score, low, high = mean(made, words)
  return { score = score, low = low, high = high, best = mean(answers, words),
    copy = mean(copies, words), shuffled = mean(made, making.shifted(words)) }
end

local NOTE = "Unseen subjects (H4), drawn anew as prompts say: places, cells, styles, sizes, "
  .. "neighbours. Exact answers: renders that do what the prompts say. Best: real pictures "
  .. "against each other; for CLIP-T, exact answers. Copy: a view handed back, which has ID and "
  .. "CLIP-I of the real pictures and fails CLIP-T. Shuffled: against the views or words of "
  .. "others. Each card: the views, then what was made."

--- Make the pictures; the first ones as examples of the page.
local function make_all(make, bench)
  local pictures, examples, media = {}, {}, {}
  for i, pair in ipairs(bench.pairs) do
    local im = make:make("image", i, common.parts_of(pair.parts, media))
    pictures[i] = make.m:pixels(im)
    if i <= make.p.examples then
      local card = { title = pair.caption }
      for k, view in ipairs(bench.subjects[pair.subject].views) do card[k] = media[view] end
      card[#card + 1] = im
      examples[i] = card
    end
  end
  return weft.cat(pictures, 1), examples
end

---@param make micro.Making
---@return micro.Section
return function(make)
  local bench, judges = draw(make.p.n), make.judges
  local pixels, examples = make_all(make, bench)
  local real, answers, first, texts = { id = {}, clip = {} }, {}, {}, {}
  for s, subject in ipairs(bench.subjects) do
    local views = data.pictures(subject.views)
    real.id[s], real.clip[s] = judges:subject(views), judges:image(views)
  end
  for i, pair in ipairs(bench.pairs) do
    answers[i], texts[i] = pair.answer, pair.caption
    first[i] = bench.subjects[pair.subject].views[1]
  end
  answers = data.pictures(answers)
  local clip, clip_of_answers = judges:image(pixels), judges:image(answers)
  local function row(metric, of, more)
    return weft.with(of, weft.with({ metric = metric }, more or {}))
  end
  local exact = { task = "exact answers" }
  local rows = {
    row("ID", of_subjects(bench, judges:subject(pixels), real.id)),
    row("CLIP-I", of_subjects(bench, clip, real.clip)),
    row("CLIP-T", of_words(clip, clip_of_answers, judges:image(data.pictures(first)),
      judges:text(texts))),
    row("ID", of_subjects(bench, judges:subject(answers), real.id), exact),
    row("CLIP-I", of_subjects(bench, clip_of_answers, real.clip), exact),
  }
  for k, example in ipairs(examples) do
    local own = real.id[bench.pairs[k].subject]
    local id = measures.all_pairs(judges:subject(pixels:narrow(1, k, 1)), own)
    example.note = ("ID %.3f"):format(id)
  end
  return { title = "Subjects", note = NOTE, rows = rows, examples = examples,
    n = make.p.n }
end
