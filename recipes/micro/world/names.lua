--- The words of the small world: every attribute's values, in the order of their ids.
--
-- Ids count from 0, because the hold-out predicates and the renderer calculate with them.
-- An id is fixed for ever: weights and golden hashes depend on it.
local M = {}

---@class world.Names  [0..count-1] = word
---@field count integer
---@field id table<string, integer>

--- Turn a list of words into a table of ids from 0, with its inverse in `id`.
local function list(words)
  local names = { count = #words, id = {} }
  for i, word in ipairs(words) do
    names[i - 1] = word
    names.id[word] = i - 1
  end
  return names
end

M.kind = list { "circle", "square", "triangle", "star", "heart", "cross",
                "cat", "dog", "bird", "fish", "robot", "frog" }
M.colour = list { "red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink" }
M.size = list { "small", "medium", "large" }
M.pattern = list { "plain", "striped", "dotted" }
M.cell = list { "top left", "top", "top right", "left", "center", "right",
                "bottom left", "bottom", "bottom right" }
M.place = list { "in a white room", "in a dark room", "in a meadow", "in the sea",
                 "on the beach", "in the snow", "at night", "in the rain", "in the city",
                 "on a checkered floor" }
M.style = list { "photo", "sketch", "mosaic", "gray", "negative", "neon" }
M.quality = list { "blurry", "noisy", "dim", "blocky" }

-- Sounds. A voice belongs to the kind of the same id.
M.voice = list { "drum", "beep", "bell", "sparkle", "heartbeat", "rattle",
                 "meow", "bark", "chirp", "bubble", "beeps", "croak" }
M.pitch = list { "low", "mid", "high" }
M.ambience = list { "silence", "rain", "sea", "wind", "crickets", "traffic" }
M.defect = list { "distorted", "muffled", "static noise", "low volume", "choppy" }

-- Music.
M.instrument = list { "pluck", "organ", "flute", "chip" }
M.mode = list { "major", "minor" }
M.tempo = list { "slow", "fast" }

-- Videos.
M.motion = list { "staying still", "moving left", "moving right", "moving up", "moving down",
                  "growing", "shrinking", "bouncing" }

--- Attributes of one object, in the order in which captions and tests go through them.
M.OBJECT_ATTRIBUTES = { "kind", "colour", "size", "pattern", "cell" }

--- The first six kinds are things, the others creatures.
M.N_THINGS = 6

--- Styles in which colours cannot be seen.
M.colourless = { [1] = true, [3] = true }

--- Styles from which a picture in any other style can be made: a photo shows everything and a
-- negative is exactly undone.
M.shows_all = { [0] = true, [4] = true }

return M
