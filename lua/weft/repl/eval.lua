--- What a line at the prompt means, and running it so that locals survive.
--
-- 1. ":" and a letter is a command, "?" help, "!" the shell; a leading "=" is dropped. No Lua
--    statement begins so ("::label::" stays Lua).
-- 2. `return <text>` is tried first, then `<text>`.
-- 3. When both fail the text is incomplete if a message ends in near '<eof>' and is not about an
--    unfinished string; otherwise it is wrong, and said so at once.
-- 4. A statement gets a call at its end that copies its locals into the session. A closure keeps
-- the
--    local it was made with.
local page = require "weft.cli.page"

local M = { CAPTURE = "__weft_locals" }

local CAPTURE, VALUES = M.CAPTURE, "__weft_values"

--- "command" | "help" | "shell" | "empty" | "lua", and the text behind the mark.
function M.classify(text)
  local first = text:match("^%s*(.)")
  if not first then return "empty", "" end
  if first == ":" and text:match("^%s*:%a") then return "command", text:match("^%s*:(.-)%s*$") end
  if first == "?" then return "help", text:match("^%s*%?(.-)%s*$") end
  if first == "!" then return "shell", text:match("^%s*!(.-)%s*$") end
  if first == "=" then return "lua", (text:gsub("^%s*=", "", 1)) end
  return "lua", text
end

local function is_open(message)
  return message:find("near '<eof>'$") ~= nil and not message:find("unfinished string", 1, true)
end

--- Compile text for the session.
---@return function? chunk
---@return string    kind   "value", "statement"; or "incomplete", "wrong" without a chunk
---@return string?   message
function M.compile(text, env, name)
  name = name or "=prompt"
  local chunk, value_error = load("return " .. text, name, "t", env)
  if chunk then        -- not as a tail call, which would leave an error no line to name
    local plain = text:gsub("[%s;]+$", "")
    return load(("return %s(%s\n)"):format(VALUES, plain), name, "t", env) or chunk, "value"
  end
  local statement, message = load(text, name, "t", env)
  if statement then
    local with_locals = load(text .. "\n" .. CAPTURE .. "()", name, "t", env)
    return with_locals or statement, "statement"       -- without when text ends in a return
  end
  if is_open(value_error) or is_open(message) then
    return nil, "incomplete", message
  end
  return nil, "wrong", message
end

--- Copy the locals of the chunk that calls this into the session.
local function capture_into(vars)
  return function()
    for i = 1, 250 do
      local name, v = debug.getlocal(2, i)
      if not name then return end
      if name:match("^[%a_][%w_]*$") then vars[name] = v end
    end
  end
end

--- Handler for xpcall that keeps the locals of the main part that failed, then reports.
function M.keep_locals(vars)
  return function(err)
    for level = 2, 200 do
      local f = debug.getinfo(level, "S")
      if not f then break end
      if f.what == "main" then
        for i = 1, 250 do
          local name, v = debug.getlocal(level, i)
          if not name then break end
          if name:match("^[%a_][%w_]*$") then vars[name] = v end
        end
        break
      end
    end
    return page.capture(err)
  end
end

--- The table of a session's variables, which is the environment of what is typed.
function M.session()
  local vars = {}
  rawset(vars, CAPTURE, capture_into(vars))
  rawset(vars, VALUES, function(...) return ... end)
  rawset(vars, "_G", vars)
  return setmetatable(vars, { __index = _G })
end

--- Names that the session keeps for itself.
function M.is_hidden(name) return name == CAPTURE or name == VALUES or name == "_G" end

local function pack(ok, ...) return ok, { n = select("#", ...), ... } end

--- Run a compiled chunk. Returns true and its values { n = }, or false and a report.
function M.run(chunk)
  local ok, values = pack(xpcall(chunk, page.capture))
  if ok then return true, values end
  return false, values[1]
end

--- Does a ";" at the end ask for silence?
function M.is_silent(text) return text:find(";%s*$") ~= nil end

--- Name that a statement assigns to, when it is a plain assignment.
function M.assigned(text)
  local name = text:match("^%s*local%s+([%a_][%w_]*)%s*=[^=]")
    or text:match("^%s*([%a_][%w_]*)%s*=[^=]")
  return name
end

return M
