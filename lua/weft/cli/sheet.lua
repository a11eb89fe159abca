--- `weft sheet DIR --x NAME --y NAME`: the pictures of a folder as one labelled picture.
local args = require "weft.cli.args"
local core = require "weft.core"
local output = require "weft.cli.output"
local paths = require "weft.paths"

local M = {}

local FILE = "sheet.png"
local MARK = "weft sheet"       -- how the text inside begins, by which the next sheet knows it

--- Does a picture say that this command made it?
local function is_sheet(path)
  local _, texts = core.load_image(path)
  return (texts and texts.parameters or ""):sub(1, #MARK) == MARK
end

--- Pictures of a folder but its sheets, with their parameters; of a video the first frame. They are
-- not replaced by the sheet.
local function pictures(dir)
  local found, list = require("weft.report.folder").read(dir), {}
  local card, files = require "weft.report.card", require "weft.report.files"
  local default = paths.join(dir, FILE)
  for _, path in ipairs(found.paths) do
    local ok, kind, object, meta = false, nil, nil, nil
    if path ~= default and files.kind(path) == "image" then
      ok, kind, object, meta = pcall(files.open, path)
    end
    local job = found.jobs[path]
    if ok and not (kind == "image" and not meta and is_sheet(path)) then
      paths.note_read(path)
      list[#list + 1] = { image = kind == "video" and object[1] or object,
        values = card.values(meta, job and job.params),
        name = select(2, paths.split(path)) }
    end
  end
  if #list == 0 then args.fail("sheet: %s holds no pictures", dir) end
  return list
end

--- The values of a parameter in order: numbers by size, others by name.
local function axis(list, name)
  local out, seen = {}, {}
  for _, p in ipairs(list) do
    local v = p.values[name]
    if v ~= nil and not seen[v] then out[#out + 1], seen[v] = v, true end
  end
  if #out == 0 then args.fail("sheet: no picture says what its '%s' was", name) end
  table.sort(out, function(a, b)
    if type(a) == "number" and type(b) == "number" then return a < b end
    return tostring(a) < tostring(b)
  end)
  return out
end

local function text_of(v) return type(v) == "number" and ("%.6g"):format(v) or tostring(v) end

--- Rows by y, columns by x; the first picture of each place, white where there is none.
local function grid(list, x, y)
  local weft, at, images, labels = require "weft", {}, {}, {}
  local columns, rows = axis(list, x), y and axis(list, y) or { false }
  for _, p in ipairs(list) do
    local key = tostring(p.values[x]) .. "\0" .. (y and tostring(p.values[y]) or "false")
    at[key] = at[key] or p
  end
  for _, r in ipairs(rows) do
    for _, c in ipairs(columns) do
      local p = at[tostring(c) .. "\0" .. tostring(r)]
      images[#images + 1] = p and p.image
        or weft.image.new(list[1].image.width, list[1].image.height, "white")
      labels[#labels + 1] = y and ("%s %s, %s %s"):format(y, text_of(r), x, text_of(c))
        or ("%s %s"):format(x, text_of(c))
    end
  end
  return images, labels, #columns
end

local function plain(list)
  local images, labels = {}, {}
  for i, p in ipairs(list) do
    images[i] = p.image
    labels[i] = p.values.seed and "seed " .. text_of(p.values.seed) or p.name
  end
  return images, labels
end

--- The sheet that the options ask for.
local function make(list, o)
  local images, labels, columns
  if o.x then images, labels, columns = grid(list, o.x, o.y) else images, labels = plain(list) end
  if o.columns then columns = args.int("--columns", o.columns, 1, 1000) end
  return require "weft.sheet"(images, { columns = columns, labels = labels, title = o.title,
    size = o.size and args.int("--size", o.size, 8, 4096) })
end

function M.main(a)
  local o, dir = a.options, a.words[1]
  if not dir or a.words[2] then args.fail "sheet: of which folder? (weft sheet out/)" end
  if o.y and not o.x then args.fail "sheet: --y goes with --x" end
  dir = dir:gsub("(.)/+$", "%1")
  local path = output.open("sheet", o.out or paths.join(dir, FILE), { "png", "jpg", "jpeg" }, o)
  local list = pictures(dir)
  paths.write(path)
  local text = os.getenv "WEFT_PROVENANCE" ~= "none"
    and ("%s\nVersion: weft %s"):format(MARK, require("weft").version)
  core.save_image(path, make(list, o).data, 90, { parameters = text or nil }, true)
  output.close("sheet", path, o)
  return 0
end

return M
