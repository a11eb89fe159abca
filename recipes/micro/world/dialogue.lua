--- Conversations about pictures (C1): each round stands on what was made before.
--
-- A conversation begins with a picture from words or with a picture of the user's and an edit of
-- it. Later rounds change the newest picture ("make it large"), take the last change back ("undo
-- that") or ask what is to be seen. Training has two or three rounds, tests have more (H10).
local caption = require "world.caption"
local edit = require "world.edit"
local scenes = require "world.scene"
local tasks = require "world.tasks"
local template = require "world.template"

local M = {}

local UNDO = { "undo that", "please undo that", "undo that, please", "now undo that" }
local ASK = { "describe it", "what can you see", "tell me what is in it", "caption it" }

---@class world.Round
---@field prompt (string|{image: world.Scene})[]
---@field image? world.Scene   what the round makes
---@field text? string         or what it answers
---@field source? world.Scene  the picture that the new one is made from
---@field shown world.Scene    the picture that is the newest after the round
---@field op string            "generate", an edit, "undo" or "describe"

--- The first round.
local function begin(r, opts)
  if r:chance(0.6) then
    local scene = scenes.sample(r, opts)
    local text = caption.complete(scene, r)
    local words = r:chance(0.3) and text
      or template.expand("generate", template.draw(r, opts.held_forms), { text = text })
    return { prompt = { words }, image = scene, op = "generate" }
  end
  local e = tasks.edit(r, opts)
  return { prompt = e.prompt, image = e.image, source = e.media[1], op = e.op }
end

--- A later round.
local function go_on(r, opts, previous)
  local now = previous.shown
  local draw = r:float()
  if draw < 0.12 and previous.image and previous.source then
    return { prompt = { r:pick(UNDO) }, image = previous.source, source = previous.source,
             op = "undo" }
  elseif draw < 0.24 then
    return { prompt = { r:pick(ASK) }, text = caption.visible(now), op = "describe" }
  end
  local e = edit.sample(r, { source = now, split = opts.split, held_forms = opts.held_forms })
  return { prompt = { e.text }, image = e.target, source = now, op = e.op }
end

--- Draw a conversation.
---@param r world.Rng
---@param opts? world.TaskOptions|{ rounds: integer }
---@return world.Round[]
function M.sample(r, opts)
  opts = opts or {}
  local rounds = { begin(r, opts) }
  rounds[1].shown = rounds[1].image
  for i = 2, opts.rounds or 2 + r:int(2) do
    rounds[i] = go_on(r, opts, rounds[i - 1])
    rounds[i].shown = rounds[i].image or rounds[i - 1].shown
  end
  return rounds
end

return M
