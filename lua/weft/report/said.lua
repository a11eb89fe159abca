--- Prompts as they were interleaved: words, and between them the media that stood there.
local html = require "weft.report.html"
local options = require "weft.options"
local prompts = require "weft.prompt"
local spec = require "weft.spec"
local view = require "weft.report.view"

local M = {}

local el = html.el
local names = { image = "picture", audio = "sound", video = "video", part = "feature" }

--- A prompt given as parts, as files remember it: { text = } or { image =, sha256 = } ...
function M.parts(prompt)
  return options.describe("report", { prompt = prompts.flat(prompt) }).prompt
end

local function kind_of(part)
  for kind in pairs(names) do
    if part[kind] then return kind end
  end
  return "part"
end

--- The words of a prompt; media as their kind in brackets. For those who do not see, and titles.
---@return string
function M.plain(parts)
  local out = {}
  for i, part in ipairs(parts or {}) do
    out[i] = part.text or ("[%s]"):format(names[kind_of(part)])
  end
  return (table.concat(out, " "):gsub("%s+", " "):gsub("^ ", ""):gsub(" $", ""))
end

--- A medium of a prompt: small, where it is known, else its kind.
local function medium(st, part)
  local kind = kind_of(part)
  local small = view.thumb(st, part.sha256)
  local name = part[kind]
  local title = name and name ~= "made here" and name or names[kind]
  local weight = part.weight
    and el("span", { class = "weight" }, ("×%.3g"):format(part.weight)) or nil
  if type(small) == "string" then
    return el("span", { class = "thing", title = title },
      el("img", { src = small, alt = ("[%s]"):format(title) }), weight)
  end
  return el("span", { class = "thing chip", title = title }, small, title, weight)
end

--- A prompt as an element; nil for an empty one.
---@param source? table  a part that the model saw beside the prompt, when it is not in it
function M.prompt(st, parts, class, source)
  local out, is_in = {}, false
  for _, part in ipairs(parts or {}) do
    is_in = is_in or source and part.sha256 and part.sha256 == source.sha256
  end
  if source and not is_in then out[1] = medium(st, source) end
  for _, part in ipairs(parts or {}) do
    local node = part.text and el("span", { class = "words" }, part.text) or medium(st, part)
    local is_joined = not out[1] or part.text and part.text:find "^[.,;:?!]"
    if part.text ~= "" then out[#out + 1] = { not is_joined and " " or nil, node } end
  end
  return out[1] and el("p", { class = class }, out) or nil
end

-- ---- values ----

local function scalar(v)
  if type(v) == "number" then return ("%.14g"):format(v) end
  return tostring(v)
end

--- An option's value in a few words: "2, concat 1.5", "64 × 64".
function M.value(name, v)
  if type(v) ~= "table" then return scalar(v) end
  if name == "size" then return ("%s × %s"):format(scalar(v[1]), scalar(v[2])) end
  local out, keys = {}, {}
  for i, x in ipairs(v) do out[i] = M.value(name, x) end
  for k in pairs(v) do
    if type(k) == "string" then keys[#keys + 1] = k end
  end
  table.sort(keys)
  for _, k in ipairs(keys) do out[#out + 1] = k .. " " .. M.value(name, v[k]) end
  return table.concat(out, ", ")
end

-- Options that are prompts, or are told otherwise.
local told = { prompt = true, negative = true, concat = true, init = true, mask = true }

--- Options of a call that are values, in the order of weft.spec: { { name, text, value } ... }.
function M.options(call)
  local out = {}
  for _, row in ipairs(spec.options) do
    local v = (call.options or {})[row.name]
    if v ~= nil and v ~= "" and not told[row.name] then
      out[#out + 1] = { row.name, M.value(row.name, v), v }
    end
  end
  return out
end

return M
