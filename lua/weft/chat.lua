--- Conversations with a model: rounds that remember each other.
--
--     local chat = m:chat{ to = "image", seed = 11 }
--     chat{ photo, "make the cat blue" }
--     chat{ "now put it at night" }.image:save "night.png"
--
-- "It" is the newest medium. Rounds can be taken back, made anew, and a conversation forked.
local check = require "weft.check"
local core = require "weft.core"
local embedding = require "weft.embedding"
local json = require "weft.json"
local tensor = require "weft.tensor"

local M = {}
---@class weft.Chat
---@field model any
---@field defaults table  options of every round
local Chat = {}

local VERSION = 1

---@class weft.Turn       a list of its parts, which are also
---@field role "user"|"model"
---@field parts any[]     strings and media
---@field sources any[]?  of a reply's media: what the denoiser saw, or false

--- A turn; `#turn` is the number of its parts.
local function turn_of(t)
  local turn = { unpack(t.parts) }
  turn.role, turn.parts, turn.sources = t.role, t.parts, t.sources
  return turn
end

--- A conversation; options, which are copied, are the defaults of every round.
---@param model any  one with respond(turns, fn, options)
function M.new(model, options)
  if options ~= nil then check.type("chat: options", options, "table") end
  return setmetatable({ model = model, defaults = require("weft").with(options or {}, {}) }, Chat)
end

function M.is(v) return getmetatable(v) == Chat end

--- A round after the first n turns; those behind them are forgotten when the model has replied.
local function round(self, n, opts)
  local o, turns = require("weft").with(self.defaults, opts), {}
  local question = { role = "user", parts = {} }
  for i = 1, table.maxn(opts) do question.parts[i] = opts[i] end
  for i = 1, n do turns[i] = self[i] end
  turns[n + 1] = question
  local r, answer, used = self.model:respond(turns, o)
  for i = #self, n + 3, -1 do self[i] = nil end
  self[n + 1], self[n + 2], self.last = turn_of(question), turn_of(answer), used
  return r
end

