--- Cards of the functions that recipes call: what `?name` and `weft help name` show.
-- Options are not listed here: they come from weft.spec by the card's `options` field.
local M = {}

local function card(name, signature, help, example, options)
  M[#M + 1] = { name = name, signature = signature, help = help, example = example,
                options = options }
end

card("load", "weft.load(name, {options}?) -> Model",
  "a model by name, or the file or folder that holds one; the same arguments give the same model",
  'local m = weft.load "micro"', "load")
card("image", "m:image{ prompt..., options } -> Image", "make one picture",
  'm:image{ "a red cat at the left in the snow", seed = 4 }:save "cat.png"', "image")
card("audio", "m:audio{ prompt..., options } -> Audio", "make one sound",
  'm:audio{ "a high meow with rain in the background", seed = 4 }:save "meow.wav"', "audio")
card("video", "m:video{ prompt..., options } -> Video", "make one video",
  'm:video{ photo, "moving left", frames = 8 }:save "walk.webm"', "video")
card("text", "m:text{ prompt..., options } -> string", "answer in words",
  'print(m:text{ "describe", photo })', "text")
card("generate", "m:generate{ prompt..., options } -> Result", "make any kinds, any number",
  'local r = m:generate{ "a yellow cat in the rain", to = { "image", "audio" }, n = 4 }',
  "generate")
card("edit", "m:edit(source, { prompt..., options }) -> the same kind",
  "change a picture or a sound as told", 'm:edit(photo, { "put it at night" })', "edit")
card("chat", "m:chat{ options } -> Chat",
  "several rounds that remember each other; the options are those of every round",
  'local chat = m:chat{ to = "image" }  chat{ photo, "put it at night" }', "chat")
card("undo", "chat:undo(k?) -> Chat", "forget the last k rounds (1)",
  'chat:undo() { "put it in the sea" }')
card("retry", "chat:retry{ options } -> Result",
  "the last round again, with another seed unless one is given", "chat:retry{ seed = 8 }")
card("fork", "chat:fork() -> Chat", "a conversation of its own that begins with the same turns",
  "local other = chat:fork()")
card("encode", "m:encode(part or prompt) -> Embedding",
  "the feature of a part, for arithmetic and as a part of prompts",
  "m:image{ m:encode(a) * 0.5 + m:encode(b) * 0.5 }")
card("weigh", "weft.weigh(part, weight) -> part",
  "a part whose feature counts more or less, 0 to 2",
  'm:image{ weft.weigh(cat, 1.2), weft.weigh(frog, 0.5) }')
card("depth", "weft.depth(picture) -> part",
  "a grayscale picture of how far things are, 0 nearest and 1 farthest, for models that read depth",
  "m:image{ weft.depth(map) }")
card("example", "weft.example(input, output, note?) -> part",
  "an in-context pair: what something was, and what it became",
  'm:image{ weft.example(before, after), " do the same to ", mine }')
card("embedding.slerp", "weft.embedding.slerp(a, b, t) -> Embedding",
  "the point at share t of the great circle from a to b; t = 0 gives a",
  "m:image{ weft.embedding.slerp(m:encode(cat), m:encode(frog), 0.5) }")
card("prompt", "weft.prompt{ parts } -> Prompt", "a prompt to be used again; p1 .. p2 joins",
  'local style = weft.prompt{ "in the style of ", painting }')
card("params", "weft.params(declaration) -> values",
  "declare what may vary: a default, or { default, min=, max=, choices=, path=, help= }",
  'local p = weft.params{ seed = 1, steps = { 20, min = 1, max = 100, help = "of the sampler" } }')
card("sweep", "weft.sweep{ {name, v1, v2...}, ... } -> iterator",
  "the product of lists of values, the last one fastest",
  'for job in weft.sweep{ {"guidance", 3, 7}, {"seed", 1, 2} } do ... end')
card("with", "weft.with(opts, more) -> table", "a merged copy of two option tables",
  "m:image(weft.with(base, { seed = 2 }))")
card("try", "weft.try(f, ...) -> value, or nil, err", "a protected call",
  "local im, err = weft.try(weft.image.load, path)")
card("seed", "weft.seed(n?) -> integer", "start the run's stream of seeds, or draw from it",
  "weft.seed(7)  local s = weft.seed()")
card("exists", "weft.exists(path) -> boolean", "is there a file or folder?",
  'if weft.exists "mug.safetensors" then ... end')
card("glob", "weft.glob(pattern, { some = bool }) -> list",
  "paths that fit * ? [a-z], sorted; some: an error where none does",
  'for _, path in ipairs(weft.glob "mug/*.jpg") do ... end')
card("slug", "weft.slug(text) -> string", "text as part of a file name",
  'im:save(weft.slug "A fox!" .. ".png")        --> a-fox.png')
card("log", "weft.log(format, ...)", "a line on stderr", 'weft.log("seed %d", seed)')
card("time", "weft.time(f, ...) -> seconds, ...", "how long a call takes",
  "local s, im = weft.time(function() return m:image{ prompt } end)")
