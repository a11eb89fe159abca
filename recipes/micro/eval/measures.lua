--- The paper's metrics in their definitions: functions of features, logits and samples, whatever
-- judge they come from.
--
-- Similarities want unit rows, [n,C], and are one number a row. Sources: CoDi-2 (arXiv:2311.18775,
-- tables 4 and 5) names the metrics; each function names where its formula stands.
local ffi = require "ffi"
local weft = require "weft"
local core = require "weft.core"
local symmetric = require "eval.symmetric"

local M = {}

-- ---- pictures ----

--- Cosines of matching unit rows.
---@return weft.Tensor  [n]
function M.cosines(a, b) return (a * b):sum(2) end

--- DINO and CLIP-I for one subject: the mean cosine over all pairs of a generated and a real
-- picture.
-- Source: DreamBooth, arXiv:2208.12242, section 4.2.
---@param made weft.Tensor  [n,C] unit rows
---@param real weft.Tensor  [m,C] unit rows
---@return number
function M.all_pairs(made, real)
  return weft.scope(function() return made:matmul(real:t()):mean():item() end)
end

--- The same among the real pictures themselves, each pair of different ones.
---@param real weft.Tensor  [m,C] unit rows, m of at least 2
---@return number
function M.real_pairs(real)
  local m = real:size(1)
  return weft.scope(function()
    return (real:matmul(real:t()):sum():item() - real:square():sum():item()) / (m * (m - 1))
  end)
end

-- What torch.nn.functional.cosine_similarity puts below the product of the norms.
local COSINE_EPS = 1e-8

--- Directional similarity: whether a picture changed as its caption did. 0 where nothing changed.
-- Source: InstructPix2Pix, arXiv:2211.09800, figure 8; metrics/clip_similarity.py of its code:
-- features are normalised before the difference is taken.
---@param source weft.Tensor  [n,C] unit features of the pictures before
---@param made weft.Tensor    [n,C] ... and after
---@param was weft.Tensor     [n,C] unit features of the captions before
---@param said weft.Tensor    [n,C] ... and after
---@return weft.Tensor  [n]
function M.directional(source, made, was, said)
  local seen, told = made - source, said - was
  local norms = (seen:square():sum(2) * told:square():sum(2)):sqrt()
  return (seen * told):sum(2) / norms:clamp(COSINE_EPS, math.huge)
end

-- ---- sounds ----

--- Samples without their mean, the loudest at 1.
-- Source: audioldm_eval, which so reads every file before LSD.
---@param x weft.Tensor  [B,S]
function M.levelled(x)
  x = x - x:mean({ 2 }, true)
  return x / (x:abs():max({ 2 }, true) + 1e-8)
end

--- Magnitudes [B,T,F] of samples [B,S], frames centred, the ends mirrored, as librosa's stft.
local function magnitudes(x, n_fft, hop)
  local half = math.floor(n_fft / 2)
  local padded = weft.pad(x, { 0, 0, half, half }, { mode = "reflect" })
  return weft.stft(padded, core.hann(n_fft, true), hop):square():sum(4):sqrt()
end

local LSD_EPS = 1e-12

--- Log-spectral distance of each sound, in log10 of power.
--
--   mean over frames of sqrt(mean over bins of log10(T^2 / (E + eps)^2 + eps)^2)
--
-- Source: ssr_eval/metrics.py: a hop of a hundredth of a second, int(2048 / (44100 / rate)) points.
---@param target weft.Tensor    [B,S]
---@param estimate weft.Tensor  [B,S]
---@param rate_hz integer
---@return weft.Tensor  [B]
function M.lsd(target, estimate, rate_hz)
  local n_fft, hop = math.floor(2048 / (44100 / rate_hz)), math.floor(rate_hz / 100)
  local t, e = magnitudes(target, n_fft, hop), magnitudes(estimate, n_fft, hop)
  local ratio = ((t / (e + LSD_EPS)):square() + LSD_EPS):log() * (1 / math.log(10))
  return ratio:square():mean({ 3 }):sqrt():mean({ 2 })
end

local KL_EPS = 1e-6

