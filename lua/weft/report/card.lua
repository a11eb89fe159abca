--- Cards: what a page shows of one thing that was made, and their markup.
local html = require "weft.report.html"
local json = require "weft.json"
local said = require "weft.report.said"
local view = require "weft.report.view"

local M = {}
---@class weft.report.Card
---@field views weft.report.View[]
---@field title? string
---@field note? string
---@field prompt? table[]     parts as files remember them
---@field source? table       what the denoiser saw, a part
---@field negative? table[]|string
---@field facts { [1]: string, [2]: string }[]   name and text, in order
---@field values table<string, any>              scalars by name: what filters and groups see
---@field repro? string       the file to make again
---@field rounds? table[]     of a conversation

local el = html.el

--- Scalars of a table, put into values; lists and tables as text.
local function add_values(values, name, v)
  local kind = type(v)
  values[name] = (kind == "number" or kind == "string" or kind == "boolean") and v
    or said.value(name, v)
end

local function is_file_name(name, v)
  return name == "out" or type(v) == "string" and v:find "%.%w+$" ~= nil
end

--- Fill a card from the provenance of what it shows.
local function take_meta(card, meta)
  local call, facts, values = meta.call or {}, card.facts, card.values
  local o = call.options or {}
  card.prompt = card.prompt or call.prompt
  card.negative, card.source = o.negative, o.concat or o.init
  if type(card.source) ~= "table" then card.source = nil end
  if meta.seed then
    facts[#facts + 1], values.seed = { "seed", said.value("seed", meta.seed) }, meta.seed
  end
  for _, row in ipairs(said.options(call)) do
    facts[#facts + 1] = row
    add_values(values, row[1], row[3])
  end
  local names = {}
  for name in pairs(meta.params or {}) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local v = meta.params[name]
    if values[name] == nil and not is_file_name(name, v) and v ~= "" then
      facts[#facts + 1] = { name, said.value(name, v) }
      add_values(values, name, v)
    end
  end
  card.more = {
    { "made by", call.fn and "m:" .. call.fn }, { "recipe", meta.recipe and meta.recipe.name },
    { "model", meta.model and meta.model.name }, { "engine", meta.engine },
    { "device", meta.device },
  }
end

--- The scalars that say how something was made: of its call, its recipe and its job.
---@param meta? table
---@param params? table
---@return table<string, any>
function M.values(meta, params)
  local card = { facts = {}, values = {} }
  if meta then take_meta(card, meta) end
  for name, v in pairs(params or {}) do
    if card.values[name] == nil and not is_file_name(name, v) then
      add_values(card.values, name, v)
    end
  end
  return card.values
end

--- A card of views; what was made last says how.
---@param views weft.report.View[]
---@param given? { title: string, note: string, prompt: table[], params: table }
function M.new(st, views, given)
  given = given or {}
  local card = { views = views, title = given.title, note = given.note, facts = {}, values = {},
    prompt = given.prompt and said.parts(given.prompt) }
  local maker
  for _, v in ipairs(views) do
    if v.meta then maker = v end
  end
  if maker then take_meta(card, maker.meta) end
  for name, v in pairs(M.values(nil, given.params)) do
    if card.values[name] == nil then card.values[name] = v end
  end
  local told = maker or views[#views]
  if told and told.path then
    card.file = st:relative(told.path)
    card.repro = maker and card.file or nil
  end
  return card
end

--- What a card is called: its title, its prompt, or its file.
function M.name(card)
  local plain = said.plain(card.prompt)
  return card.title or plain ~= "" and plain or card.file or "untitled"
end

-- ---- markup ----

--- A path as a word of a shell.
local function quoted(path)
  if path:find "^[%w%._/][%w%._/%-]*$" then return path end
  return "'" .. path:gsub("'", "'\\''") .. "'"
end

local function fact_rows(card)
  local rows = {}
  for _, list in ipairs { card.facts, card.more or {} } do
    for _, row in ipairs(list) do
      if row[2] then rows[#rows + 1] = { el("dt", nil, row[1]), el("dd", nil, row[2]) } end
    end
  end
  for _, v in ipairs(card.views) do
    rows[#rows + 1] = { el("dt", nil, v.kind), el("dd", nil, v.about) }
  end
  return rows
end

-- Facts that the line below a prompt tells; the rest is one click away.
local short = { seed = "seed %s", steps = "%s steps", guidance = "guidance %s",
  strength = "strength %s" }

local function line(card)
  local out = {}
  for _, row in ipairs(card.facts) do
    if short[row[1]] then out[#out + 1] = short[row[1]]:format(row[2]) end
  end
  return out[1] and el("p", { class = "line" }, table.concat(out, " · ")) or nil
end

local function details(card)
  local rows = fact_rows(card)
  local repro
  if card.repro then
    repro = el("p", { class = "repro" }, el("code", nil, "weft repro " .. quoted(card.repro)))
  elseif card.file then
    repro = el("p", { class = "repro" }, el("code", nil, quoted(card.file)))
  end
  if not rows[1] and not repro then return nil end
  return el("details", nil, el("summary", nil, "How it was made"),
    el("dl", nil, rows), repro)
end

local function figures(card)
  local out, alt = {}, M.name(card)
  for i, v in ipairs(card.views) do
    local own = v.meta and said.plain((v.meta.call or {}).prompt)
    out[i] = el("div", { class = "medium " .. v.kind }, v.figure(own and own ~= "" and own or alt))
  end
  local class = "media" .. (#out > 1 and " several" or "")
  return out[1] and el("div", { class = class }, out) or nil
end

local function negative(st, card)
  local parts = card.negative
  if type(parts) == "string" then parts = parts ~= "" and { { text = parts } } or nil end
  if not parts then return nil end
  return el("div", { class = "negative" }, el("span", nil, "without"),
    said.prompt(st, parts, "prompt"))
end

--- The parts of one turn of a conversation, in order.
local function turn_parts(st, turn)
  local out = {}
  for i, part in ipairs(turn.parts) do
    if type(part) == "string" then
      out[i] = el("p", { class = "words" }, part)
    else
      local v = view.of(st, part)
      local own = v.meta and said.plain((v.meta.call or {}).prompt) or part.kind
      out[i] = el("div", { class = "medium " .. v.kind }, v.figure(own))
    end
  end
  return out
end

--- The rounds of a conversation: what was said, with its media small, and the replies.
local function rounds(st, card)
  local out = {}
  for i, turn in ipairs(card.rounds or {}) do
    local is_user = turn.role == "user"
    local body = is_user and said.prompt(st, said.parts(turn.parts), "prompt")
      or turn_parts(st, turn)
    out[i] = el("li", { class = is_user and "you" or "model" },
      el("span", { class = "who" }, is_user and "you" or "model"), body)
  end
  return out[1] and el("ol", { class = "rounds" }, out) or nil
end

--- Room on the page: media side by side and conversations take more.
local function width_of(card)
  if card.rounds or #card.views > 2 then return " whole" end
  return #card.views > 1 and " wide" or ""
end

--- The element of a card.
---@param number integer  from 1, in the order of the page
function M.element(st, card, number)
  local name = M.name(card)
  local kind = #card.views == 1 and card.views[1].kind
  local is_failed, is_answer = kind == "missing", kind == "text" and card.prompt ~= nil
  return el("article", { class = "card" .. width_of(card) .. (is_failed and " failed" or ""),
      id = "c" .. number, tabindex = "0", ["aria-label"] = name,
      ["data-values"] = json.encode(card.values), ["data-name"] = name,
      ["data-file"] = card.file },
    not is_answer and figures(card),
    el("div", { class = "about" }, card.title and el("h3", nil, card.title),
      rounds(st, card), not card.rounds and said.prompt(st, card.prompt, "prompt", card.source),
      is_answer and figures(card),
      negative(st, card), line(card), card.note and el("p", { class = "note" }, card.note),
      details(card)))
end

return M
