--- `weft report DIR | FILE... -o out.html`: a page of what was made, and how.
local args = require "weft.cli.args"
local host = require "weft.host"
local output = require "weft.cli.output"

local M = {}

--- What to show, and where the page goes when nobody says: into the folder that it shows.
local function sources(words)
  if #words == 0 then args.fail "report: of what? (weft report out/ -o out.html)" end
  if #words == 1 and host.stat(words[1]) == "dir" then
    local dir = words[1]:gsub("(.)/+$", "%1")
    return dir, dir .. "/report.html"
  end
  for _, word in ipairs(words) do
    if host.stat(word) == "dir" then
      args.fail("report: one folder, or files; '%s' is a folder beside others", word)
    end
    if not require("weft.report.files").kind(word) then
      args.fail("report: %s is no picture, sound, video or text by its name", word)
    end
    if not host.stat(word) then
      require("weft.core").raise("io", word .. ": there is no such file")
    end
  end
  return words, "report.html"
end

function M.main(a)
  local o = a.options
  local what, path = sources(a.words)
  local max_mb = o["max-mb"] and tonumber(o["max-mb"])
  if o["max-mb"] and not (max_mb and max_mb >= 0) then
    args.fail("--max-mb must be a number, got %q", o["max-mb"])
  end
  local group = o.group
  if group == "none" then group = false end
  path = output.open("report", o.out or path, { "html", "htm" }, o)
  require "weft.report"(what, path, { title = o.title, max_mb = max_mb,
    inline = o.inline or output.pending ~= nil, link = o.link, group = group })
  output.close("report", path, o)
  return 0
end

return M
