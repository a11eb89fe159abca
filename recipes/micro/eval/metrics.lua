--- The paper's own metrics, by judges that share nothing with the model: subjects by ID, CLIP-I and
-- CLIP-T; edits by directional similarity; sets by FID; edits of sounds by LSD, KL and FD.
--
--   weft run recipes/micro/eval/metrics.lua n=60 csv=metrics.csv page=metrics.html
--
-- Definitions stand in measures.lua, the judges in recipes/micro/judges (train/judge_*.lua make
-- them). The full DreamBench is n=3000. What the model has no parts for is left out, with a line
-- that names them; of sounds, best and copy are told all the same. The last line is JSON.
package.path = "./recipes/micro/?.lua;./recipes/micro/train/?.lua;" .. package.path

local weft = require "weft"
local p = weft.params {
  n = { 60, min = 2, integer = true, help = "outputs a row" },
  only = { "", help = "sections whose name holds this: subjects edits sets sounds" },
  split = { "heldout", choices = { "heldout", "val" }, help = "of edits" },
  via = { "language", choices = { "language", "feature" },
          help = "how words become a condition; subjects need the language model" },
  steps = 25, guidance = 3, seed = 5000, model = "micro",
  judges = { "recipes/micro/judges", path = true, help = "folder of the judges" },
  csv = { "", path = true, help = "file for the table" },
  page = { "", path = true, help = "page with the table and examples" },
  examples = { 8, min = 0, integer = true, help = "examples a section on the page" },
}

local embed = require "eval.embed"
local making = require "eval.making"
local scores = require "eval.scores"

local SECTIONS = {
  { "subjects", "image", by_language = true }, { "edits", "image" }, { "sets", "image" },
  { "sounds", "audio", has_truth = true },
}

if p.page == "" then p.examples = 0 end
local make = making.new(weft.load(p.model), embed.open(p.judges), p)
local sections, rows = {}, {}

local function run(section)
  local name = section[1]
  local missing = make:missing(section[2], section.by_language)
  if missing then
    print(("%s: %s, this model has no %s"):format(name,
      section.has_truth and "no scores" or "left out", missing))
    if not section.has_truth then return end
  end
  local found = require("eval.metric_" .. name)(make)
  for _, row in ipairs(found.rows) do
    row.task, row.n = row.task or name, found.n
    print(scores.line(row))
    rows[#rows + 1] = row
  end
  sections[#sections + 1] = found
end

print(scores.HEADER)
for _, section in ipairs(SECTIONS) do
  if section[1]:find(p.only, 1, true) then run(section) end
end
if p.page ~= "" then print(scores.page(sections, p.page, "The paper's metrics")) end
scores.save(rows, p.csv)
