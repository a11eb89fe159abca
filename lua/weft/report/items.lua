--- A list of things as the sections and cards of a page.
local card = require "weft.report.card"
local chat = require "weft.chat"
local check = require "weft.check"
local files = require "weft.report.files"
local host = require "weft.host"
local view = require "weft.report.view"

local M = {}
---@class weft.report.Section
---@field title? string
---@field note? string
---@field cards weft.report.Card[]

local media = { image = true, audio = true, video = true }
local keys = { "title", "note", "prompt", "params" }

local function is_medium(v) return type(v) == "table" and media[v.kind] == true end

--- Whether a string is meant as a file: it names one that is there, or could name no other thing.
local function is_path(text)
  if not files.kind(text) or text:find "[%c]" then return false end
  return host.stat(text) == "file" or not text:find "%s"
end

local function text_view(text)
  return { kind = "text", text = text, about = "text", figure = function()
    return require("weft.report.html").el("blockquote", { class = "said" }, text)
  end }
end

local function is_result(v) return type(v) == "table" and rawget(v, "weft_result") == true end

local function bad(what, v)
  return check.fail("%s is a %s; wants media, paths, texts, results, chats, or { media, title = }",
    what, type(v) == "table" and v.kind or type(v))
end

--- Views of one entry; several of a result.
local function views_of(st, what, v, out)
  if is_medium(v) then
    out[#out + 1] = view.of(st, v)
  elseif type(v) == "string" then
    out[#out + 1] = is_path(v) and view.file(st, v) or text_view(v)
  elseif is_result(v) then
    for i, part in ipairs(v) do views_of(st, ("%s, part %d"):format(what, i), part, out) end
  else
    bad(what, v)
  end
  return out
end

--- A conversation as a card.
function M.chat(st, c, given)
  local turns = {}
  for i, turn in c:turns() do turns[i] = turn end
  local out = card.new(st, {}, given)
  out.title = out.title or ("A conversation of %d rounds"):format(#turns / 2)
  out.rounds = turns
  return out
end

--- An entry with a title, a note, a prompt: one card, or the start of a section.
local function add_table(st, what, v, sections)
  local given = check.keys(what, v, keys, true)
  local section = sections[#sections]
  if #v == 0 then
    if v.title == nil then bad(what, v) end
    sections[#sections + 1] = { title = v.title, note = v.note, cards = {} }
  elseif chat.is(v[1]) then
    section.cards[#section.cards + 1] = M.chat(st, v[1], given)
  else
    local views = {}
    for i, part in ipairs(v) do views_of(st, ("%s, entry %d"):format(what, i), part, views) end
    section.cards[#section.cards + 1] = card.new(st, views, given)
  end
end

local function add(st, what, v, sections)
  local section = sections[#sections]
  if chat.is(v) then
    section.cards[#section.cards + 1] = M.chat(st, v)
  elseif type(v) == "string" and not is_path(v) then
    section.cards[#section.cards + 1] = { words = v, views = {}, facts = {}, values = {} }
  elseif is_medium(v) or is_result(v) or type(v) == "string" then
    for _, one in ipairs(views_of(st, what, v, {})) do
      section.cards[#section.cards + 1] = card.new(st, { one })
    end
  elseif type(v) == "table" and v.kind == nil then
    add_table(st, what, v, sections)
  else
    bad(what, v)
  end
end

--- The sections of a list; the first has no title unless the list begins with one.
---@return weft.report.Section[]
function M.sections(st, list)
  local sections = { { cards = {} } }
  for i = 1, table.maxn(list) do
    add(st, ("report: entry %d"):format(i), list[i], sections)
  end
  if #sections[1].cards == 0 and sections[2] then table.remove(sections, 1) end
  return sections
end

return M
