--- The one list of options: names, types, ranges, defaults, help, and what each is for. Checks
-- (weft.options), `?help`, completion, the command line, `weft help` and the reference are made
-- from it. An option that does not stand here does not exist.
local M = {}

--- What a verb may make.
M.outputs = { "image", "audio", "video", "text" }

M.samplers = {
  "ddim", "ddpm", "pndm", "ipndm", "euler", "euler_a", "heun", "dpm2", "dpm2_a", "dpmpp_2m",
  "dpmpp_3m", "dpmpp_2m_sde", "dpmpp_3m_sde", "dpmpp_2s", "dpmpp_sde", "unipc", "deis", "lms",
  "lcm", "tcd",
}
M.schedules = { "discrete", "linear", "karras", "exponential", "beta", "simple", "sgm_uniform",
  "ddim_uniform", "kl_optimal", "ays", "trailing", "leading" }

-- What else they are called, folded.
local aliases = { normal = "discrete", linspace = "linear", plms = "pndm" }

--- A spelling folded: "DPM++ 2M" is "dpmpp_2m", "Euler ancestral" "euler_a".
function M.fold(s)
  return (s:lower():gsub("%+%+", "pp"):gsub("ancestral", "a"):gsub("[^%w]", ""))
end

--- The one of the names of samplers or schedules that is meant; nil for none.
function M.spell(s, names)
  local wanted = M.fold(s)
  wanted = M.fold(aliases[wanted] or wanted)
  for _, name in ipairs(names) do
    if M.fold(name) == wanted then return name end
  end
  return nil
end

local MAX_SEED = 2 ^ 53 - 1
local picture = { "image", "video" }
local drawn = { "image", "audio", "video" }
local sound = { "audio", "video" }

