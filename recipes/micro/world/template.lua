--- Surface forms of instructions: opener x verb x reference, 6 x 5 x 4 = 120 a task.
--
-- A form is a number 0..119. Twenty forms of each task are held out (H6); every opener,
-- verb and reference occurs in the others. "[0]", "[1]" ... stand for input media.
local forms = require "world.forms"
local holdout = require "world.holdout"
local sound_forms = require "world.sound_forms"

local M = {}

M.N_FORMS = 120

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

--- The phrases of a task, on pictures or on sounds.
local function task_of(name) return forms.tasks[name] or sound_forms.tasks[name] end

--- Put slots into a text; a slot's value may hold slots itself, once.
local function fill(text, slots)
  local once = text:gsub("{(%a+)}", slots)
  return (once:gsub("{(%a+)}", slots))
end

--- A task's own slots in one reference, with the caller's.
local function slots_of(task, reference, slots)
  local all = {}
  for name, values in pairs(task.slots or {}) do all[name] = values[reference] end
  for name, value in pairs(slots) do all[name] = value end
  return all
end

--- The whole instruction, with "[0]" where the first medium stands.
---@param name string  a task of world.forms or world.sound_forms
---@param form integer
---@param slots table<string, string>
---@return string
function M.expand(name, form, slots)
  local task = task_of(name)
  local o, v, reference = M.split(form)
  local opener = (task.openers or forms.OPENERS)[o]
  local all = slots_of(task, reference, slots)
  all.c = opener[1] .. fill(task.verbs[v], all)
  return fill(task.references[reference], all) .. opener[2]
end

--- The command alone, without the picture: "please make the cat blue".
---@param name string
---@param form integer
---@param slots table<string, string>
---@return string
function M.command(name, form, slots)
  local task = task_of(name)
  local o, v = M.split(form)
  local opener = (task.openers or forms.OPENERS)[o]
  local all = { it = "it" }
  for slot, value in pairs(slots) do all[slot] = value end
  return opener[1] .. fill(task.verbs[v], all) .. opener[2]
end

--- Cut an instruction at its media: strings and media in turn.
---@param text string
---@param media table[]  media[k + 1] for "[k]", such as {image = scene}
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

--- A list of media in words: "[0] [1] and [2]".
---@param n integer
---@return string
function M.list(n)
  local items = {}
  for k = 0, n - 1 do items[k + 1] = ("[%d]"):format(k) end
  if n == 1 then return items[1] end
  return table.concat(items, " ", 1, n - 1) .. " and " .. items[n]
end

--- Every template without its slots, for the list of words.
---@return string[]
function M.texts()
  local texts = { "it" }
  local function collect(list)
    for _, text in pairs(list) do
      texts[#texts + 1] = (text:gsub("{%a+}", " "):gsub("%[%d%]", " "))
    end
  end
  collect { "and" }
  for _, o in pairs(forms.OPENERS) do collect(o) end
  for _, task in pairs(forms.tasks) do
    collect(task.verbs)
    collect(task.references)
    for _, o in pairs(task.openers or {}) do collect(o) end
    for _, values in pairs(task.slots or {}) do collect(values) end
  end
  return texts
end

return M
