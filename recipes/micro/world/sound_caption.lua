--- Captions of sounds and music: plain English, and back.
--
--   sound := event ("then" event)* [ground] ["with echo"] | ground' ["with echo"]
--   event := "a" [pitch] voice                       ground := "with" ambience "in the background"
--   music := [tempo] [mode] [instrument] "music"               | "in silence"
--
-- ground' leaves "with" out. Events come in the order in which they are heard. A complete caption
-- says everything, silence too; that there is no echo is said by saying nothing. Roots are unsaid.
local names = require "world.names"

local M = {}

--- What a sound should not be.
M.NEGATIVE = "distorted, muffled, static noise, hissing, low volume, choppy"

local DROP = 0.3     -- of an attribute, in partial captions
local COMPLETE = 0.7 -- share of complete captions

--- "a high meow"; several beeps have no article.
---@param e world.Event
---@param unsaid? table<string, boolean>  pitch
---@return string
function M.event(e, unsaid)
  local voice = names.voice[e.voice]
  local text = unsaid and unsaid.pitch and voice or names.pitch[e.pitch] .. " " .. voice
  return voice == "beeps" and text or "a " .. text
end

--- The ambience as it follows the events, or stands alone.
local function ground(s, alone)
  if s.ambience == 0 then return " in silence" end
  return (alone and "" or " with ") .. names.ambience[s.ambience] .. " in the background"
end

local function describe(s, unsaid_of, with_slots)
  local phrases = {}
  for i, e in ipairs(s.events) do
    phrases[i] = M.event(e, unsaid_of and unsaid_of(i)) .. (with_slots and " at " .. e.slot or "")
  end
  local text = table.concat(phrases, " then ")
  if #phrases == 0 or not (unsaid_of and unsaid_of(0)) then
    text = text .. ground(s, #phrases == 0)
  end
  return s.echo and text .. " with echo" or text
end

--- Everything that words can say of a sound.
---@param s world.Sound
---@return string
function M.complete(s) return describe(s) end

--- That with the slot of each event ("a low bell at 3"), which no caption says.
---@param s world.Sound
---@return string
function M.with_slots(s) return describe(s, nil, true) end

--- A caption that leaves out each pitch and the ambience with probability `drop`.
---@param s world.Sound
---@param r world.Rng
---@param drop? number  default 0.3
---@return string
function M.partial(s, r, drop)
  local unsaid = {}
  for i = 0, #s.events do unsaid[i] = r:chance(drop or DROP) end
  return describe(s, function(i)
    if i == 0 then return unsaid[0] end
    return { pitch = unsaid[i] }
  end)
end

--- A caption for training: complete in seven of ten.
---@return string text
---@return boolean is_complete
function M.sample(s, r)
  if r:chance(COMPLETE) then return M.complete(s), true end
  return M.partial(s, r), false
end

--- A caption with the word of the sound's defect, if it has one.
function M.with_defect(text, s)
  if not s.defect then return text end
  return text .. ", " .. names.defect[s.defect]
end

--- A caption with what was done to the whole sound: played backwards, louder or softer.
function M.with_whole(text, s)
  if s.reverse then text = text .. ", reversed" end
  if not s.gain_db then return text end
  return text .. (s.gain_db > 0 and ", louder" or ", softer")
end

--- All that words can say of a sound: when each voice is heard, and what was done to the whole.
function M.exact(s) return M.with_whole(M.with_slots(s), s) end

--- "fast major flute music".
---@param m world.Music
---@param unsaid? table<string, boolean>  of tempo, mode and instrument
---@return string
function M.music(m, unsaid)
  local words = {}
  for _, attribute in ipairs { "tempo", "mode", "instrument" } do
    if not (unsaid and unsaid[attribute]) then
      words[#words + 1] = names[attribute][m[attribute]]
    end
  end
  words[#words + 1] = "music"
  return table.concat(words, " ")
end

-- ---- reading ----

--- One event from word `at`; nil when there is none.
local function find_event(words, at)
  local has_article = words[at] == "a"
  if has_article then at = at + 1 end
  local pitch = names.pitch.id[words[at]]
  if pitch then at = at + 1 end
  local voice = names.voice.id[words[at]]
  if not voice or has_article == (words[at] == "beeps") then return nil end
  return { voice = voice, pitch = pitch }, at + 1
end

--- Ambience and echo from word `at`, whichever are there.
local function read_ground(parsed, words, at)
  if words[at] == "in" and words[at + 1] == "silence" then
    parsed.ambience, at = 0, at + 2
  else
    local from = words[at] == "with" and #parsed.events > 0 and at + 1 or at
    local ambience = (from > at or #parsed.events == 0) and names.ambience.id[words[from]]
    if ambience and table.concat(words, " ", from + 1, math.min(from + 3, #words)) ==
      "in the background" then
      parsed.ambience, at = ambience, from + 4
    end
  end
  if words[at] == "with" and words[at + 1] == "echo" then parsed.echo, at = true, at + 2 end
  return at
end

---@class world.ParsedSound
---@field events table[]     voice and, when it was said, pitch
---@field ambience? integer
---@field echo boolean
---@field ok boolean         the whole text follows the grammar

--- Read a caption of a sound. What does not follow the grammar ends the reading.
---@param text string
---@return world.ParsedSound
function M.parse(text)
  local words, at = {}, 1
  for word in text:lower():gmatch("%a+") do words[#words + 1] = word end
  local parsed = { events = {}, echo = false }
  local more = true
  while more do
    local e, after = find_event(words, at)
    more = e ~= nil and words[after] == "then"
    if e then
      parsed.events[#parsed.events + 1] = e
      at = more and after + 1 or after
    end
  end
  at = read_ground(parsed, words, at)
  parsed.ok = at == #words + 1 and words[at - 1] ~= "then"
    and (#parsed.events > 0 or parsed.ambience ~= nil)
  return parsed
end

--- Read a caption of music.
---@param text string
---@return table parsed  tempo, mode, instrument as far as they were said, and ok
function M.parse_music(text)
  local parsed, words = { ok = false }, {}
  for word in text:lower():gmatch("%a+") do words[#words + 1] = word end
  local last = table.remove(words)
  if last ~= "music" then return parsed end
  for _, word in ipairs(words) do
    local found
    for _, attribute in ipairs { "tempo", "mode", "instrument" } do
      local id = names[attribute].id[word]
      if id then found, parsed[attribute] = true, id end
    end
    if not found then return parsed end
  end
  parsed.ok = true
  return parsed
end

--- Compare a caption with the sound it should describe completely; events by their order.
---@param text string
---@param s world.Sound
---@return table<string, boolean[]|boolean> right
function M.score(text, s)
  local parsed = M.parse(text)
  local right = {
    voice = {}, pitch = {}, ambience = { parsed.ambience == s.ambience },
    echo = { parsed.echo == (s.echo or false) }, count = { #parsed.events == #s.events },
  }
  for i, e in ipairs(s.events) do
    local said = parsed.events[i]
    right.voice[i] = said ~= nil and said.voice == e.voice
    right.pitch[i] = said ~= nil and said.pitch == e.pitch
  end
  local all = parsed.ok
  for _, list in pairs(right) do
    for _, yes in ipairs(list) do all = all and yes end
  end
  right.all = all
  return right
end

return M