--- Options of the generation verbs, in the order in which people meet them. types: what is
-- accepted; min, max: of numbers; list: a table of it names one or more; weights: a table of it
-- has numbers from 0; choices: of strings; to: the outputs it makes sense for (nil:
-- all); verbs: only these verbs take it; default: as text, for help.
M.options = {
  { name = "to", types = { "string", "table" },
    choices = { "image", "audio", "video", "text", "auto" },
    verbs = { "generate", "chat" }, default = '"auto"', list = true,
    help = "what to make: a kind, a list of kinds, or \"auto\"" },
  { name = "seed", types = { "integer", "string" }, min = 0, max = MAX_SEED, default = "drawn",
    help = "start of the random numbers; the same seed gives the same bytes; of 64 bits: a string, "
      .. "modulo 2^53" },
  { name = "n", types = { "integer" }, min = 1, max = 1000, default = "1",
    verbs = { "generate" },
    help = "variants; variant i uses seed + i - 1" },
  { name = "negative", types = { "string", "table" }, to = drawn, default = '""',
    help = "what should not be there: text, or a prompt" },
  { name = "guidance", types = { "number", "table", "function" }, min = 0, max = 100, to = drawn,
    default = "the model's", keys = { "scale", "concat", "rescale", "first", "last" },
    help = "pull towards the prompt; { scale, concat=, rescale=, first=, last= }, or a function" },
  { name = "steps", types = { "integer" }, min = 1, max = 1000, to = drawn, default = "the model's",
    help = "steps of the sampler: more are slower and, up to a point, better" },
  { name = "sampler", types = { "string", "table" }, choices = M.samplers,
    spelling = true,
    to = drawn, default = "the model's", help = "how noise becomes a picture or a sound" },
  { name = "schedule", types = { "string" }, choices = M.schedules, spelling = true, to = drawn,
    default = "the sampler's", help = "how the noise level falls from step to step" },
  { name = "size", types = { "string", "table" }, size = true, to = picture,
    default = "the model's",
    help = "\"512x512\" or {512, 512}: width and height in pixels" },
  { name = "seconds", types = { "number" }, min = 0.01, max = 14400, to = sound,
    default = "the model's",
    help = "length of the sound or the video" },
  { name = "fps", types = { "number" }, min = 0.1, max = 240, to = { "video" },
    default = "the model's",
    help = "frames per second" },
  { name = "frames", types = { "integer" }, min = 1, max = 100000, to = { "video" },
    default = "the model's", help = "how many frames; or give seconds" },
  { name = "init", types = { "media" }, to = drawn, default = "none",
    help = "start from this, with noise added (see strength), not from noise alone" },
  { name = "strength", types = { "number" }, min = 0, max = 1, to = drawn, default = "the model's",
    help = "how much of init is changed: 0 keeps it, 1 ignores it" },
  { name = "mask", types = { "media" }, to = drawn, default = "none",
    help = "change only where the mask is 1" },
  { name = "concat", types = { "media", "boolean" }, to = drawn, default = "none",
    help = "show the denoiser this input at every step; { image=, audio= }; false: no such input" },
  { name = "joint", types = { "boolean" }, verbs = { "generate", "chat" },
    to = { "image", "audio" },
    default = "true where the model can",
    help = "make a picture and its sound together, each with an eye on the other" },
  { name = "refine", types = { "boolean" }, to = { "image", "audio" },
    default = "true where the prompt holds a weft.example",
    help = "check a change by example on the example, and make what it lacks" },
  { name = "mix", types = { "table" }, keys = { "text", "image", "audio", "video" }, to = drawn,
    weights = true,
    default = "1 each", help = "weight of each kind of input: { text=, image=, audio=, video= }" },
  { name = "latents", types = { "tensor" }, to = drawn, default = "drawn",
    help = "first noise, [B,H,W,C], instead of the seed's" },
  { name = "noise_scale", types = { "number" }, min = 0, max = 10, to = drawn,
    default = "the model's",
    help = "how much of the drawn first noise: less strays less from a source; 0 leaves what the "
      .. "sampler adds" },
  { name = "noise", types = { "table" }, to = drawn, default = "drawn",
    help = "list of the noises that a stochastic sampler adds, instead of the seed's" },
  { name = "rng", types = { "string" }, choices = { "philox", "torch-cpu", "torch-cuda" },
    to = drawn,
    default = '"philox"', help = "which generator draws the noise; the others equal PyTorch's" },
  { name = "vocoder", types = { "string" }, choices = { "griffin-lim", "hifigan" }, to = sound,
    default = '"griffin-lim"', help = "what makes samples of a spectrogram" },
  { name = "mode", types = { "string" }, choices = { "paper", "code" }, default = '"paper"',
    help = "CoDi-2 as its paper says or as its code does" },
  { name = "temperature", types = { "number" }, min = 0, max = 10, default = "0",
    help = "of an answer's words: 0 takes the likeliest; what a prompt leaves open is drawn by the "
      .. "seed, at 1 where this is 0" },
  { name = "top_p", types = { "number" }, min = 0, max = 1, default = "1",
    help = "draw only from the likeliest words that reach this probability together" },
  { name = "max_tokens", types = { "integer" }, min = 1, max = 1000000, default = "the model's",
    help = "longest text" },
  { name = "on_step", types = { "function" }, to = drawn, default = "none",
    help = "called after each step with s.step s.steps s:preview(); return false to finish" },
  { name = "on_token", types = { "function" }, default = "none",
    help = "called with each piece of text" },
  { name = "preview", types = { "integer", "boolean" }, min = 0, max = 1000, to = drawn,
    default = "0",
    help = "show every so many steps what is there, in the terminal; true: every 5" },
  { name = "progress", types = { "boolean" }, default = "true", help = "show the bar" },
  { name = "tag", types = { "string" }, default = '""',
    help = "free label, copied to logs and file names" },
  { name = "system", types = { "string" }, verbs = { "chat" }, default = '""',
    help = "said to the model before the first words" },
}

--- Verbs of a model; to: the output, nil where `to` decides.
M.verbs = {
  image = { to = "image" }, audio = { to = "audio" }, video = { to = "video" },
  text = { to = "text" },
  generate = {}, edit = {}, chat = {},
}

