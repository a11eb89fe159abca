--- Tasks over pictures and text: prompts with media, and what they should yield.
--
-- Every attribute of a target is said in the prompt, copied from a named input, or free; a
-- free attribute makes the target the partial description in `caption` (exact = false)
-- instead of one picture.
local caption = require "world.caption"
local edit = require "world.edit"
local example_of = require "world.example"
local names = require "world.names"
local questions = require "world.questions"
local scenes = require "world.scene"
local sequence = require "world.sequence"
local template = require "world.template"
local transform = require "world.transform"

---@class world.TaskOptions: world.SampleOptions
---@field held_forms? boolean  held-out forms of the instruction
---@field op? string           the named edit
---@field level? string        of an exemplar, see world.transform
---@field composed? boolean    two rules in a series

local M = {}

-- Attempts at an example whose parts must fit each other.
local TRIES = 2000

local function copy_options(opts, changes)
  local with = {}
  for k, v in pairs(opts or {}) do with[k] = v end
  for k, v in pairs(changes) do with[k] = v end
  return with
end

local function is_allowed(opts, scene)
  return scenes.is_valid(scene)
    and scenes.holdout.is_seen(scene) == ((opts or {}).split ~= "heldout")
end

--- A scene of one object, a photo unless the options say otherwise.
local function draw_single(r, opts, changes)
  return scenes.sample(r, copy_options(opts, copy_options({ objects = 1, style = 0 }, changes)))
end

--- A named edit.
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.edit(r, opts)
  local e = edit.sample(r, opts)
  return { task = "edit", op = e.op, prompt = e.parts, media = { e.source }, image = e.target,
           source = 1, caption = e.caption, exact = true, form = e.form }
end

--- The objects of one picture in the empty place of another.
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.compose(r, opts)
  for _ = 1, TRIES do
    local subject = scenes.sample(r, copy_options(opts, { split = "val", style = 0 }))
    subject.place = r:int(2) -- a plain room
    local place = { objects = {}, place = r:int(10), style = 0, texture = r:int(2 ^ 31) }
    local target = scenes.copy(subject)
    target.place, target.texture = place.place, place.texture
    if scenes.holdout.is_seen(subject) and is_allowed(opts, target) then
      local example = { image = target, source = 2, exact = true,
                        caption = caption.complete(target, r) }
      return example_of(r, opts, example, "compose", {}, { subject, place })
    end
  end
  error("tasks: no composition satisfies the options", 2)
end

--- The objects of two pictures together in a named place.
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.together(r, opts)
  for _ = 1, TRIES do
    local a = draw_single(r, opts, { split = "val" })
    local b = draw_single(r, opts, { split = "val" })
    local target = scenes.copy(a)
    target.objects[2] = scenes.copy_object(b.objects[1])
    target.place, target.texture = r:int(10), r:int(2 ^ 31)
    if a.objects[1].cell ~= b.objects[1].cell and is_allowed(opts, target) then
      local example = { image = target, exact = true, caption = caption.complete(target, r) }
      local slots = { place = names.place[target.place] }
      return example_of(r, opts, example, "together", slots, { a, b })
    end
  end
  error("tasks: no pair satisfies the options", 2)
end

