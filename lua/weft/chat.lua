--- Conversations with a model: rounds that remember each other.
--
--     local chat = m:chat{ to = "image", seed = 11 }
--     chat{ photo, "make the cat blue" }
--     chat{ "now put it at night" }.image:save "night.png"
--
-- "It" is the newest medium. Rounds can be taken back, made anew, and a conversation forked.
local check = require "weft.check"
local core = require "weft.core"
local json = require "weft.json"

local M = {}
---@class weft.Chat
---@field model any
---@field defaults table  options of every round
local Chat = {}

local VERSION = 1

---@class weft.Turn
---@field role "user"|"model"
---@field parts any[]     strings and media
---@field sources any[]?  of a reply's media: what the denoiser saw, or false

--- A conversation; options are the defaults of every round.
---@param model any  one with respond(turns, fn, options)
function M.new(model, options)
  if options ~= nil then check.type("chat: options", options, "table") end
  return setmetatable({ model = model, defaults = options or {}, turns_made = {} }, Chat)
end

function M.is(v) return getmetatable(v) == Chat end

--- One round: the prompt and options; the model's reply.
---@return weft.Result
function Chat:say(opts)
  check.type("chat: the round", opts, "table")
  local o = require("weft").with(self.defaults, opts)
  local question = { role = "user", parts = {} }
  for i = 1, table.maxn(opts) do question.parts[i] = opts[i] end
  local turns = { unpack(self.turns_made) }
  turns[#turns + 1] = question
  local r, answer, used = self.model:respond(turns, o)
  self.turns_made[#turns], self.turns_made[#turns + 1] = question, answer
  self.last = used
  return r
end

--- The last round again, with another seed unless one is given.
---@param opts? table  options that change
function Chat:retry(opts)
  local n = #self.turns_made
  if n == 0 then check.fail("retry: nothing was said yet") end
  local question, seed = self.turns_made[n - 1], self.last and self.last.seed
  self:undo()
  local more = require("weft").with({ seed = seed and seed + 1 }, opts or {})
  for i, part in ipairs(question.parts) do more[i] = part end
  return self:say(more)
end

--- Forget the last k rounds (1).
function Chat:undo(k)
  k = check.int("undo: k", k, 1, 1, math.max(1, #self.turns_made / 2))
  for _ = 1, 2 * k do self.turns_made[#self.turns_made] = nil end
  return self
end

--- A conversation of its own that begins with the same turns.
---@return weft.Chat
function Chat:fork()
  local other = M.new(self.model, self.defaults)
  other.turns_made, other.last = { unpack(self.turns_made) }, self.last
  return other
end

--- Iterate index, turn.
function Chat:turns()
  local i = 0
  return function()
    i = i + 1
    if self.turns_made[i] then return i, self.turns_made[i] end
  end
end

-- ---- files ----

local function kind_of(part) return type(part) == "string" and "text" or part.kind end

--- What is saved of a default: plain values only.
local function plain(options)
  local out = {}
  for k, v in pairs(options) do
    local kind = type(v)
    if type(k) == "string" and (kind == "string" or kind == "number" or kind == "boolean") then
      out[k] = v
    end
  end
  return out
end

local endings = { image = ".png", audio = ".wav", video = ".png" }

--- Write the conversation as JSON; its media stand beside it, session.001.png and so on.
---@param path string  "session.json"
function Chat:save(path)
  local weft_paths, names, n = require "weft.paths", {}, 0
  path = weft_paths.write(path)
  local folder, base = weft_paths.split(path)
  local stem = base:gsub("%.json$", "")
  local document = { v = VERSION, defaults = plain(self.defaults), turns = {} }
  local function name_of(medium)
    if not names[medium] then
      n = n + 1
      names[medium] = ("%s.%03d%s"):format(stem, n, endings[medium.kind])
      medium:save(weft_paths.join(folder, names[medium]), { overwrite = true })
    end
    return names[medium]
  end
  for i, turn in ipairs(self.turns_made) do
    local out = { role = turn.role, parts = {}, sources = {} }
    for k, part in ipairs(turn.parts) do
      local kind = kind_of(part)
      out.parts[k] = { [kind] = kind == "text" and part or name_of(part) }
      local source = turn.sources and turn.sources[k]
      out.sources[k] = source and { [source.kind] = name_of(source) } or false
    end
    document.turns[i] = out
  end
  core.save_text(path, json.encode(document) .. "\n", true)
  return path
end

local function bad(path, what)
  core.raise("format", ("%s: %s"):format(path, what), "a file that chat:save wrote")
end

--- One saved part.
local function load_part(folder, path, part, known)
  local kind, value = next(type(part) == "table" and part or {})
  if kind == "text" and type(value) == "string" then return value end
  if not endings[kind] or type(value) ~= "string" or value:find "[/\\]" then
    bad(path, "a part is neither text nor the name of a medium beside it")
  end
  known[value] = known[value]
    or require("weft." .. kind).load(require("weft.paths").join(folder, value))
  return known[value]
end

--- What a reply's medium was made from, a part or the bare name of a medium of the reply's kind;
-- false for nothing. It need not be a part of any turn.
local function load_source(folder, path, source, kind, known)
  if not source then return false end
  if type(source) == "string" then source = { [kind] = source } end
  return load_part(folder, path, source, known)
end

--- One saved turn.
local function load_turn(folder, path, turn, i, known)
  local role = i % 2 == 1 and "user" or "model"
  if type(turn) ~= "table" or turn.role ~= role or type(turn.parts) ~= "table" then
    bad(path, ("turn %d is not the %s's"):format(i, role))
  end
  local out = { role = role, parts = {}, sources = {} }
  for k, part in ipairs(turn.parts) do
    out.parts[k] = load_part(folder, path, part, known)
    out.sources[k] = load_source(folder, path, type(turn.sources) == "table" and turn.sources[k],
      kind_of(out.parts[k]), known)
  end
  return out
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
  local chat, known, folder = M.new(model, document.defaults), {}, (paths.split(path))
  for i, turn in ipairs(document.turns) do
    chat.turns_made[i] = load_turn(folder, path, turn, i, known)
  end
  return chat
end

Chat.__index = function(self, key)
  if type(key) == "number" then return self.turns_made[key] end
  return Chat[key]
end
Chat.__call = Chat.say
Chat.__tostring = function(self) return ("Chat of %d rounds"):format(#self.turns_made / 2) end

return M
