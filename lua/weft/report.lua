--- Reports: pages that show what was made and how, each one file that needs nothing else.
--
--     weft.report({ cat, { night, title = "at night" }, chat }, "cats.html", { title = "Cats" })
--     weft.report("out/", "out.html")
local card = require "weft.report.card"
local check = require "weft.check"
local core = require "weft.core"
local folder = require "weft.report.folder"
local groups = require "weft.report.groups"
local items = require "weft.report.items"
local page = require "weft.report.page"
local paths = require "weft.paths"
local store = require "weft.report.store"
local view = require "weft.report.view"

local names = { "title", "inline", "max_mb", "group", "link" }

--- Cards of a folder's files, and the jobs they came from.
local function folder_cards(st, found)
  local cards, jobs, is_known = {}, {}, {}
  for i, path in ipairs(found.paths) do
    local job = found.jobs[path]
    local given = { params = job and job.params }
    cards[i] = found.chats[path] and items.chat(st, found.chats[path], given)
      or card.new(st, { view.file(st, path) }, given)
    cards[i].job = job and job.label
    if job and not is_known[job] then jobs[#jobs + 1], is_known[job] = job, true end
  end
  return cards, jobs
end

--- Sections of a folder, and what failed in it.
local function folder_sections(st, dir, group)
  local found = folder.read(dir)
  local cards, jobs = folder_cards(st, found)
  if group == nil then group = groups.axis(cards, jobs) end
  local sections = group and groups.split(cards, group) or { { cards = cards } }
  return sections, found
end

local function list_sections(st, list, group)
  local sections = items.sections(st, list)
  if not group then return sections end
  local cards = {}
  for _, s in ipairs(sections) do
    for _, c in ipairs(s.cards) do cards[#cards + 1] = c end
  end
  return groups.split(cards, group)
end

--- Write a page about media, texts, results and conversations, or about all that a folder holds.
--
-- title: of the page. max_mb: of media inside the page (25); what is more stands beside it and is
-- linked. inline: everything inside. link: nothing but small pictures inside. group: the parameter
-- to group by; for the folder of a batch the one it varied, false for none.
---@param what any[]|string  a list of things, or a folder
---@param path string        "out.html"
---@param opts? { title: string, inline: boolean, link: boolean, max_mb: number, group: string }
---@return string path
return function(what, path, opts)
  opts = check.keys("report", opts, names)
  check.type("report: path", path, "string")
  check.number("report: max_mb", opts.max_mb, nil, 0)
  if not path:lower():find "%.html?$" then
    check.fail("report: the page is written as .html, not %s", path)
  end
  if opts.inline and opts.link then check.fail "report: inline and link are opposites" end
  if type(what) ~= "string" then check.type("report: what", what, "table") end
  path = paths.write(path)
  local st = store.new(path, opts)
  local sections, found
  if type(what) == "string" then sections, found = folder_sections(st, what, opts.group)
  else sections = list_sections(st, what, opts.group or nil) end
  local title = opts.title or type(what) == "string" and what or "What weft made"
  core.save_text(path, page(st, title, sections, found), true)
  return path
end
