--- Examples of the small world as sequences of the language model, in batches.
local weft = require "weft"
local audio_data = require "audio_data"
local caption = require "world.caption"
local data = require "data"
local dialogue = require "world.dialogue"
local rng = require "world.rng"
local run = require "run"
local sequence = require "weft.pipeline.sequence"
local sound_caption = require "world.sound_caption"
local sound_tasks = require "world.sound_tasks"
local tasks = require "world.tasks"
local micro_things = require "weft.pipeline.micro_things"
local micro_video = require "weft.pipeline.micro_video"
local video_caption = require "world.video_caption"
local videos = require "world.video"

local M = {}

-- Share of tasks with sounds and videos, where they are wanted at all.
local SOUNDING = 0.45
-- Share of conversations of several rounds.
local DIALOGUES = 0.08
-- How often a description is given as its feature instead of words: text made multimodal.
local AS_FEATURE = 0.15

---@class micro.Words  a text that stands in a sequence by its feature
---@field text string

--- Kind, medium and frames of a prompt's part, as weft.pipeline.sequence asks.
local function kind_of(part)
  if type(part) == "string" then return nil end
  if part.image then return "image", part.image end
  if part.audio then return "audio", part.audio end
  if not part.video then return "text", part end
  local frames = {}
  for i, k in ipairs(sequence.shown_frames(videos.N_FRAMES)) do
    frames[i] = videos.frame(part.video, k - 1)
  end
  return "video", part.video, frames
end

