--- `weft status DIR`: what a batch has done so far, from its journal.
local host = require "weft.host"
local journal = require "weft.batch.journal"
local json = require "weft.json"

local M = {}

function M.main(a)
  local dir = a.words[1] or "out"
  if host.stat(dir .. "/" .. journal.NAME) ~= "file" then
    require("weft.core").raise("io",
      ("status: %s holds no batch (%s is not there)"):format(dir, journal.NAME))
  end
  local count, failed = { done = 0, failed = 0, started = 0 }, {}
  for _, e in pairs(journal.last((journal.read(dir)))) do
    count[e.event] = (count[e.event] or 0) + 1
    if e.event == "failed" then failed[#failed + 1] = e end
  end
  table.sort(failed, function(x, y) return (x.label or "") < (y.label or "") end)
  if a.options.json then
    io.write(json.encode { done = count.done, failed = count.failed, unfinished = count.started,
      failures = json.list(failed) }, "\n")
    return 0
  end
  io.write(("%s: %d done, %d failed, %d not finished\n"):format(dir, count.done, count.failed,
    count.started))
  for _, e in ipairs(failed) do io.write(("  failed  %s  %s\n"):format(e.label, e.message)) end
  return 0
end

return M
