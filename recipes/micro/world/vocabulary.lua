--- Every word that a caption, an instruction or an answer can contain.
--
-- A tokenizer gives each of these a piece of its own. The list holds the words of sounds and
-- motion too, so that one tokenizer serves pictures, sounds and videos.
local caption = require "world.caption"
local names = require "world.names"
local template = require "world.template"

local M = {}

--- Words of captions, answers and fillers which no table of names or templates holds.
local FUNCTION_WORDS = [[
  a an the at and in style none one two three maybe kindly ok well
  circles squares triangles stars hearts crosses cats dogs birds fish robots frogs
]]

--- Sounds: pitches, voices, ambiences, instruments, effects, and the words between them.
local SOUND_WORDS = [[
  high mid low drum beep bell sparkle heartbeat rattle meow bark chirp bubble beeps croak
  then with background echo echoing rain sea wind crickets traffic silence
  music pluck organ flute chip major minor fast slow vibe right captures for
  audio sound higher lower louder softer reverse reversed drop dropped overlaid hear heard
  took distorted muffled static noise hissing volume choppy
]]

--- Videos and dialogue.
local MOTION_WORDS = [[
  video frames moving staying still left right up down growing shrinking bouncing calling
  early middle late undo that will both synchronized user bot
]]

--- Marks that stand alone.
M.PUNCTUATION = { ",", ".", "?", ":", "'", "!", "-" }

--- Split text into the units the vocabulary knows: words, and marks one by one.
---@param text string
---@return string[]
function M.split(text)
  local units = {}
  for word, mark in text:lower():gmatch("(%a*)([^%a%s]?)") do
    if word ~= "" then units[#units + 1] = word end
    if mark ~= "" then units[#units + 1] = mark end
  end
  return units
end

--- All words, sorted, without punctuation.
---@return string[]
function M.words()
  local known, words = {}, {}
  local function add(text)
    for _, unit in ipairs(M.split(text)) do
      if unit:find("^%a+$") and not known[unit] then
        known[unit] = true
        words[#words + 1] = unit
      end
    end
  end
  for _, list in pairs(names) do
    if type(list) == "table" and list.id then
      for word in pairs(list.id) do add(word) end
    end
  end
  for _, text in ipairs(template.texts()) do add(text) end
  add(caption.NEGATIVE)
  add(FUNCTION_WORDS)
  add(SOUND_WORDS)
  add(MOTION_WORDS)
  table.sort(words)
  return words
end

return M
