--- How well the small model draws: accuracy by the oracle, its ceilings and its controls.
--
--   weft run recipes/micro/eval/pictures.lua n=200
--
-- via=feature takes the text tower's feature of the words as the condition; via=language has the
-- language model read them.
-- Each row is one experiment over n scenes drawn with seeds that no training used. The last line
-- is JSON.
package.path = "./recipes/micro/?.lua;./recipes/micro/eval/?.lua;" .. package.path

local weft = require "weft"
local caption = require "world.caption"
local common = require "common"
local configs = require "configs"
local edit = require "world.edit"
local oracle = require "world.oracle"
local parts = require "weft.pipeline.micro_parts"
local render = require "world.render"
local rng = require "world.rng"
local scene = require "world.scene"

local p = weft.params {
  n = { 200, min = 1, help = "scenes a row" }, steps = 25, guidance = 3,
  model = "micro", seed = 1000, keep = { 1, help = "pull towards the source of edits" },
  via = { "feature", choices = { "feature", "language" }, help = "how words become a condition" },
  out = { "", path = true, help = "a sheet of the first pictures" },
}
local m = weft.load(p.model)
local bytes_of, picture_of = common.bytes_of, common.picture_of

local shown = {}

--- Words as a part of a prompt.
local function words(text) return p.via == "feature" and m:encode(text) or text end

--- One picture a text, judged against its scene.
local function draw(scenes, texts)
  local verdicts = {}
  for i, s in ipairs(scenes) do
    local im = m:image { words(texts[i]), steps = p.steps, guidance = p.guidance,
      seed = p.seed + i, progress = false }
    if #shown < 64 then shown[#shown + 1] = im end
    verdicts[i] = oracle.attributes(bytes_of(im), s, { free_texture = true })
  end
  return oracle.rates(verdicts)
end

local function scenes_of(split, opts)
  local out = {}
  for i = 1, p.n do out[i] = scene.at(split, i, opts) end
  return out
end

local function captions_of(scenes)
  local out = {}
  for i, s in ipairs(scenes) do out[i] = caption.complete(s) end
  return out
end

--- The texts of other scenes: what is right then is right by chance.
local function shuffled(texts)
  local out, half = {}, math.floor(#texts / 2)
  for i = 1, #texts do out[i] = texts[(i + half - 1) % #texts + 1] end
  return out
end

local NAMES = { "kind", "colour", "size", "pattern", "cell", "place", "style", "all" }
local report = {}

local function show(label, rates)
  local cells = {}
  for i, name in ipairs(NAMES) do
    cells[i] = rates[name] and ("%6.3f"):format(rates[name]) or "     -"
  end
  print(("%-34s %s"):format(label, table.concat(cells, " ")))
  report[label] = rates
end

--- Squared errors of what was made, in unit latents of variance 1: at places that the edit changes,
-- and at those that it keeps.
local function latent_errors(im, e)
  return weft.scope(function()
    local function latents(picture) return parts.latents(m.parts.vae, m:pixels(picture)) end
    local target = latents(picture_of(e.target))
    local apart = (target - latents(picture_of(e.source))):abs():mean({ 4 }, true)
    local changed = apart:gt(configs.edit_change):to "f32"
    local off = (latents(im) - target):square():mean({ 4 }, true)
    local function mean(of) return (off * of):sum():item() / math.max(of:sum():item(), 1) end
    return mean(changed), mean(1 - changed)
  end)
end

--- Edits towards a described target: exact change, what is kept outside it, and how far the latents
-- are off.
local function edits(split)
  local right, kept, n_kept, off, off_kept = 0, 0, 0, 0, 0
  for i = 1, p.n do
    local e = edit.sample(rng.new("eval-edit-" .. split, i), { split = split })
    local im = m:edit(picture_of(e.source), {
      words(e.caption), steps = p.steps, seed = p.seed + i, progress = false,
      guidance = p.keep ~= 1 and { p.guidance, concat = p.keep } or p.guidance,
    })
    local b = bytes_of(im)
    local ok, verdict = oracle.edit(b, e.source, e.target)
    local preserved = verdict.preserved_db or oracle.target(b, e.target, e.source).preserved_db
    right = right + (ok and 1 or 0)
    local changed, same = latent_errors(im, e)
    off, off_kept = off + changed, off_kept + same
    if preserved then kept, n_kept = kept + preserved, n_kept + 1 end
  end
  local row = { success = right / p.n, preserved_db = n_kept > 0 and kept / n_kept or 0,
    off = math.sqrt(off / p.n), off_kept = math.sqrt(off_kept / p.n) }
  print(("%-34s exact %.3f  rest kept %.1f dB  latents off by %.2f, kept ones by %.2f"):format(
    "edit, " .. split, row.success, row.preserved_db, row.off, row.off_kept))
  report["edit, " .. split] = row
end

--- The autoencoder alone, and the truth under another texture seed: what no denoiser can exceed.
local function ceilings(scenes)
  local truth, coded = {}, {}
  for i, s in ipairs(scenes) do
    local other = scene.copy(s)
    other.texture = (s.texture + 7919) % 2 ^ 31
    truth[i] = oracle.attributes(render.new(other), s, { free_texture = true })
    coded[i] = oracle.attributes(bytes_of(m:decode_encode(picture_of(s))), s,
      { free_texture = true })
  end
  show("ceiling: truth, other texture", oracle.rates(truth))
  show("ceiling: autoencoder", oracle.rates(coded))
end

print(("%-34s %s"):format("", "  kind colour   size pattern  cell  place  style    all"))
local val, held = scenes_of("val", { objects = 1 }), scenes_of("heldout", { objects = 1 })
local texts = captions_of(val)
show("words to picture, 1 object", draw(val, texts))
show("words to picture, held-out pairs", draw(held, captions_of(held)))
local two = scenes_of("val", { objects = 2 })
show("words to picture, 2 objects", draw(two, captions_of(two)))
show("control: shuffled captions", draw(val, shuffled(texts)))
local empty = {}
for i = 1, p.n do empty[i] = "" end
show("control: no caption", draw(val, empty))
ceilings(val)
edits "val"
edits "heldout"
if p.out ~= "" then weft.sheet(shown, { columns = 8 }):save(p.out, { overwrite = true }) end
print(weft.json.encode(report))
