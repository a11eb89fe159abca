--- What causal language models do besides their forward pass: caches, embeddings, generation.
--
--     local cache = lm:cache{ tokens = 256 }
--     local out = lm{ ids = { 1, 15043 }, cache = cache }
--     local ids = lm:generate{ ids = { 1, 15043 }, max_tokens = 20, temperature = 0.7, seed = 1 }
local core = require "weft.core"
local check = require "weft.check"
local ops = require "weft.ops"

local M = {}

-- ---- the cache ----

---@class weft.Cache
local Cache = {}
Cache.__index = Cache

--- Room for the keys and values of so many tokens. Passing it to a call appends the call's tokens.
---@param opts { batch: integer, tokens: integer, dtype: string }
---@return weft.Cache
function M:cache(opts)
  opts = check.keys("cache", opts, { "batch", "tokens", "dtype" })
  if not opts.tokens then check.fail("cache: tokens is missing") end
  local made = self:call("cache", { batch = opts.batch or 1, tokens = opts.tokens })
  local keys, values = made.keys, made.values
  if opts.dtype then keys, values = keys:to(opts.dtype), values:to(opts.dtype) end
  return setmetatable({
    keys = core.own(keys), values = core.own(values), tokens = opts.tokens, n = 0,
  }, Cache)
end

--- How many tokens stand in it.
function Cache:size() return self.n end

--- Forget all but the first n tokens.
function Cache:truncate(n)
  check.type("truncate: n", n, "number")
  self.n = check.int("truncate: n", n, nil, 0, self.n)
  return self
end

--- A copy that goes its own way.
function Cache:fork()
  local keys, values = core.own(self.keys:clone()), core.own(self.values:clone())
  return setmetatable({
    keys = keys, values = values, tokens = self.tokens, n = self.n, mask = self.mask,
  }, Cache)
end

--- What stands in the cache stays masked: a call without a mask gets the mask of the calls before
-- it, with ones for its own tokens.
local function remember_mask(cache, inputs)
  if not inputs.mask and cache.mask then
    local own = inputs.ids or inputs.embeds
    local ones = core.full({ own:size(1), own:size(2) }, 1, cache.mask.dtype)
    inputs.mask = ops.cat({ cache.mask:narrow(2, 1, cache.n), ones:to(own.device) }, 2)
  end
  return inputs.mask and core.own(inputs.mask:clone())
end

--- Call f, the model's forward pass over inputs, with the cache among them.
function M.with_cache(cache, inputs, f)
  if getmetatable(cache) ~= Cache then check.fail("cache must be what lm:cache{} returns") end
  local own = inputs.ids or inputs.embeds
  if own and own:size(1) ~= cache.keys:size(2) then
    core.raise("usage", ("cache: made for a batch of %d, the call has %d"):format(
      cache.keys:size(2), own:size(1)),
      ("lm:cache{ batch = %d, tokens = ... }"):format(own:size(1)))
  end
  local mask = remember_mask(cache, inputs)
  inputs.keys, inputs.values = cache.keys, cache.values
  inputs.past = core.full({ 1 }, cache.n, "f32"):to(cache.keys.device)
  local out = f()
  cache.n, cache.mask = cache.n + out.hidden:size(2), mask
  return out
end

-- ---- embeddings ----

--- Rows of the embedding for ids [B,T] or a list, [B,T,C]: to put features between them and pass
-- all as embeds. Gradients flow through both.
function M:embed(inputs)
  return self:call("embed", inputs).embeds
end

-- ---- generation ----

local generate_options = { "ids", "embeds", "mask", "cache", "max_tokens", "temperature", "top_p",
  "top_k", "stop", "seed", "on_token" }

local DRAW = 7     -- purpose of these numbers in the Philox key

--- Probabilities in falling order and their ids, cut to the top_k best.
local function ranked(logits, opts)
  local k = math.min(opts.top_k or logits:numel(), logits:numel())
  local p, ids = (logits * (1 / opts.temperature)):softmax():topk(k)
  return p:totable(), ids:totable()
end