card("show", "weft.show(x, {width, height, protocol}?) -> x", "show a value in the terminal",
  "weft.show(im)")
card("info", "weft.info(path) -> table", "how a file was made", 'weft.info("fox.png").seed')
card("image.load", "weft.image.load(path, {size}?) -> Image",
  "read a PNG or JPEG the right way up; size = { width, height } resizes it on the way",
  'local photo = weft.image.load "photo.jpg"')
card("audio.load", "weft.audio.load(path, {rate, mono, sanitize}?) -> Audio",
  "read WAV, AIFF, FLAC, Ogg, Opus or MP3; sanitize repairs values that are not numbers",
  'local a = weft.audio.load("rain.flac", { rate = 16000, mono = true })')
card("video.load", "weft.video.load(path, {fps, audio}?) -> Video",
  "read an animated PNG or, where weft was built with FFmpeg, what that reads, the right way up",
  'local v = weft.video.load("clip.mp4", { fps = 8 })')
card("hcat", "weft.image.hcat{ pictures } -> Image",
  "pictures side by side; .vcat: one below another",
  'weft.image.hcat{ before, after }:save "both.png"')
card("picture", "a:picture{ spectrogram, w, h } -> Image", "a sound's wave, or its spectrogram",
  'a:picture{ spectrogram = true }:save "spectrogram.png"')
card("psnr", "im:psnr(other) -> number",
  "peak signal-to-noise ratio in dB against a picture of the same size",
  "print(before:psnr(after))")
card("sheet", "weft.sheet(list, {columns, labels, size, gap, title}?) -> Image",
  "a contact sheet; small pictures are made larger by a whole factor, to size pixels or far "
    .. "enough for their labels",
  'weft.sheet(images, { columns = 4, labels = names }):save "sheet.png"')
card("report", "weft.report(list or folder, path, {title, max_mb, inline, link, group}?) -> path",
  "a page of what was made: media, { media, title=, note=, prompt= }, results, chats, texts, files",
  'weft.report({ cat, { night, title = "at night" } }, "cats.html", { title = "Cats" })')
card("sampler", "weft.sampler(name, {options}) -> Sampler", "a sampler with settings",
  'm:image{ "x", sampler = weft.sampler("ddim", { eta = 0.3 }) }')
card("tensor", "weft.tensor(nested table, {dtype, device}?) -> Tensor",
  "a tensor; also .zeros .ones .full .randn .arange .linspace .cat .stack .load .save",
  "local t = weft.tensor.randn({ 64, 64, 3 }, { seed = 1 })")
card("scope", "weft.scope(f, ...) -> ...", "run f and free what it made and did not return",
  "local y = weft.scope(function() return x + v * dt end)")
card("grad", "weft.grad(f, params) -> loss, grads, ...", "a loss and its gradients",
  "local loss, grads = weft.grad(function() return loss_of(batch) end, parameters)")
card("checkpoint",
  "weft.train.checkpoint(path, { params, optim, ema, rng, state }) -> Checkpoint",
  "a training run that goes on after it was killed: resume(), then save(step) now and then",
  'local saved = weft.train.checkpoint("run.ckpt", { params = params, optim = opt })')
card("bf16", "weft.bf16(on?) -> boolean",
  "products on the processor in bf16: faster where it has them, and never on unless asked for",
  "weft.bf16(true)")
card("memory", "weft.memory(reset?) -> table", "bytes that the engine holds: live, peak, cached",
  "print(weft.memory().peak)")

--- Variables of the environment.
M.environment = {
  { "WEFT_MODELS",
    "folders in which models are looked for by name, with : between; before ./models" },
  { "WEFT_PROVENANCE", "what files say of how they were made: full (as where it is not set), hash, "
    .. "none" },
  { "WEFT_TERM", "how pictures are drawn in the terminal: kitty, blocks, ascii, none" },
  { "WEFT_HISTORY", "file of the prompt's history; empty: none is kept" },
  { "WEFT_CPU",
    "highest level of the processor that is used: amx, avx512bf16, avx512, avx2, plain" },
  { "WEFT_DEBUG", "1: errors come with the whole traceback" },
}

M.by_name = {}
for _, c in ipairs(M) do M.by_name[c.name] = c end

--- Texts about the prompt itself.
M.topics = {
  repl = [[
Type Lua. An expression shows its value; `;` at the end keeps it silent. A line that is not complete
goes on. Locals stay for the next lines (a closure keeps the local it was made with).
  _  the last value       _3  the value of prompt 3        ?name  help       !cmd  the shell
  :again seed=5   the last generation with other options    :explore 8   eight seeds, small
  :record f.lua   what was typed, as a recipe               :save 3 a.png  value 3 to a file
Ctrl-C at the prompt clears the line; during work it stops the work and keeps the model.]],
}

local lines = {}
for i, v in ipairs(M.environment) do lines[i] = ("  %-16s %s"):format(v[1], v[2]) end
M.topics.environment = "Variables of the environment:\n" .. table.concat(lines, "\n")

return M
