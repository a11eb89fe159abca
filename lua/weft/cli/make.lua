--- `weft make KIND TEXT [option=value ...]`: one thing without a recipe.
local args = require "weft.cli.args"
local options = require "weft.options"
local run = require "weft.cli.run"
local spec = require "weft.spec"

local M = {}

local endings = { image = ".png", audio = ".wav", video = ".png" }

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

function M.main(a)
  local kind, text = a.words[1], a.words[2]
  if not kind then args.fail 'make: what? (weft make image "a large red cat" seed=3)' end
  if not endings[kind] and kind ~= "text" then
    args.fail("make: kind must be image, audio, video or text, got %q", kind)
  end
  if a.words[3] then args.fail("make: '%s' is left over; quote the text", a.words[3]) end
  local o = typed(a.params)
  o.seed = a.options.seed and args.int("--seed", a.options.seed, 0, 2 ^ 53 - 1) or o.seed
  o[1] = text or ""
  run.apply_engine_options(a.options)
  local ok, report = run.protected(function()
    local weft = require "weft"
    local made = weft.load(a.options.model or "micro"):generate(weft.with(o, { to = kind }))
    if kind == "text" then return print(made.text) end
    local path = a.options.out or weft.slug(text or kind) .. endings[kind]
    if #made > 1 then path = path:gsub("(%.%w+)$", "-{seed}%1") end
    for _, saved in ipairs(made:save(path, { overwrite = true })) do print(saved) end
  end)
  return ok and 0 or run.fail(report, a.options.json)
end

return M