--- Options of other calls that take a table, by the call's name.
M.tables = {
  load = {
    { name = "device", types = { "string" }, default = '"auto"',
      help = "cpu or auto" },
    { name = "dtype", types = { "string" }, choices = { "f32", "f16", "bf16" },
      help = "of the weights" },
    { name = "parts", types = { "table" }, help = "load only these parts: { \"unet\" }" },
  },
}

--- Names that other programs use, folded to small letters and _, and what weft calls them.
M.foreign = {
  cfg = "guidance", cfg_scale = "guidance", guidance_scale = "guidance", scale = "guidance",
  unconditional_guidance_scale = "guidance",
  image_cfg_scale = "guidance.concat", image_guidance_scale = "guidance.concat",
  img_cfg_scale = "guidance.concat",
  negative_prompt = "negative", neg_prompt = "negative", uc = "negative",
  num_inference_steps = "steps", ddim_steps = "steps", num_steps = "steps",
  sampling_steps = "steps",
  sampler_name = "sampler", sampling_method = "sampler", scheduler = "schedule",
  schedule_type = "schedule", sigmas = "schedule",
  init_img = "init", init_image = "init", img2img = "init", latent_image = "init", image = "init",
  denoise = "strength", denoising_strength = "strength", mask_image = "mask",
  audio_length_in_s = "seconds", duration = "seconds", length = "seconds",
  batch_count = "n", batch_size = "n", num_images_per_prompt = "n", num_waveforms_per_prompt = "n",
  generator = "seed", manual_seed = "seed", random_seed = "seed",
  callback = "on_step", callback_on_step_end = "on_step", on_progress = "on_step",
  num_frames = "frames", n_frames = "frames", frame_rate = "fps",
  max_new_tokens = "max_tokens", max_length = "max_tokens",
  width = "size", height = "size", w = "size", h = "size", resolution = "size", eta = "sampler",
}

--- Where a foreign name means a part of the prompt.
M.foreign_prompt = {
  prompt = true, text = true, ip_adapter_image = true, ref_image = true, reference = true,
  input = true,
}

--- How a foreign name is written in the words of weft, for a hint.
function M.foreign_hint(name)
  local folded = name:lower():gsub("^%-+", ""):gsub("[^%w]+", "_")
  if M.foreign_prompt[folded] then
    return "the prompt is the list part: { \"a fox\", photo, seed = 1 }"
  end
  local ours = M.foreign[folded]
  if not ours then return nil end
  if folded == "eta" then return 'weft says sampler = weft.sampler("ddim", { eta = 0.3 })' end
  if ours == "guidance.concat" then return "weft says guidance = { 7, concat = 1.5 }" end
  if ours == "size" then return 'weft calls it size, as in size = "512x512"' end
  return "weft calls it " .. ours
end

--- Index of M.options by name.
M.by_name = {}
for _, o in ipairs(M.options) do M.by_name[o.name] = o end

local function has(list, v)
  for _, w in ipairs(list) do
    if w == v then return true end
  end
  return false
end

--- Does this verb take the option?
function M.takes(verb, option)
  if option.verbs and not has(option.verbs, verb) then return false end
  local to = M.verbs[verb] and M.verbs[verb].to
  return not (to and option.to) or has(option.to, to)
end

--- The options that a verb or another call takes, in order.
function M.options_of(which)
  if M.tables[which] then return M.tables[which] end
  local out = {}
  for _, o in ipairs(M.options) do
    if M.takes(which, o) then out[#out + 1] = o end
  end
  return out
end

--- What an option accepts, in words: "1 … 1000", "one of a b c", "a table".
function M.domain(o)
  if o.choices then return "one of " .. table.concat(o.choices, " ") end
  if o.size then return '"WxH" or {w, h}' end
  if o.min and o.max then
    local hi = o.max == MAX_SEED and "2^53-1" or ("%g"):format(o.max)
    return ("%g … %s"):format(o.min, hi)
  end
  return "a " .. table.concat(o.types, " or a ")
end

return M
