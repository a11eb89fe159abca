--- Tasks with sounds, music and videos: prompts, and what they should yield (T2, T3, P2 to P9).
--
-- As in world.tasks, what a prompt leaves free makes the target a description (exact = false).
-- An example may want several media at once: image, audio, video.
local caption = require "world.caption"
local example_of = require "world.example"
local links = require "world.links"
local music = require "world.music"
local names = require "world.names"
local scenes = require "world.scene"
local sound_caption = require "world.sound_caption"
local sound_edit = require "world.sound_edit"
local sound_transform = require "world.sound_transform"
local sounds = require "world.sound"
local template = require "world.template"
local video_caption = require "world.video_caption"
local videos = require "world.video"

local M = {}

local TRIES = 4000
local SEEDS = 2 ^ 31

local function copy_options(opts, changes)
  local with = {}
  for k, v in pairs(opts or {}) do with[k] = v end
  for k, v in pairs(changes) do with[k] = v end
  return with
end

--- Draw until something fits.
local function try(what, draw)
  for _ = 1, TRIES do
    local a, b, c = draw()
    if a then return a, b, c end
  end
  error(("sound_tasks: no %s satisfies the options"):format(what), 3)
end

local function draw_scene(r, opts, changes)
  return scenes.sample(r, copy_options(opts, changes))
end

--- A scene that may be seen and heard, or in the held-out split may not (H9), with its sound.
local function draw_heard(r, opts)
  return try("scene", function()
    local scene = draw_scene(r, opts, { style = 0.1, split = opts and opts.split })
    local sound = links.find_sound(scene, r:int(SEEDS))
    local is_held = (opts or {}).split == "heldout"
    if sound and (is_held or links.is_seen(scene)) then return scene, sound end
  end)
end

-- ---- sounds from sounds ----

--- A named edit (T2.1).
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.sound_edit(r, opts)
  local e = sound_edit.sample(r, opts)
  return { task = "sound_edit", op = e.op, prompt = e.parts, media = { e.source },
           audio = e.target, source = 1, caption = e.caption, exact = true, form = e.form }
end

--- A pair on which a transformation is heard, or nil.
local function find_pair(r, t)
  local before = sounds.sample(r)
  local after = sound_transform.find_result(t, before)
  if after and sounds.is_seen(after) then return before, after end
end

local TRAIN_LEVELS, LEVEL_WEIGHTS = { "L0", "L1", "pair" }, { 35, 20, 45 }

--- A transformation heard on one sound, to be applied to another (T2.2).
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.sound_exemplar(r, opts)
  local level = opts and opts.level or TRAIN_LEVELS[r:weighted(LEVEL_WEIGHTS)]
  local t, pairs_found = nil, {}
  try("exemplar", function()
    t = sound_transform.draw(r, level, not (opts and opts.level))
    for k = 1, 2 do
      for _ = 1, 50 do
        local before, after = find_pair(r, t)
        pairs_found[k] = before and { before, after }
        if before then break end
      end
    end
    return pairs_found[1] and pairs_found[2]
  end)
  local first, second = pairs_found[1], pairs_found[2]
  local example = { op = level, audio = second[2], source = 3, exact = true, transform = t,
                    caption = sound_caption.complete(second[2]) }
  local task = sound_transform.is_overlay(t) and "overlaid" or "exemplar"
  example_of(r, opts, example, task, {}, { first[1], first[2], second[1] })
  example.task = "sound_exemplar"
  return example
end

--- What becomes of the other sound, in words that say when each voice is heard. Naming what a
-- transformation makes is what teaches a model to apply it.
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.sound_becomes(r, opts)
  local e = M.sound_exemplar(r, opts)
  local example = { text = sound_caption.exact(e.audio), exact = true, op = e.op,
                    transform = e.transform }
  example_of(r, opts, example, "becomes", {}, e.media)
  example.task = "sound_becomes"
  return example
end

-- ---- across the senses ----

-- Ambiences that belong to one place only: sea sounds alike on the beach.
local TELLING = { 1, 3, 4, 5 }

