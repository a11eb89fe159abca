--- What the judges make of pictures, captions and sounds. Each is read when it is first asked.
--
-- Judges are trained apart (train/judge_*.lua) on the world's labels and share no weight with what
-- they judge; mels are made as the models hear them.
local weft = require "weft"
local data = require "data"
local tokenizer = require "weft.tokenizer"

local M = {}
---@class micro.Judges
---@field folder string
local Judges = {}
Judges.__index = Judges

local BATCH = 100

-- The recipe that trains each part.
local MADE_BY = { identity = "judge_identity", sound = "judge_sound",
  ["encoder/image_encoder"] = "judge_encoder", ["encoder/text_encoder"] = "judge_encoder",
  ["encoder/tokenizer"] = "judge_encoder" }

local readers = { ["encoder/tokenizer"] = tokenizer.load }

function Judges:part(name)
  if not self.parts[name] then
    local path = ("%s/%s"):format(self.folder, name)
    local read = readers[name] or function() return weft.model.load(path, { dtype = "f32" }) end
    local ok, part = pcall(read, path)
    if not ok then
      error(("there is no judge in %s: train it with 'weft run recipes/micro/train/%s.lua' or say "
        .. "judges=FOLDER (%s)"):format(path, MADE_BY[name], tostring(part)), 0)
    end
    self.parts[name] = part
  end
  return self.parts[name]
end

--- f over rows of x in batches; f gives one tensor.
local function batched(x, f)
  return weft.scope(function()
    local out, n = {}, x:size(1)
    for i = 1, n, BATCH do
      out[#out + 1] = weft.scope(f, x:narrow(1, i, math.min(BATCH, n - i + 1)))
    end
    return weft.cat(out, 1)
  end)
end

--- The feature that tells subjects apart, as FID takes it; ID wants unit rows.
---@param pixels weft.Tensor  [n,64,64,3] in -1 ... 1
---@return weft.Tensor  [n,D]
function Judges:identity(pixels)
  local judge = self:part "identity"
  return batched(pixels, function(x) return judge { pixels = x }.pooled end)
end

--- Unit features of pictures in the space that captions share.
---@return weft.Tensor  [n,D]
function Judges:image(pixels)
  local judge = self:part "encoder/image_encoder"
  return batched(pixels, function(x) return weft.normalize(judge { pixels = x }.embeds) end)
end

--- Unit features of captions.
---@param texts string[]
---@return weft.Tensor  [n,D]
function Judges:text(texts)
  local judge, ids = self:part "encoder/text_encoder",
    (data.text_ids(self:part "encoder/tokenizer", texts))
  return batched(ids, function(x) return weft.normalize(judge { ids = x }.embeds) end)
end

--- Logits of the 32 classes and features of what is heard.
---@param mels weft.Tensor  [n,64,64]
---@return weft.Tensor logits    [n,32]
---@return weft.Tensor features  [n,D]
function Judges:sound(mels)
  local judge = self:part "sound"
  local pixels = mels:unsqueeze(4)
  return batched(pixels, function(x) return judge { pixels = x }.embeds end),
    batched(pixels, function(x) return judge { pixels = x }.pooled end)
end

--- ID of pictures against others: unit rows of Judges:identity.
function Judges:subject(pixels)
  return weft.scope(function() return weft.normalize(self:identity(pixels)) end)
end

---@param folder string
---@return micro.Judges
function M.open(folder) return setmetatable({ folder = folder, parts = {} }, Judges) end

return M
