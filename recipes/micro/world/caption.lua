--- Captions: scenes as plain English, and back.
--
--   scene := objs [place] [style]          style := "in" name "style", photo unsaid
--   objs  := obj (" and " obj)* | "nothing"
--   obj   := "a" [size] [pattern] [colour] kind ["at the" cell]
--
-- A complete caption says every attribute, "plain" too, so that an unsaid attribute of a
-- partial caption always means "any". A photo is the one value that is said by silence.
local names = require "world.names"
local scenes = require "world.scene"

local M = {}

--- The words of corruptions as a prompt of what a picture should not be.
M.NEGATIVE = "blurry, noisy, dim, blocky, distorted"

local DROP = 0.3     -- of an attribute, in partial captions
local COMPLETE = 0.7 -- share of complete captions

--- "a" or "an" for the word which follows.
---@param word string
---@return string
function M.article(word)
  return word:find("^[aeiou]") and "an" or "a"
end

--- A noun phrase without its article: "small striped red cat".
---@param o world.Object
---@param unsaid? table<string, boolean>  attributes to leave out
---@return string
function M.noun(o, unsaid)
  local words = {}
  if not (unsaid and unsaid.size) then words[1] = names.size[o.size] end
  if not (unsaid and unsaid.pattern) then words[#words + 1] = names.pattern[o.pattern] end
  if not (unsaid and unsaid.colour) then words[#words + 1] = names.colour[o.colour] end
  words[#words + 1] = names.kind[o.kind]
  return table.concat(words, " ")
end

--- "a small striped red cat at the top".
---@param o world.Object
---@param unsaid? table<string, boolean>
---@return string
function M.object(o, unsaid)
  local noun = M.noun(o, unsaid)
  local text = M.article(noun) .. " " .. noun
  if unsaid and unsaid.cell then return text end
  return text .. " at the " .. names.cell[o.cell]
end

--- Place and style as they end a caption, each with a space in front.
local function setting(scene, with_place)
  local text = with_place and " " .. names.place[scene.place] or ""
  if scene.style > 0 then text = text .. " in " .. names.style[scene.style] .. " style" end
  return text
end

--- Indices of a scene's objects, shuffled when there is a generator.
local function order(scene, r)
  local indices = {}
  for i = 1, #scene.objects do indices[i] = i end
  return r and r:shuffle(indices) or indices
end

-- What captions say of a picture without objects.
local NOTHING = "nothing"

--- What stands in a scene, as phrases of its objects say it.
local function listed(phrases)
  return phrases[1] and table.concat(phrases, " and ") or NOTHING
end

--- A caption without the given attributes of any object.
local function describe(scene, r, unsaid)
  local phrases = {}
  for n, i in ipairs(order(scene, r)) do phrases[n] = M.object(scene.objects[i], unsaid) end
  return listed(phrases) .. setting(scene, true)
end

--- Every attribute of a scene.
---@param scene world.Scene
---@param r? world.Rng  shuffles the objects; without it they come in the scene's order
---@return string
function M.complete(scene, r)
  return describe(scene, r)
end

--- A complete caption of what can be seen: without colours where the style hides them, its objects
-- in reading order. What a picture's description is expected to say.
---@param scene world.Scene
---@return string
function M.visible(scene)
  local seen = scenes.copy(scene)
  table.sort(seen.objects, function(a, b) return a.cell < b.cell end)
  return describe(seen, nil, names.colourless[scene.style] and { colour = true } or nil)
end

--- A caption which leaves out each attribute but kind and style with probability `drop`.
---@param scene world.Scene
---@param r world.Rng
---@param drop? number  default 0.3
---@return string
function M.partial(scene, r, drop)
  drop = drop or DROP
  local phrases = {}
  for n, i in ipairs(order(scene, r)) do
    phrases[n] = M.object(scene.objects[i], {
      size = r:chance(drop), pattern = r:chance(drop), colour = r:chance(drop),
      cell = r:chance(drop),
    })
  end
  return listed(phrases) .. setting(scene, not r:chance(drop))
end

--- A caption for training: complete in seven of ten.
---@param scene world.Scene
---@param r world.Rng
---@return string text
---@return boolean is_complete
function M.sample(scene, r)
  if r:chance(COMPLETE) then return M.complete(scene, r), true end
  return M.partial(scene, r), false
end

--- A caption with the word of the scene's corruption, if it has one: "..., blurry".
---@param text string
---@param scene world.Scene
---@return string
function M.with_quality(text, scene)
  if not scene.quality then return text end
  return text .. ", " .. names.quality[scene.quality]
end

--- What adjectives say: word -> attribute and id.
local ADJECTIVES = {}
for _, attribute in ipairs { "size", "pattern", "colour" } do
  for id = 0, names[attribute].count - 1 do
    ADJECTIVES[names[attribute][id]] = { attribute, id }
  end
end

--- The longest of a table's phrases that the words from `at` begin with.
local function find_phrase(phrases, words, at)
  for n = math.min(4, #words - at + 1), 1, -1 do
    local id = phrases.id[table.concat(words, " ", at, at + n - 1)]
    if id then return id, at + n end
  end
end

--- One object phrase from word `at`; returns nil when there is none.
local function find_object(words, at)
  if words[at] ~= "a" and words[at] ~= "an" then return nil end
  local o = {}
  at = at + 1
  while ADJECTIVES[words[at]] do
    o[ADJECTIVES[words[at]][1]] = ADJECTIVES[words[at]][2]
    at = at + 1
  end
  o.kind = names.kind.id[words[at]]
  if not o.kind then return nil end
  at = at + 1
  if words[at] == "at" and words[at + 1] == "the" then
    local cell, after = find_phrase(names.cell, words, at + 2)
    if cell then o.cell, at = cell, after end
  end
  return o, at
end

---@class world.Parsed
---@field objects table[]  ids of the attributes that were said; none of "nothing"
---@field place? integer
---@field style integer
---@field quality? integer
---@field ok boolean  the whole text follows the grammar

--- Place, style and quality from word `at`, whichever are there.
local function parse_setting(parsed, words, at)
  local place, after = find_phrase(names.place, words, at)
  if place then parsed.place, at = place, after end
  local style = words[at] == "in" and words[at + 2] == "style" and names.style.id[words[at + 1]]
  if style then parsed.style, at = style, at + 3 end
  if names.quality.id[words[at]] then
    parsed.quality, at = names.quality.id[words[at]], at + 1
  end
  return at
end

--- Read a caption. What does not follow the grammar ends the reading; what was read up to
-- there is returned with ok = false.
---@param text string
---@return world.Parsed
function M.parse(text)
  local words = {}
  for word in text:lower():gmatch("%a+") do words[#words + 1] = word end
  local parsed = { objects = {}, style = 0 }
  local is_empty = words[1] == NOTHING
  local at = is_empty and 2 or 1
  repeat
    local o, after = find_object(words, at)
    if not o then break end
    parsed.objects[#parsed.objects + 1] = o
    at = words[after] == "and" and after + 1 or after
  until at == after
  at = parse_setting(parsed, words, at)
  parsed.ok = at == #words + 1 and (#parsed.objects > 0) ~= is_empty and words[at - 1] ~= "and"
  return parsed
end

--- Attributes of an expected object that a parsed one has right; nil counts as nothing right.
local function compare(expected, said, with_colour)
  local right, n = {}, 0
  for _, attribute in ipairs(names.OBJECT_ATTRIBUTES) do
    if attribute ~= "colour" or with_colour then
      right[attribute] = said ~= nil and (said[attribute] == expected[attribute]
        or attribute == "pattern" and expected.pattern == 0 and said.pattern == nil)
      if right[attribute] then n = n + 1 end
    end
  end
  return right, n
end

--- The pairing of expected with said objects that has most attributes right.
local function best_match(expected, said, with_colour, i, used)
  if i > #expected then return {}, 0 end
  local best, most = nil, -1
  for j = 1, math.max(#said, #expected) do
    if not used[j] then
      used[j] = true
      local rest, n_rest = best_match(expected, said, with_colour, i + 1, used)
      used[j] = nil
      local right, n = compare(expected[i], said[j], with_colour)
      if n + n_rest > most then
        rest[i] = right
        best, most = rest, n + n_rest
      end
    end
  end
  return best, most
end

--- Compare a caption with the scene it should describe completely. Colours count only where
-- the style lets them be seen; "plain" may be left unsaid.
---@param text string
---@param scene world.Scene
---@return table<string, boolean[]|boolean> right  one list an attribute, and `all`
function M.score(text, scene)
  local parsed = M.parse(text)
  local with_colour = not names.colourless[scene.style]
  local matched = best_match(scene.objects, parsed.objects, with_colour, 1, {})
  local right = {
    place = { parsed.place == scene.place }, style = { parsed.style == scene.style },
    count = { #parsed.objects == #scene.objects },
  }
  for _, attribute in ipairs(names.OBJECT_ATTRIBUTES) do
    right[attribute] = {}
    for i = 1, #scene.objects do right[attribute][i] = matched[i][attribute] end
  end
  local all = parsed.ok
  for _, list in pairs(right) do
    for _, yes in ipairs(list) do all = all and yes end
  end
  right.all = all
  return right
end

return M