--- "[audio] took place in [image]": the picture in the place that is heard, or with the creature
-- that is heard (T3.1).
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.took_place(r, opts)
  local by_place = r:chance(0.6)
  local is_held = (opts or {}).split == "heldout"
  local source, heard, target = try("scene", function()
    local scene = draw_scene(r, opts, { objects = 1, style = 0, split = "val" })
    local t, s = scenes.copy(scene), { events = {}, ambience = 0, seed = r:int(SEEDS) }
    if by_place then
      s.ambience = r:pick(TELLING)
      t.place, t.texture = links.places(s.ambience)[1], r:int(SEEDS)
    else
      local o = t.objects[1]
      o.kind = r:int(12)
      s.events[1] = { voice = o.kind, pitch = r:int(3), slot = r:int(sounds.LAST_SLOT + 1) }
    end
    local changed = scenes.key(t) ~= scenes.key(scene)
    if changed and links.is_seen(t) ~= is_held then return scene, s, t end
  end)
  local example = { image = target, source = 2, exact = true, op = by_place and "place" or "kind",
                    caption = caption.complete(target, r) }
  local form = by_place and "took_place" or "heard_kind"
  example_of(r, opts, example, form, {}, { heard, source })
  example.task = "took_place"
  return example
end

-- Motions that touch nothing and never show one frame twice.
local SMOOTH = { 1, 2, 3, 4, 5, 6 }

--- The next frame of a bounce or a call, with its sound (T3.2). The call's second frame follows
-- its first; the ground follows the fall.
---@param r world.Rng
---@param opts? world.TaskOptions  calls: share of calls, 0.5 when not given
---@return world.Example
function M.next_frame(r, opts)
  local v, k = try("video", function()
    local bounces = r:chance(1 - (opts and opts.calls or 0.5))
    local drawn = videos.sample(r, copy_options(opts, {
      call = bounces and 0 or 1, motions = bounces and { videos.BOUNCE } or SMOOTH }))
    local at = bounces and videos.CONTACTS[2] or drawn.call + 1
    if at >= 3 then return drawn, at end
  end)
  local frames = {}
  for i = 1, 3 do frames[i] = videos.frame(v, k - 4 + i) end
  local o = v.scene.objects[1]
  local event = { voice = o.kind, pitch = links.pitch(o.size), slot = 0 }
  if v.motion == videos.BOUNCE then
    event.voice, event.pitch = videos.DRUM.voice, videos.DRUM.pitch
  end
  local audio = { events = { event }, ambience = links.ambience(v.scene.place),
                  seed = r:int(SEEDS) }
  local example = { image = videos.frame(v, k), audio = audio, source = 3, exact = true, clip = v,
                    caption = sound_caption.complete(audio) }
  return example_of(r, opts, example, "next_frame", { list = template.list(3) }, frames)
end

--- Music that fits a picture as other music fits another (T3.3): instrument and root of the
-- music, mode and tempo of the picture.
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.vibe(r, opts)
  local a, b = draw_scene(r, opts, { style = 0 }), draw_scene(r, opts, { style = 0 })
  local heard = links.music(a.place, r:int(names.instrument.count), r:int(music.N_ROOTS))
  local target = links.music(b.place, heard.instrument, heard.root)
  local example = { audio = target, exact = true, caption = sound_caption.music(target) }
  return example_of(r, opts, example, "vibe", {}, { a, heard, b })
end

