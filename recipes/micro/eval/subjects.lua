--- DreamBench in small: the held-out subjects of H4, and 25 prompts for each.
--
-- DreamBench (arXiv:2208.12242) has 30 subjects and two lists of prompts, for objects and for what
-- lives; so has this: 21 things and 9 creatures. A prompt says where a subject is to be drawn
-- anew: ten places, six cells, five styles, two sizes, two neighbours.
local caption = require "world.caption"
local holdout = require "world.holdout"
local names = require "world.names"
local scenes = require "world.scene"
local template = require "world.template"

local M = {}

M.SUBJECTS = holdout.SUBJECTS
M.N_VIEWS = 3

local function id(attribute, word) return names[attribute].id[word] end

local function object(colour, kind)
  return { kind = id("kind", kind), colour = id("colour", colour) }
end

--- What both lists have: places, cells, styles and sizes, each with a place of its own.
local function common()
  local list = {}
  for place = 0, names.place.count - 1 do list[#list + 1] = { place = place } end
  for _, cell in ipairs { 0, 2, 3, 5, 6, 8 } do list[#list + 1] = { cell = cell, place = cell } end
  for style = 1, 5 do list[#list + 1] = { style = style, place = style + 1 } end
  for k, word in ipairs { "small", "large" } do
    list[#list + 1] = { size = id("size", word), place = 6 + k }
  end
  return list
end

local function with_neighbours(...)
  local list = common()
  for k, neighbour in ipairs { ... } do
    list[#list + 1] = { place = 2 + k, neighbour = neighbour }
  end
  return list
end

-- For things, and for creatures. No neighbour is a pair of H1.
local FOR_THINGS = with_neighbours(object("blue", "bird"), object("red", "dog"))
local FOR_CREATURES = with_neighbours(object("blue", "star"), object("yellow", "circle"))

---@class micro.Prompt  attributes that are asked for, as ids
---@field place integer
---@field cell? integer
---@field style? integer
---@field size? integer
---@field neighbour? { kind: integer, colour: integer }

--- The prompts of a subject's list.
---@return micro.Prompt[]
function M.prompts(subject)
  return subject.kind < names.N_THINGS and FOR_THINGS or FOR_CREATURES
end

--- Pair i of subject and prompt, from 1. Any number of pairs is spread evenly: every subject comes
-- once in 30, with other kinds of prompts than its neighbours; 750 are all.
---@return integer subject  number of it
---@return integer prompt   number of it
function M.pair(i)
  local subject, round = (i - 1) % #M.SUBJECTS, math.floor((i - 1) / #M.SUBJECTS)
  return subject + 1, (7 * round + 4 * subject) % 25 + 1
end

local function fixed_of(subject)
  return { kind = subject.kind, colour = subject.colour, pattern = subject.pattern }
end

--- Pictures that show a subject: what the model is given, and what its outputs are compared with.
---@param r world.Rng
---@return world.Scene[]
function M.views(r, subject)
  local list = {}
  for k = 1, M.N_VIEWS do
    list[k] = scenes.sample(r, { split = "heldout", hold = "H4", objects = 1, style = 0,
      fixed = fixed_of(subject) })
  end
  return list
end

local function noun_of(o, unsaid)
  local noun = caption.noun(o, unsaid)
  return caption.article(noun) .. " " .. noun
end

local function neighbour_words(o) return noun_of(o, { size = true, pattern = true }) end

--- Where a prompt wants its subject: "at the left on the beach in neon style".
local function where_of(prompt)
  local words = {}
  if prompt.cell then words[1] = "at the " .. names.cell[prompt.cell] end
  if prompt.neighbour then words[1] = "next to " .. neighbour_words(prompt.neighbour) end
  words[#words + 1] = names.place[prompt.place]
  if prompt.style then words[#words + 1] = "in " .. names.style[prompt.style] .. " style" end
  return table.concat(words, " ")
end

--- The prompt as the model reads it: an instruction with the views in it.
---@param r world.Rng  draws its form
---@param views any[]  { image = scene } or media
---@return (string|table)[]
function M.instruction(r, subject, prompt, views)
  local text = template.expand("subject", template.draw(r), {
    kind = names.kind[subject.kind], where = where_of(prompt), list = template.list(#views),
    adj = prompt.size and names.size[prompt.size] .. " " or "" })
  return template.parts(text, views)
end

--- The prompt with the subject's class alone, for CLIP-T: "a cat at the left on the beach".
---@return string
function M.caption(subject, prompt)
  local o = { kind = subject.kind, size = prompt.size, cell = prompt.cell }
  local text = caption.object(o,
    { size = not o.size, cell = not o.cell, pattern = true, colour = true })
  if prompt.neighbour then text = text .. " and " .. neighbour_words(prompt.neighbour) end
  text = text .. " " .. names.place[prompt.place]
  return prompt.style and ("%s in %s style"):format(text, names.style[prompt.style]) or text
end

--- Put a neighbour beside the one object of a scene, or return nil where it finds no room.
local function with_neighbour(r, scene, neighbour)
  local o = scenes.draw_object(r, r:int(9))
  o.kind, o.colour, o.pattern = neighbour.kind, neighbour.colour, 0
  scene.objects[2] = o
  return scenes.is_valid(scene) and scene or nil
end

--- A scene that does what a prompt asks; the rest is drawn.
---@param r world.Rng
---@return world.Scene
function M.answer(r, subject, prompt)
  local fixed = fixed_of(subject)
  for _, name in ipairs { "place", "cell", "style", "size" } do fixed[name] = prompt[name] end
  while true do
    local scene = scenes.sample(r, { split = "all", objects = 1, style = 0, fixed = fixed })
    if not prompt.neighbour or with_neighbour(r, scene, prompt.neighbour) then return scene end
  end
end

return M
