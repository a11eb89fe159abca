--- Tables of tasks: each row draws its examples, has the model answer them and is judged, beside
-- what the truth, a copy and the answers to others score.
local weft = require "weft"
local common = require "eval.common"
local rng = require "world.rng"
local scores = require "eval.scores"

---@class micro.Tasks  what the rows of a table are of
---@field m weft.Micro
---@field p table  n, controls, only, csv, page, examples
---@field make fun(example: world.Example, i: integer): table, any[], any[]  what is made as the
--- judge takes it; the same to be shown; the prompt's parts
---@field judge fun(output: table, example: world.Example): boolean, table?
---@field copy fun(example: world.Example): boolean  whether handing back the source succeeds

---@class micro.Table
local Table = {}
Table.__index = Table

local M = {}

--- The parameters of every table.
M.PARAMS = {
  n = { 100, min = 1, help = "examples a row" }, steps = 25, guidance = 3, seed = 1,
  model = "micro", only = { "", help = "the row of this name, or all whose name holds it" },
  controls = { 50, min = 1, help = "examples a row that best, copy and shuffled are taken of" },
  csv = { "", path = true, help = "file for the table" },
  page = { "", path = true, help = "page with the table and examples" },
  examples = { 4, min = 0, help = "examples a row on the page" },
}

---@param tasks micro.Tasks
---@return micro.Table
function M.new(tasks)
  return setmetatable({ tasks = tasks, rows = {}, found = {}, sections = {} }, Table)
end

--- A row to be run: draw(r) gives an example; details are rows beside it, each a metric and what it
-- reads from a verdict: a boolean, a number, nil where there is none.
---@param draw fun(r: world.Rng): world.Example
---@param details? { [1]: string, [2]: fun(verdict: table): any }[]
function Table:row(name, draw, details)
  self.rows[#self.rows + 1] = { name = name, draw = draw, details = details or {} }
end

--- A row that was found.
---@param row micro.Row
function Table:add(row)
  self.found[#self.found + 1] = row
  local section = self.sections[#self.sections]
  if section and section.title == row.task then section.rows[#section.rows + 1] = row end
  print(scores.line(row))
end

local KINDS = { "image", "audio", "video" }

--- A kind that an example wants and the model has no parts for, or nil.
local function missing(m, example)
  local makes = {}
  for _, kind in ipairs(m.caps.output) do makes[kind] = true end
  for _, kind in ipairs(KINDS) do
    if example[kind] and not makes[kind] then return kind end
  end
end

--- A card of the page: what was made, what was wanted beside it or in words.
local function card(example, shown, prompt, ok)
  local entry = weft.with(shown, { prompt = prompt, title = ok and "right" or "wrong" })
  if example.text then
    entry.note = "wanted: " .. example.text
  else
    entry[#entry + 1] = example.image and common.picture_of(example.image)
      or example.audio and common.sound_of(example.audio)
    entry.note = "the last: what was wanted"
  end
  return entry
end

--- Best, copy and shuffled: how the truth, the sources and the answers to others are judged.
local function controls(self, all)
  local tasks, best, copy, shuffled = self.tasks, {}, {}, {}
  for i = 1, math.min(tasks.p.controls, #all) do
    local example = all[i].example
    local other = all[(i + math.floor(#all / 2) - 1) % #all + 1]
    best[i] = tasks.judge(common.coded(tasks.m, example), example)
    if #all > 1 then shuffled[i] = tasks.judge(other.output, example) end
    if not example.text and (example.source or 0) > 0 then copy[#copy + 1] = tasks.copy(example) end
  end
  return { best = scores.share(best), copy = copy[1] ~= nil and scores.share(copy) or nil,
    shuffled = shuffled[1] ~= nil and scores.share(shuffled) or nil }
end

local function run(self, item)
  local tasks, all, right = self.tasks, {}, {}
  local section, details = { title = item.name, note = "", rows = {}, examples = {} }, {}
  for k in ipairs(item.details) do details[k] = {} end
  for i = 1, tasks.p.n do
    local example = item.draw(rng.new("eval " .. item.name, i))
    local lacks = missing(tasks.m, example)
    if lacks then return print(("%-36s the model makes no %s"):format(item.name, lacks)) end
    local output, shown, prompt = tasks.make(example, i)
    local ok, verdict = tasks.judge(output, example)
    all[i], right[i] = { example = example, output = output }, ok
    for k, detail in ipairs(item.details) do table.insert(details[k], detail[2](verdict)) end
    if tasks.p.page ~= "" and i <= tasks.p.examples then
      section.examples[i] = card(example, shown, prompt, ok)
    end
  end
  self.sections[#self.sections + 1] = section
  self:add(weft.with(scores.row(item.name, "right", right), controls(self, all)))
  for k, detail in ipairs(item.details) do
    if details[k][1] ~= nil then self:add(scores.row(item.name, detail[1], details[k])) end
  end
end

--- The rows that are asked for.
local function chosen(self)
  local only, held = self.tasks.p.only, {}
  for _, item in ipairs(self.rows) do
    if item.name == only then return { item } end
    if item.name:find(only, 1, true) then held[#held + 1] = item end
  end
  return held
end

--- Run the rows that are asked for.
function Table:run()
  print(scores.HEADER)
  for _, item in ipairs(chosen(self)) do run(self, item) end
end

--- Write the page and the CSV that are asked for; print the JSON.
function Table:save(title)
  local p = self.tasks.p
  if p.page ~= "" then print(scores.page(self.sections, p.page, title)) end
  scores.save(self.found, p.csv)
end

return M
