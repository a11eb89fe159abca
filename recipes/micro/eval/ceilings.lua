--- What the judges of sounds and videos make of the truth: no model can score higher.
--
--   weft run recipes/micro/eval/ceilings.lua n=240
--
-- Sounds are rendered with other noise than the judge expects, videos with other textures and
-- jitter; "again" is what Griffin-Lim makes of their mels. Tasks are judged on the exact output, on
-- it again, on a copy of the source and on the output of another example, which should be wrong.
-- The last line is JSON.
package.path = "./recipes/micro/?.lua;" .. package.path

local weft = require "weft"
local audio = require "world.audio"
local hearing = require "world.hearing"
local judge = require "world.sound_judge"
local listen = require "world.listen"
local music = require "world.music"
local oracle = require "world.oracle"
local rng = require "world.rng"
local sound = require "world.sound"
local tasks = require "world.sound_tasks"
local tune = require "world.tune"
local video = require "world.video"
local watch = require "world.watch"

local p = weft.params {
  n = { 240, min = 1, help = "sounds a row" }, videos = { 60, min = 1, help = "videos a row" },
  tasks = { 40, min = 1, help = "examples a task" },
}

local report = {}

--- One row: the rates of a list of verdicts by attribute, all last.
local function show(label, verdicts)
  local rates, cells = oracle.rates(verdicts), {}
  for name, rate in pairs(rates) do
    local is_count = name:find "^n_"
    if not is_count and name ~= "all" then cells[#cells + 1] = ("%s %.3f"):format(name, rate) end
  end
  table.sort(cells)
  print(("%-22s all %.3f   %s"):format(label, rates.all, table.concat(cells, "  ")))
  report[label] = rates
end

local function mel_of(record) return hearing.of({ record }):select(1, 1) end

local function redrawn(s)
  local v = sound.copy(s)
  v.seed = (s.seed + 7919) % 2 ^ 31
  return v
end

local function sounds()
  local clean, again, free = {}, {}, {}
  for i = 1, p.n do
    local s = sound.at("ceilings", i, { split = "val", events = { 0.5, 0.5, 0 } })
    local mel = mel_of(redrawn(s))
    clean[i] = listen.attributes(mel, s)
    again[i] = listen.attributes(hearing.sound(mel, i), s)
    free[i] = listen.attributes(mel, s, { free_slots = true })
  end
  show("sounds", clean)
  show("sounds again", again)
  show("sounds, any slots", free)
end

local function pieces()
  local clean, again = {}, {}
  for i = 1, p.n do
    local m = music.at("ceilings", i)
    clean[i] = tune.attributes(audio.new(m), m)
    again[i] = tune.attributes(hearing.sound(mel_of(m), i), m)
  end
  show("music", clean)
  show("music again", again)
end

local function moved(v)
  local w = video.copy(v)
  local o = w.scene.objects[1]
  w.scene.texture, o.jx, o.jy = (v.scene.texture + 7919) % 2 ^ 31, -o.jx, -o.jy
  return w
end

local function videos()
  local same, free, sync = {}, {}, {}
  for i = 1, p.videos do
    local v = video.at("ceilings", i, { split = "val" })
    local frames = video.new(moved(v))
    same[i] = watch.attributes(video.new(v), v)
    free[i] = watch.attributes(frames, v, { free_texture = true })
    if v.call then
      local verdict = watch.sync(frames, mel_of(video.find_sound(v, i)), v)
      sync[#sync + 1] = { strict = verdict.success, loose = verdict.loose, all = verdict.success }
    end
  end
  show("videos", same)
  show("videos, any texture", free)
  show("calls in step", sync)
end

--- The output with its sound through Griffin-Lim, nil where it has none.
local function through_griffin_lim(output)
  if not output.audio then return nil end
  local v = weft.with(output, {})
  v.audio = hearing.sound(hearing.to_mel(output.audio))
  return v
end

local function task(name)
  local right, n = { truth = 0, again = 0, copy = 0, other = 0 }, { again = 0, copy = 0 }
  for i = 1, p.tasks do
    local e = tasks[name](rng.new("ceilings", i))
    local function judged(key, ok) right[key] = right[key] + (ok and 1 or 0) end
    local output = judge.truth(e)
    judged("truth", (judge.example(output, e)))
    local again = through_griffin_lim(output)
    if again then
      n.again = n.again + 1
      judged("again", (judge.example(again, e)))
    end
    if e.source > 0 then
      n.copy = n.copy + 1
      judged("copy", judge.copy_succeeds(e))
    end
    local other = judge.truth(tasks[name](rng.new("ceilings-other", i)))
    judged("other", (e.audio == nil or other.audio ~= nil) and (judge.example(other, e)))
  end
  local row = { truth = right.truth / p.tasks, other = right.other / p.tasks,
                again = n.again > 0 and right.again / n.again or nil,
                copy = n.copy > 0 and right.copy / n.copy or nil }
  local function cell(v) return v and ("%.3f"):format(v) or "    -" end
  print(("%-22s truth %s  again %s  copy %s  another's %s"):format(name, cell(row.truth),
    cell(row.again), cell(row.copy), cell(row.other)))
  report[name] = row
end

sounds()
pieces()
videos()
for _, row in ipairs(tasks.MIXTURE) do task(row[1]) end
print(weft.json.encode(report))
