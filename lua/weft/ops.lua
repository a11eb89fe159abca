--- The ops as people call them: dims count from 1 (or from the end), options in a table.
-- `weft.linear(x, w, b)`, and as methods where the first argument is a tensor: `x:softmax()`.
-- Layout is channels last: feature maps [B,H,W,C], tokens [B,T,C], heads [B,T,N,D].
local core = require "weft.core"
local check = require "weft.check"

local ops = core.ops
local M = {}

-- Ops whose attributes need no translation.
for _, name in ipairs{
  "neg", "abs", "exp", "log", "sqrt", "rsqrt", "square", "sin", "cos", "tanh", "sigmoid", "relu",
  "silu", "gelu", "gelu_tanh", "gelu_quick", "softplus", "erf", "leaky_relu", "sign", "floor",
  "round", "is_nan", "add", "sub", "mul", "div", "maximum", "minimum", "pow", "eq", "ne", "lt",
  "le", "gt", "ge", "where", "swiglu", "geglu", "logsumexp", "topk", "linear", "layer_norm",
  "rms_norm", "log_softmax", "rope", "embedding", "resize_nearest", "resize_bilinear",
  "mse", "cross_entropy", "stft", "stft_dx", "group_norm", "argsort", "affine",
} do M[name] = ops[name] end

--- A dim counted from 1 as the core counts it: from 0, or from the end when negative.
local function dim0(what, d)
  if type(d) ~= "number" or d == 0 then
    check.fail("%s: dims count from 1, or from the end", what)
  end
  return d > 0 and d - 1 or d
end

local function dims0(what, dims)
  if dims == nil then return {} end
  if type(dims) ~= "table" then return { dim0(what, dims) } end
  local out = {}
  for i, d in ipairs(dims) do out[i] = dim0(what, d) end
  return out
end

--- Reductions: `x:sum()`, `x:sum(2)`, `x:mean({2, 3}, true)`; keep leaves dims of 1.
for _, name in ipairs{ "sum", "mean", "max", "min" } do
  local op = ops[name]
  M[name] = function(x, dims, keep)
    return op(x, { keep = keep and 1 or 0, dims = dims0(name, dims) })
  end
end

--- Variance over n - 1 values, as PyTorch's default.
function M.var(x, dims, keep)
  return core.scope(function()
    local y = ops.square(x - M.mean(x, dims, true))
    local total = M.sum(y, dims, keep)
    return total / math.max(x:numel() / total:numel() - 1, 1)
  end)
end

function M.std(x, dims, keep) return ops.sqrt(M.var(x, dims, keep)) end

--- Euclidean norm.
function M.norm(x, dims, keep) return ops.sqrt(M.sum(ops.square(x), dims, keep)) end

--- x divided by its norm along a dim (the last one), as torch.nn.functional.normalize.
function M.normalize(x, dim, eps)
  return core.ops.div(x, ops.clamp(M.norm(x, dim or -1, true), eps or 1e-12, math.huge))
end

function M.clamp(x, lo, hi) return ops.clamp(x, lo or -math.huge, hi or math.huge) end
function M.cumsum(x, dim) return ops.cumsum(x, dim0("cumsum", dim or -1)) end

--- Position of the largest value, as ids count: from 0.
function M.argmax(x, dim) return ops.argmax(x, dim0("argmax", dim or -1)) end

function M.softmax(x, dim)
  if dim == nil or dim == -1 or dim == x.rank then return ops.softmax(x) end
  return x:transpose(dim, -1):softmax():transpose(dim, -1)
end

--- a [...,M,K] b [...,K,N] -> [...,M,N]; { trans_a =, trans_b = } swap the last two dims first.
function M.matmul(a, b, opts) return ops.matmul(a, b, opts) end

--- q [B,Tq,N,D], k v [B,Tk,M,D]; { causal =, bias = [B or 1,N or 1,Tq or 1,Tk], scale = }.
function M.attention(q, k, v, opts)
  opts = check.keys("attention", opts, { "causal", "bias", "scale" })
  return ops.attention(q, k, v, opts.bias, opts.scale or 0, opts.causal and 1 or 0)
