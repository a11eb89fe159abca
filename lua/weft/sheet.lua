--- Contact sheets: pictures in rows with labels.
local check = require "weft.check"
local font = require "weft.font"
local image = require "weft.image"

local LABEL_LINES = 2
local LEAST_PX = 144            -- width of a labelled picture: room for its label
local GAP_PX = 4

--- text cut to so many characters, with ".." where it was.
local function fit(text, room)
  local chars = font.chars(text)
  if #chars <= room then return text end
  return table.concat(chars, "", 1, math.max(room - 2, 0)) .. ".."
end

--- Characters that a width in pixels holds.
local function room_of(width, scale) return math.floor(width / scale / (font.width + 1)) end

--- A label as lines of whole words; what the last has no room for is cut.
local function wrap(text, room)
  local lines = { "" }
  for word in text:gmatch "%S+" do
    local line = lines[#lines]
    local longer = line == "" and word or line .. " " .. word
    local is_new = line ~= "" and #lines < LABEL_LINES and #font.chars(longer) > room
    if is_new then lines[#lines + 1] = word else lines[#lines] = longer end
  end
  for i, line in ipairs(lines) do lines[i] = fit(line, room) end
  return lines
end

--- A picture at most size wide: a wider one is made smaller, a smaller one as many whole times
-- larger as there is room. Without a size, a small one that is labelled is made larger for its
-- label.
local function sized(im, size, is_labelled)
  if size and im.width > size then
    return im:resize(size, math.max(1, math.floor(im.height * size / im.width + 0.5)))
  end
  local times = size and math.floor(size / im.width)
    or is_labelled and math.ceil(LEAST_PX / im.width) or 1
  if times == 1 then return im end
  return im:resize(times * im.width, times * im.height, { filter = "nearest" })
end

local names = { "columns", "labels", "size", "gap", "title" }

--- The pictures at their sizes, their widest and highest, and the lines of their labels.
local function cells_of(list, opts)
  local cells, lines, width, height, n_lines = {}, {}, 0, 0, 0
  for i, im in ipairs(list) do
    if not image.is(im) then check.fail("sheet: entry %d is not an image", i) end
    cells[i] = sized(im, opts.size, opts.labels ~= nil)
    width, height = math.max(width, cells[i].width), math.max(height, cells[i].height)
  end
  for i = 1, opts.labels and #list or 0 do
    lines[i] = wrap(tostring(opts.labels[i] or ""), room_of(width, 1))
    n_lines = math.max(n_lines, #lines[i])
  end
  return cells, width, height, lines, n_lines
end

--- One picture of a list of pictures: columns a row (a square of them when not given), labels
-- below, a title above. size: the width of each in pixels, which small pictures reach by a whole
-- factor; without it they keep theirs, or become large enough for their labels.
---@param opts? { columns: integer, labels: string[], size: integer, gap: integer, title: string }
---@return weft.Image
return function(list, opts)
  opts = check.keys("sheet", opts, names)
  check.type("sheet: the pictures", list, "table")
  if #list == 0 then check.fail("sheet: the list is empty") end
  local columns = check.int("sheet: columns", opts.columns, math.ceil(math.sqrt(#list)), 1)
  check.int("sheet: size", opts.size, nil, 1, 16384)
  local gap = check.int("sheet: gap", opts.gap, GAP_PX, 0, 1000)
  local cells, width, height, lines, n_lines = cells_of(list, opts)
  local line = font.height + 4
  local step = height + n_lines * line + gap
  local top = opts.title and 2 * font.height + 2 * gap or 0
  local rows = math.ceil(#list / columns)
  local out = image.new(columns * (width + gap) + gap, top + rows * step + gap, "white")
  if opts.title then
    out:text_(fit(opts.title, room_of(out.width - 2 * gap, 2)), gap, gap,
      { scale = 2, colour = "black" })
  end
  for i, im in ipairs(cells) do
    local x = gap + (i - 1) % columns * (width + gap)
    local y = top + gap + math.floor((i - 1) / columns) * step
    local at_x = x + math.floor((width - im.width) / 2)
    local at_y = y + math.floor((height - im.height) / 2)
    out.data[{ { at_y + 1, at_y + im.height }, { at_x + 1, at_x + im.width } }] = im:as(3).data
    for k, text in ipairs(lines[i] or {}) do
      out:text_(text, x, y + height + 3 + (k - 1) * line, { colour = "black" })
    end
  end
  return out
end