--- KL(target || made) of each pair, over the softmax of a judge's logits.
--
--   sum over classes of p_target * (log p_target - log(p_made + 1e-6))
--
-- Source: audioldm_eval/metrics/kl.py, with Cnn14's 527 classes.
---@param target weft.Tensor  [n,K] logits
---@param made weft.Tensor    [n,K] logits
---@return weft.Tensor  [n]
function M.kl(target, made)
  local log_p = weft.log_softmax(target)
  return (log_p:exp() * (log_p - (weft.softmax(made) + KL_EPS):log())):sum(2)
end

--- The same with each class by itself, by the sigmoid of its logit: classes may be heard together.
-- Source: as kl's, kl_sigmoid.
---@return weft.Tensor  [n]
function M.kl_sigmoid(target, made)
  local log_p = -weft.softplus(-target)
  return (log_p:exp() * (log_p - (weft.sigmoid(made) + KL_EPS):log())):sum(2)
end

-- ---- sets ----

---@class micro.Gaussian
---@field width integer
---@field mean ffi.cdata*        double [C]
---@field covariance ffi.cdata*  double [C,C], unbiased

--- Mean and covariance of features, in double precision.
---@param x weft.Tensor  [n,C] f32, n of at least 2
---@return micro.Gaussian
function M.gaussian(x)
  local n, C = x:size(1), x:size(2)
  local mean, covariance = ffi.new("double[?]", C), ffi.new("double[?]", C * C)
  local p, row = ffi.cast("float *", x:contiguous():ptr()), ffi.new("double[?]", C)
  for i = 0, n * C - 1 do mean[i % C] = mean[i % C] + p[i] / n end
  for i = 0, n - 1 do
    for k = 0, C - 1 do row[k] = p[i * C + k] - mean[k] end
    for k = 0, C - 1 do
      for l = 0, C - 1 do
        covariance[k * C + l] = covariance[k * C + l] + row[k] * row[l] / (n - 1)
      end
    end
  end
  return { width = C, mean = mean, covariance = covariance }
end

--- a b of two matrices [n,n]; a transposed where it says so.
local function product(a, b, n, is_transposed)
  local out = ffi.new("double[?]", n * n)
  for i = 0, n - 1 do
    for k = 0, n - 1 do
      local x = is_transposed and a[k * n + i] or a[i * n + k]
      if x ~= 0 then
        for l = 0, n - 1 do out[i * n + l] = out[i * n + l] + x * b[k * n + l] end
      end
    end
  end
  return out
end

--- Tr((S1 S2)^(1/2)): with S1 = V L V^T it is the sum of the roots of the eigenvalues of
-- L^(1/2) V^T S2 V L^(1/2), which is symmetric, so singular matrices need no special care.
local function trace_of_root(s1, s2, n)
  local copy = ffi.new("double[?]", n * n)
  ffi.copy(copy, s1, n * n * 8)
  local values, v = symmetric.eigen(copy, n, true)
  local inner = product(product(v, s2, n, true), v, n)
  local root = ffi.new("double[?]", n)
  for i = 0, n - 1 do root[i] = math.sqrt(math.max(values[i], 0)) end
  for i = 0, n - 1 do
    for k = 0, n - 1 do inner[i * n + k] = inner[i * n + k] * root[i] * root[k] end
  end
  local sum, of_inner = 0, symmetric.eigen(inner, n)
  for i = 0, n - 1 do sum = sum + math.sqrt(math.max(of_inner[i], 0)) end
  return sum
end

--- Frechet distance of two sets of features taken as Gaussians: FID, FD.
--
--   |m1 - m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2))
--
-- It shrinks as the sets grow: compare only what has the same sizes. Sources: FID,
-- arXiv:1706.08500; audioldm_eval/metrics/fad.py.
---@param a weft.Tensor  [n,C]
---@param b weft.Tensor  [m,C]
---@return number
function M.frechet(a, b)
  local x, y = M.gaussian(a), M.gaussian(b)
  local C, sum = x.width, 0
  for k = 0, C - 1 do
    local d = x.mean[k] - y.mean[k]
    sum = sum + d * d + x.covariance[k * C + k] + y.covariance[k * C + k]
  end
  return sum - 2 * trace_of_root(x.covariance, y.covariance, C)
end

return M
