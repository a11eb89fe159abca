--- The phrases of instructions about sounds, music and videos; see world.forms.
--
-- They use no word that pictures, captions and the vocabulary's own lists do not hold already.
local M = {}

--- The sound as the command's own object.
local WHOLE = { [0] = "{c}", "{c}", "[0] {c}", "{c}" }
local IT = { it = { [0] = "[0]", "this sound [0]", "it", "the audio [0]" } }
local FILM = { it = { [0] = "[0]", "this video [0]", "it", "the video [0]" } }
local PICTURE = { it = { [0] = "[0]", "this [0]", "it", "the picture [0]" } }

--- The sound around a command.
local AROUND = { [0] = "[0] {c}", "in [0], {c}", "{c} in [0]", "given [0], {c}" }

--- A command without input, or one whose verbs name their inputs themselves.
local ALONE = { [0] = "{c}", "hello, {c}", "{c}, thanks", "next, {c}" }

--- Openers of questions.
local ASK = {
  [0] = { "", "?" }, { "please say, ", "?" }, { "tell me, ", "?" }, { "now, ", "?" },
  { "a question: ", "?" }, { "", ", please?" },
}

---@type table<string, world.Task>
M.tasks = {
  -- Named edits of a sound.
  add_voice = { references = AROUND, verbs = {
    [0] = "add {new} {when}", "insert {new} {when}", "put {new} {when}", "place {new} {when}",
    "let {new} be heard {when}" } },
  add_ambience = { references = AROUND, verbs = {
    [0] = "add {new} in the background", "put {new} in the background",
    "place {new} in the background", "insert {new} in the background",
    "let {new} be heard in the background" } },
  drop = { references = AROUND, verbs = {
    [0] = "drop {obj}", "remove {obj}", "delete {obj}", "erase {obj}", "take away {obj}" } },
  replace = { references = AROUND, verbs = {
    [0] = "replace {obj} with {new}", "turn {obj} into {new}", "change {obj} into {new}",
    "swap {obj} for {new}", "transform {obj} into {new}" } },
  pitch = { references = AROUND, verbs = {
    [0] = "make {obj} {level}", "let {obj} be {level}", "move {obj} {level}",
    "shift {obj} {level}", "turn {obj} {level}" } },
  level = { references = WHOLE, slots = IT, verbs = {
    [0] = "make {it} {level}", "let {it} be {level}", "turn {it} {level}", "render {it} {level}",
    "change {it} to be {level}" } },
  echo = { references = WHOLE, slots = IT, verbs = {
    [0] = "add echo to {it}", "add echoing to {it}", "give {it} an echo", "let {it} echo",
    "make {it} echo" } },
  reverse = { references = WHOLE, slots = IT, verbs = {
    [0] = "reverse {it}", "make {it} reversed", "let {it} be reversed", "render {it} in reverse",
    "turn {it} in reverse" } },

  -- In-context change of a sound.
  overlaid = { references = {
    [0] = "we overlaid a new sound to [0] and got [1]. {c}", "[0] becomes [1]. {c}",
    "first [0], then [1]. {c}", "from [0] we made [1]. {c}" }, verbs = {
    [0] = "apply this same new sound to [2]", "do the same to [2]",
    "change [2] in the same way", "give [2] the same new sound", "transform [2] likewise" } },

  -- Across the senses.
  took_place = { references = ALONE, verbs = {
    [0] = "show [1] in the place of [0]", "put [1] in the place of [0]",
    "draw that [0] took place in [1]", "change [1] to the place of [0]",
    "redraw [1] in the place heard in [0]" } },
  heard_kind = { references = ALONE, verbs = {
    [0] = "replace the subject in [1] with what is heard in [0]",
    "turn the subject in [1] into what is heard in [0]",
    "draw that [0] is heard in [1]", "change the subject in [1] into what you hear in [0]",
    "swap the subject in [1] for what you hear in [0]" } },
  next_frame = { openers = ASK, references = { [0] = "given video frames {list}, {c}",
    "{list}. {c}", "here is a video: {list}. {c}", "look at the frames {list}. {c}" }, verbs = {
    [0] = "what happens next", "what will be heard and what is the next image",
    "what comes next", "what is the next sound and image",
    "what are the next sound and image" } },
  vibe = { openers = ASK, references = {
    [0] = "for image [0], music [1] captures the vibe. {c}",
    "the music [1] is right for [0]. {c}", "given [0] with the music [1], {c}",
    "look at [0] and hear [1]. {c}" }, verbs = {
    [0] = "what is the right music to [2]", "what is the right music for [2]",
    "what music captures the vibe of [2]", "what will be the music for [2]",
    "what is the same music for [2]" } },
  subject_video = { references = {
    [0] = "given pictures of your neighbor's {kind} {list}, {c}",
    "here is a {kind}: {list}. {c}", "{list} show one {kind}. {c}",
    "this is my {kind}: {list}. {c}" }, verbs = {
    [0] = "create a video and sound of this {kind} {what}",
    "make a video with sound of this {kind} {what}", "show a video and audio of this {kind} {what}",
    "generate a video and the sound of the same {kind} {what}",
    "render a video with the sound of this {kind} {what}" } },

  -- Pairs.
  hear = { references = ALONE, verbs = {
    [0] = "generate the sound of {text}", "create the sound of {text}",
    "make the audio of {text}", "let me hear {text}", "give me the sound of {text}" } },
  play = { references = ALONE, verbs = {
    [0] = "generate {text}", "create {text}", "make {text}", "let me hear {text}",
    "give me {text}" } },
  film = { references = ALONE, verbs = {
    [0] = "generate a video of {text}", "create a video of {text}", "make a video of {text}",
    "show a video of {text}", "render a video of {text}" } },
  sound_of = { references = WHOLE, slots = PICTURE, verbs = {
    [0] = "create the sound of {it}", "generate the audio for {it}", "make the sound of {it}",
    "let me hear {it}", "give the sound of {it}" } },
  picture_of = { references = WHOLE, slots = IT, verbs = {
    [0] = "draw what you hear in {it}", "show what is heard in {it}", "create an image of {it}",
    "generate the picture for {it}", "paint what is in {it}" } },
  picture_with = { references = ALONE, verbs = {
    [0] = "draw {text} in the place of [0]", "show {text} in the place of [0]",
    "create an image of {text} in the place heard in [0]",
    "generate {text} in the place that you hear in [0]", "paint {text} in the place of [0]" } },
  say_sound = { references = WHOLE, slots = IT, verbs = {
    [0] = "describe {it}", "write a caption for {it}", "say what you hear in {it}",
    "tell me what is heard in {it}", "caption {it}" } },
  say_video = { references = WHOLE, slots = FILM, verbs = {
    [0] = "describe {it}", "write a caption for {it}", "say what {it} shows",
    "tell me what happens in {it}", "caption {it}" } },
}

return M
