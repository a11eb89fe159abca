--- Music: an arpeggio of one instrument, for the vibe of a place.
local names = require "world.names"
local rng = require "world.rng"
local synth = require "world.synth"

---@class world.Music
---@field instrument integer  0..3
---@field mode integer        0 major, 1 minor
---@field tempo integer       0 slow (four notes), 1 fast (eight)
---@field root integer        0..2, never said in words

local M = {}

M.ATTRIBUTES = { "instrument", "mode", "tempo", "root" }
M.N_ROOTS = 3
local ROOT_HZ = { [0] = 220, 262, 294 }
local STEPS = { [0] = { [0] = 0, 4, 7, 12 }, { [0] = 0, 3, 7, 12 } }     -- semitones, by mode

--- How many values an attribute has.
---@param attribute string  of M.ATTRIBUTES
function M.count(attribute)
  return attribute == "root" and M.N_ROOTS or names[attribute].count
end

---@return world.Music
function M.copy(m)
  return { instrument = m.instrument, mode = m.mode, tempo = m.tempo, root = m.root }
end

---@return string
function M.key(m) return ("m%d.%d.%d.%d"):format(m.instrument, m.mode, m.tempo, m.root) end

--- Draw music; `fixed` sets attributes.
---@param r world.Rng
---@param fixed? table<string, integer>
---@return world.Music
function M.sample(r, fixed)
  local m = {}
  for _, attribute in ipairs(M.ATTRIBUTES) do
    local value = r:int(M.count(attribute))
    m[attribute] = fixed and fixed[attribute] or value
  end
  return m
end

--- Music `index` of a split.
function M.at(split, index) return M.sample(rng.new(split, index, 2)) end

--- Add the notes.
---@param m world.Music
---@param y ffi.cdata*  float or double [8192]
function M.add(m, y)
  local n_notes = m.tempo == 0 and 4 or 8
  local n = synth.N_SAMPLES / n_notes
  for k = 0, n_notes - 1 do
    local hz = ROOT_HZ[m.root] * 2 ^ (STEPS[m.mode][k % 4] / 12)
    synth.add_note(y, m.instrument, hz, k * n, n)
  end
end

return M
