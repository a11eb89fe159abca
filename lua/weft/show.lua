--- Pictures in the terminal: half-blocks everywhere, kitty's protocol where the terminal has it.
-- WEFT_TERM=kitty|blocks|ascii|none chooses; nothing is ever drawn where stdout is no terminal.
local base64 = require "weft.base64"
local host = require "weft.host"
local term = require "weft.term"

local M = {}

local RAMP = " .:-=+*#%@"
local KITTY_CHUNK = 4096

--- How pictures are drawn here: "kitty", "blocks", "blocks256", "ascii" or "none".
function M.protocol()
  local asked = os.getenv "WEFT_TERM" or ""
  if not host.isatty(1) or asked == "none" or term.plain then return "none" end
  if asked == "kitty" or asked == "ascii" then return asked end
  local name, colours = os.getenv "TERM" or "", os.getenv "COLORTERM" or ""
  if asked == "" and name == "xterm-kitty" and not os.getenv "TMUX" then return "kitty" end
  if not term.is_rich(1) then return "ascii" end
  if colours:find("truecolor") or colours:find("24bit") then return "blocks" end
  return "blocks256"
end

--- 8-bit RGB rows of a picture at w x h pixels, as one string.
local function pixels(im, w, h)
  local small = im:as(3):resize(w, h, { filter = "box" })
  return (small:tensor():clamp(0, 1) * 255):round():to("u8"):bytes()
end

--- Index in the 256-colour cube nearest to a colour.
local function cube(r, g, b)
  local function level(v) return v < 48 and 0 or v < 115 and 1 or math.floor((v - 35) / 40) end
  return 16 + 36 * level(r) + 6 * level(g) + level(b)
end

local function colour(code, r, g, b, is_full)
  if is_full then return ("\27[%d;2;%d;%d;%dm"):format(code, r, g, b) end
  return ("\27[%d;5;%dm"):format(code, cube(r, g, b))
end

--- Two rows of pixels as one row of upper half blocks.
local function block_row(data, w, y, is_full)
  local out, last = {}, nil
  for x = 0, w - 1 do
    local top, low = (y * w + x) * 3, ((y + 1) * w + x) * 3
    local r, g, b = data:byte(top + 1, top + 3)
    local r2, g2, b2 = data:byte(low + 1, low + 3)
    local code = colour(38, r, g, b, is_full) .. colour(48, r2, g2, b2, is_full)
    if code ~= last then out[#out + 1] = code end
    out[#out + 1] = "▀"
    last = code
  end
  return table.concat(out) .. "\27[0m"
end

local function ascii_row(data, w, y)
  local out = {}
  for x = 0, w - 1 do
    local at = (y * w + x) * 3
    local r, g, b = data:byte(at + 1, at + 3)
    local level = math.floor((0.299 * r + 0.587 * g + 0.114 * b) / 256 * #RAMP) + 1
    out[x + 1] = RAMP:sub(level, level)
  end
  return table.concat(out)
end

--- Largest w x h (in pixels) with the picture's shape inside a box.
local function fit(im, max_w, max_h)
  local scale = math.min(max_w / im.width, max_h / im.height, 1)
  return math.max(1, math.floor(im.width * scale)), math.max(1, math.floor(im.height * scale))
end

--- A picture as text of half blocks (or of characters), at most columns x rows.
---@return string
function M.text(im, columns, rows, protocol)
  local out = {}
  if protocol == "ascii" then
    local w, h = fit(im, columns, rows * 2)
    h = math.max(1, math.floor(h / 2))
    local data = pixels(im, w, h)
    for y = 0, h - 1 do out[#out + 1] = ascii_row(data, w, y) end
    return table.concat(out, "\n")
  end
  local w, h = fit(im, columns, rows * 2)
  h = h + h % 2
  local data = pixels(im, w, h)
  for y = 0, h - 2, 2 do out[#out + 1] = block_row(data, w, y, protocol == "blocks") end
  return table.concat(out, "\n")
end

--- Kitty's graphics protocol: raw RGB in chunks, no answers wanted.
local function kitty(im, columns, rows)
  local w, h = fit(im, 1024, 1024)
  local data, out = base64.encode(pixels(im, w, h)), {}
  for i = 1, #data, KITTY_CHUNK do
    local head = i == 1 and ("a=T,f=24,q=2,s=%d,v=%d,r=%d,"):format(w, h, math.min(rows,
      math.ceil(columns * h / w / 2))) or ""
    local more = i + KITTY_CHUNK <= #data and 1 or 0
    out[#out + 1] = ("\27_G%sm=%d;%s\27\\"):format(head, more, data:sub(i, i + KITTY_CHUNK - 1))
  end
  return table.concat(out)
end

--- Draw a picture on stdout; nothing happens where pictures cannot be drawn.
---@param opts? { width: integer, height: integer, protocol: string }  columns and rows
function M.picture(im, opts)
  opts = opts or {}
  local protocol = opts.protocol or M.protocol()
  if protocol == "none" then return end
  local cols, lines = term.size()
  local w = opts.width or cols - 2
  local h = opts.height or math.max(4, math.floor(lines * 0.4))
  io.write(protocol == "kitty" and kitty(im, w, h) or M.text(im, w, h, protocol), "\n")
end

local BARS = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" }

--- A sound as one row of bars: the peak of each stretch.
---@return string
function M.waveform(audio, columns)
  local core = require "weft.core"
  local peaks = core.scope(function()
    local t = audio:mono():tensor():abs():reshape(-1)
    local n = t:size(1)
    columns = math.min(columns, n)
    local k = math.floor(n / columns)
    return t:narrow(1, 1, k * columns):reshape(columns, k):max(2):reshape(-1):totable()
  end)
  local top, out = 1e-6, {}
  for _, v in ipairs(peaks) do top = math.max(top, v) end
  for i, v in ipairs(peaks) do out[i] = BARS[math.max(1, math.ceil(v / top * #BARS))] end
  return table.concat(out)
end

--- Show anything on stdout and give it back: `weft.show(x)`, `im:show()`.
---@param opts? { width: integer, height: integer, protocol: string }
function M.show(x, opts)
  local check = require "weft.check"
  opts = check.keys("show", opts, { "width", "height", "protocol" })
  check.choice("show: protocol", opts.protocol, nil,
    { "kitty", "blocks", "blocks256", "ascii", "none" })
  require("weft.repl.display").show(x, opts)
  return x
end

return M