--- Pictures of one subject, a video of it with its sound, in step (T3.4).
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.subject_video(r, opts)
  local is_held = opts and opts.split == "heldout"
  local v = try("video", function()
    local drawn = videos.sample(r, copy_options(opts, { call = 1, style = 0, split = "val" }))
    local o = drawn.scene.objects[1]
    if not is_held then return drawn end
    local subject = r:pick(scenes.holdout.SUBJECTS)
    o.kind, o.colour, o.pattern = subject.kind, subject.colour, subject.pattern
    return sounds.is_seen(videos.find_sound(drawn, 0)) and drawn
  end)
  local o = v.scene.objects[1]
  local fixed = { kind = o.kind, colour = o.colour, pattern = o.pattern, size = o.size }
  local split = is_held and { split = "heldout", hold = "H4" } or { split = "val" }
  local views = {}
  for i = 1, 2 + r:int(2) do
    views[i] = draw_scene(r, split, { objects = 1, style = 0, fixed = fixed })
  end
  local what = ("%s %s and calling %s"):format(names.place[v.scene.place], names.motion[v.motion],
                                               video_caption.time(v.call))
  local example = { video = v, audio = videos.find_sound(v, r:int(SEEDS)), exact = false,
                    caption = video_caption.without_cell(v) }
  local slots = { kind = names.kind[o.kind], what = what, list = template.list(#views) }
  return example_of(r, opts, example, "subject_video", slots, views)
end

-- ---- pairs ----

--- A sound from words (P2); now and then music.
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.hear(r, opts)
  if r:chance(0.15) then
    local m = music.sample(r)
    local text = sound_caption.music(m)
    return example_of(r, opts, { audio = m, exact = false, caption = text }, "play",
                      { text = text }, {})
  end
  local s = sounds.sample(r, opts)
  local text = sound_caption.sample(s, r)
  return example_of(r, opts, { audio = s, exact = false, caption = text }, "hear",
                    { text = text }, {})
end

--- A video with its sound, if it has one, from words (P3).
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.film(r, opts)
  local v = videos.sample(r, opts)
  local text = video_caption.sample(v, r)
  local example = { video = v, audio = videos.find_sound(v, r:int(SEEDS)), exact = false,
                    caption = text }
  return example_of(r, opts, example, "film", { text = text }, {})
end

--- A picture that begins to move: it is the first frame.
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.animate(r, opts)
  local v = videos.sample(r, copy_options(opts, { call = 0.3 }))
  local example = { video = v, exact = true, caption = video_caption.complete(v) }
  local first, how = videos.frame(v, 0), video_caption.motion(v)
  example = example_of(r, opts, example, "film", { text = "[0] " .. how }, { first })
  if r:chance(0.5) then example.prompt = { { image = first }, how } end
  example.task = "animate"
  return example
end

--- What a picture sounds like (P4).
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.sound_of(r, opts)
  local scene, sound = draw_heard(r, opts)
  local example = { audio = sound, exact = true, caption = sound_caption.complete(sound) }
  return example_of(r, opts, example, "sound_of", {}, { scene })
end

--- The part of a scene's description that its sound tells, but for the columns.
local function heard_caption(scene)
  local phrases = {}
  for i, o in ipairs(scene.objects) do
    phrases[i] = links.phrase { kind = o.kind, size = o.size }
  end
  return table.concat(phrases, " and ") .. links.place_words(scene.place)
end

--- A picture of what is heard (P5).
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.picture_of(r, opts)
  local scene, sound = draw_heard(r, copy_options(opts, { style = 0 }))
  scene.style = 0
  local example = { image = scene, exact = false, caption = heard_caption(scene) }
  return example_of(r, opts, example, "picture_of", {}, { sound })
end

--- A picture of words in a place that is heard (P9).
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.picture_with(r, opts)
  local is_held = (opts or {}).split == "heldout"
  local scene, sound = try("scene", function()
    local s = { events = {}, ambience = r:pick(TELLING), seed = r:int(SEEDS) }
    local place = links.places(s.ambience)[1]
    local drawn = draw_scene(r, { split = "val" }, { objects = 1, style = 0 })
    drawn.place = place
    if links.is_seen(drawn) ~= is_held then return drawn, s end
  end)
  local text = caption.object(scene.objects[1])
  local example = { image = scene, exact = false,
                    caption = text .. " " .. names.place[scene.place] }
  return example_of(r, opts, example, "picture_with", { text = text }, { sound })
end

--- A sound in words (P7).
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.say_sound(r, opts)
  local s = sounds.sample(r, opts)
  return example_of(r, opts, { text = sound_caption.complete(s), exact = true }, "say_sound", {},
                    { s })
end

--- A video in words (P8).
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.say_video(r, opts)
  local v = videos.sample(r, opts)
  return example_of(r, opts, { text = video_caption.complete(v, r), exact = true }, "say_video",
                    {}, { v })
end

--- Shares of the tasks in training with sounds and videos.
M.MIXTURE = {
  { "sound_edit", 15 }, { "sound_exemplar", 18 }, { "sound_becomes", 8 }, { "took_place", 7 },
  { "next_frame", 5 }, { "vibe", 5 }, { "subject_video", 5 }, { "hear", 14 }, { "film", 6 },
  { "animate", 5 },
  { "sound_of", 9 }, { "picture_of", 8 }, { "picture_with", 4 }, { "say_sound", 8 },
  { "say_video", 6 },
}
local MIXTURE_WEIGHTS = {}
for i, row in ipairs(M.MIXTURE) do MIXTURE_WEIGHTS[i] = row[2] end

--- Draw an example of any task.
---@param r world.Rng
---@param opts? world.TaskOptions
---@return world.Example
function M.sample(r, opts)
  return M[M.MIXTURE[r:weighted(MIXTURE_WEIGHTS)][1]](r, opts)
end

return M
