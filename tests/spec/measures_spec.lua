--- The metrics in their definitions, against values made by hand or by numpy and scipy.
package.path = "./recipes/micro/?.lua;" .. package.path
local ffi = require "ffi"
local measures = require "eval.measures"
local symmetric = require "eval.symmetric"
local weft = require "weft"

local function near(wanted, got, tolerance)
  assert.is_true(math.abs(wanted - got) <= tolerance,
    ("wanted %.9g, got %.9g"):format(wanted, got))
end

local function unit(rows) return weft.normalize(weft.tensor(rows)) end

describe("similarities", function()
  it("are the mean over all pairs of a generated and a real picture", function()
    local made = weft.tensor { { 1, 0 }, { 0, 1 } }
    local real = weft.tensor { { 1, 0 }, { 0.6, 0.8 }, { -1, 0 } }
    near((1 + 0.6 - 1 + 0 + 0.8 + 0) / 6, measures.all_pairs(made, real), 1e-6)
    near(0.8, measures.cosines(made, weft.tensor { { 1, 0 }, { 0.6, 0.8 } }):totable()[2], 1e-6)
  end)

  it("leave a real picture's pair with itself out", function()
    local real = weft.tensor { { 1, 0 }, { 0.6, 0.8 }, { -1, 0 } }
    near((0.6 - 1 - 0.6) / 3, measures.real_pairs(real), 1e-6)
  end)

  -- The second picture did not change: torch's cosine_similarity gives 0 there.
  it("follow the direction of the captions", function()
    local got = measures.directional(unit { { 1, 0, 0 }, { 1, 2, 2 } },
      unit { { 0, 1, 0 }, { 1, 2, 2 } }, unit { { 1, 1, 0 }, { 0, 0, 1 } },
      unit { { 0, 1, 1 }, { 1, 0, 0 } }):totable()
    near(0.5, got[1], 1e-6)
    near(0, got[2], 1e-6)
  end)
end)

-- numpy: the formula of ssr_eval on these samples, float64, frames by numpy.fft.rfft.
local S, RATE_HZ = 1600, 8000
local function tones(a, f, b, g, prime, modulus)
  local out = {}
  for k = 0, S - 1 do
    local t = 2 * math.pi * k / RATE_HZ
    out[k + 1] = a * math.sin(f * t) + b * math.cos(g * t)
      + 0.1 * (k * prime % modulus / modulus - 0.5)
  end
  return weft.tensor { out }
end
local X, Y = tones(0.5, 440, 0.1, 1000, 7919, 1009), tones(0.4, 440, 0.2, 1500, 104729, 1013)

describe("LSD", function()
  -- Magnitudes are f32 here, and the logarithm of the smallest bins feels it.
  it("is numpy's", function()
    near(1.34042031, measures.lsd(X, Y, RATE_HZ):item(), 2e-4)
    near(0, measures.lsd(X, X, RATE_HZ):item(), 1e-6)
  end)

  it("divides the target by the estimate", function()
    local silent = weft.tensor.zeros { 1, S }
    near(12, measures.lsd(silent, X, RATE_HZ):item(), 1e-3)
    assert.is_true(measures.lsd(X, silent, RATE_HZ):item() > 18)
  end)

  it("reads sounds without their mean, at their peak", function()
    local x = measures.levelled(weft.tensor { { 1, 2, 3, 6 } }):totable()[1]
    for i, wanted in ipairs { -2 / 3, -1 / 3, 0, 1 } do near(wanted, x[i], 1e-6) end
    near(0, measures.lsd(measures.levelled(X), measures.levelled(X * 0.25), RATE_HZ):item(), 1e-3)
  end)
end)

describe("KL", function()
  local target = weft.tensor { { 2, 0, -1 }, { 0, 0, 0 } }
  local made = weft.tensor { { 1, 1, -3 }, { 4, 0, -20 } }

  -- numpy, both directions; the second row feels the 1e-6.
  it("goes from the target to what was made", function()
    local got, other = measures.kl(target, made):totable(), measures.kl(made, target):totable()
    near(0.34603041, got[1], 1e-5)
    near(4.85195995, got[2], 1e-5)
    near(0.44942813, other[1], 1e-5)
    near(1.00851452, other[2], 1e-5)
  end)
  it("takes each class by itself by sigmoids", function()
    local got = measures.kl_sigmoid(target, made):totable()
    near(0.44087280, got[1], 1e-5)
    near(6.22265204, got[2], 1e-5)
  end)
end)

describe("the Frechet distance", function()
  --- Features whose mean is m and whose covariance is the diagonal of the squares of s.
  local function diagonal(m, s)
    local rows, C = {}, #m
    for i = 1, C do
      for _, sign in ipairs { 1, -1 } do
        local row = {}
        for k = 1, C do row[k] = m[k] end
        row[i] = row[i] + sign * s[i] * math.sqrt((2 * C - 1) / 2)
        rows[#rows + 1] = row
      end
    end
    return weft.tensor(rows)
  end

  it("is |m1 - m2|^2 + |s1 - s2|^2 of diagonal Gaussians", function()
    local a, b = diagonal({ 1, 2, 3 }, { 1, 0.5, 2 }), diagonal({ 0, 2, 5 }, { 3, 0.5, 0.5 })
    near(1 + 4 + 4 + 0 + 2.25, measures.frechet(a, b), 1e-5)
    near(0, measures.frechet(a, a), 1e-5)
  end)

  -- scipy.linalg.sqrtm and numpy.cov of these rows.
  it("is scipy's of full matrices", function()
    local a = weft.tensor { { 1.8, 0.4, 1 }, { 2.2, 1.9, -1 }, { 1, -0.2, -0.1 }, { 0.4, 0.1, 1.5 },
      { 0.8, 0.1, 0.4 }, { 0.3, 1.5, -0.2 } }
    local b = weft.tensor { { 1, -0.8, -3.3 }, { 1.5, 1.8, -0.6 }, { 3.9, -1.7, 0.6 },
      { 0.2, 2.8, 2.7 }, { 0.7, 1.1, -0.8 } }
    near(6.1066432361807, measures.frechet(a, b), 1e-5)
    near(6.1066432361807, measures.frechet(b, a), 1e-5)
  end)

  -- Two rows in three dims: covariances of rank 1, whose root is |s1| |s2| |cos|.
  it("holds for singular covariances", function()
    local a = weft.tensor { { 1, 0, 0 }, { -1, 0, 0 } }
    local b = weft.tensor { { 1, 1, 0 }, { -1, -1, 0 } }
    near(2 + 4 - 2 * math.sqrt(2 * 4) * math.sqrt(0.5), measures.frechet(a, b), 1e-5)
  end)
end)

describe("eigenvalues", function()
  it("and vectors give the matrix back", function()
    local n = 40
    local a, copy = ffi.new("double[?]", n * n), ffi.new("double[?]", n * n)
    local x = weft.tensor.randn({ n, n }, { seed = 3 }):totable()
    for i = 0, n - 1 do
      for k = 0, n - 1 do a[i * n + k] = x[i + 1][k + 1] + x[k + 1][i + 1] end
    end
    ffi.copy(copy, a, n * n * 8)
    local values, v = symmetric.eigen(copy, n, true)
    for i = 0, n - 1 do
      for k = 0, n - 1 do
        local sum = 0
        for l = 0, n - 1 do sum = sum + v[i * n + l] * values[l] * v[k * n + l] end
        near(a[i * n + k], sum, 1e-10)
      end
    end
  end)
end)
