--- What no training stage ever sees: closed predicates over ids.
--
-- Each predicate keeps every single value in training and withholds about a tenth of one
-- kind of pair, so that a model which composes must get the rest right.
local names = require "world.names"

local M = {}

--- H1, kind x colour: one colour of every kind, 12 of 96.
function M.kind_colour(kind, colour)
  return (5 * kind + 3 * colour) % 8 == 0
end

--- H2, kind x place: one place of every kind, 12 of 120. H9, pictures and sounds of these
-- pairs, is the same predicate: such scenes are neither seen nor heard.
function M.kind_place(kind, place)
  return (3 * kind + place) % 10 == 0
end

--- H3, style x place: one place of every style but photo, 5 of 50.
function M.style_place(style, place)
  return style > 0 and (2 * style + place) % 10 == 0
end

--- H6, forms of an instruction: 20 of 120 (opener 0..5, verb 0..4, reference 0..3).
function M.form(opener, verb, reference)
  return (opener + 2 * verb + 3 * reference) % 6 == 0
end

--- H7, voice x ambience: 6 of 60; silence goes with every voice.
function M.voice_ambience(voice, ambience)
  return ambience > 0 and (voice + 2 * ambience) % 10 == 0
end

--- H7, voice x voice of one sound, in either order: about a tenth.
function M.voice_voice(a, b)
  return (a * b + a + b) % 11 == 0
end

--- H8, rule x kind of next-in-sequence: 8 of 72 (rule 0..5).
function M.rule_kind(rule, kind)
  return (2 * rule + kind) % 10 == 0
end

--- Pairs of transformations that training never composes (L2 of exemplars): families 0..10.
function M.transform_pair(a, b)
  return (a + b) % 3 == 0
end

--- H4, the subjects of DreamBench-mu: 30 triples, 21 things and 9 creatures. Kinds take
-- 4 and 3 (things), 2 and 1 (creatures) in turn. H1 withholds colour = kind mod 8, so odd
-- steps from there give pairs that are all seen.
local function list_subjects()
  local subjects = {}
  for kind = 0, names.kind.count - 1 do
    local most = kind < names.N_THINGS and 4 or 2
    for i = 0, most - 1 - kind % 2 do
      subjects[#subjects + 1] =
        { kind = kind, colour = (kind + 1 + 2 * i) % 8, pattern = (kind + i) % 3 }
    end
  end
  return subjects
end

---@type {kind: integer, colour: integer, pattern: integer}[]
M.SUBJECTS = list_subjects()

local is_subject = {}
for _, s in ipairs(M.SUBJECTS) do
  is_subject[(s.kind * 8 + s.colour) * 3 + s.pattern] = true
end

--- H4 as a predicate.
function M.subject(kind, colour, pattern)
  return is_subject[(kind * 8 + colour) * 3 + pattern] or false
end

--- Which hold-outs among H1 .. H4 a scene contains.
---@param scene world.Scene
---@return boolean h1, boolean h2, boolean h3, boolean h4
function M.of_scene(scene)
  local place = scene.place
  local h1, h2, h4 = false, false, false
  for i = 1, #scene.objects do
    local o = scene.objects[i]
    h1 = h1 or M.kind_colour(o.kind, o.colour)
    h2 = h2 or M.kind_place(o.kind, place)
    h4 = h4 or M.subject(o.kind, o.colour, o.pattern)
  end
  return h1, h2, M.style_place(scene.style, place), h4
end

--- Whether training may see a scene.
---@param scene world.Scene
---@return boolean
function M.is_seen(scene)
  local h1, h2, h3, h4 = M.of_scene(scene)
  return not (h1 or h2 or h3 or h4)
end

--- Whether a sound holds a pair of H7.
---@param sound world.Sound
---@return boolean
function M.of_sound(sound)
  for i, event in ipairs(sound.events) do
    if M.voice_ambience(event.voice, sound.ambience) then return true end
    for j = 1, i - 1 do
      if M.voice_voice(event.voice, sound.events[j].voice) then return true end
    end
  end
  return false
end

return M