end

local function pair(v, default)
  if v == nil then return default, default end
  if type(v) == "number" then return v, v end
  return v[1], v[2]
end

local conv_options = { "stride", "padding", "dilation", "groups" }

--- x [B,H,W,I], w [O,kh,kw,I/groups], b [O] or nil -> [B,H',W',O]. stride, padding, dilation: a
-- number or {h, w}; padding also {top, bottom, left, right}.
function M.conv2d(x, w, b, opts)
  opts = check.keys("conv2d", opts, conv_options)
  local p = opts.padding or 0
  local top, bottom, left, right
  if type(p) == "table" and #p == 4 then
    top, bottom, left, right = p[1], p[2], p[3], p[4]
  else
    top, left = pair(p, 0)
    bottom, right = top, left
  end
  local sh, sw = pair(opts.stride, 1)
  local dh, dw = pair(opts.dilation, 1)
  return ops.conv2d(x, w, b, sh, sw, top, bottom, left, right, dh, dw, opts.groups or 1)
end

--- x [B,T,I], w [O,k,I/groups] -> [B,T',O].
function M.conv1d(x, w, b, opts)
  opts = check.keys("conv1d", opts, conv_options)
  return core.conv1d(x, w, b, opts.stride, opts.padding, opts.dilation, opts.groups)
end

--- x [B,T,I], w [I,k,O] -> [B,(T-1)stride-2padding+k+out_padding,O].
function M.conv_transpose1d(x, w, b, opts)
  opts = check.keys("conv_transpose1d", opts, { "stride", "padding", "out_padding" })
  return core.conv_transpose1d(x, w, b, opts.stride, opts.padding, opts.out_padding)
end

--- Frames: x [B,L,H,W,I], w [O,3,I] over L, padding 1 -> [B,L,H,W,O].
M.conv_frames = core.conv_frames

--- x [B,H,W,C]; stride is the kernel's size when not given.
function M.avg_pool2d(x, kernel, stride, pad)
  return ops.avg_pool2d(x, kernel, stride or kernel, pad or 0)
end

function M.max_pool2d(x, kernel, stride, pad)
  return ops.max_pool2d(x, kernel, stride or kernel, pad or 0)
end

--- pads: before and after of each dim from the first on; { mode = "constant" | "reflect" |
-- "replicate", value = }.
function M.pad(x, pads, opts)
  opts = check.keys("pad", opts, { "mode", "value" })
  local all = {}
  for i = 1, 2 * x.rank do all[i] = pads[i] or 0 end
  return ops.pad(x, { mode = opts.mode or "constant", value = opts.value or 0, pads = all })
end

--- Rows by index along a dim; ids count from 0.
function M.gather(x, ids, dim) return ops.gather(x, ids, dim0("gather", dim)) end

function M.scatter_add(x, ids, src, dim)
  return ops.scatter_add(x, ids, src, dim0("scatter_add", dim))
end

function M.index_select(x, ids, dim)
  return ops.index_select(x, ids, dim0("index_select", dim or 1))
end

function M.index_add(x, ids, src, dim)
  return ops.index_add(x, ids, src, dim0("index_add", dim or 1))
end

-- Tensors that the core joins in one go.
local MAX_JOINED = 32

--- Join along a dim, any number of tensors.
function M.cat(list, dim)
  local at = dim0("cat", dim or 1)
  if #list <= MAX_JOINED then return ops.concat(list, at) end
  return core.scope(function()
    while #list > 1 do
      local longer = {}
      for i = 1, #list, MAX_JOINED do
        local part = { unpack(list, i, math.min(i + MAX_JOINED - 1, #list)) }
        longer[#longer + 1] = part[2] and ops.concat(part, at) or part[1]
      end
      list = longer
    end
    return list[1]
  end)
end

--- Join along a new dim.
function M.stack(list, dim)
  local rows = {}
  for i, t in ipairs(list) do rows[i] = check.tensor("stack: an entry", t):unsqueeze(dim or 1) end
  return M.cat(rows, dim or 1)
end

return M
