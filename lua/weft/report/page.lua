--- The page of a report: one HTML file that loads nothing from anywhere.
local base64 = require "weft.base64"
local card = require "weft.report.card"
local host = require "weft.host"
local html = require "weft.report.html"
local script = require "weft.report.script"
local style = require "weft.report.style"

local el = html.el

local FOOTER = "Made by weft %s. File names are from this page's folder; every file says how it "
  .. "was made: weft info FILE. Keys: arrows move, Enter looks closer, s stars."

--- The source that allows exactly this inline text.
local function hash_source(text)
  local bytes = host.sha256(text):gsub("%x%x", function(h) return string.char(tonumber(h, 16)) end)
  return "'sha256-" .. base64.encode(bytes) .. "'"
end

--- What the page may load: nothing but what is in it, and media beside it when it links to some.
local function policy(is_linked)
  local media = is_linked and "data: 'self' file:" or "data:"
  return table.concat({ "default-src 'none'", "base-uri 'none'", "form-action 'none'",
    "img-src " .. media, "media-src " .. media, "style-src " .. hash_source(style),
    "script-src " .. hash_source(script) }, "; ")
end

local function counted(n, one, many) return ("%d %s"):format(n, n == 1 and one or many) end

local words = { { "image", "picture", "pictures" }, { "audio", "sound", "sounds" },
  { "video", "video", "videos" }, { "text", "text", "texts" } }

--- "12 pictures, 3 sounds, 1 conversation, 2 failed jobs".
local function summary(sections, found)
  local n, out, chats = { image = 0, audio = 0, video = 0, text = 0 }, {}, 0
  for _, s in ipairs(sections) do
    for _, c in ipairs(s.cards) do
      for _, v in ipairs(c.views) do
        local kind = v.kind == "film" and "video" or v.kind
        n[kind] = (n[kind] or 0) + 1
      end
      chats = chats + (c.rounds and 1 or 0)
    end
  end
  for _, w in ipairs(words) do
    if n[w[1]] > 0 then out[#out + 1] = counted(n[w[1]], w[2], w[3]) end
  end
  if chats > 0 then out[#out + 1] = counted(chats, "conversation", "conversations") end
  if n.missing then out[#out + 1] = counted(n.missing, "file not shown", "files not shown") end
  local failed = found and #found.failed or 0
  if failed > 0 then out[#out + 1] = counted(failed, "failed job", "failed jobs") end
  return table.concat(out, ", ")
end

local function section_element(st, s, i, number)
  local list = {}
  for k, c in ipairs(s.cards) do
    if c.words then
      list[k] = el("p", { class = "alone" }, c.words)
    else
      number = number + 1
      list[k] = card.element(st, c, number)
    end
  end
  return el("section", { id = "s" .. i }, s.title and el("h2", nil, s.title),
    s.note and el("p", { class = "lead" }, s.note),
    list[1] and el("div", { class = "cards" }, list)), number
end

local function failed_element(found)
  local list = {}
  for i, f in ipairs(found.failed) do
    list[i] = el("article", { class = "card whole failed", id = "f" .. i,
        tabindex = "0", ["data-values"] = "{}", ["data-name"] = f.label },
      el("div", { class = "about" }, el("h3", nil, f.label),
        el("p", { class = "message" }, f.message),
        f.where and el("p", { class = "where" }, f.where), f.log ~= "" and el("pre", nil, f.log)))
  end
  return el("section", { id = "failed" }, el("h2", nil, "Failed"),
    el("p", { class = "lead" },
      "With the last lines of each job's log. The same batch again runs them."),
    el("div", { class = "cards" }, list))
end

local function unfinished_element(found)
  return el("section", { id = "unfinished" }, el("h2", nil, "Not finished"),
    el("p", { class = "lead" }, table.concat(found.unfinished, ", ")))
end

--- Links to sections with titles, when there is more than one.
local function contents(sections, found)
  local links = {}
  for i, s in ipairs(sections) do
    if s.title then links[#links + 1] = { el("a", { href = "#s" .. i }, s.title), " " } end
  end
  if found and found.failed[1] then
    links[#links + 1] = el("a", { href = "#failed" }, "Failed")
  end
  return links[2] and el("nav", { ["aria-label"] = "contents" }, links) or nil
end

local function head(title, is_linked)
  return el("head", nil, el("meta", { charset = "utf-8" }), "\n",
    el("meta", { ["http-equiv"] = "Content-Security-Policy", content = policy(is_linked) }), "\n",
    el("meta", { name = "viewport", content = "width=device-width, initial-scale=1" }), "\n",
    el("meta", { name = "generator", content = "weft " .. host.version }), "\n",
    el("meta", { name = "referrer", content = "no-referrer" }), "\n",
    el("title", nil, title), "\n", el("style", nil, html.raw(style)), "\n")
end

--- The whole page.
---@param st weft.report.Store
---@param sections weft.report.Section[]
---@param found? weft.report.Found  of a folder
---@return string
return function(st, title, sections, found)
  local body, number, any = {}, 0, false
  for i, s in ipairs(sections) do
    any = any or s.cards[1] ~= nil
    body[#body + 1], number = section_element(st, s, i, number)
    body[#body + 1] = "\n"
  end
  if found and found.failed[1] then body[#body + 1] = failed_element(found) end
  if found and found.unfinished[1] then body[#body + 1] = unfinished_element(found) end
  if not any and not (found and found.failed[1]) then
    body = { el("section", nil, el("p", { class = "alone" },
      "There is nothing here yet: no picture, sound, video or text.")) }
  end
  local page = el("html", { lang = "en" }, head(title, st.is_linked),
    el("body", nil, el("header", nil, el("h1", nil, title),
      el("p", { class = "sub" }, summary(sections, found)), contents(sections, found),
      el("div", { class = "bar", hidden = true })), "\n",
    el("main", nil, body), "\n",
    el("footer", nil, el("p", nil, FOOTER:format(host.version))), "\n",
    el("script", nil, html.raw(script)), "\n"))
  return "<!DOCTYPE html>\n" .. html.text(page) .. "\n"
end
