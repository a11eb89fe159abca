--- One example of a task: the record and the function that words its prompt.
local template = require "world.template"

---@class world.Example
---@field task string
---@field prompt (string|{image: world.Scene}|{audio: world.Sound}|{video: world.Video}|
--- {text: string})[]  a text in braces stands there by its feature
---@field media (world.Scene|world.Sound|world.Music|world.Video)[]  by their first mention
---@field image? world.Scene    the picture wanted
---@field audio? world.Sound|world.Music  the sound wanted
---@field video? world.Video    the video wanted
---@field text? string          or the answer wanted
---@field source integer        which input medium the output starts from, 0 = none
---@field caption? string       of the output: complete when exact, else what is asked for
---@field exact boolean         whether the prompt determines every attribute
---@field op? string            named edit, or level of an exemplar
---@field form? integer      of the instruction; none for bare descriptions

--- What a record is rendered to.
local function kind_of(record)
  if record.events or record.instrument then return "audio" end
  return record.motion and "video" or "image"
end

--- Complete an example: draw a form, fill `prompt`, `media`, `form` and what was left out.
---@param r world.Rng
---@param opts? world.TaskOptions
---@param example table          what the task knows: image or text, exact, source ...
---@param task string            a task of world.forms
---@param slots table<string, string>
---@param media (world.Scene|world.Sound|world.Music|world.Video|{text: string})[]
---@return world.Example example  the same table
return function(r, opts, example, task, slots, media)
  local wrapped = {}
  for i, record in ipairs(media) do
    wrapped[i] = record.text and record or { [kind_of(record)] = record }
  end
  example.task, example.media = task, media
  example.form = template.draw(r, opts and opts.held_forms)
  example.prompt = template.parts(template.expand(task, example.form, slots), wrapped)
  example.source = example.source or 0
  return example
end
