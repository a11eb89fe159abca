--- HTML as values: strings are text and are escaped; only what this module made is markup. Nothing
-- from outside can therefore become an element, an attribute or a script.
local M = {}

local Node = {}
Node.__index = Node

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;",
  ["'"] = "&#39;" }
local void = { img = true, meta = true, input = true, br = true, hr = true, link = true }

--- Text with what HTML would read as markup replaced; control characters become U+FFFD.
function M.escape(text)
  text = tostring(text):gsub("[&<>\"']", entities)
  return (text:gsub("[%z\1-\8\11\12\14-\31\127]", "\239\191\189"))
end

--- Markup as it stands: for what this program wrote itself.
function M.raw(markup) return setmetatable({ markup = markup }, Node) end

local function add(out, child)
  if child == nil or child == false then return end
  if getmetatable(child) == Node then
    out[#out + 1] = child.markup
  elseif type(child) == "table" then
    for i = 1, table.maxn(child) do add(out, child[i]) end
  else
    out[#out + 1] = M.escape(child)
  end
end

--- Attributes in the order of their names; true stands alone, false and nil are left out.
local function attributes(t)
  local names, out = {}, {}
  for name, v in pairs(t or {}) do
    if v then names[#names + 1] = name end
  end
  table.sort(names)
  for i, name in ipairs(names) do
    out[i] = t[name] == true and " " .. name or (' %s="%s"'):format(name, M.escape(t[name]))
  end
  return table.concat(out)
end

--- An element. Children are text, elements, or lists of them; nil and false are left out.
---@param name string
---@param attrs? table<string, string|number|boolean>
function M.el(name, attrs, ...)
  local out = { "<" .. name .. attributes(attrs) .. ">" }
  if void[name] then return M.raw(out[1]) end
  for i = 1, select("#", ...) do add(out, (select(i, ...))) end
  out[#out + 1] = "</" .. name .. ">"
  return M.raw(table.concat(out))
end

--- Elements and texts one after the other.
function M.list(...)
  local out = {}
  for i = 1, select("#", ...) do add(out, (select(i, ...))) end
  return M.raw(table.concat(out))
end

--- The markup of an element.
---@return string
function M.text(node) return node.markup end

--- A relative path as a link: all but plain characters are percent-encoded.
function M.href(path)
  return (path:gsub("[^%w%-%._~/]", function(c) return ("%%%02X"):format(c:byte()) end))
end

return M
