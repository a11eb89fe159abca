--- The judge of sounds: what is heard, by rendering what it could be instead.
--
-- O1 (attributes): all alternatives of an attribute are rendered with the rest fixed; right when
-- the expected value is closest. O3 (target): the exact sound must be closer than all variants that
-- differ in one attribute and than the source. Distances are mean squares over mels, so phases do
-- not count. Ambiences are noise, of which two draws differ by much: they are judged by means and
-- deviations of the bands, averaged over draws. Uses no model and no labels.
local ffi = require "ffi"
local hearing = require "world.hearing"
local names = require "world.names"
local rng = require "world.rng"
local captions = require "world.sound_caption"
local sounds = require "world.sound"
local variants = require "world.sound_variants"

local sqrt, log, max, huge = math.sqrt, math.log, math.max, math.huge

local M = {}

local T, B = hearing.N_FRAMES, hearing.N_BANDS
local N = hearing.N_ELEMS
local distance = hearing.mean_square

--- Root mean square difference of two things heard, in log10 of magnitude.
function M.distance(a, b)
  local x, y = hearing.to_mel(a), hearing.to_mel(b)
  return hearing.LOG10 * sqrt(distance(x:ptr(), y:ptr()))
end

-- Draws of the noise that an alternative with an ambience is averaged over.
local N_DRAWS = 4

--- Mels of sounds, each the mean over draws of its noise; the draws are the same for all.
---@param list world.Sound[]
---@param n_draws integer
---@return weft.Tensor mel  [n,64,64]
local function mean_mels(list, n_draws)
  local n = list[1].ambience > 0 and n_draws or 1
  if n == 1 then return hearing.of(list) end
  local r, total = rng.new("listen", list[1].seed), nil
  for _ = 1, n do
    local seed, drawn = r:int(2 ^ 31), {}
    for i, s in ipairs(list) do
      drawn[i] = sounds.copy(s)
      drawn[i].seed = seed
    end
    local mel = hearing.of(drawn)
    total = total and total:add_(mel) or mel
  end
  return total / n
end

--- The index of the sound that is most like a mel, and the distances of all.
---@param mel weft.Tensor  [64,64]
---@param list world.Sound[]
---@param n_draws? integer  default: the sounds' own noise
---@return integer best
---@return number[] distances
local function closest(mel, list, n_draws)
  local rendered = n_draws and mean_mels(list, n_draws) or hearing.of(list)
  local p, q, best, distances = mel:ptr(), rendered:ptr(), 1, {}
  for i = 1, #list do
    distances[i] = distance(p, q + (i - 1) * N)
    if distances[i] < distances[best] then best = i end
  end
  return best, distances
end

-- ---- sounds ----

--- The sound with its events, in their order, moved to the slots in which they are heard.
---@param mel weft.Tensor  [64,64]
---@param sound world.Sound
---@param loose? integer[]  events whose pitch is taken from what is heard too
---@return world.Sound
function M.fit(mel, sound, loose)
  local list = variants.fits(sound, loose)
  return list[(closest(mel, list, N_DRAWS))]
end

--- A sound with another noise than its own, which nobody could know.
local function strange(sound)
  local v = sounds.copy(sound)
  v.seed = (sound.seed + 0x2545f49) % 2 ^ 31
  return v
end

--- The slot in which an event of a sound is heard, the others staying where they are.
---@param heard any
---@param sound world.Sound
---@param event world.Event  voice and pitch; its own slot, if the sound has it, is not looked at
---@return integer slot
function M.onset(heard, sound, event)
  local rest, list = sounds.copy(sound), {}
  for i, e in ipairs(rest.events) do
    if e.voice == event.voice and e.pitch == event.pitch then
      table.remove(rest.events, i)
      break
    end
  end
  for slot = 0, sounds.LAST_SLOT do
    local v = sounds.copy(rest)
    table.insert(v.events, { voice = event.voice, pitch = event.pitch, slot = slot })
    list[slot + 1] = v
  end
  return closest(hearing.to_mel(heard), list) - 1
