--- One medium as the page shows it: its figure, a small picture of it for prompts, and facts.
local core = require "weft.core"
local files = require "weft.report.files"
local fingerprint = require "weft.fingerprint"
local html = require "weft.report.html"
local image = require "weft.image"
local store = require "weft.report.store"
local wave = require "weft.report.wave"

local M = {}
---@class weft.report.View
---@field kind "image"|"audio"|"video"|"film"|"text"|"missing"
---@field figure fun(alt: string): table   the element that shows it
---@field about string                     "64 x 64", "1.02 s, 8000 Hz"
---@field meta? table                      how it was made
---@field path? string                     the file it came from, or was saved to
---@field text? string                     of a text

local THUMB_PX, LARGE_PX, PIXELS_PX = 64, 480, 160
local WAVE_COLUMNS, CHIP_COLUMNS = 220, 32
local SPECTRUM_W, SPECTRUM_H = 440, 96
local STRIP_FRAMES, STRIP_PX = 8, 72

local el = html.el

--- A copy at most px pixels on its longer side.
local function fit(im, px)
  local k = px / math.max(im.width, im.height)
  if k >= 1 then return im end
  local function side(n) return math.max(1, math.floor(n * k + 0.5)) end
  return im:resize(side(im.width), side(im.height), { filter = "box" })
end

--- A small picture as an address that holds it, without what the large one says of its making.
local function small(st, im, px)
  local plain = image.from(fit(im, px).data)
  if plain.channels == 4 then return store.data(st:encode(plain, "png"), "image/png") end
  return store.data(st:encode(plain:as(3), "jpg"), "image/jpeg")
end

local function linked(href, is_inside, node)
  if is_inside then return node end
  return el("a", { href = href }, node)
end

-- ---- figures ----

local function picture(st, im, path)
  local address, is_inside = st:place(im, path)
  local shown = is_inside and address or small(st, im, LARGE_PX)
  local class = math.max(im.width, im.height) <= PIXELS_PX and "picture pixels" or "picture"
  return function(alt)
    return linked(address, is_inside, el("img", { class = class, src = shown, alt = alt,
      width = im.width, height = im.height, decoding = "async" }))
  end, ("%d × %d"):format(im.width, im.height)
end

local function decibels(v) return v == -math.huge and "silent" or ("%.1f"):format(v) end

local function sound(st, a, path)
  local address, is_inside = st:place(a, path)
  local spectrum = store.data(st:encode(wave.spectrogram(a, SPECTRUM_W, SPECTRUM_H), "jpg"),
    "image/jpeg")
  local peak, shape = a:peak(), wave.shape(a, WAVE_COLUMNS)
  local about = ("%.2f s, %g Hz"):format(a.seconds, a.rate) .. (peak == -math.huge and ", silent"
    or (", peak %s dB, %s LUFS"):format(decibels(peak), decibels(a:loudness())))
  return function(alt)
    return el("div", { class = "sound" }, wave.drawing(shape, "wave: " .. alt),
      el("img", { class = "spectrum", src = spectrum, alt = "spectrogram: " .. alt,
        width = SPECTRUM_W, height = SPECTRUM_H }),
      el("audio", { controls = true, src = address, ["aria-label"] = alt,
        preload = is_inside and "auto" or "none" }))
  end, about
end

--- A few frames side by side.
local function strip(v)
  local list, n = {}, math.min(#v, STRIP_FRAMES)
  for i = 1, n do
    local at = 1 + math.floor((i - 1) * (#v - 1) / math.max(n - 1, 1))
    list[i] = fit(v[at], STRIP_PX)
  end
  return image.hcat(list)
end

local function moving(st, v, path)
  local address, is_inside = st:place(v, path)
  local frames = strip(v)
  local shown = is_inside and address or small(st, v[1], LARGE_PX)
  local row = store.data(st:encode(frames:as(3), "jpg"), "image/jpeg")
  local sound_path = path and files.sound_of(path)
  local hear = v.audio and sound(st, v.audio, sound_path)
  local class = math.max(v.width, v.height) <= PIXELS_PX and "picture pixels" or "picture"
  return function(alt)
    return el("div", { class = "film" },
      linked(address, is_inside, el("img", { class = class, src = shown, alt = alt,
        width = v.width, height = v.height })),
      el("img", { class = "strip", src = row, alt = "frames: " .. alt, width = frames.width,
        height = frames.height }), hear and hear(alt))
  end, ("%d × %d, %d frames, %g fps, %.2f s"):format(v.width, v.height, #v, v.fps, v.seconds)
end

local function film(st, _, path)
  local address, is_inside = st:place(nil, path)
  return function(alt)
    return el("video", { class = "picture", controls = true, loop = true, muted = true,
      playsinline = true, src = address, preload = is_inside and "auto" or "none",
      ["aria-label"] = alt })
  end, "video"
end

local function words(_, text)
  return function() return el("blockquote", { class = "said" }, text) end,
    ("%d characters"):format(#text)
end

local makers = { image = picture, audio = sound, video = moving, film = film, text = words }

-- ---- thumbs for prompts ----

local thumbs = {
  image = function(st, im) return small(st, im, THUMB_PX) end,
  video = function(st, v) return small(st, v[1], THUMB_PX) end,
  audio = function(_, a) return wave.drawing(wave.shape(a, CHIP_COLUMNS), "sound") end,
}

--- A medium in small: the address of a picture, or a drawing.
local function thumb(st, object) return object.kind and thumbs[object.kind](st, object) end

--- The small picture of a medium that a prompt held, by its hash; nil when the medium is not known.
---@return string|table|nil
function M.thumb(st, sha256)
  if not sha256 then return nil end
  if not st.thumbs[sha256] then
    local object = fingerprint.find(sha256)
    st.thumbs[sha256] = object and thumb(st, object)
  end
  return st.thumbs[sha256]
end

-- ---- views ----

local function view(st, kind, object, path, meta)
  local figure, about = makers[kind](st, object, path)
  local sha256 = fingerprint.of(object)
  if sha256 and not st.thumbs[sha256] then st.thumbs[sha256] = thumb(st, object) end
  return { kind = kind, figure = figure, about = about, meta = meta, path = path,
    text = kind == "text" and object or nil }
end

--- The view of a medium of this run.
---@return weft.report.View
function M.of(st, object)
  local known = st.views[object]
  if not known then
    known = view(st, object.kind, object, nil, object.meta)
    known.path = fingerprint.path(object)
    st.views[object] = known
  end
  return known
end

--- The view of a file; of a missing or damaged one, what is wrong with it.
---@return weft.report.View
function M.file(st, path)
  local function read()
    return core.scope(function()
      local kind, object, meta = files.open(path)
      return view(st, kind, object, path, meta)
    end)
  end
  local ok, got = pcall(read)
  if ok then return got end
  local message = type(got) == "table" and got.message or tostring(got)
  return { kind = "missing", path = path, about = "not shown", message = message,
    figure = function() return el("p", { class = "bad" }, message) end }
end

return M
