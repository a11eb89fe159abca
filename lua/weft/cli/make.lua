--- `weft make KIND TEXT [option=value ...]`: one thing without a recipe.
local args = require "weft.cli.args"
local core = require "weft.core"
local host = require "weft.host"
local json = require "weft.json"
local options = require "weft.options"
local output = require "weft.cli.output"
local paths = require "weft.paths"
local run = require "weft.cli.run"
local spec = require "weft.spec"

local M = {}

-- Endings of the files of each kind; the first is of names that are made up.
local endings = { image = { "png", "jpg", "jpeg" }, audio = { "wav", "flac", "ogg", "opus" },
  video = { "png", "apng" }, text = { "txt", "md" } }

--- Options of the command line by the types that weft.spec gives them.
local function typed(given)
  local out = {}
  for name, text in pairs(given) do
    local row = spec.by_name[name]
    out[name] = text
    if row then
      out[name] = options.from_text(row, text)
      if out[name] == nil then args.fail("make: %s cannot be %q", name, text) end
    end
  end
  return out
end

--- "a-cat.png" with what stands before its ending: "a-cat-2.png".
local function suffixed(path, what) return (path:gsub("(%.%w+)$", "-" .. what .. "%1")) end

--- Is a file of this name there, or the sound of a video of this name?
local function is_taken(path, kind)
  return host.stat(path) ~= nil
    or (kind == "video" and host.stat((path:gsub("%.%w+$", ".wav"))) ~= nil)
end

local function refuse_existing(path, kind)
  if is_taken(path, kind) then
    core.raise("io", ("make: %s exists already"):format(path), "--overwrite replaces it")
  end
end

--- Save under the first free of "a-cat.png", "a-cat-2.png" ...; what appears meanwhile stays.
local function save_numbered(part, path, kind)
  local k, at = 1, path
  while true do
    if not is_taken(at, kind) then
      local saved = { pcall(part.save, part, at, { overwrite = false }) }
      if saved[1] then return at end
      if not is_taken(at, kind) then error(saved[2], 0) end
    end
    k = k + 1
    at = suffixed(path, k)
  end
end

--- Save what was made; of several each with its seed in the name.
local function save(made, kind, path, o)
  local list = made[kind .. "s"]
  for i, part in ipairs(list) do
    local at = #list > 1 and suffixed(path, ("%d"):format(made.seeds[i])) or path
    if not o.out then save_numbered(part, at, kind)
    else part:save(at, { overwrite = o.overwrite or output.pending ~= nil }) end
  end
end

--- Check everything about where the output goes that can be known before it is made.
---@return string? path   nil: a text for stdout
local function place(kind, text, o, n, seed)
  if kind == "text" and (not o.out or o.out == "-") then return nil end
  if kind == "video" and core.has_clips() then endings.video = { "png", "apng", "webm", "mp4" } end
  local path = o.out or require("weft").slug(text or kind) .. "." .. endings[kind][1]
  path = output.open("make", path, endings[kind], o)
  if not o.out or o.overwrite or output.pending then return path end
  if n == 1 then refuse_existing(path, kind) end
  for i = 0, n > 1 and seed and n - 1 or -1 do
    refuse_existing(suffixed(path, ("%d"):format(seed + i)), kind)
  end
  return path
end

--- Say what was made: the names of its files, its text.
local function say(made, kind, path, o)
  if o.json then
    io.write(json.encode{ ok = true, exit = 0, kind = kind, text = made.text,
      files = json.list(paths.written()), seeds = json.list(made.seeds) }, "\n")
  elseif not path then
    io.write(made.text or "", "\n")
  elseif output.pending then
    output.emit "make"
  else
    for _, name in ipairs(paths.written()) do io.write(name, "\n") end
  end
end

function M.main(a)
  local kind, text, given = a.words[1], a.words[2], a.options
  if not kind then args.fail 'make: what? (weft make image "a large red cat" seed=3)' end
  if not endings[kind] then
    args.fail("make: kind must be image, audio, video or text, got %q", kind)
  end
  if a.words[3] then args.fail("make: '%s' is left over; quote the text", a.words[3]) end
  local o = typed(a.params)
  o.seed = given.seed and args.int("--seed", given.seed, 0, 2 ^ 53 - 1) or o.seed
  o[1] = text or ""
  local n = type(o.n) == "number" and o.n or 1
  local path = place(kind, text, given, n, tonumber(o.seed))
  run.apply_engine_options(given)
  if given.json or output.pending then paths.on_saved = nil end
  local ok, report = run.protected(function()
    local weft = require "weft"
    local made = weft.load(given.model or "micro"):generate(weft.with(o, { to = kind }))
    if kind == "text" and path then core.save_text(paths.write(path), (made.text or "") .. "\n",
      given.overwrite or output.pending ~= nil)
    elseif path then save(made, kind, path, given) end
    say(made, kind, path, given)
  end)
  return ok and 0 or run.fail(report, given.json)
end

return M