--- The prompt's parts, now and then with the whole description as one feature.
local function parts_of(example, r)
  if example.task ~= "generate" and example.task ~= "bare" then return example.prompt end
  if not r:chance(AS_FEATURE) then return example.prompt end
  local words, out = { text = example.caption }, {}
  for i, part in ipairs(example.prompt) do
    local a, b = part:find(example.caption, 1, true)
    if a then
      local before, after = part:sub(1, a - 1), part:sub(b + 1)
      if before:find "%S" then out[#out + 1] = before end
      out[#out + 1] = words
      if after:find "%S" then out[#out + 1] = after end
    else
      out[i] = part
    end
  end
  return out
end

--- All that is true of a picture or a sound, in words.
local function complete(medium, r)
  if medium.objects then return caption.complete(medium, r) end
  return medium.instrument and sound_caption.music(medium) or sound_caption.complete(medium)
end

--- Put the media that an example wants into a reply. Where the prompt says all of one, its feature
-- follows at once. Where something is left free no one picture or sound is right, and the mean of
-- all that might be is none: the model first says in words which of them it makes. A video it
-- always says in words, which its denoiser reads: no feature holds how things move. Its feature is
-- that of what a picture of it shows.
local function reply_media(s, example, r)
  local source = example.media[example.source]
  if example.video then
    local words = video_caption.complete(example.video, r)
    s:reply_text(words)
    s:reply_medium("video", { text = (micro_video.split(words)) }).target = example.video
  end
  if example.image then
    if not (example.exact or example.audio) then s:reply_text(complete(example.image, r)) end
    s:reply_medium("image", example.image, source).target = example.image
  end
  if example.audio then
    if not (example.exact or example.video) then s:reply_text(complete(example.audio, r)) end
    local seen = not example.image and source or nil
    s:reply_medium("audio", example.audio, seen).target = example.audio
  end
end

--- One example as a sequence.
---@param tok weft.Tokenizer
---@param example world.Example
---@param r world.Rng
---@return weft.Sequence
function M.sequence(tok, example, r)
  local s = sequence.new(tok)
  s:ask(parts_of(example, r), kind_of)
  if example.text then s:reply_text(example.text) else reply_media(s, example, r) end
  s:stop()
  return s
end

--- A conversation of several rounds as one sequence.
---@param rounds world.Round[]
---@return weft.Sequence
function M.dialogue(tok, rounds)
  local s = sequence.new(tok)
  for _, round in ipairs(rounds) do
    s:ask(round.prompt, kind_of)
    if round.text then
      s:reply_text(round.text)
    else
      s:reply_medium("image", round.image, round.source).target = round.image
    end
    s:stop()
  end
  return s
end

--- An example, or the rounds of a conversation.
local function draw(r, sounding)
  if sounding and r:chance(SOUNDING) then return sound_tasks.sample(r) end
  if r:chance(DIALOGUES) then return dialogue.sample(r) end
  return tasks.sample(r)
end

--- The kind of reply of what was drawn; with several media, the one that is rarest.
local function reply_kind(drawn)
  if drawn.text then return "text" end
  return drawn.video and "video" or drawn.audio and "audio" or "image"
end

--- n sequences of batch `step`; with sounds, music and videos among them where sounding; all with
-- one kind of reply where it is given.
---@param o { sounding: boolean?, kind: string? }
---@return weft.Sequence[]
function M.sequences(tok, stage, step, n, o)
  local list = {}
  for i = 1, n do
    local r = rng.new(stage, step * n + i)
    local drawn = draw(r, o.sounding)
    while o.kind and reply_kind(drawn) ~= o.kind do drawn = draw(r, o.sounding) end
    list[i] = drawn[1] and M.dialogue(tok, drawn) or M.sequence(tok, drawn, r)
  end
  return list
end

local function sense_of(medium)
  if medium.text then return "text" end
  return (medium.events or medium.instrument) and "sound" or "picture"
end

local SENSES = { "picture", "sound", "text" }

--- The distinct media of the sequences by sense, and the row of each among the features: pictures
-- first, then sounds, then words.
local function number_media(list)
  local by_sense, index = { picture = {}, sound = {}, text = {} }, {}
  local function add(medium)
    if index[medium] then return end
    local sense = sense_of(medium)
    local to = by_sense[sense]
    to[#to + 1] = medium.text or medium
    index[medium] = { sense = sense, k = #to }
  end
  for _, s in ipairs(list) do
    for _, place in ipairs(s.places) do add(place.medium) end
    for _, reply in ipairs(s.replies) do add(reply.medium) end
  end
  local first = { picture = 0, sound = #by_sense.picture,
    text = #by_sense.picture + #by_sense.sound }
  return by_sense, function(medium) return first[index[medium].sense] + index[medium].k - 1 end
end

local read = {
  picture = function(towers, _, list) return towers.image { pixels = data.pictures(list) } end,
  sound = function(towers, _, list) return towers.audio { pixels = audio_data.mels(list) } end,
  text = function(towers, tok, list) return towers.text { ids = (data.text_ids(tok, list)) } end,
}

---@class micro.Readers  what reads media
---@field image weft.Model
---@field text weft.Model
---@field audio? weft.Model
---@field things weft.MicroThings

--- Those in a folder.
---@param is_sounding boolean  whether sounds are read, too
---@return micro.Readers
function M.readers(folder, tok, is_sounding)
  local function part(name) return run.trained(folder, name) end
  return { image = part "image_encoder", text = part "text_encoder",
    audio = is_sounding and part "audio_encoder" or nil,
    things = micro_things.new(tok, { picture = part "conditioner",
      sound = is_sounding and part "audio_conditioner" or nil }) }
end

--- Unit features [N,D] of media.
---@param towers micro.Readers
local function features_of(towers, tok, by_sense)
  local list = {}
  for _, sense in ipairs(SENSES) do
    local media = by_sense[sense]
    if media[1] then
      list[#list + 1] = weft.normalize(read[sense](towers, tok, media).embeds)
    end
  end
  return weft.cat(list, 1)
end

local function i64(list) return list[1] and weft.tensor(list, { dtype = "i64" }) end

--- A field of every item of a list.
local function field_of(list, name)
  local out = {}
  for i, item in ipairs(list) do out[i] = item[name] end
  return out
end

---@class micro.Shown  what the places of a sense show
---@field sense "picture"|"sound"
---@field at weft.Tensor    [Q] rows where their words stand
---@field rows weft.Tensor  [P,n,V] the things, of weft.MicroThings

--- What places of a sense show; nil where there is none.
---@param places { at: integer, of: integer, sense: string }[]  from 0: rows, and of which features
---@return micro.Shown?
local function shown_of(readers, features, places, sense)
  local rows, of = {}, {}
  for _, place in ipairs(places) do
    if place.sense == sense then
      of[#of + 1] = place.of
      for k = 1, micro_things.count(sense) do rows[#rows + 1] = place.at + k end
    end
  end
  if not of[1] then return nil end
  return { sense = sense, at = i64(rows),
    rows = readers.things:of(features:index_select(i64(of), 1), sense) }
end

---@class micro.Batch
---@field groups { n: integer, tokens: integer }[]  sequences of like length, padded to one
---@field ids weft.Tensor       [1,R] of all groups' rows, group after group
---@field words weft.Tensor     [R,1] 1 where a token's own embedding stands, 0 for a feature
---@field place_at weft.Tensor  [P] rows where features stand; nil for none
---@field place_of weft.Tensor  [P] their rows of features
---@field shown micro.Shown[]  of pictures and of sounds
---@field things weft.MicroThings
---@field say_at weft.Tensor    [S] rows whose state says the next token
---@field say weft.Tensor       [S] that token
---@field reply_at weft.Tensor  [M] rows whose state foretells a feature; nil for none
---@field reply_of weft.Tensor  [M]
---@field replies { target: world.Scene, source: world.Scene? }[]  [M]
---@field features weft.Tensor  [N,D] of all media

-- Groups of a batch, shortest first, that are padded to one length each.
local N_GROUPS = 8

--- The sequences in groups of like length.
local function grouped(list)
  local sorted, groups, from = {}, {}, 1
  for i, s in ipairs(list) do sorted[i] = { s = s, i = i } end
  table.sort(sorted, function(a, b)
    if #a.s.ids ~= #b.s.ids then return #a.s.ids < #b.s.ids end
    return a.i < b.i
  end)
  for k = 1, N_GROUPS do
    local last, group = math.floor(k / N_GROUPS * #list + 0.5), {}
    for i = from, last do group[#group + 1] = sorted[i].s end
    if group[1] then groups[#groups + 1] = group end
    from = math.max(from, last + 1)
  end
  return groups
end

--- Sequences as one batch.
---@param readers micro.Readers
---@return micro.Batch
function M.batch(tok, readers, list)
  local by_sense, row_of = number_media(list)
  local groups, ids, words = {}, {}, {}
  local places, say_at, say, replies, reply_at, reply_of = {}, {}, {}, {}, {}, {}
  for g, group in ipairs(grouped(list)) do
    local T = #group[#group].ids
    groups[g] = { n = #group, tokens = T }
    for _, s in ipairs(group) do
      local base = #ids
      for t = 1, T do ids[base + t], words[base + t] = s.ids[t] or 0, { 1 } end
      for t = 2, #s.ids do
        if s.learned[t] then say_at[#say_at + 1], say[#say + 1] = base + t - 2, s.ids[t] end
      end
      for _, place in ipairs(s.places) do
        local at = base + place.at
        places[#places + 1] = { at = at - 1, of = row_of(place.medium), sense = place.sense }
        for k = 0, micro_things.count(place.sense) do words[at + k] = { 0 } end
      end
      for _, reply in ipairs(s.replies) do
        replies[#replies + 1] = reply
        reply_at[#reply_at + 1] = base + reply.at - 1
        reply_of[#reply_of + 1] = row_of(reply.medium)
      end
    end
  end
  local features, shown = features_of(readers, tok, by_sense), {}
  for _, sense in ipairs { "picture", "sound" } do
    shown[#shown + 1] = shown_of(readers, features, places, sense)
  end
  return {
    groups = groups, ids = weft.tensor({ ids }, { dtype = "i64" }), words = weft.tensor(words),
    place_at = i64(field_of(places, "at")), place_of = i64(field_of(places, "of")), shown = shown,
    things = readers.things,
    say_at = i64(say_at), say = i64(say), replies = replies, reply_at = i64(reply_at),
    reply_of = i64(reply_of), features = features,
  }
end

--- States [R,C] of a batch's rows after the final norm.
---@param net { lm: weft.Model, feature_in: weft.Model }
---@param b micro.Batch
function M.states(net, b)
  local x = net.lm:embed { ids = b.ids }
  x = x:reshape(x:size(2), x:size(3)) * b.words
  if b.place_at then
    local f = b.features:index_select(b.place_of, 1) * math.sqrt(b.features:size(2))
    x = x:index_add(b.place_at, net.feature_in { x = f }, 1)
    for _, shown in ipairs(b.shown) do
      local words = b.things:embeds(net.lm, shown.rows, shown.sense)
      x = x:index_add(shown.at, words:reshape(-1, words:size(3)), 1)
    end
  end
  local list, from = {}, 1
  for g, group in ipairs(b.groups) do
    local n = group.n * group.tokens
    local rows = x:narrow(1, from, n):reshape(group.n, group.tokens, -1)
    local hidden = net.lm { embeds = rows }.hidden
    list[g] = hidden:reshape(n, -1)
    from = from + n
  end
  return weft.cat(list, 1)
end

return M