end

-- A voice too many or too few must bring a sound this much nearer, or it fits the noise: of 120
-- sounds with ambience or without 1 in 100 seems to have one more, and of as many with one more or
-- one less 19 in 20 are found.
local NEARER = 0.97

--- Whether no event is missing and none is heard beside those of a sound.
local function is_count_right(mel, sound)
  local _, distances = closest(mel, variants.counts(sound), N_DRAWS)
  for i = 2, #distances do
    if distances[i] < NEARER * distances[1] then return false end
  end
  return true
end

-- ---- statistics of ambiences ----

local FLOOR = 1e-4            -- of a variance: keeps the logarithm of steady bands finite
local DEVIATION_WEIGHT = 0.02 -- of a difference of one in the logarithm of a variance
local N_ECHO_DRAWS = 12       -- it repeats softly
--- Means of the bands over time, then logarithms of their variances.
---@param p ffi.cdata*  float [64,64]
---@param out ffi.cdata*  double [128], added to
local function add_statistics(p, out, weight)
  for b = 0, B - 1 do
    local sum, squares = 0, 0
    for t = 0, T - 1 do
      local v = p[t * B + b]
      sum, squares = sum + v, squares + v * v
    end
    local mean = sum / T
    out[b] = out[b] + weight * mean
    out[B + b] = out[B + b] + weight * log(max(squares / T - mean * mean, 0) + FLOOR)
  end
end

local function statistics_distance(a, b)
  local mean, deviation = 0, 0
  for i = 0, B - 1 do
    mean = mean + (a[i] - b[i]) ^ 2
    deviation = deviation + (a[B + i] - b[B + i]) ^ 2
  end
  return mean + DEVIATION_WEIGHT * deviation
end

