--- Named edits of a sound (T2.1): a source, an instruction and the exact target.
--
-- A target is a function of source and instruction: a voice that is added says when it is heard,
-- and what is replaced keeps pitch and time. The noise of an ambience that stays is the source's.
local caption = require "world.sound_caption"
local names = require "world.names"
local sounds = require "world.sound"
local template = require "world.template"

---@class world.SoundEdit
---@field op string              a name in sound_edit.OPS
---@field source world.Sound
---@field target world.Sound
---@field parts (string|table)[] the instruction with its sound as { audio = source }
---@field caption string         complete caption of the target, as far as words go
---@field form integer

local M = {}

M.OPS = { "add_voice", "add_ambience", "drop", "replace", "pitch", "level", "echo", "reverse" }
local OP_WEIGHTS = { 18, 10, 16, 20, 10, 8, 10, 8 }

--- When a new voice is heard: words and slots.
M.TIMES = { { "early", 0 }, { "in the middle", 3 }, { "late", 6 } }

local LEVELS = { louder = 6, softer = -6 }

--- Events of a sound with the voice of event `index`, and with its pitch too.
local function count_like(s, index)
  local e, voices, both = s.events[index], 0, 0
  for _, other in ipairs(s.events) do
    if other.voice == e.voice then
      voices = voices + 1
      if other.pitch == e.pitch then both = both + 1 end
    end
  end
  return voices, both
end

--- "the meow", or "the high meow" where there are several; nil where that is not enough.
---@param s world.Sound
---@param index integer
---@return string?
function M.find_name(s, index)
  local e = s.events[index]
  local voices, both = count_like(s, index)
  if voices == 1 then return "the " .. names.voice[e.voice] end
  if both == 1 then return ("the %s %s"):format(names.pitch[e.pitch], names.voice[e.voice]) end
end

--- A voice other than that of an event.
local function other_voice(r, e)
  return (e.voice + 1 + r:int(names.voice.count - 1)) % names.voice.count
end

-- Each operation: function(r, target) changes a copy of the source and gives the slots of its
-- template, or nil where it does not apply.
local change = {}

function change.add_voice(r, s)
  local time = r:pick(M.TIMES)
  for _, e in ipairs(s.events) do
    if e.slot == time[2] then return nil end
  end
  local e = { voice = r:int(12), pitch = r:int(3), slot = time[2] }
  s.events[#s.events + 1] = e
  sounds.sort(s)
  return { new = caption.event(e), when = time[1] }
end

function change.add_ambience(r, s)
  if s.ambience > 0 then return nil end
  s.ambience = 1 + r:int(names.ambience.count - 1)
  return { new = names.ambience[s.ambience] }
end

function change.drop(r, s)
  local index = r:int(#s.events + 1)
  if index == 0 then
    if s.ambience == 0 then return nil end
    local slots = { obj = "the " .. names.ambience[s.ambience] }
    s.ambience = 0
    return slots
  end
  local name = M.find_name(s, index)
  table.remove(s.events, index)
  return name and { obj = name }
end

function change.replace(r, s)
  local index = r:int(#s.events + 1)
  if index == 0 then
    if s.ambience == 0 then return nil end
    local was = s.ambience
    s.ambience = 1 + (was + r:int(4)) % 5      -- one of the four others
    return { obj = "the " .. names.ambience[was], new = names.ambience[s.ambience] }
  end
  local e, name = s.events[index], M.find_name(s, index)
  e.voice = other_voice(r, e)
  return name and { obj = name, new = caption.event(e, { pitch = true }) }
end

function change.pitch(r, s)
  if #s.events == 0 then return nil end
  local index, up = 1 + r:int(#s.events), r:chance(0.5)
  local e, name = s.events[index], M.find_name(s, index)
  e.pitch = e.pitch + (up and 1 or -1)
  if not name or not names.pitch[e.pitch] then return nil end
  return { obj = name, level = up and "higher" or "lower" }
end

function change.level(r, s)
  if s.gain_db then return nil end
  local word = r:chance(0.5) and "louder" or "softer"
  s.gain_db = LEVELS[word]
  return { level = word }
end

function change.echo(_, s)
  if s.echo or #s.events == 0 then return nil end
  s.echo = true
  return {}
end

function change.reverse(_, s)
  if s.reverse or #s.events == 0 then return nil end
  s.reverse = true
  return {}
end

--- The target of an operation on a sound and what its template wants to know, or nil.
---@param r world.Rng
---@param source world.Sound
---@param op string
---@return world.Sound? target
---@return table<string, string>? slots
function M.find_target(r, source, op)
  local target = sounds.copy(source)
  local slots = change[op](r, target)
  if not slots or not sounds.is_valid(target) then return nil end
  return target, slots
end

--- A source; for held-out targets now and then one that is held out itself, which operations that
-- make no new pair need.
local function draw_source(r, opts)
  local is_held = opts.split == "heldout" and r:chance(0.5)
  local split = is_held and "heldout" or nil
  return sounds.sample(r, { echo = 0.05, events = opts.events, split = split })
end

--- Draw an edit. In the held-out split the target holds a pair of H7, the source need not.
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.SoundEdit
function M.sample(r, opts)
  opts = opts or {}
  local op = opts.op or M.OPS[r:weighted(OP_WEIGHTS)]
  for _ = 1, 4000 do
    local source = draw_source(r, opts)
    local target, slots = M.find_target(r, source, op)
    if target and sounds.is_seen(target) == (opts.split ~= "heldout") then
      local form = template.draw(r, opts.held_forms)
      return {
        op = op, source = source, target = target, form = form,
        parts = template.parts(template.expand(op, form, slots), { { audio = source } }),
        caption = caption.complete(target),
      }
    end
  end
  error(("sound_edit: no %s edit satisfies the options"):format(op), 2)
end

return M
