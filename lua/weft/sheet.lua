--- Contact sheets: pictures in rows with labels.
local check = require "weft.check"
local font = require "weft.font"
local image = require "weft.image"

--- text cut to a width in pixels, with ".." where it was.
local function fit(text, width, scale)
  local chars = font.chars(text)
  local room = math.floor(width / scale / (font.width + 1))
  if #chars <= room then return text end
  return table.concat(chars, "", 1, math.max(room - 2, 0)) .. ".."
end

local names = { "columns", "labels", "size", "gap", "title" }

--- One picture of a list of pictures: columns a row (a square of them when not given), each at most
-- size pixels wide, labels below, a title above.
---@param opts? { columns: integer, labels: string[], size: integer, gap: integer, title: string }
---@return weft.Image
return function(list, opts)
  opts = check.keys("sheet", opts, names)
  if #list == 0 then check.fail("sheet: the list is empty") end
  local columns = check.int("sheet: columns", opts.columns, math.ceil(math.sqrt(#list)), 1)
  local gap, width, height = opts.gap or 4, 0, 0
  local cells = {}
  for i, im in ipairs(list) do
    if not image.is(im) then check.fail("sheet: entry %d is not an image", i) end
    if opts.size and im.width > opts.size then
      im = im:resize(opts.size, math.max(1, math.floor(im.height * opts.size / im.width + 0.5)))
    end
    cells[i] = im
    width, height = math.max(width, im.width), math.max(height, im.height)
  end
  local line = opts.labels and font.height + 4 or 0
  local top = opts.title and 2 * font.height + 2 * gap or 0
  local rows = math.ceil(#list / columns)
  local out = image.new(columns * (width + gap) + gap, top + rows * (height + line + gap) + gap,
    "white")
  if opts.title then
    out:text_(fit(opts.title, out.width - 2 * gap, 2), gap, gap, { scale = 2, colour = "black" })
  end
  for i, im in ipairs(cells) do
    local x = gap + (i - 1) % columns * (width + gap)
    local y = top + gap + math.floor((i - 1) / columns) * (height + line + gap)
    local rgb = im:as(3)
    local at_x = x + math.floor((width - im.width) / 2)
    local at_y = y + math.floor((height - im.height) / 2)
    out.data[{ { at_y + 1, at_y + im.height }, { at_x + 1, at_x + im.width } }] = rgb.data
    if opts.labels and opts.labels[i] then
      out:text_(fit(opts.labels[i], width, 1), x, y + height + 3, { colour = "black" })
    end
  end
  return out
end
