--- The process in which `weft repro` makes a file again: the recipe that the file carries, fenced
-- in and in a folder of its own, or the one call. The command (weft.cli.repro) watches over it.
local host = require "weft.host"
local json = require "weft.json"
local paths = require "weft.paths"
local provenance = require "weft.provenance"

local M = {}

local ANSWER = 4                         -- the descriptor that host.spawn gives a child to write to

--- Was it made by the same call with the same seed? What no call made is known by its file's name.
local function is_same(meta, other, has_name)
  if not meta.call then return has_name and not other.call end
  return json.encode(other.call) == json.encode(meta.call) and other.seed == meta.seed
    and other.index == meta.index
end

--- The file among what a recipe made that is the one called name, which has this provenance.
local function find_made(dir, meta, name)
  local best
  for _, path in ipairs(paths.files_below(dir, {})) do
    local ok, other = pcall(provenance.read, path)
    local has_name = select(2, paths.split(path)) == name
    if ok and other and is_same(meta, other, has_name) and (has_name or not best) then
      best = path
    end
  end
  return best
end

--- The parameters that the file was made with. Of paths only the names are known: an input is
-- looked for beside the file, or else here; what was written is written anew.
local function given_params(meta, recipe_path, folder, base)
  local given, here = {}, assert(host.cwd())
  for k, v in pairs(meta.params or {}) do given[k] = v end
  for _, row in ipairs((require("weft.recipe").read_params(recipe_path, base))) do
    local name = row.path and given[row.name]
    if name and name == select(2, paths.split(row.default or "")) then given[row.name] = nil
    elseif name and not host.stat(paths.join(folder, name))
      and host.stat(paths.join(here, name)) == "file" then
      given[row.name] = paths.join(here, name)
    end
  end
  return given
end

--- What print says, for stderr: stdout holds the verdict.
local function words(...)
  local out = {}
  for i = 1, select("#", ...) do out[i] = tostring((select(i, ...))) end
  return table.concat(out, "\t")
end

--- Run the recipe that the file carries, in a folder of its own.
local function run_recipe(meta, dir, folder, is_trusted)
  local path = dir .. "/" .. meta.recipe.name
  local file = assert(io.open(path, "wb"))
  file:write(meta.recipe.text)
  file:close()
  local out = paths.make_dir(dir .. "/out")
  local params = require "weft.params"
  local recipe, config = require "weft.recipe", require "weft.config"
  local base = not is_trusted
    and require("weft.sandbox").globals "--trust gives it everything" or nil
  params.start(given_params(meta, path, folder, base), false)
  config.recipe = { name = meta.recipe.name, sha256 = meta.recipe.sha256, text = meta.recipe.text }
  local here = assert(host.cwd())
  paths.start_dir, params.keeps_paths = paths.absolute(folder), true
  assert(host.chdir(out))
  local env = recipe.environment(base)
  rawset(env, "print", function(...) io.stderr:write(words(...), "\n") end)
  local _, ok, err = recipe.with_folder(dir, env, function()
    return xpcall(recipe.compile(meta.recipe.text, path, env), require("weft.cli.page").capture)
  end)
  assert(host.chdir(here))
  require("weft.core").fence(false)
  paths.is_fenced = false
  if not ok then error(err, 0) end
  return out
end

local SOUNDS = { wav = true, flac = true, ogg = true, oga = true, opus = true }
local CLIPS = { apng = true, webm = true, mp4 = true, mkv = true, mov = true, avi = true,
  gif = true }

--- The part of a result that a file with this ending holds; an animated PNG may end as a picture.
local function part_of(result, ending)
  local extension = ending:sub(2)
  local kind = SOUNDS[extension] and "audio" or CLIPS[extension] and "video" or "image"
  return result[kind] or kind == "image" and result.video
    or require("weft.core").raise("model", "the call made no " .. kind)
end

-- Verbs that a file tells all about: an edit's source and a chat's rounds are not in it.
local VERBS = { image = true, audio = true, video = true, generate = true }

local function raise_missing(what)
  return require("weft.core").raise("io",
    ("input missing: %s of the call is not in the file"):format(what),
    "run the recipe that made it")
end

--- A prompt as the call had it: words, some with a weight.
local function prompt_of(what, list)
  local out = {}
  for i, part in ipairs(list) do
    if type(part) == "string" then part = { text = part } end
    if type(part.text) ~= "string" then raise_missing(("part %d of the %s"):format(i, what)) end
    out[i] = part.weight and require("weft").weigh(part.text, part.weight) or part.text
  end
  return out
end

--- The options as the call had them.
local function options_of(given)
  local out = {}
  for name, v in pairs(given) do
    local row = require("weft.spec").by_name[name]
    local is_input = type(v) == "table" and row
      and (row.types[1] == "media" or name == "latents" or name == "noise")
    if is_input or name == "guidance" and v == "function" then raise_missing(name) end
    out[name] = name == "negative" and type(v) == "table" and prompt_of("negative", v) or v
  end
  return out
end

--- Make the one call again: for files that no recipe made.
local function run_call(meta, dir, ending)
  local weft, call = require "weft", meta.call
  if not call then
    weft.core.raise("format", "the file holds neither the call nor the recipe that made it")
  end
  if not VERBS[call.fn] then raise_missing("what " .. tostring(call.fn) .. " was given") end
  local o = weft.with(options_of(call.options or {}), { seed = meta.seed })
  for i, part in ipairs(prompt_of("prompt", call.prompt or {})) do o[i] = part end
  local m = weft.load(meta.model and meta.model.name or "micro")
  local made = m[call.fn](m, o)
  if call.fn == "generate" then made = part_of(made, ending) end
  made.meta.call, made.meta.index = meta.call, meta.index
  made:save(dir .. "/again" .. ending)
  return dir
end

--- What the process does. argv: "--remake", and { path, dir, options } as JSON. Answers the path
-- of what it made, or nothing when the recipe made no such file.
function M.main(argv)
  local job = json.decode(argv[2])
  local path, o = job.path, job.options
  host.signals "worker"
  require("weft.term").plain = o.plain or false
  require("weft.tools").is_quiet = o.quiet or false
  require("weft.cli.run").apply_engine_options(o)
  local meta = provenance.read(path)
  local folder, name = paths.split(path)
  local has_recipe = meta.recipe and meta.recipe.text
  local out = has_recipe and run_recipe(meta, job.dir, folder, o.trust)
    or run_call(meta, job.dir, "." .. paths.extension(path))
  assert(host.write(ANSWER, find_made(out, meta, name) or ""))
  return 0
end

return M
