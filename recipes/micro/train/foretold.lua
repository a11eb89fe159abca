--- Features as a trained language model foretells them, for the training of the denoisers that will
-- be told such: they are off where the model is unsure, and what a source shows is then the better
-- evidence.
local weft = require "weft"
local conversations = require "conversations"
local rng = require "world.rng"
local run = require "run"

local M = {}
---@class micro.Foretold
local Foretold = {}
Foretold.__index = Foretold

--- The language model in a folder, with what it reads by.
---@param o { out: string, share: number, tok: weft.Tokenizer }  share: of the examples of tasks
--- that are told the feature of the very medium
function M.new(o)
  local function part(name) return run.trained(o.out, name) end
  return setmetatable({ tok = o.tok, share = o.share,
    readers = conversations.readers(o.out, o.tok, true),
    net = { lm = part "language_model", feature_in = part "feature_in",
      feature_out = part "feature_out" } }, Foretold)
end

--- The features foretold of tasks, [M,D], and the row of each one's target.
local function foretell(self, list)
  local b = conversations.batch(self.tok, self.readers, list)
  local row_of = {}
  for k, reply in ipairs(b.replies) do row_of[reply.target] = k - 1 end
  local states = conversations.states(self.net, b):index_select(b.reply_at, 1)
  return weft.normalize(self.net.feature_out { x = states }), row_of
end

--- Features [B,D] of the examples' targets, those of a share of the tasks as they are foretold.
---@param media weft.Tensor  [B,D] unit features of the targets
---@param examples micro.Example[]
function Foretold:features(media, examples, seed)
  local r, drawn, list = rng.new("foretold", seed), {}, {}
  for k, e in ipairs(examples) do
    local is_shown = e.feature == "image" or e.feature == "audio"
    if e.task and is_shown and r:chance(self.share) then
      drawn[k], list[#list + 1] = true, conversations.sequence(self.tok, e.task, r)
    end
  end
  if not list[1] then return media end
  local features, row_of = foretell(self, list)
  local rows = {}
  for k, e in ipairs(examples) do
    rows[k] = drawn[k] and #examples + row_of[e.target] or k - 1
  end
  return weft.cat({ media, features }, 1):index_select(weft.tensor(rows, { dtype = "i64" }), 1)
end

return M