--- One round: the prompt and options; the model's reply.
---@return weft.Result
function Chat:say(opts) return round(self, #self, check.type("chat: the round", opts, "table")) end

--- The last round again, with another seed unless one is given. One that fails changes nothing.
---@param opts? table  options that change
function Chat:retry(opts)
  local n = #self
  if n == 0 then check.fail("retry: nothing was said yet") end
  local seed = self.last and self.last.seed
  local more = require("weft").with({ seed = seed and seed + 1 }, opts or {})
  for i, part in ipairs(self[n - 1].parts) do more[i] = part end
  return round(self, n - 2, more)
end

--- Forget the last k rounds (1).
function Chat:undo(k)
  k = check.int("undo: k", k, 1, 1, math.max(1, #self / 2))
  for i = #self, #self - 2 * k + 1, -1 do self[i] = nil end
  return self
end

--- A conversation of its own that begins with the same turns.
---@return weft.Chat
function Chat:fork()
  local other = M.new(self.model, self.defaults)
  for i, turn in ipairs(self) do other[i] = turn end
  other.last = self.last
  return other
end

--- Iterate index, turn.
function Chat:turns() return ipairs(self) end

-- ---- files ----

local endings = { image = ".png", audio = ".wav", video = ".png" }

-- Options that only watch: a saved conversation goes on without them.
local WATCHING = { on_step = true, on_token = true }

--- A part as the file has it; name_of gives a medium its file. Raises for what has none.
local function encode_part(where, part, name_of)
  if type(part) == "string" then return { text = part } end
  local kind = type(part) == "table" and part.kind
  if kind == "weighted" then
    return { weighted = encode_part(where, part.part, name_of), weight = part.weft_weight }
  end
  if kind == "depth" then return { depth = name_of(part.picture) } end
  if embedding.is(part) then return { embedding = part.tensor:to("f32"):reshape(-1):totable() } end
  if endings[kind] then return { [kind] = name_of(part) } end
  local has_name = type(part) == "table" and (getmetatable(part) or {}).__tostring
  return check.fail("chat:save: %s is %s, which no file holds", where,
    has_name and tostring(part) or "a " .. type(part))
end

--- A default as the file has it: plain values, lists and tables of them, and parts of prompts.
local function encode_option(name, v, name_of)
  local kind = type(v)
  if kind == "string" or kind == "number" or kind == "boolean" then return v end
  if name == "sampler" then v = require("weft.sampler").describe(v) or v end
  local is_plain = kind == "table" and not v.kind and getmetatable(v) == nil
  if kind == "table" and v.weft_parts then v, is_plain = require("weft.prompt").flat { v }, true end
  if not is_plain then return encode_part("the option " .. name, v, name_of) end
  if name == "guidance" then v = require("weft.guidance").named(v) end
  local out = {}
  for k, item in pairs(v) do out[k] = encode_option(name, item, name_of) end
  return out
end

--- The conversation as JSON has it.
local function encode(self, name_of)
  local document = { v = VERSION, defaults = {}, turns = {} }
  for k, v in pairs(self.defaults) do
    if type(k) == "string" and not WATCHING[k] then
      document.defaults[k] = encode_option(k, v, name_of)
    end
  end
  for i, turn in ipairs(self) do
    local out = { role = turn.role, parts = {}, sources = {} }
    for k, part in ipairs(turn.parts) do
      out.parts[k] = encode_part(("part %d of turn %d"):format(k, i), part, name_of)
      local source = turn.sources and turn.sources[k]
      out.sources[k] = source and { [source.kind] = name_of(source) } or false
    end
    document.turns[i] = out
  end
  return document
end

--- Write the conversation as JSON; its media stand beside it, session.001.png and so on. Functions
-- that watch (on_step, on_token) are left out; what cannot be saved raises before anything is.
---@param path string  "session.json"
function Chat:save(path)
  local weft_paths, names, media = require "weft.paths", {}, {}
  local folder, base = weft_paths.split(check.type("chat:save: path", path, "string"))
  local stem = base:gsub("%.json$", "")
  local document = encode(self, function(medium)
    if not names[medium] then
      media[#media + 1] = medium
      names[medium] = ("%s.%03d%s"):format(stem, #media, endings[medium.kind])
    end
    return names[medium]
  end)
  path = weft_paths.write(path)
  for _, medium in ipairs(media) do
    medium:save(weft_paths.join(folder, names[medium]), { overwrite = true })
  end
  core.save_text(path, json.encode(document) .. "\n", true)
  return path
end

local function bad(path, what)
  core.raise("format", ("%s: %s"):format(path, what), "a file that chat:save wrote")
end

---@class weft.ChatFile   of a conversation that is read
---@field path string
---@field folder string
---@field known table<string, any>  its media by name

--- A medium beside the file.
local function load_medium(file, kind, name)
  if type(name) ~= "string" or name:find "[/\\]" then
    bad(file.path, "a part is neither text nor the name of a medium beside it")
  end
  file.known[name] = file.known[name]
    or require("weft." .. kind).load(require("weft.paths").join(file.folder, name))
  return file.known[name]
end

--- An embedding of its saved values.
local function load_embedding(file, values)
  local ok, t = pcall(tensor, { values })
  if ok and #t:size() == 2 and t:numel() > 0 then return embedding.new(t) end
  return bad(file.path, "an embedding is no list of numbers")
end

--- One saved part.
local function load_part(file, part)
  if type(part) ~= "table" then part = {} end
  local prompt = require "weft.prompt"
  if type(part.text) == "string" then return part.text end
  if part.weighted then
    local ok, weighted = pcall(prompt.weigh, load_part(file, part.weighted), part.weight)
    return ok and weighted or bad(file.path, "a part has no weight of 0 ... 2")
  end
  if part.depth then return prompt.depth(load_medium(file, "image", part.depth)) end
  if part.embedding then return load_embedding(file, part.embedding) end
  local kind = next(part)
  return load_medium(file, kind, endings[kind] and part[kind])
end

--- One saved default.
local function load_option(file, v)
  if type(v) ~= "table" then return v end
  local kind = next(v)
  local is_part = v.weighted or v.depth or v.embedding
    or endings[kind] and type(v[kind]) == "string"
  if is_part then return load_part(file, v) end
  local out = {}
  for k, item in pairs(v) do out[k] = load_option(file, item) end
  return out
end

--- What a reply's medium was made from, a part or the bare name of a medium of the reply's kind;
-- false for nothing. It need not be a part of any turn.
local function load_source(file, source, kind)
  if not source then return false end
  if type(source) == "string" then source = { [kind or "text"] = source } end
  return load_part(file, source)
end

--- One saved turn.
local function load_turn(file, turn, i)
  local role = i % 2 == 1 and "user" or "model"
  if type(turn) ~= "table" or turn.role ~= role or type(turn.parts) ~= "table" then
    bad(file.path, ("turn %d is not the %s's"):format(i, role))
  end
  local out = { role = role, parts = {}, sources = {} }
  for k, part in ipairs(turn.parts) do
    out.parts[k] = load_part(file, part)
    out.sources[k] = load_source(file, type(turn.sources) == "table" and turn.sources[k],
      out.parts[k].kind)
  end
  return turn_of(out)
end

--- A conversation that was saved, to go on with a model.
---@param path string
---@return weft.Chat
function M.load(path, model)
  local paths = require "weft.paths"
  path = paths.read(path)
  local text = paths.slurp(path)
  if not text then core.raise("io", path .. ": there is no such file") end
  local ok, document = pcall(json.decode, text)
  if not ok or type(document) ~= "table" or document.v ~= VERSION
    or type(document.turns) ~= "table" or #document.turns % 2 ~= 0 then
    bad(path, "is not a conversation of version " .. VERSION)
  end
  local file = { path = path, folder = (paths.split(path)), known = {} }
  local chat = M.new(model, load_option(file, document.defaults or {}))
  for i, turn in ipairs(document.turns) do chat[i] = load_turn(file, turn, i) end
  return chat
end

Chat.__index = Chat
Chat.__call = Chat.say
Chat.__tostring = function(self) return ("Chat of %d rounds"):format(#self / 2) end

return M