--- The ambience whose statistics are closest, the rest of the sound being fixed.
---@param mel weft.Tensor  [64,64]
---@param sound world.Sound
---@return integer ambience
function M.ambience(mel, sound)
  local heard, list = ffi.new("double[?]", 2 * B), {}
  add_statistics(mel:ptr(), heard, 1)
  for ambience = 0, names.ambience.count - 1 do
    local r = rng.new("ambience", sound.seed, ambience)
    for _ = 1, N_DRAWS do
      local v = sounds.copy(sound)
      v.ambience, v.seed = ambience, r:int(2 ^ 31)
      list[#list + 1] = v
    end
  end
  local rendered = hearing.of(list)
  local p, best, least = rendered:ptr(), 0, huge
  for ambience = 0, names.ambience.count - 1 do
    local mean = ffi.new("double[?]", 2 * B)
    for k = 0, N_DRAWS - 1 do
      add_statistics(p + (ambience * N_DRAWS + k) * N, mean, 1 / N_DRAWS)
    end
    local d = statistics_distance(heard, mean)
    if d < least then best, least = ambience, d end
  end
  return best
end

--- Whether an echo is heard.
---@param mel weft.Tensor  [64,64]
---@param sound world.Sound
---@return boolean
local function has_echo(mel, sound)
  return closest(mel, variants.field(sound, "echo", { false, true }), N_ECHO_DRAWS) == 2
end

-- ---- verdicts ----

---@class world.SoundVerdict
---@field voice boolean[]     one an event; likewise pitch and slot
---@field pitch boolean[]
---@field slot boolean[]
---@field count boolean[]     one element: no event is missing and none too many
---@field ambience boolean[]  at most one element; likewise echo
---@field echo boolean[]
---@field all boolean

---@class world.ListenOptions
---@field free_slots? boolean  events may begin anywhere, in their order: for sounds from words
---@field loose? integer[]     events whose pitch nobody said, with free_slots
---@field said? table  judge only what is here: { events = {{voice, pitch}...}, ambience, echo }

--- Whether every list of a verdict holds only true.
local function is_all_right(verdict)
  for _, list in pairs(verdict) do
    for _, right in ipairs(list) do
      if not right then return false end
    end
  end
  return true
end

--- O1: which attributes of the expected sound are heard.
---@param heard any  see hearing.to_mel
---@param sound world.Sound
---@param opts? world.ListenOptions
---@return world.SoundVerdict
function M.attributes(heard, sound, opts)
  opts = opts or {}
  local said, mel = opts.said or sound, hearing.to_mel(heard)
  local known = strange(sound)
  known.ambience = M.ambience(mel, known)      -- as heard, or a wrong one would hide the voices
  local is_ambience_right = known.ambience == said.ambience
  if opts.free_slots and #known.events > 0 then known = M.fit(mel, known, opts.loose) end
  local verdict = { voice = {}, pitch = {}, slot = {}, ambience = {}, echo = {},
                    count = {} }
  for i, e in ipairs(said.events) do
    local best = closest(mel, variants.voices(known, i), N_DRAWS) - 1
    if e.voice then table.insert(verdict.voice, math.floor(best / 3) == e.voice) end
    if e.pitch then table.insert(verdict.pitch, best % 3 == e.pitch) end
    if not opts.free_slots then
      local slot = sound.events[i].slot
      verdict.slot[i] = closest(mel, variants.slots(known, i), N_DRAWS) - 1 == slot
    end
  end
  verdict.count[1] = is_count_right(mel, known)
  if said.ambience then verdict.ambience[1] = is_ambience_right end
  if said.echo ~= nil or not opts.said then
    verdict.echo[1] = has_echo(mel, known) == (said.echo or false)
  end
  verdict.all = is_all_right(verdict)
  return verdict
end

--- Whether a sound is what a caption says; what it does not say may be anything.
---@param heard any
---@param text string  a caption of sounds
---@return boolean success
---@return world.SoundVerdict verdict
function M.caption(heard, text)
  local said = captions.parse(text)
  if not said.ok then error("listen: not a caption: " .. text, 2) end
  local s, loose = { events = {}, ambience = said.ambience or 0, seed = 1, echo = said.echo }, {}
  for i, e in ipairs(said.events) do
    s.events[i] = { voice = e.voice, pitch = e.pitch or 1, slot = i - 1 }
    if not e.pitch then loose[#loose + 1] = i end
  end
  local verdict = M.attributes(heard, s, { free_slots = true, loose = loose, said = said })
  return verdict.all, verdict
end

---@class world.SoundTarget
---@field success boolean     closest of all, closer than the source, and near enough
---@field is_closest boolean  closer than every variant of the target in one attribute
---@field is_changed boolean  closer to the target than to the unedited source
---@field distance number     to the exact target: root mean square, log10 of magnitude

-- The largest distance of a sound that counts as the target.
M.NEAR = 0.5

--- O3: whether a sound is the exact target of an edit or an exemplar.
---@param heard any
---@param target world.Sound
---@param source? world.Sound
---@return world.SoundTarget
function M.target(heard, target, source)
  local mel = hearing.to_mel(heard)
  local list = variants.all(target)
  table.insert(list, 1, target)
  if source then table.insert(list, 2, source) end
  local best, distances = closest(mel, list)
  local verdict = { is_closest = best == 1, distance = hearing.LOG10 * sqrt(distances[1]),
                    is_changed = not source or distances[1] < distances[2] }
  verdict.success = verdict.is_closest and verdict.is_changed and verdict.distance <= M.NEAR
  return verdict
end

--- Judge the outcome of an edit: O3, or where an ambience is drawn that the source had not, O1.
---@param heard any
---@param source world.Sound
---@param target world.Sound
---@return boolean success
---@return world.SoundTarget|world.SoundVerdict verdict
function M.edit(heard, source, target)
  if target.ambience == 0 or target.ambience == source.ambience then
    local verdict = M.target(heard, target, source)
    return verdict.success, verdict
  end
  local verdict = M.attributes(heard, target)
  return verdict.all, verdict
end

return M
