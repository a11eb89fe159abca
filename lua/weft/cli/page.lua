--- Error pages: what went wrong, the source line with a caret, the calls that led there, the fix.
--
--     error: image: unknown option 'guidence' (did you mean 'guidance'?)
--       portraits.lua:14
--        13 |   local out = m:image{ "portrait of ", face,
--        14 |     guidence = 7,
--           |     ^^^^^^^^
--       called from portraits.lua:31 in render
local paths = require "weft.paths"
local term = require "weft.term"

local M = {}

-- Code that lies in no file, by the name that Lua gives it: "command line".
M.sources = {}

local MAX_FRAMES, LOOK_LINES = 6, 12

--- Exit status of each kind of error; errors without a kind are the recipe's own.
M.exit_codes = {
  usage = 2, io = 4, format = 4, model = 4, device = 5, oom = 5, cancelled = 130, unsupported = 1,
  internal = 1,
}

--- Exit status for what a protected call raised.
function M.status(err)
  return type(err) == "table" and M.exit_codes[err.kind] or 1
end

-- ---- what happened, taken down where it was raised ----

local home = debug.getinfo(1, "S").source:gsub("cli/page%.lua$", "")

local function is_ours(source) return source:sub(1, #home) == home end

--- Frames of the user's code, innermost first: { path, source, line, name }.
local function user_frames(level)
  local out = {}
  for at = level, level + 200 do
    local f = debug.getinfo(at, "Sln")
    if not f then break end
    local is_file = f.source:sub(1, 1) == "@"
    if f.currentline > 0 and not (is_file and is_ours(f.source)) then
      out[#out + 1] = {
        path = is_file and f.source:sub(2) or nil,
        text = not is_file and (M.sources[f.short_src] or f.source) or nil,
        short = f.short_src, line = f.currentline, name = f.name, what = f.what,
      }
    end
  end
  return out
end

--- Message of any error value. Values that are not text or ours show their type: their __tostring
-- is the user's code, which has just failed.
local function message_of(err)
  if type(err) == "string" then return err end
  if type(err) == "table" and type(err.message) == "string" then return err.message end
  return ("(error object of type %s)"):format(type(err))
end

--- Handler for xpcall: a report of err, taken while the stack still stands.
function M.capture(err)
  if type(err) == "table" and rawget(err, "is_report") then return err end
  local is_ours_err = type(err) == "table" and type(rawget(err, "message")) == "string"
  local r = {
    is_report = true, err = err, message = message_of(err),
    kind = is_ours_err and rawget(err, "kind") or nil,
    hint = is_ours_err and rawget(err, "hint") or nil,
    where = is_ours_err and rawget(err, "where") or nil, frames = user_frames(3),
    traceback = debug.traceback("", 2):gsub("^\n", ""),
  }
  return M.locate(r)
end

--- Find the file and line that the error names: in its text, in its "where", or in the first frame.
function M.locate(r)
  local short, line, rest
  if r.where then short, line = r.where:match("^(.-):(%d+): $")
  else short, line, rest = r.message:match("^(.-):(%d+): (.*)$") end
  if rest and not short:find("\n") then r.message = rest
  elseif rest then short, line = nil, nil end
  for _, f in ipairs(r.frames or {}) do
    if short and f.short == short and f.line == tonumber(line) then
      r.path, r.text, r.line, r.short = f.path, f.text, f.line, f.short
      return r
    end
  end
  local first = r.frames and r.frames[1]
  if short then r.path, r.line, r.short = (short:gsub("^@", "")), tonumber(line), short
  elseif first and first.what ~= "C" then
    r.path, r.text, r.line, r.short = first.path, first.text, first.line, first.short
  end
  return r
end

-- ---- the page ----

local function lines_of(r)
  local text = r.text or M.sources[r.short] or (r.path and paths.slurp(r.path))
  if not text then return nil end
  local out = {}
  for line in (text .. "\n"):gmatch("(.-)\r?\n") do out[#out + 1] = line end
  return out
end

--- The word that the message is about, as it may stand in the source.
local function words_of(message)
  local out = {}
  for word in message:gmatch("'([%w_.]+)'") do out[#out + 1] = word end
  out[#out + 1] = message:match("%f[%w_]([%a_][%w_]*) must be ")
  out[#out + 1] = message:match("near '([^']+)'$")
  return out
end

--- Line and columns of the first word found from the reported line on.
local function find_word(lines, from, words)
  for _, word in ipairs(words) do
    local escaped = word:gsub("%W", "%%%0")
    local pattern = word:find("^[%w_]") and "%f[%w_]" .. escaped .. "%f[^%w_]" or escaped
    for at = from, math.min(from + LOOK_LINES, #lines) do
      local a, b = lines[at]:find(pattern)
      if a then return at, a, b end
    end
  end
  return from, nil, nil
end

local function excerpt(r, out)
  local lines = lines_of(r)
  if not lines or not lines[r.line] then return end
  local at, a, b = find_word(lines, r.line, words_of(r.message))
  local from = math.max(1, math.min(r.line, at) - (at == r.line and 1 or 0))
  if at - from > 3 then from = at - 1 end
  for i = from, at do
    out[#out + 1] = (" %4d | %s"):format(i, term.safe(lines[i]))
  end
  if a then
    local lead = term.safe(lines[at]:sub(1, a - 1)):gsub("[^\t]", " ")
    out[#out + 1] = ("      | %s%s"):format(lead, term.paint("red", ("^"):rep(b - a + 1), 2))
  end
end

--- How a frame is shown: "portraits.lua:31 in render".
local function frame_text(f)
  local name = f.what == "main" and "the main part" or f.name or "a function"
  return ("%s:%d in %s"):format(f.path or f.short, f.line, name)
end

--- The whole page for a report, as text for stderr.
function M.page(r)
  local message = term.safe(r.message)
  if r.hint then message = ("%s (%s)"):format(message, term.safe(r.hint)) end
  local out = { term.paint("red", "error: ", 2) .. message }
  if r.line then
    out[#out + 1] = ("  %s:%d"):format(r.path or r.short, r.line)
    excerpt(r, out)
  end
  local shown = 0
  for _, f in ipairs(r.frames or {}) do
    if not (f.line == r.line and f.path == r.path) and shown < MAX_FRAMES and f.path then
      shown = shown + 1
      out[#out + 1] = "  called from " .. frame_text(f)
    end
  end
  if os.getenv "WEFT_DEBUG" == "1" and r.traceback then out[#out + 1] = r.traceback end
  return table.concat(out, "\n")
end

return M
