--- `weft repro FILE`: make a file again from what it says about itself, and compare.
local args = require "weft.cli.args"
local host = require "weft.host"
local json = require "weft.json"
local paths = require "weft.paths"
local provenance = require "weft.provenance"

local M = {}

local SAME, DIFFERS = 0, 1

local function remove_tree(dir)
  for _, name in ipairs(host.list(dir) or {}) do
    local path = dir .. "/" .. name
    if host.stat(path) == "dir" then remove_tree(path) else os.remove(path) end
  end
  os.remove(dir)
end

local function fresh_folder()
  local path = os.tmpname()
  os.remove(path)
  return paths.make_dir(path)
end

local function files_under(dir, out)
  for _, name in ipairs(host.list(dir) or {}) do
    local path = dir .. "/" .. name
    if host.stat(path) == "dir" then files_under(path, out) else out[#out + 1] = path end
  end
  return out
end

--- The file among what a recipe made that was made by the same call with the same seed.
local function find_made(dir, meta)
  local best
  for _, path in ipairs(files_under(dir, {})) do
    local ok, other = pcall(provenance.read, path)
    if ok and other and json.encode(other.call) == json.encode(meta.call)
      and other.seed == meta.seed and other.index == meta.index then
      best = path
    end
  end
  return best
end

--- Run the recipe that the file carries, in a folder of its own.
local function run_recipe(meta, dir)
  local path = dir .. "/" .. meta.recipe.name
  local file = assert(io.open(path, "wb"))
  file:write(meta.recipe.text)
  file:close()
  local out = paths.make_dir(dir .. "/out")
  local params = require "weft.params"
  local recipe, config = require "weft.recipe", require "weft.config"
  params.start(meta.params or {}, false)
  config.recipe = { name = meta.recipe.name, sha256 = meta.recipe.sha256, text = meta.recipe.text }
  paths.start_dir = assert(host.cwd())
  assert(host.chdir(out))
  local env = recipe.environment()
  local _, ok, err = recipe.with_folder(dir, env, function()
    return pcall(recipe.compile(meta.recipe.text, path, env))
  end)
  assert(host.chdir(paths.start_dir))
  if not ok then error(err, 0) end
  return out
end

--- Make the one call again: for files that no recipe made.
local function run_call(meta, dir, ending)
  local weft = require "weft"
  local o = weft.with(meta.call.options or {}, { seed = meta.seed })
  for i, part in ipairs(meta.call.prompt or {}) do
    if type(part) == "table" and not part.text then
      require("weft.core").raise("io", "the prompt holds media that are not in the file",
        "run the recipe that made it")
    end
    o[i] = type(part) == "table" and part.text or part
  end
  local m = weft.load(meta.model and meta.model.name or "micro")
  local fn = meta.call.fn == "generate" and "image" or meta.call.fn
  local made = m[fn](m, o)
  made.meta.call.fn, made.meta.index = meta.call.fn, meta.index
  made:save(dir .. "/again" .. ending)
  return dir
end

--- Why bytes may differ although the call is the same.
local function reasons(meta, other)
  local out = {}
  for _, field in ipairs { "engine", "device", "dtype" } do
    if meta[field] ~= other[field] then
      out[#out + 1] = ("%s: %s, now %s"):format(field, tostring(meta[field]),
        tostring(other[field]))
    end
  end
  if (meta.model or {}).sha256 ~= (other.model or {}).sha256 then out[#out + 1] = "other model" end
  return table.concat(out, "; ")
end

local function psnr(a, b)
  local weft = require "weft"
  local x, y = weft.image.load(a), weft.image.load(b)
  if x.width ~= y.width or x.height ~= y.height then return nil end
  local mse = (x:as(3):tensor() - y:as(3):tensor()):square():mean():item()
  return mse > 0 and -10 * math.log10(mse) or math.huge
end

local function compare(path, again, meta)
  if host.sha256_file(path) == host.sha256_file(again) then return SAME, "identical" end
  local other = provenance.read(again)
  local why = reasons(meta, other or {})
  local ok, db = pcall(psnr, path, again)
  local text = ok and db and ("differs, PSNR %.1f dB"):format(db) or "differs"
  return DIFFERS, why ~= "" and text .. " (" .. why .. ")" or text
end

function M.main(a)
  local path = a.words[1] or args.fail "repro: which file? (weft repro fox.png)"
  local meta = provenance.read(path)
  if not meta then
    require("weft.core").raise("format", path .. ": does not say how it was made")
  end
  require("weft.cli.run").apply_engine_options(a.options)
  local dir = fresh_folder()
  local ok, status, text = pcall(function()
    local has_recipe = meta.recipe and meta.recipe.text
    local out = has_recipe and run_recipe(meta, dir)
      or run_call(meta, dir, "." .. paths.extension(path))
    local again = find_made(out, meta)
    if not again then return DIFFERS, "the recipe made no file by this call" end
    if a.options.out then
      local target = paths.make_dir(a.options.out) .. "/" .. select(2, paths.split(path))
      assert(os.rename(again, target))
      again = target
    end
    return compare(path, again, meta)
  end)
  remove_tree(dir)
  if not ok then error(status, 0) end
  if a.options.json then
    io.write(json.encode { file = path, same = status == SAME, result = text }, "\n")
  else
    io.write(path, ": ", text, "\n")
  end
  return status
end

return M
