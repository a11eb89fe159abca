--- The phrases of instructions: what world.template combines to surface forms.
--
-- A task has six openers, five verbs and four references. "[0]" is the first medium, {c} the
-- command, which the opener's first half precedes; its second half ends the whole text.
-- Other {slots} are filled by the task.
local M = {}

---@class world.Task
---@field verbs string[]       [0..4]
---@field references string[]  [0..3]
---@field openers? string[][]  [0..5], before and after the verb; default M.OPENERS
---@field slots? table<string, string[]>  slot -> what fills it in each reference [0..3]

M.OPENERS = {
  [0] = { "", "" }, { "please ", "" }, { "can you ", "?" }, { "now ", "" },
  { "i want you to ", "" }, { "", ", please" },
}

--- Openers of questions.
local ASK = {
  [0] = { "", "?" }, { "please say, ", "?" }, { "tell me, ", "?" }, { "now, ", "?" },
  { "a question: ", "?" }, { "", ", please?" },
}

--- The picture as the command's own object.
local WHOLE = { [0] = "{c}", "{c}", "[0] {c}", "{c}" }
local IT = { it = { [0] = "[0]", "this [0]", "it", "the picture [0]" } }

--- The picture around a command or a question about what is in it.
local AROUND = { [0] = "[0] {c}", "in [0], {c}", "{c} in [0]", "given [0], {c}" }

--- Two pictures as the command's own objects.
local BOTH = { [0] = "{c}", "{c}", "{c}", "[0] and [1]. {c}" }
local X_Y = { x = { [0] = "[0]", "the subject [0]", "this [0]", "the first" },
              y = { [0] = "[1]", "the place [1]", "that [1]", "the second" } }
local PAIR = { x = { [0] = "[0]", "the subject [0]", "this [0]", "the first" },
               y = { [0] = "[1]", "the subject [1]", "that [1]", "the second" } }

---@type table<string, world.Task>
M.tasks = {
  -- Named edits.
  style = { references = WHOLE, slots = IT, verbs = {
    [0] = "turn {it} into {style} style", "redraw {it} in {style} style",
    "change {it} to {style} style", "render {it} in {style} style",
    "make {it} look like {style} style" } },
  place = { references = WHOLE, slots = IT, verbs = {
    [0] = "put {it} {place}", "place {it} {place}", "show {it} {place}", "set {it} {place}",
    "redraw {it} {place}" } },
  colour = { references = AROUND, verbs = {
    [0] = "change the color of {obj} to {colour}", "make {obj} {colour}",
    "paint {obj} {colour}", "recolor {obj} to {colour}", "give {obj} the color {colour}" } },
  size = { references = AROUND, verbs = {
    [0] = "make {obj} {size}", "change the size of {obj} to {size}", "resize {obj} to {size}",
    "let {obj} be {size}", "turn {obj} {size}" } },
  pattern = { references = AROUND, verbs = {
    [0] = "make {obj} {pattern}", "change the pattern of {obj} to {pattern}",
    "give {obj} a {pattern} pattern", "let {obj} be {pattern}", "turn {obj} {pattern}" } },
  move = { references = AROUND, verbs = {
    [0] = "move {obj} to the {cell}", "put {obj} at the {cell}", "place {obj} at the {cell}",
    "shift {obj} to the {cell}", "bring {obj} to the {cell}" } },
  add = { references = AROUND, verbs = {
    [0] = "add {new}", "draw {new}", "insert {new}", "put {new}", "place {new}" } },
  remove = { references = AROUND, verbs = {
    [0] = "remove {obj}", "delete {obj}", "erase {obj}", "take away {obj}",
    "get rid of {obj}" } },
  kind = { references = AROUND, verbs = {
    [0] = "turn {obj} into {kind}", "replace {obj} with {kind}", "change {obj} into {kind}",
    "swap {obj} for {kind}", "transform {obj} into {kind}" } },

  -- Tasks over several pictures.
  compose = { references = BOTH, slots = X_Y, verbs = {
    [0] = "put {x} in {y}", "place {x} into {y}", "show {x} in {y}", "insert {x} into {y}",
    "move {x} to {y}" } },
  together = { references = BOTH, slots = PAIR, verbs = {
    [0] = "put {x} and {y} together {place}", "show {x} and {y} together {place}",
    "draw {x} with {y} {place}", "combine {x} and {y} {place}",
    "place {x} and {y} together {place}" } },
  next = { references = { [0] = "given {list}, {c}", "{list}. {c}",
    "here is a series: {list}. {c}", "look at {list} and {c}" }, verbs = {
    [0] = "show what happens next", "create the next image", "draw what comes next",
    "continue the series", "predict the next picture" } },
  exemplar = { references = {
    [0] = "we apply a new concept to [0] and got [1]. {c}", "[0] becomes [1]. {c}",
    "first [0], then [1]. {c}", "from [0] we made [1]. {c}" }, verbs = {
    [0] = "apply the same concept to [2]", "do the same to [2]",
    "change [2] in the same way", "give [2] the same change", "transform [2] likewise" } },
  becomes = { openers = ASK, references = {
    [0] = "we apply a new concept to [0] and got [1]. {c}", "[0] becomes [1]. {c}",
    "first [0], then [1]. {c}", "from [0] we made [1]. {c}" }, verbs = {
    [0] = "what is [2] then", "describe what [2] becomes", "say what [2] becomes",
    "tell me what [2] becomes", "describe [2] in the same way" } },
  concept = { references = {
    [0] = "given the artistic style represented in [0] and [1], {c}",
    "[0] and [1] share a concept. {c}", "look at [0] and [1]. {c}",
    "here are [0] and [1]. {c}" }, verbs = {
    [0] = "create a new artwork similar to it of {kind}", "draw {kind} like that",
    "make a new artwork of {kind}", "paint {kind} in the same way",
    "create a new image of {kind} like these" } },
  subject = { references = {
    [0] = "given pictures of your neighbor's {kind} {list}, {c}",
    "here is a {kind}: {list}. {c}", "{list} show one {kind}. {c}",
    "this is my {kind}: {list}. {c}" }, verbs = {
    [0] = "create a new image of this {adj}{kind} {where}", "draw this {adj}{kind} {where}",
    "show this {adj}{kind} {where}", "make a picture of this {adj}{kind} {where}",
    "paint the same {adj}{kind} {where}" } },

  -- Pictures from text and text from pictures.
  generate = { references = { [0] = "{c}", "hello, {c}", "{c}, thanks", "next, {c}" }, verbs = {
    [0] = "generate {text}", "create an image of {text}", "draw {text}", "show {text}",
    "paint {text}" } },
  describe = { references = WHOLE, slots = IT, verbs = {
    [0] = "describe {it}", "write a caption for {it}", "say what {it} shows",
    "tell me what is in {it}", "caption {it}" } },
  changed = { openers = ASK, references = {
    [0] = "{c}", "given [0] and [1], {c}", "first [0], then [1]. {c}", "look at [0] and [1]. {c}" },
    slots = { span = { [0] = " from [0] to [1]", "", "", "" } }, verbs = {
    [0] = "what changed{span}", "what was changed{span}", "what is different{span}",
    "what is the difference{span}", "what happened{span}" } },
  count = { openers = ASK, references = AROUND, verbs = {
    [0] = "how many {kind} are there", "what is the number of {kind}",
    "how many {kind} can you see", "how many {kind} do you find",
    "how many times is there a {one}" } },
  which = { openers = ASK, references = AROUND, verbs = {
    [0] = "which one is {adj}", "what is {adj}", "which object is {adj}", "who is {adj}",
    "what can you see that is {adj}" } },
}

return M
