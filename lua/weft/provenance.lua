--- How a file was made, carried inside it: one JSON object ("weft", version 1) and a human line in
-- the community's format. It holds no time stamp, so equal runs give equal bytes.
local core = require "weft.core"
local check = require "weft.check"
local json = require "weft.json"

local M = {}

M.VERSION = 1

local MAX_RECIPE_BYTES = 32768

--- The running recipe: name, hash, and its text unless it is long.
local function recipe()
  local r = require("weft.config").recipe
  if not r then return nil end
  return { name = r.name, sha256 = r.sha256, text = #r.text <= MAX_RECIPE_BYTES and r.text or nil }
end

--- The generator that drew the noise, by the option's value.
function M.generator(rng) return (rng == nil or rng == "philox") and "philox4x32-10" or rng end

--- The device as files say it: of the CPU also the kernels, whose level decides the last bits.
function M.device(name) return name == "cpu" and "cpu " .. core.cpu_level() or name end

--- What a pipeline attaches to what it makes: obj.meta. Fields: model, call, seed, index, rng,
-- device, dtype; the recipe that runs and its parameters are added.
---@return table meta
function M.new(fields)
  local meta = { v = M.VERSION, engine = "weft " .. require("weft").version, recipe = recipe(),
    params = require("weft.params").describe() }
  for k, v in pairs(fields) do meta[k] = v end
  return meta
end

-- What the description of a medium says beside its kind.
local BESIDE = { sha256 = true, weight = true, depth = true }

local function kind_of(part)
  for key in pairs(part) do
    if not BESIDE[key] then return key end
  end
  return "?"
end

--- The words of a prompt, media as their kind in brackets.
local function prompt_text(prompt)
  if type(prompt) == "string" then return prompt end
  local out = {}
  for i, part in ipairs(prompt or {}) do
    if type(part) == "string" then out[i] = part
    elseif part.text then out[i] = part.text
    else out[i] = "[" .. kind_of(part) .. "]" end
  end
  return table.concat(out)
end

local function option_text(v)
  if type(v) == "table" then
    if v.scale then return option_text(v.scale) end
    return option_text(v[1])
  end
  return type(v) == "number" and ("%.14g"):format(v) or tostring(v)
end

local function size_text(size)
  if type(size) ~= "table" then return size end
  return size[1] .. "x" .. size[2]
end

--- The files that a call was given, each once: "image:cat.png, audio:purr.wav"; nil for none.
local function inputs_text(call)
  local out, seen = {}, {}
  local function add(part)
    if type(part) ~= "table" then return end
    local kind = kind_of(part)
    local text = ("%s:%s"):format(kind, tostring(part[kind]))
    local is_file = part.sha256 and part[kind] ~= "made here" and not seen[text]
    if is_file then out[#out + 1], seen[text] = text, true end
  end
  local o = call.options or {}
  for _, part in ipairs(type(call.prompt) == "table" and call.prompt or {}) do add(part) end
  for _, name in ipairs { "concat", "init", "mask" } do add(o[name]) end
  return out[1] and json.encode(table.concat(out, ", "))
end

--- The line that A1111 and its readers parse; the order matters to them.
function M.human(meta)
  local call = meta.call or {}
  local o = call.options or {}
  local items = {}
  local function add(name, v)
    if v ~= nil then items[#items + 1] = name .. ": " .. option_text(v) end
  end
  add("Steps", o.steps)
  local sampler = o.sampler
  if type(sampler) == "table" then sampler = sampler.name or sampler.config._class_name end
  add("Sampler", sampler and (o.schedule and sampler .. " " .. o.schedule or sampler))
  add("CFG scale", o.guidance)
  add("Seed", meta.seed)
  add("Size", size_text(o.size))
  add("Model", meta.model and meta.model.name)
  add("Model hash", meta.model and meta.model.sha256 and meta.model.sha256:sub(1, 8))
  add("Inputs", inputs_text(call))
  add("Version", meta.engine)
  local lines = { call.prompt and prompt_text(call.prompt) }
  if o.negative and o.negative ~= "" then
    lines[#lines + 1] = "Negative prompt: " .. prompt_text(o.negative)
  end
  lines[#lines + 1] = table.concat(items, ", ")
  return table.concat(lines, "\n")
end

-- Bytes that formats have room for: JPEG in one segment; readers of sounds lose longer comments and
-- chunks.
local ROOM = { jpg = 60000, jpeg = 60000, wav = 50000, flac = 50000, ogg = 50000, oga = 50000,
  opus = 50000 }

--- Are texts too long for a file of this name? In a JPEG, whose text is XML, some bytes are five.
local function is_over(texts, path)
  local extension = require("weft.paths").extension(path)
  local room = ROOM[extension]
  if not room or not texts.weft then return false end
  local is_jpeg = extension:find "^jp" ~= nil
  local more = is_jpeg and 4 * select(2, texts.weft:gsub("[&<>]", "")) or #texts.parameters
  return #texts.weft + more > room
end

--- The texts to write into a file of this name that obj is saved to, by key. how: "full", "hash"
-- (the recipe by its hash alone) or "none"; the default is $WEFT_PROVENANCE, else full. A text that
-- the file has no room for is left to its hash, which is said.
---@return table<string, string>
function M.texts(obj, path, how)
  local variable = os.getenv "WEFT_PROVENANCE"
  if variable == "" then variable = nil end
  how = check.choice("provenance", how or variable, "full", { "full", "hash", "none" })
  local meta = obj.meta or (require("weft.config").recipe and M.new {})
  if not meta or how == "none" then return {} end
  if how == "hash" and meta.recipe then
    local weft = require "weft"
    meta = weft.with(meta, { recipe = weft.with(meta.recipe, {}) })
    meta.recipe.text = nil
  end
  local texts = { weft = json.encode(meta), parameters = M.human(meta) }
  if how ~= "full" or not meta.recipe or not is_over(texts, path) then return texts end
  require("weft").log("%s: keeps the hash of the recipe, its text is too long for this file", path)
  return M.texts(obj, path, "hash")
end

--- The provenance of a file's texts, nil when there is none or it is not ours.
function M.decode(texts)
  if not texts.weft then return nil end
  local ok, meta = pcall(json.decode, texts.weft)
  return ok and type(meta) == "table" and meta.v == M.VERSION and meta or nil
end

local SOUNDS = { wav = true, flac = true, ogg = true, oga = true, opus = true }
local CLIPS = { webm = true, mp4 = true, mkv = true, mov = true, avi = true, gif = true }

--- The provenance that a picture, video or sound file carries; nil when there is none.
---@param path string
---@return table? meta
function M.read(path)
  if not require("weft.host").stat(path) then
    core.raise("io", path .. ": there is no such file")
  end
  local texts
  local extension = require("weft.paths").extension(path)
  if SOUNDS[extension] then
    texts = select(3, core.load_audio(path))
  elseif CLIPS[extension] then
    texts = select(3, core.load_clip(path, 0, true))
  else
    texts = select(2, core.load_image(path))
  end
  return texts and M.decode(texts)
end

return M
