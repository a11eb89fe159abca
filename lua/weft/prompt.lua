--- Prompts and their parts: weights, worked examples, prompts to be used again.
--
--     local style = weft.prompt{ "in the style of ", painting }
--     m:image{ "A cat ", style, weft.weigh(photo, 1.2) }
local check = require "weft.check"

local M = {}

--- A part with a weight: how strongly its feature counts.
---@param part any
---@param weight number  0 ... 2
function M.weigh(part, weight)
  check.number("weigh: weight", weight, nil, 0, 2)
  if part == nil or weight == nil then check.fail "weigh: wants a part and its weight" end
  return { kind = "weighted", weft_weight = weight, part = part }
end

---@class weft.Depth
---@field picture weft.Image  of one channel: 0 is nearest, 1 farthest

--- A grayscale picture as what it shows: how far things are, and not how they look. A part of
-- prompts, for models that read depth.
---@param picture weft.Image  0 is nearest, 1 farthest; colours are read as their gray
---@return weft.Depth
function M.depth(picture)
  local image = require "weft.image"
  if not image.is(picture) then
    check.fail("depth: wants a picture of distances, got %s", type(picture))
  end
  return { kind = "depth", picture = picture:as(1) }
end

--- An in-context pair: what something was, and what it became.
---@param input any
---@param output any
---@param note? string  said after the pair
function M.example(input, output, note)
  if input == nil or output == nil then check.fail "example: wants an input and an output" end
  return { kind = "example", weft_parts = { input, "becomes", output, note or "." } }
end

local Prompt = {}
Prompt.__index = Prompt
Prompt.__concat = function(a, b)
  local out = {}
  for _, side in ipairs { a, b } do
    if type(side) == "table" and side.kind == "prompt" then
      for _, part in ipairs(side.weft_parts) do out[#out + 1] = part end
    else
      out[#out + 1] = side
    end
  end
  return setmetatable({ kind = "prompt", weft_parts = out }, Prompt)
end

--- A prompt to be used again, as a part of others; p1 .. p2 joins.
---@param parts any[]
function M.prompt(parts)
  check.type("prompt", parts, "table")
  return setmetatable({ kind = "prompt", weft_parts = { unpack(parts) } }, Prompt)
end

--- The parts one by one: prompts, examples and results opened; whether there were examples is
-- has_example of the list.
---@param parts any[]
---@return any[]
function M.flat(parts)
  local out = { has_example = parts.has_example }
  local function add(part)
    local inner = type(part) == "table"
      and (rawget(part, "weft_parts") or rawget(part, "weft_result") and part)
    if not inner then
      out[#out + 1] = part
      return
    end
    out.has_example = out.has_example or rawget(part, "kind") == "example" or nil
    for _, p in ipairs(inner) do add(p) end
  end
  for _, part in ipairs(parts) do add(part) end
  return out
end

return M
