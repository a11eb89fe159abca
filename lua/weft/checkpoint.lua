--- Checkpoints of a training run: one safetensors file, replaced atomically, that holds everything
-- the next step depends on. A run that was killed and goes on from it ends with the same weights as
-- one that was not.
local core = require "weft.core"
local check = require "weft.check"
local json = require "weft.json"

local M = {}
---@class weft.Checkpoint
local Checkpoint = {}
Checkpoint.__index = Checkpoint

local VERSION = 1

--- A checkpoint at path. Parts: params (from train.parameters), optim (train.adamw or muon), ema
-- (train.ema), rng (a weft.rng stream, or a list of them), state (a table of plain values, filled
-- on load).
function M.new(path, parts)
  check.type("checkpoint: path", path, "string")
  check.type("checkpoint: what to save ({ params =, optim =, ema = })", parts, "table")
  check.keys("checkpoint", parts, { "params", "optim", "ema", "rng", "state" })
  local self = setmetatable({ path = path, parts = parts }, Checkpoint)
  if not (parts.params and parts.params.names) then
    check.fail("checkpoint: params must come from train.parameters")
  end
  return self
end

--- Prefix -> list of tensors, for all that is saved.
local function groups(parts)
  local out = { param = parts.params }
  if parts.optim then out.m, out.v = parts.optim.m, parts.optim.v end
  if parts.ema then out.ema = parts.ema.tensors end
  return out
end

local function streams(parts)
  if not parts.rng then return {} end
  return parts.rng.state and { parts.rng } or parts.rng
end

--- Save after a step. Nothing is seen of the file until it is whole.
function Checkpoint:save(step)
  check.int("checkpoint: step", check.type("checkpoint: step", step, "number"), nil, 0)
  local parts, tensors, rng = self.parts, {}, json.list()
  for prefix, list in pairs(groups(parts)) do
    for i, name in ipairs(parts.params.names) do
      tensors[prefix .. ":" .. name] = list[i] or nil
    end
  end
  for i, r in ipairs(streams(parts)) do rng[i] = r:state() end
  local meta = {
    version = VERSION, step = step, rng = rng, state = parts.state or {},
    optim_steps = parts.optim and parts.optim.steps, ema_updates = parts.ema and parts.ema.updates,
  }
  core.save_tensors(self.path, tensors, { ["weft.train"] = json.encode(meta) })
end

local function exists(path)
  local f = io.open(path, "rb")
  if f then f:close() end
  return f ~= nil
end

--- Call f(tensor, name in the file) for all that is saved.
local function each_tensor(self, f)
  for prefix, list in pairs(groups(self.parts)) do
    for i, name in ipairs(self.parts.params.names) do
      if list[i] then f(list[i], prefix .. ":" .. name) end
    end
  end
end

--- Raise before anything is put back when the file is of other parameters.
local function check_fits(self, file)
  each_tensor(self, function(t, name)
    local want, got = table.concat(t:size(), ","), nil
    if file:has(name) then got = table.concat(select(2, file:info(name)), ",") end
    if got ~= want then
      core.raise("format", ("%s: %s is %s, the parameter is [%s]"):format(self.path, name,
        got and "[" .. got .. "]" or "not there", want), "the checkpoint is of another model")
    end
  end)
end

local function load_tensors(self, file)
  each_tensor(self, function(t, name)
    core.scope(function() t:copy_(file:get(name)) end)
  end)
end

--- Put everything back as it was saved.
---@return integer step  the step it was saved after; 0 when there is no file yet
function Checkpoint:load()
  if not exists(self.path) then return 0 end
  local parts, file = self.parts, core.open_tensors(self.path)
  local text = file:meta "weft.train"
  if not text then core.raise("format", self.path .. ": is not a training checkpoint") end
  local meta = json.decode(text)
  if meta.version ~= VERSION then
    core.raise("format", ("%s: version %s, this reads %d"):format(self.path, meta.version, VERSION))
  end
  if #streams(parts) ~= #(meta.rng or {}) then
    core.raise("format", ("%s: holds %d streams of random numbers, %d are asked for"):format(
      self.path, #(meta.rng or {}), #streams(parts)))
  end
  check_fits(self, file)
  load_tensors(self, file)
  file:close()
  for i, r in ipairs(streams(parts)) do r:restore(meta.rng[i]) end
  for k, v in pairs(parts.state and meta.state or {}) do parts.state[k] = v end
  if parts.optim then parts.optim.steps = meta.optim_steps end
  if parts.ema then parts.ema.updates = meta.ema_updates end
  return meta.step
end

return M