--- What comes next in a series.
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.next(r, opts)
  local s = sequence.sample(r, opts)
  local example = { image = s.target, source = #s.inputs, exact = true,
                    caption = caption.complete(s.target, r) }
  return example_of(r, opts, example, "next", { list = template.list(#s.inputs) }, s.inputs)
end

--- A pair of pictures on which a transformation shows, or nil.
local function find_pair(r, opts, t, as_example)
  local before = scenes.sample(r, copy_options(opts, { objects = opts.objects or { 0.7, 0.3 } }))
  local after = transform.find_result(t, before, as_example)
  if after and scenes.holdout.is_seen(after) then return before, after end
end

-- How often training draws each level; the others are for tests.
local TRAIN_LEVELS, LEVEL_WEIGHTS = { "L0", "L1", "pair" }, { 38, 35, 27 }

--- A transformation shown on one picture, to be applied to another. Without a level it is drawn
-- as in training.
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.exemplar(r, opts)
  opts = copy_options(opts, { split = "val" })
  local level = opts.level or TRAIN_LEVELS[r:weighted(LEVEL_WEIGHTS)]
  local t = transform.draw(r, level, not opts.level)
  local a, a2, b, b2
  for _ = 1, TRIES do
    if not a then a, a2 = find_pair(r, opts, t, true) end
    if a and not b then b, b2 = find_pair(r, opts, t, false) end
    if b then break end
  end
  if not b then return M.exemplar(r, opts) end
  local example = { op = level, image = b2, source = 3, exact = true, transform = t,
                    caption = caption.complete(b2, r) }
  return example_of(r, opts, example, "exemplar", {}, { a, a2, b })
end

--- A transformation shown on one description, to be applied to another in words (Q2): an exemplar
-- without a picture. The descriptions stand there in words or, by turns, by their features.
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.becomes(r, opts)
  local e, texts = M.exemplar(r, opts), {}
  for i, scene in ipairs(e.media) do texts[i] = { text = caption.complete(scene) } end
  local example = example_of(r, opts, { op = e.op, text = caption.complete(e.image), exact = true },
    "becomes", {}, texts)
  if r:chance(0.5) then
    for i, part in ipairs(example.prompt) do example.prompt[i] = part.text or part end
  end
  return example
end

--- Another example of the level, whose change would not make the same of the query.
local function find_other(r, example, query)
  while true do
    local other = M.exemplar(r, { level = example.op })
    local result = transform.find_result(other.transform, query)
    if not result or scenes.key(result) ~= scenes.key(example.image) then return other end
  end
end

--- The same question with other evidence, for the controls of an in-context number.
--   "shuffled"   the pair of another example, which shows another change: accuracy must fall to 0
--   "removed"    no pair at all
--   "described"  the named edit in words instead of the pair; nil where no words exist
---@param r world.Rng
---@param example world.Example  an exemplar
---@param control "shuffled"|"removed"|"described"
---@return world.Example?
function M.control(r, example, control)
  local other = copy_options(example, {})
  local query = example.media[3]
  if control == "shuffled" then
    local from = find_other(r, example, query)
    other.transform = from.transform
    other.media = { from.media[1], from.media[2], query }
    other.prompt = {}
    for i, part in ipairs(example.prompt) do
      local which = part.image == example.media[1] and 1 or part.image == example.media[2] and 2
      other.prompt[i] = which and { image = from.media[which] } or part
    end
    return other
  end
  other.media, other.source = { query }, 1
  if control == "removed" then
    other.prompt = { "apply the same concept to", { image = query } }
    return other
  end
  local op, slots = transform.find_words(example.transform)
  if not op then return nil end
  other.prompt = template.parts(template.expand(op, 0, slots), { { image = query } })
  return other
end

-- What the two pictures of a concept have in common.
local CONCEPTS = { { "style" }, { "style", "pattern" }, { "colour" } }

--- A scene that has a concept's attributes and differs in the others from `unlike`.
local function find_instance(r, opts, shared, unlike)
  local s = draw_single(r, opts, { split = "val" })
  for name, value in pairs(shared) do
    if name == "style" then s.style = value else s.objects[1][name] = value end
  end
  if not scenes.holdout.is_seen(s) then return nil end
  for _, attribute in ipairs { "kind", "colour", "pattern" } do
    local same = unlike and s.objects[1][attribute] == unlike.objects[1][attribute]
    if same and not shared[attribute] then return nil end
  end
  return s
end

--- A new picture with what two pictures share: a style, a style and pattern, or a colour.
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.concept(r, opts)
  local concept = r:pick(CONCEPTS)
  local shared = { style = 1 + r:int(5), pattern = r:int(3), colour = r:int(8) }
  if concept[1] == "colour" then
    shared.style, shared.pattern = 0, nil
  else
    shared.colour = nil
    if #concept == 1 then shared.pattern = nil end
  end
  local a, b, target
  for _ = 1, TRIES do
    a = a or find_instance(r, opts, shared)
    b = b or a and find_instance(r, opts, shared, a)
    target = target or b and find_instance(r, opts, shared, b)
    if target then break end
  end
  if not target then return M.concept(r, opts) end
  local o = target.objects[1]
  local noun = caption.noun(o, { size = true, pattern = not shared.pattern,
                                 colour = not shared.colour })
  local style = target.style > 0 and " in " .. names.style[target.style] .. " style" or ""
  local example = { image = target, exact = false,
                    caption = caption.article(noun) .. " " .. noun .. style }
  return example_of(r, opts, example, "concept", { kind = "a " .. names.kind[o.kind] }, { a, b })
end

--- Pictures of one subject and a new place for it. Held-out subjects are those of H4.
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.subject(r, opts)
  local is_held = opts and opts.split == "heldout"
  local split = is_held and { split = "heldout", hold = "H4" } or { split = "val" }
  local target = draw_single(r, opts, split)
  local o = target.objects[1]
  local fixed = { kind = o.kind, colour = o.colour, pattern = o.pattern }
  local views = {}
  for i = 1, 2 + r:int(2) do
    views[i] = draw_single(r, opts, copy_options(split, { fixed = fixed }))
  end
  local unsaid = { size = r:chance(0.5), cell = r:chance(0.5) }
  local where = names.place[target.place]
  if not unsaid.cell then where = "at the " .. names.cell[o.cell] .. " " .. where end
  local example = { image = target, exact = not (unsaid.size or unsaid.cell),
                    caption = caption.object(o, unsaid) .. " " .. names.place[target.place] }
  local slots = { kind = names.kind[o.kind], where = where, list = template.list(#views),
                  adj = unsaid.size and "" or names.size[o.size] .. " " }
  return example_of(r, opts, example, "subject", slots, views)
end

--- A picture from words.
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.generate(r, opts)
  local scene = scenes.sample(r, opts)
  local text, complete = caption.sample(scene, r)
  return example_of(r, opts, { image = scene, exact = complete, caption = text }, "generate",
               { text = text }, {})
end

--- A picture from its bare description, without a word that asks for it.
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.bare(r, opts)
  local scene = scenes.sample(r, opts)
  local text, complete = caption.sample(scene, r)
  return { task = "bare", prompt = { text }, media = {}, image = scene, caption = text,
           exact = complete, source = 0 }
end

--- A picture changed towards the description that follows it.
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.towards(r, opts)
  local e = edit.sample(r, opts)
  return { task = "towards", op = e.op, prompt = { { image = e.source }, e.caption },
           media = { e.source }, image = e.target, caption = e.caption, exact = true, source = 1 }
end

-- How often training describes one object and two: of which one what is true is learned last.
local TRAIN_COUNTS = { 0.4, 0.6 }

--- A picture in words.
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.describe(r, opts)
  local scene = scenes.sample(r, opts or { objects = TRAIN_COUNTS })
  return example_of(r, opts, { text = caption.visible(scene), exact = true }, "describe", {},
               { scene })
end

M.changed, M.count, M.which = questions.changed, questions.count, questions.which

--- Shares of the tasks in training on pictures.
local MIXTURE = {
  { "generate", 6 }, { "bare", 4 }, { "describe", 11 }, { "edit", 20 }, { "towards", 3 },
  { "compose", 4 }, { "together", 3 }, { "next", 9 }, { "exemplar", 25 }, { "concept", 4 },
  { "subject", 4 }, { "changed", 9 }, { "becomes", 6 }, { "count", 2 }, { "which", 5 },
}
local MIXTURE_WEIGHTS = {}
for i, row in ipairs(MIXTURE) do MIXTURE_WEIGHTS[i] = row[2] end

-- Now and then a prompt begins with a word that means nothing.
local FILLER = 0.05
local FILLERS = { "ok,", "well,", "maybe", "kindly", "hello," }

--- Draw an example of any task.
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.sample(r, opts)
  local example = M[MIXTURE[r:weighted(MIXTURE_WEIGHTS)][1]](r, opts)
  if r:chance(FILLER) then table.insert(example.prompt, 1, r:pick(FILLERS)) end
  return example
end

return M
