--- Groups of cards: by a parameter that is named, or by the axis that a batch varied.
local said = require "weft.report.said"

local M = {}

local MAX_GROUPS = 24

--- The different values of a parameter over cards, numbers in order, others as they come.
local function values_of(cards, name)
  local out, seen, all_numbers = {}, {}, true
  for _, c in ipairs(cards) do
    local v = c.values[name]
    if v ~= nil and not seen[v] then
      out[#out + 1], seen[v] = v, true
      all_numbers = all_numbers and type(v) == "number"
    end
  end
  if all_numbers then table.sort(out) end
  return out
end

--- The parameter to group a batch's cards by: of those that jobs vary, the one of the fewest
-- values; seeds only when nothing else varies. nil when there is none.
---@param cards weft.report.Card[]
---@param jobs table[]   events with params
---@return string?
function M.axis(cards, jobs)
  local first, varies = {}, {}
  for _, job in ipairs(jobs) do
    for name, v in pairs(job.params or {}) do
      if first[name] == nil then first[name] = v end
      if first[name] ~= v then varies[name] = true end
    end
  end
  local best, fewest
  for name in pairs(varies) do
    local n = #values_of(cards, name)
    local rank = n + (name == "seed" and 1e6 or 0)
    local is_better = not fewest or rank < fewest or (rank == fewest and name < best)
    if n > 1 and n <= MAX_GROUPS and n < #cards and is_better then best, fewest = name, rank end
  end
  return best
end

--- Sections of cards by the values of a parameter; what has none comes last.
---@return weft.report.Section[]
function M.split(cards, name)
  local out, by_value, rest = {}, {}, {}
  for i, v in ipairs(values_of(cards, name)) do
    out[i] = { title = ("%s %s"):format(name, said.value(name, v)), cards = {} }
    by_value[v] = out[i]
  end
  for _, c in ipairs(cards) do
    local section = c.values[name] ~= nil and by_value[c.values[name]]
    table.insert(section and section.cards or rest, c)
  end
  if rest[1] then out[#out + 1] = { title = out[1] and "Others" or nil, cards = rest } end
  return out
end

return M
