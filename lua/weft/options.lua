--- Checks of option tables against weft.spec. What is wrong raises at the user's line, with the
-- fix.
local core = require "weft.core"
local check = require "weft.check"
local fingerprint = require "weft.fingerprint"
local host = require "weft.host"
local spec = require "weft.spec"

local M = {
  session = {},     -- options of :set at the prompt, for calls that leave them out
  overrides = {},   -- options of :again, which win over what a call says
  calls = {},       -- checked calls of verbs, for :again and :record: { which =, added = {} },
                    -- with the options that no line says
}

local MAX_CALLS = 1000      -- noted: a loop that generates for days keeps no list of it

local function fail(hint, fmt, ...) return core.raise("usage", fmt:format(...), hint) end

--- A value as an error shows it: strings quoted, others by their text or type.
local function shown(v)
  if type(v) == "string" then return ("%q"):format(#v > 40 and v:sub(1, 37) .. "..." or v) end
  if type(v) == "number" then return ("%.14g"):format(v) end
  if type(v) == "boolean" or v == nil then return tostring(v) end
  return "a " .. type(v)
end

-- ---- one value ----

local is_of = {
  integer = function(v) return type(v) == "number" and v == math.floor(v) and v == v end,
  media = function(v) return type(v) == "table" or type(v) == "userdata" end,
  tensor = check.is_tensor,
}

--- Does v have one of the option's types?
local function fits(v, types)
  for _, t in ipairs(types) do
    if is_of[t] then
      if is_of[t](v) then return t end
    elseif type(v) == t then
      return t
    end
  end
  return nil
end

local function choice(o, v)
  for _, c in ipairs(o.choices) do
    if c == v then return c end
  end
  return o.spelling and spec.spell(v, o.choices) or nil
end

local MOST_64 = "18446744073709551615"      -- 2^64 - 1
local HALF = 2 ^ 27                         -- 27 bits of the 53 that a number holds exactly

--- The seed that the digits of a whole number of 64 bits mean, modulo 2^53; nil for other texts.
local function seed_of(text)
  local digits = text:match "^0*(%d+)$"
  local is_more = digits and (#digits > #MOST_64 or #digits == #MOST_64 and digits > MOST_64)
  if not digits or is_more then return nil end
  local high, low = 0, 0
  for d in digits:gmatch "%d" do
    low = low * 10 + d
    high = (high * 10 + math.floor(low / HALF)) % 2 ^ 26
    low = low % HALF
  end
  return high * HALF + low
end

--- A copy of a plain table, which a call does not share with its caller; other values as they are.
local function own(v)
  if type(v) ~= "table" or getmetatable(v) or v.kind then return v end
  return require("weft").with(v, {})
end

--- "512x384" or {512, 384} as a list of two whole numbers; nil when it is neither.
function M.size(v)
  local w, h
  if type(v) == "string" then
    w, h = v:match("^%s*(%d+)%s*[xX]%s*(%d+)%s*$")
    w, h = tonumber(w), tonumber(h)
  elseif type(v) == "table" then
    w, h = v[1], v[2]
  end
  local function good(s)
    return type(s) == "number" and s == math.floor(s) and s >= 1 and s <= 16384
  end
  if not good(w) or not good(h) then return nil end
  return { w, h }
end

local function must(what, o, v)
  return fail(nil, "%s: %s must be %s, got %s", what, o.name, spec.domain(o), shown(v))
end

--- A table of weights has names, and numbers from 0.
local function check_weights(what, o, v)
  for k, w in pairs(v) do
    if type(k) == "number" or type(w) ~= "number" or not (w >= 0 and w < math.huge) then
      fail("numbers from 0, by kind: mix = { text = 0.5 }", "%s: %s.%s cannot be %s", what, o.name,
        tostring(k), shown(w))
    end
  end
end

--- A guidance by a table is in range as a number is.
local function check_guidance(what, o, v)
  local guide = require "weft.guidance"(v)
  for _, dial in ipairs { guide.scale or 0, guide.concat or 0 } do
    if not (dial >= o.min and dial <= o.max) then must(what, o, dial) end
  end
end

local function no_choice(what, o, v)
  local near = type(v) == "string"
    and (check.nearest(spec.fold(v), o.choices) or check.nearest(v, o.choices))
  return fail(near and ("did you mean '%s'?"):format(near) or spec.domain(o),
    "%s: %s cannot be %s", what, o.name, shown(v))
end

--- A list of choices, each of which is one; none stands for others.
local function each_of(what, o, v)
  local out = {}
  for i = 1, table.maxn(v) do
    local c = type(v[i]) == "string" and choice(o, v[i])
    if not c or c == "auto" then no_choice(what .. ": a list", o, v[i]) end
    out[i] = c
  end
  if #out == 0 then fail(spec.domain(o), "%s: %s names nothing", what, o.name) end
  return out
end

--- The value as weft keeps it: choices in their own spelling, sizes as lists. Raises when it is
-- wrong.
function M.value(what, o, v)
  local kind = fits(v, o.types)
  if not kind then
    if type(v) == "number" and o.types[1] == "integer" then
      return fail(nil, "%s: %s must be a whole number, got %s", what, o.name, shown(v))
    end
    return must(what, o, v)
  end
  if type(v) == "number" and o.min and not (v >= o.min and v <= o.max) then
    return must(what, o, v)
  end
  if o.size then return M.size(v) or must(what, o, v) end
  if o.keys and type(v) == "table" then M.keys(what .. ": " .. o.name, v, o.keys) end
  if o.weights then check_weights(what, o, v) end
  if o.name == "guidance" and kind == "table" then check_guidance(what, o, v) end
  if o.list and kind == "table" then return each_of(what, o, v) end
  if o.name == "seed" and kind == "string" then return seed_of(v) or must(what, o, v) end
  if not o.choices or kind ~= "string" then return own(v) end
  return choice(o, v) or no_choice(what, o, v)
end

--- Keys of a nested table must be in names; list entries are allowed.
function M.keys(what, t, names)
  for k in pairs(t) do
    local known = type(k) == "number"
    for _, name in ipairs(names) do known = known or name == k end
    if not known then
      local near = check.nearest(tostring(k), names)
      fail(near and ("did you mean '%s'?"):format(near) or "keys: " .. table.concat(names, " "),
        "%s: unknown key '%s'", what, tostring(k))
    end
  end
end

-- ---- tables ----

--- Raise for an option that this call does not take, with the best hint there is.
local function unknown(which, name, list)
  local all = spec.by_name[name]
  if all and spec.verbs[which] then
    local to, takers = spec.verbs[which].to, all.verbs or all.to
    return fail(takers and "it is for " .. table.concat(takers, ", ") or nil,
      "%s: option '%s' makes no sense for %s", which, name, to or which)
  end
  local names = {}
  for i, o in ipairs(list) do names[i] = o.name end
  local near = check.nearest(name, names)
  local hint = spec.foreign_hint(name) or near and ("did you mean '%s'?"):format(near)
    or "options: " .. table.concat(names, " ")
  return fail(hint, "%s: unknown option '%s'", which, name)
end

--- Whatever stands for a prompt, one part or a list of them, as the list of its parts.
function M.parts(which, v)
  if v == nil then return fail(nil, "%s: wants a prompt, got nil", which) end
  local is_list = type(v) == "table" and not getmetatable(v) and v.kind == nil
  return M.prompt(which, is_list and v or { v })
end

--- The list part of t, without holes. A nil in the middle is found; one at the end cannot be seen.
function M.prompt(which, t)
  local out = { has_example = t.has_example }
  for i = 1, table.maxn(t) do
    if t[i] == nil then
      fail("a variable that was never set?", "%s: prompt part %d is nil", which, i)
    end
    out[i] = t[i]
  end
  out = require("weft.prompt").flat(out)
  for i, part in ipairs(out) do
    local text = type(part) == "table" and part.weft_weight and part.part or part
    if type(text) == "string" and not check.is_utf8(text) then
      fail("weft reads and writes text as UTF-8", "%s: prompt part %d is not UTF-8",
        which, i)
    end
  end
  return out
end

--- What cannot be together, said before any work.
local contradictions = {
  { function(o) return o.init ~= nil and o.strength == 0 end,
    "init with strength = 0 changes nothing", "give a strength above 0, or leave both out" },
  { function(o) return o.strength ~= nil and o.init == nil and o.mask == nil end,
    "strength without init", "strength says how much of init is changed: init = photo" },
  { function(o)
      return o.frames and o.seconds and o.fps
        and o.frames ~= math.floor(o.seconds * o.fps + 0.5)
    end,
    "frames, seconds and fps disagree", "give two of them" },
  { function(o) return o.mask ~= nil and o.init == nil end,
    "mask without init", "the mask says where init is changed: init = photo" },
  { function(o) return o.schedule ~= nil and o.sampler ~= nil and type(o.sampler) ~= "string" end,
    "schedule beside a sampler of its own", 'weft.sampler(name, { schedule = ... }) takes it' },
  { function(o) return o.latents ~= nil and o.init ~= nil end,
    "latents and init are both a start", "give one of them" },
}

local function check_together(which, o)
  for _, c in ipairs(contradictions) do
    if c[1](o) then fail(c[3], "%s: %s", which, c[2]) end
  end
end

--- Fill out from the model's defaults, as far as the call takes them, and draw a seed.
local function fill(out, known, model, call)
  for name, v in pairs(model.defaults or {}) do
    local is_idle = name == "strength" and out.init == nil       -- it says how much of init stays
      or name == "schedule" and type(out.sampler) == "table"     -- which has its own
    if out[name] == nil and known[name] and not is_idle then out[name] = own(v) end
  end
  if out.seed == nil and known.seed then
    out.seed = require("weft").seed()
    if call then call.added.seed = out.seed end
  end
end

--- What the prompt adds to a call, which is noted.
local function from_prompt(which, out, known)
  local call = { which = which, added = {} }
  for name, v in pairs(M.session) do
    if out[name] == nil and known[name] then out[name], call.added[name] = own(v), v end
  end
  for name, v in pairs(M.overrides) do
    if known[name] then out[name], call.added[name] = own(v), v end
  end
  M.calls[#M.calls % MAX_CALLS + 1] = call
  return call
end

--- The options of t, each checked by itself, in a copy; and by name what the call takes.
---@param which string   "image", "generate", "chat" ...
---@return table options, table<string, table> known
function M.each(which, t)
  local list, known, out = spec.options_of(which), {}, {}
  for _, o in ipairs(list) do known[o.name] = o end
  for name, v in pairs(t) do
    if type(name) ~= "number" then
      local o = known[name] or unknown(which, tostring(name), list)
      out[name] = M.value(which, o, v)
    end
  end
  return out, known
end

--- Check t, given to a verb or another call of weft.spec; t is neither changed nor kept.
---@param which string   "image", "generate", "load" ...
---@param t table        prompt in the list part, options in the rest
---@param model? table   its defaults fill what t leaves out, and a seed is drawn
---@return table options  a checked copy; options.prompt is the list part
function M.check(which, t, model)
  if type(t) ~= "table" then
    return fail(("write m:%s{ \"a fox\", seed = 1 }"):format(which),
      "%s: options must be a table, got %s", which, shown(t))
  end
  local out, known = M.each(which, t)
  local call = spec.verbs[which] and from_prompt(which, out, known)
  if spec.verbs[which] then check_together(which, out) end
  if model then fill(out, known, model, call) end
  out.prompt = M.prompt(which, t)
  if type(out.negative) == "table" then
    out.negative = M.parts(which .. ": negative", out.negative)
  end
  return out
end

-- ---- what a file remembers of a call ----

--- A part of a prompt as provenance keeps it: words as they are, media by name and hash.
local function describe_part(v)
  if type(v) == "string" then return { text = v } end
  if type(v) ~= "table" then return { text = tostring(v) } end
  if v.weft_weight then
    local inner = describe_part(v.part)
    inner.weight = v.weft_weight
    return inner
  end
  if v.kind == "depth" then
    local inner = describe_part(v.picture)
    inner.depth = true
    return inner
  end
  local tensor = rawget(v, "tensor")
  local part = { [v.kind or "part"] = rawget(v, "name") or "made here" }
  part.sha256 = fingerprint.note(v, part)
    or check.is_tensor(tensor) and host.sha256(tensor:bytes()) or nil
  return part
end

local function describe_prompt(v)
  if type(v) ~= "table" or v.kind then return { describe_part(v) } end
  local out = {}
  for i, part in ipairs(v) do out[i] = describe_part(part) end
  return out
end

--- An option's value as JSON can hold it; nil for functions and what only shows progress.
local function describe_value(o, v)
  if type(v) == "function" then return o.name == "guidance" and "function" or nil end
  if o.name == "progress" or o.name == "preview" then return nil end
  if o.name == "negative" then return type(v) == "table" and describe_prompt(v) or v end
  if o.name == "guidance" and type(v) == "table" then return require("weft.guidance").named(v) end
  if o.name == "sampler" and type(v) == "table" then
    return require("weft.sampler").describe(v) or v
  end
  if check.is_tensor(v) then return { tensor = host.sha256(v:bytes()) } end
  if type(v) == "userdata" then return tostring(v) end
  if type(v) == "table" and (o.types[1] == "media" or v.kind) then return describe_part(v) end
  if type(v) == "table" and o.name == "noise" then return { tensors = #v } end
  return v
end

--- Does an option say anything of what a call makes?
local function is_of_kinds(row, kinds)
  if not row.to then return true end
  for _, kind in ipairs(kinds) do
    for _, taken in ipairs(row.to) do
      if taken == kind then return true end
    end
  end
  return false
end

--- A call for provenance: { fn, n, prompt = { {text=} ... }, options = {...} }, defaults included,
-- as far as they are for the kinds that the call makes.
---@param fn string     the verb
---@param o table       what check returned
---@param kind? string  what the file is; nil to keep all options
function M.describe(fn, o, kind)
  local to = o.to
  local kinds = type(to) == "table" and to or { to ~= "auto" and to or kind }
  local call = { fn = fn, n = o.n, prompt = describe_prompt(o.prompt or {}), options = {} }
  for name, v in pairs(o) do
    local row = spec.by_name[name]
    local is_said = row and name ~= "seed" and name ~= "n" and (not kind or is_of_kinds(row, kinds))
    if is_said then call.options[name] = describe_value(row, v) end
  end
  return call
end

--- One option from text, as the command line and JSONL give it: by the declared type.
---@param o table      a row of weft.spec, or a parameter of weft.params
---@return any value   nil when the text is not of the type
function M.from_text(o, text)
  for _, t in ipairs(o.types) do
    local is_exact = t ~= "integer" or not o.max or (tonumber(text) or 0) <= o.max
    if (t == "number" or t == "integer") and tonumber(text) and is_exact then
      return tonumber(text)
    end
    if t == "boolean" and (text == "true" or text == "false") then return text == "true" end
    if t == "string" then return text end
  end
  if o.size then return M.size(text) end
  return nil
end

return M
