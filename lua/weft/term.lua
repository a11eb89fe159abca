--- The terminal: colours where they are wanted, widths, sizes in words.
local host = require "weft.host"

local M = { plain = false }

local codes = { bold = "1", red = "31", green = "32", yellow = "33", cyan = "36", grey = "90" }

--- May this descriptor (1 stdout, 2 stderr) get colours and cursor movements?
function M.is_rich(fd)
  if M.plain or (os.getenv "NO_COLOR" or "") ~= "" or os.getenv "TERM" == "dumb" then
    return false
  end
  return host.isatty(fd or 1)
end

--- text in a colour, when fd takes colours.
function M.paint(colour, text, fd)
  if not M.is_rich(fd) then return text end
  return ("\27[%sm%s\27[0m"):format(codes[colour], text)
end

--- Columns and rows of the terminal; 80 x 24 where there is none.
function M.size()
  local cols, rows = host.winsize()
  return cols or 80, rows or 24
end

--- Columns that UTF-8 text takes, escape sequences left out; wide characters count as two.
function M.width(text)
  local n = 0
  text = text:gsub("\27%[[%d;]*%a", "")
  for lead, rest in text:gmatch("([%z\1-\127\194-\244])([\128-\191]*)") do
    local a, b = lead:byte(), rest:byte()
    local is_wide = (a >= 0xE3 and a <= 0xED) or (a == 0xEF and b and b >= 0xBC)
      or (a == 0xF0 and b and b >= 0x9F)
    n = n + (is_wide and 2 or 1)
  end
  return n
end

--- The first columns of text, whole characters only.
function M.cut(text, columns)
  local out, n = {}, 0
  for c in text:gmatch("[%z\1-\127\194-\244][\128-\191]*") do
    n = n + M.width(c)
    if n > columns then break end
    out[#out + 1] = c
  end
  return table.concat(out)
end

--- Text from a file or a model, made harmless for a terminal: control bytes as \xNN.
function M.safe(text)
  return (text:gsub("[%z\1-\8\11-\31\127]", function(c) return ("\\x%02x"):format(c:byte()) end))
end

--- 3145728 -> "3.0 MB"
function M.bytes(n)
  if n < 1000 then return ("%d bytes"):format(n) end
  for _, unit in ipairs{ "kB", "MB", "GB" } do
    n = n / 1000
    if n < 999.95 then return ("%.1f %s"):format(n, unit) end
  end
  return ("%.1f TB"):format(n / 1000)
end

--- 83 -> "1 min 23 s"
function M.duration(s)
  if s < 10 then return ("%.1f s"):format(s) end
  if s < 60 then return ("%.0f s"):format(s) end
  if s < 3600 then return ("%d min %02d s"):format(math.floor(s / 60), s % 60) end
  return ("%d h %02d min"):format(math.floor(s / 3600), math.floor(s / 60) % 60)
end

return M
