--- Edits of sounds by LSD, KL and FD (CoDi-2, table 5): adding, dropping and replacing.
local weft = require "weft"
local audio = require "world.audio"
local common = require "eval.common"
local edit = require "world.sound_edit"
local hearing = require "world.hearing"
local listen = require "world.listen"
local making = require "eval.making"
local measures = require "eval.measures"
local rng = require "world.rng"
local scores = require "eval.scores"

local NOTE = "Edits whose targets hold pairs that no training had, unless split=val. Best: for LSD "
  .. "and KL the target through mel and Griffin-Lim, for FD a second set of targets. Copy: the "
  .. "source handed back; it shares most of its target, so its FD may be below that of a second "
  .. "set. Shuffled: against the targets of others. Each card: source, what was made, target."

-- The paper's tasks, and the operations of the world that they are, in turn.
local TASKS = { { "add", "add_voice", "add_ambience" }, { "drop", "drop" },
  { "replace", "replace" } }

-- Where this world is silent its samples are exactly 0, and LSD would compare only those frames.
-- A faint noise, the same in all, 60 dB below the peak, makes silence equal to silence.
local NOISE, NOISE_SEED = 1e-3, 1

local function draw(p, task, set)
  local list = {}
  for i = 1, p.n do
    local op = task[2 + i % (#task - 1)]
    list[i] = edit.sample(rng.new(("metrics sounds %s %s %s"):format(set, task[1], p.split), i),
      { op = op, split = p.split, held_forms = p.split == "heldout" })
  end
  return list
end

--- What metrics read of sounds: samples as LSD wants them, logits and features of the judge.
---@param x weft.Tensor  [n,8192]
local function heard(judges, x)
  local logits, features = judges:sound(hearing.mel(x))
  return { x = measures.levelled(x)
      + weft.tensor.randn({ 1, audio.N_SAMPLES }, { seed = NOISE_SEED }) * NOISE,
    logits = logits, features = features }
end

local function samples(list)
  local out = {}
  for i, a in ipairs(list) do out[i] = a.data:reshape(1, -1) end
  return weft.cat(out, 1)
end

--- Targets through mel and Griffin-Lim.
local function again(x)
  local out, mels = {}, hearing.mel(x)
  for i = 1, x:size(1) do out[i] = hearing.sound(mels:select(1, i), i) end
  return samples(out)
end

local function lsd(target, made) return measures.lsd(target.x, made.x, audio.RATE_HZ) end
local function kl(target, made) return measures.kl(target.logits, made.logits) end
local function kl_sigmoid(t, made) return measures.kl_sigmoid(t.logits, made.logits) end

--- A row of a measure that gives one number a pair; made may be nil.
local function paired(metric, of, s)
  local function mean(target, made) return scores.mean(of(target, made):totable()) end
  local row = { metric = metric, is_distance = true, best = mean(s.target, s.again),
    copy = mean(s.target, s.source) }
  if s.made then
    row.score, row.low, row.high = mean(s.target, s.made)
    row.shuffled = mean({ x = making.shifted(s.target.x),
      logits = making.shifted(s.target.logits) }, s.made)
  end
  return row
end

local function of_sets(s)
  local target = s.target.features
  local row = { metric = "FD", is_distance = true,
    best = measures.frechet(s.other.features, target),
    copy = measures.frechet(s.source.features, target) }
  if s.made then
    row.score, row.low, row.high = scores.jackknife(target:size(1), function(ids)
      return measures.frechet(making.rows(s.made.features, ids), making.rows(target, ids))
    end)
  end
  return row
end

local function records(list, side)
  local out = {}
  for i, e in ipairs(list) do out[i] = e[side] end
  return out
end

--- What the model makes of the edits, and whether each is the exact target by the world's judge;
-- the first ones as examples.
local function make_all(make, list, examples)
  local out, right = {}, {}
  for i, e in ipairs(list) do
    local media = {}
    out[i] = make:edit("audio", i, e, media)
    right[i] = listen.edit(out[i], e.source, e.target)
    if i <= make.p.examples then
      examples[#examples + 1] = { media[e.source], out[i], common.sound_of(e.target),
        title = ("%s: %s"):format(e.op, e.caption) }
    end
  end
  return samples(out), right
end

--- Rows of one task. Without the parts that make sounds they tell best and copy alone.
local function task_rows(make, task, examples)
  local judges, list = make.judges, draw(make.p, task, "first")
  local target = hearing.samples(records(list, "target"))
  local s = { target = heard(judges, target), again = heard(judges, again(target)),
    source = heard(judges, hearing.samples(records(list, "source"))),
    other = heard(judges, hearing.samples(records(draw(make.p, task, "second"), "target"))) }
  local rows = {}
  if not make:missing "audio" then
    local made, right = make_all(make, list, examples)
    s.made, rows[1] = heard(judges, made), scores.row("", "exact change", right)
  end
  rows[#rows + 1] = paired("LSD", lsd, s)
  rows[#rows + 1] = paired("KL", kl, s)
  rows[#rows + 1] = paired("KL, sigmoid", kl_sigmoid, s)
  rows[#rows + 1] = of_sets(s)
  for _, row in ipairs(rows) do row.task = "sound " .. task[1] end
  return rows
end

---@param make micro.Making
---@return micro.Section
return function(make)
  local rows, examples = {}, {}
  for _, task in ipairs(TASKS) do
    for _, row in ipairs(task_rows(make, task, examples)) do rows[#rows + 1] = row end
  end
  return { title = "Sounds", note = NOTE, examples = examples, rows = rows, n = make.p.n }
end
