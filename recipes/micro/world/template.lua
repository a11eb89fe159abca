--- Surface forms of instructions: opener x verb x reference, 6 x 5 x 4 = 120 a task.
--
-- A form is a number 0..119. Twenty forms of each task are held out (H6); every opener,
-- verb and reference occurs in the others. "[0]", "[1]" ... stand for input media.
local holdout = require "world.holdout"

local M = {}

M.N_FORMS = 120

--- What comes before and after the command.
local OPENERS = {
  [0] = { "", "" }, { "please ", "" }, { "can you ", "?" }, { "now ", "" },
  { "i want you to ", "" }, { "", ", please" },
}

--- The picture as the command's own object.
local WHOLE = { [0] = "{c}", "{c}", "[0] {c}", "{c}" }
local WHOLE_IT = { [0] = "[0]", "this [0]", "it", "the picture [0]" }

--- The picture around a command about an object in it.
local AROUND = { [0] = "[0] {c}", "in [0], {c}", "{c} in [0]", "given [0], {c}" }

---@class world.Task
---@field verbs string[]        five, [0..4]
---@field references string[]   four, [0..3]; {c} is the command with its opener
---@field it? string[]          what {it} is in each reference

---@type table<string, world.Task>
M.tasks = {
  style = { references = WHOLE, it = WHOLE_IT, verbs = {
    [0] = "turn {it} into {style} style", "redraw {it} in {style} style",
    "change {it} to {style} style", "render {it} in {style} style",
    "make {it} look like {style} style" } },
  place = { references = WHOLE, it = WHOLE_IT, verbs = {
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
}

--- Opener, verb and reference of a form.
---@param form integer
---@return integer opener, integer verb, integer reference
function M.split(form)
  return form % 6, math.floor(form / 6) % 5, math.floor(form / 30)
end

--- Whether training never uses a form.
---@param form integer
---@return boolean
function M.is_held(form)
  return holdout.form(M.split(form))
end

--- Draw a form among the seen or the held-out ones.
---@param r world.Rng
---@param held? boolean
---@return integer form
function M.draw(r, held)
  while true do
    local form = r:int(M.N_FORMS)
    if M.is_held(form) == (held or false) then return form end
  end
end

local function fill(text, slots)
  return (text:gsub("{(%a+)}", slots))
end

--- The command of a form with its opener, without the picture: "please make the cat blue".
---@param task string
---@param form integer
---@param slots table<string, string>
---@return string
function M.command(task, form, slots)
  local opener, verb = M.split(form)
  local o = OPENERS[opener]
  slots.it = slots.it or "it"
  return o[1] .. fill(M.tasks[task].verbs[verb], slots) .. o[2]
end

--- The whole instruction, with "[0]" where the first medium stands.
---@param task string
---@param form integer
---@param slots table<string, string>
---@return string
function M.expand(task, form, slots)
  local t = M.tasks[task]
  local _, _, reference = M.split(form)
  slots.it = t.it and t.it[reference]
  local command = M.command(task, form, slots)
  slots.it = nil
  return fill(t.references[reference], { c = command })
end

--- Cut an instruction at its media: strings and {image = scene} in turn.
---@param text string
---@param media table[]  media[k + 1] for "[k]", each {image = scene} or the like
---@return (string|table)[]
function M.parts(text, media)
  local parts = {}
  for words, k in (text .. "[-]"):gmatch("(.-)%[([%d-]+)%]") do
    words = words:match("^%s*(.-)%s*$")
    if words ~= "" then parts[#parts + 1] = words end
    if k ~= "-" then parts[#parts + 1] = media[tonumber(k) + 1] end
  end
  return parts
end

--- Every template, for the list of words.
---@return string[]
function M.texts()
  local texts = {}
  for _, o in pairs(OPENERS) do texts[#texts + 1] = o[1] .. o[2] end
  for _, task in pairs(M.tasks) do
    for _, list in ipairs { task.verbs, task.references, task.it or {} } do
      for _, text in pairs(list) do texts[#texts + 1] = (text:gsub("{%a+}", "")) end
    end
  end
  texts[#texts + 1] = "it"
  return texts
end

return M
