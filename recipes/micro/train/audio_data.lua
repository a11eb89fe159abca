--- Batches of the small world's sounds as tensors, beside the pictures and texts of `data`. Batch
-- `step` of a stage is a pure function of the two.
local caption = require "world.sound_caption"
local hearing = require "world.hearing"
local links = require "world.links"
local music = require "world.music"
local names = require "world.names"
local rng = require "world.rng"
local scene = require "world.scene"
local sound = require "world.sound"
local sound_tasks = require "world.sound_tasks"

local M = {}

local MUSIC = 0.15                 -- share of music among sounds
local REVERSED, LOUDER = 0.08, 0.12
local SEEDS = 2 ^ 31

-- Share of the denoiser's examples that have a source, and of those the share of named edits; the
-- others are changes that are shown by example.
local SOURCES, EDITS = 0.6, 0.65

--- What models hear of sounds or music: f32 [n,64,64,1].
function M.mels(records) return hearing.of(records):unsqueeze(4) end

--- A sound, now and then played backwards, louder or softer; music for a share of them.
---@param opts? world.SoundOptions
---@return world.Sound|world.Music
function M.draw(r, opts)
  if r:chance(MUSIC) then return music.sample(r) end
  local s = sound.sample(r, opts)
  if #s.events > 0 and r:chance(REVERSED) then s.reverse = true end
  if r:chance(LOUDER) then s.gain_db = r:pick { 6, -6 } end
  return s
end

--- n records for the autoencoder; defect: share of corrupted ones.
function M.records(stage, step, n, defect)
  local out = {}
  for i = 1, n do out[i] = M.draw(rng.new(stage, step * n + i), { defect = defect }) end
  return out
end

-- ---- words ----

--- Everything that words can say of a sound or of music.
function M.complete(s)
  if s.instrument then return caption.music(s) end
  return caption.with_whole(caption.complete(s), s)
end

--- A description that leaves attributes out.
function M.partial(s, r)
  if not s.instrument then return caption.with_whole(caption.partial(s, r), s) end
  local unsaid = {}
  for _, attribute in ipairs { "tempo", "mode", "instrument" } do
    unsaid[attribute] = r:chance(0.3)
  end
  return caption.music(s, unsaid)
end

--- The complete caption and what no caption says: slots of the events, root of the music. What the
-- decoder of the audio tower writes from its feature.
function M.everything(s)
  if s.instrument then return caption.music(s) .. " " .. s.root end
  return caption.exact(s)
end

-- ---- batches of the tower ----

-- How often the last twin of a sound differs in what was done to the whole.
local WHOLE = 0.8

--- A twin that was played backwards, or is louder or softer, where the sound is not.
local function whole_twin(r, s)
  local v = sound.copy(s)
  if #s.events > 0 and r:chance(0.5) then v.reverse = not s.reverse or nil
  else v.gain_db = not s.gain_db and r:pick { 6, -6 } or nil end
  return v
end

--- size - 1 twins of a sound.
local function sound_twins(r, s, size)
  local twins = sound.twins(r, s, size - 1)
  if r:chance(WHOLE) then twins[#twins] = whole_twin(r, s) end
  return twins
end

--- size - 1 pieces that differ from one in a single attribute.
local function music_twins(r, m, size)
  local all = {}
  for _, attribute in ipairs(music.ATTRIBUTES) do
    for id = 0, music.count(attribute) - 1 do
      local v = music.copy(m)
      v[attribute] = id
      if id ~= m[attribute] then all[#all + 1] = v end
    end
  end
  r:shuffle(all)
  local out = {}
  for i = 1, size - 1 do out[i] = all[i] end
  return out
end

--- groups of sounds or music, each with size - 1 twins.
---@return (world.Sound|world.Music)[] records
function M.twins(stage, step, groups, size)
  local records = {}
  for g = 1, groups do
    local r = rng.new(stage, step * groups + g)
    local base = M.draw(r)
    records[#records + 1] = base
    local twins = base.instrument and music_twins or sound_twins
    for _, s in ipairs(twins(r, base, size)) do records[#records + 1] = s end
  end
  return records
end

--- groups of scenes with size - 1 twins each, all of which may be seen and heard, and their sounds.
---@return world.Scene[] scenes
---@return world.Sound[] sounds
function M.pairs(stage, step, groups, size)
  local scenes, heard = {}, {}
  for g = 1, groups do
    local r = rng.new(stage .. "-pairs", step * groups + g)
    local base = scene.sample(r, { style = 0.1 })
    while not links.is_seen(base) do base = scene.sample(r, { style = 0.1 }) end
    local list = scene.twins(r, base, size - 1, links.is_seen)
    table.insert(list, 1, base)
    for _, s in ipairs(list) do
      scenes[#scenes + 1], heard[#heard + 1] = s, links.find_sound(s, r:int(SEEDS))
    end
  end
  return scenes, heard
end

--- A string of all that is heard of a sound or of music.
function M.key(s) return s.instrument and music.key(s) or sound.key(s) end

-- ---- batches of the denoiser ----

--- A described sound: what is asked for and what the cross-attention reads.
local function describe(e, r)
  e.caption = e.feature == "partial" and M.partial(e.target, r) or M.complete(e.target)
  if e.target.defect then
    e.caption = caption.with_defect(e.caption, e.target)
    e.text = r:chance(0.5) and caption.NEGATIVE or names.defect[e.target.defect]
  else
    e.text = r:chance(0.5) and e.caption or ""
  end
end

--- One training example of the denoiser; see data.example.
---@return micro.Example
function M.example(r)
  local e = {}
  if r:chance(SOURCES) then
    local task = (r:chance(EDITS) and sound_tasks.sound_edit or sound_tasks.sound_exemplar)(r)
    e.source, e.target, e.task = task.media[task.source], task.audio, task
  else
    e.target = M.draw(r, { defect = 0.1 })
  end
  local draw = r:uniform(0, 1)
  e.feature = draw < 0.1 and "none" or draw < 0.62 and "audio" or draw < 0.86 and "text"
    or "partial"
  describe(e, r)
  return e
end

--- n examples of batch `step`.
function M.examples(stage, step, n)
  local out = {}
  for i = 1, n do out[i] = M.example(rng.new(stage, step * n + i)) end
  return out
end

return M