--- One id drawn from the fewest best that hold top_p of the probability.
local function draw(logits, opts, seed, i)
  local p, ids = ranked(logits, opts)
  local whole, held, n = 0, 0, 0
  for k = 1, #p do whole = whole + p[k] end
  repeat
    n = n + 1
    held = held + p[n]
  until n == #p or held >= (opts.top_p or 1) * whole
  local at = core.bits(seed, 0, DRAW, i) / 2 ^ 32 * held
  for k = 1, n - 1 do
    at = at - p[k]
    if at < 0 then return ids[k] end
  end
  return ids[n]
end

--- Lists of ids that end the text: from { id, { id, id } }, an id, or the config.
local function read_stops(stop, config)
  if stop == nil then stop = config.eos_token_id or {} end
  if stop == false then return {} end
  local out = {}
  for i, s in ipairs(type(stop) == "table" and stop or { stop }) do
    out[i] = type(s) == "table" and s or { check.int("generate: stop", s) }
  end
  return out
end

local function ends_with(ids, stop)
  for i = 1, #stop do
    if ids[#ids - #stop + i] ~= stop[i] then return false end
  end
  return #stop > 0
end

local function has_stopped(ids, stops)
  for _, stop in ipairs(stops) do
    if ends_with(ids, stop) then return true end
  end
  return false
end

local function check_generate(opts)
  check.keys("generate", check.type("generate: options", opts, "table"), generate_options)
  if opts.on_token then check.type("generate: on_token", opts.on_token, "function") end
  if opts.cache ~= nil and getmetatable(opts.cache) ~= Cache then
    check.fail("generate: cache must be what lm:cache{} returns")
  end
  if (opts.ids == nil) == (opts.embeds == nil) then
    check.fail("generate: wants ids or embeds, one of them")
  end
  check.int("generate: max_tokens", opts.max_tokens, nil, 1)
  check.number("generate: temperature", opts.temperature, 0, 0)
  check.number("generate: top_p", opts.top_p, nil, 0, 1)
  check.int("generate: top_k", opts.top_k, nil, 1)
end

--- Rows and tokens of the prompt.
local function prompt_size(opts)
  local t = opts.ids or opts.embeds
  if check.is_tensor(t) then
    if t.rank < 2 then check.fail("generate: ids are [B,T], got [%d]", t:numel()) end
    return t:size(1), t:size(2)
  end
  check.type("generate: ids", t, "table")
  if type(t[1]) == "table" then return #t, #t[1] end
  return 1, #t
end

--- How many tokens may be made: as asked, as far as positions and the cache go.
local function count_new(self, opts)
  local rows, n = prompt_size(opts)
  if rows ~= 1 then check.fail("generate: one text at a time, got %d", rows) end
  -- each token but the last is read again
  local room = math.min(self.config.n_positions or math.huge,
    opts.cache and opts.cache.tokens - opts.cache.n or math.huge) - n + 1
  if opts.max_tokens and opts.max_tokens > room or room < 1 then
    check.fail("generate: a prompt of %d and %d more are over the %d tokens that the %s holds", n,
      opts.max_tokens or 1, room + n - 1, opts.cache and "cache" or "model")
  end
  return math.min(opts.max_tokens or 256, room), n
end

--- Ids after the prompt, at most max_tokens (default 256, or what there is room for). The stop that
-- ended it is the last. temperature 0 takes the likeliest; otherwise one is drawn, from the top_k
-- best and the fewest that hold top_p. stop: an id, or a list of ids and lists of ids that follow
-- each other; the config's eos_token_id when nil, none when false. on_token(id, i) may return false
-- to end.
---@return integer[] ids
function M:generate(opts)
  check_generate(opts)
  local most, n = count_new(self, opts)
  local stops, ids = read_stops(opts.stop, self.config), {}
  local seed = opts.seed or (opts.temperature or 0) > 0 and require("weft").seed() or 0
  local cache = opts.cache or self:cache{ tokens = n + most }
  local input = { ids = opts.ids, embeds = opts.embeds, mask = opts.mask }
  for i = 1, most do
    input.cache, input.last = cache, true
    ids[i] = core.scope(function()
      local logits = self(input).logits:reshape(-1)
      if (opts.temperature or 0) == 0 then return logits:argmax():item() end
      return draw(logits, opts, seed, i)
    end)
    if opts.on_token and opts.on_token(ids[i], i) == false then break end
    if has_stopped(ids, stops) then break end
    input = { ids = { ids[i] } }
  end
  return ids
end

return M
