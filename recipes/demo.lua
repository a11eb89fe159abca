-- demo.lua: what `weft demo` runs: a tour of what the small model can do, as one page and one sheet
--   weft run recipes/demo.lua out=/tmp/tour seed=3 steps=25
local weft = require "weft"
local p = weft.params { out = { "out/demo", path = true, help = "folder to write into" }, seed = 7,
  steps = { 16, min = 1, max = 1000 }, guidance = 3 }
local m = weft.load "micro"
local page, sheet, labels = {}, {}, {}

-- ---- what every section uses ----

local function with(prompt) return weft.with({ seed = p.seed + #sheet, steps = p.steps,
  guidance = p.guidance, progress = false }, prompt) end
local function picture(...) return m:image(with { ... }) end
local function sound(...) return m:audio(with { ... }) end
local function edit(source, ...) return m:edit(source, with { ... }) end

local endings = { image = "png", audio = "wav", video = "apng" }

--- Save a thing, put it on the sheet, give it back.
local function keep(title, x)
  x:save(("%s/%02d-%s.%s"):format(p.out, #sheet + 1, weft.slug(title), endings[x.kind]))
  sheet[#sheet + 1] = x.kind == "image" and x or x.kind == "video" and x[#x]
    or x:picture { spectrogram = true, w = 64, h = 64 }
  labels[#sheet] = title
  return x
end

--- The same as a card of the page; prompt where the thing itself cannot tell it.
local function show(title, x, prompt)
  page[#page + 1] = { keep(title, x), title = title, prompt = prompt }
  return x
end

--- A section, where the model has the parts it needs; else a line that says what is missing.
local function section(title, needs, note, make)
  local missing = {}
  for name in needs:gmatch "%S+" do missing[#missing + 1] = not m.parts[name] and name or nil end
  local text = "left out: this model has no " .. table.concat(missing, ", ")
  page[#page + 1] = { title = title, note = missing[1] and text or note }
  if not missing[1] then text = ("%.1f s"):format(weft.time(make)) end
  print(("%-24s %s"):format(title, text))
end

local PICTURES = "text_encoder image_encoder conditioner unet vae "
local SOUNDS = "text_encoder audio_encoder audio_conditioner audio_unet audio_vae "
local cat, frog

-- ---- the tour ----

section("Words to a picture", PICTURES, "The same words and seed give the same bytes.", function()
  cat = show("cat", picture "a large plain red cat at the left in the snow")
  frog = show("frog", picture "a medium striped green frog at the right in a meadow")
  show("star", picture "a small dotted yellow star at the top at night")
  show("robot", picture "a large plain blue robot at the center on the beach")
end)
section("Edits as told", PICTURES .. "language_model", "The rest of the picture stays.", function()
  show("blue", edit(cat, "change the color of the cat to blue"))
  show("neon", edit(cat, "turn it into neon style"))
  show("moved", edit(frog, "move the frog to the left"))
end)
section("Towards a description", PICTURES, "The denoiser sees the picture it changes.", function()
  local words = "a large plain red cat at the left at night"
  show("at night", edit(cat, m:encode(words)), { cat, words })
  words = "a medium striped yellow frog at the right in a meadow"
  show("yellow", edit(frog, m:encode(words)), { frog, words })
end)
section("Variations", PICTURES, "More like this one, from its feature alone.", function()
  for i = 1, 3 do show("like the frog " .. i, picture(frog)) end
end)
section("Between two pictures", PICTURES, "On the great circle of their features.", function()
  local row = { title = "from the cat to the frog", prompt = { cat, "to", frog } }
  for i = 0, 4 do
    local feature = weft.embedding.slerp(m:encode(cat), m:encode(frog), i / 4)
    row[i + 1] = keep(25 * i .. " % frog", m:image(with { feature, seed = p.seed }))
  end
  page[#page + 1] = row
end)
section("From several pictures", PICTURES .. "language_model", "Words say what each is for.",
  function()
    local night = edit(cat, "put it at night")
    local beach = edit(picture "a small plain red star at the top on the beach",
      "remove the star")
    show("composed", picture("put the subject",
      picture "a large plain red cat at the left in a white room", "in the place", beach))
    show("by example", picture(weft.example(cat, night), "do the same to", frog))
    show("subject", picture("here is a cat:", cat, night,
      ". create a new image of this cat on the beach"))
    show("concept", picture("given the artistic style represented in", edit(cat,
      "turn it into sketch style"), "and", edit(frog, "turn it into sketch style"),
      ", create a new artwork similar to it of a bird"))
  end)
section("What comes next", PICTURES .. "language_model", "In a picture, and in words.", function()
  local a = picture "a small plain green frog at the left in a meadow"
  local b = edit(a, "make the frog medium")
  show("next", picture("here is a series:", a, b, ". show what happens next"))
  local question = { "what changed from", a, "to", b, "?" }
  page[#page + 1] = { m:text(question), title = "in words", prompt = question }
end)
section("A conversation", PICTURES .. "language_model", "A round is taken back.", function()
  local chat = m:chat(with { to = "image" })
  chat { cat, "make the cat purple" }
  chat { "put it in the rain" }
  keep("chat", chat:undo() { "put it in the sea" }.image)
  page[#page + 1] = { chat, title = "the rain was undone before the sea was asked for" }
end)
section("Sounds", SOUNDS, "What is said, heard.", function()
  local meow = show("meow", sound "a low meow with rain in the background")
  if not m.parts.language_model then return end
  show("added", edit(meow, "add a low bell early"))
  show("dropped", edit(meow, "remove the meow"))
  show("echo", edit(meow, "add echo to it"))
end)
local HEARING = SOUNDS .. PICTURES .. "language_model"
section("A sound to a picture", HEARING, "Its place is heard.", function()
  show("heard", picture("put", cat, "in the place of", sound "crickets in the background"))
end)
section("A picture and its sound", SOUNDS .. PICTURES .. "joint", "Made together, step by step.",
  function()
    local words = "a large plain yellow cat at the center in the rain"
    local made = m:generate(with { words, to = { "image", "audio" } })
    show("seen", made.image)
    show("and heard", made.audio)
  end)
section("A video", PICTURES .. "unet_video", "Eight frames a second.", function()
  show("video", m:video(with { "a medium plain red cat at the center in the snow moving left" }))
end)

if sheet[1] then weft.sheet(sheet, { columns = 6, labels = labels }):save(p.out .. "/sheet.png") end
print(weft.report(page, p.out .. "/index.html", { title = "What the small model can do" }))
