--- How the prompt shows values, by kind.
local check = require "weft.check"
local show = require "weft.show"
local term = require "weft.term"

local M = {}

local MAX_DEPTH, MAX_ITEMS, CORNER = 4, 60, 4

-- ---- tensors ----

--- min, max, mean, std and counts of NaN and Inf, over the values that are numbers.
local function statistics(t)
  local x = t:to("f32"):reshape(-1)
  local nan, inf = require("weft.core").odd_values(x)
  if nan + inf > 0 then return { nan = nan, inf = inf } end
  local mean = x:mean():item()
  local var = (x - mean):square():mean():item()
  return { nan = 0, inf = 0, min = x:min():item(), max = x:max():item(), mean = mean,
           std = math.sqrt(var) }
end

local function number(v)
  if v ~= v then return "nan" end
  if v == math.floor(v) and math.abs(v) < 1e6 then return ("%d"):format(v) end
  return ("%.4f"):format(v)
end

--- Values of a list as text, the middle left out.
local function corner_row(values)
  local out, n = {}, #values
  for i, v in ipairs(values) do
    if i <= CORNER or i > n - 1 or n <= 8 then
      out[#out + 1] = type(v) == "boolean" and tostring(v) or number(v)
    elseif i == CORNER + 1 then
      out[#out + 1] = "…"
    end
  end
  return table.concat(out, " ")
end

--- The first rows of a tensor, each with its index.
local function corner(t, out)
  if t.rank == 0 then
    out[#out + 1] = "  " .. number(t:item())
    return
  end
  local rank, shape, index = t.rank, t:size(), {}
  local total = 1
  for d = 1, rank - 1 do index[d], total = 1, total * shape[d] end
  for _ = 1, math.min(total, 2) do
    local row, label = t, {}
    for d = 1, rank - 1 do
      row = row:select(1, index[d])
      label[d] = ("[%d]"):format(index[d])
    end
    out[#out + 1] = ("  %s  %s"):format(table.concat(label), corner_row(row:totable()))
    local d = rank - 1
    while d >= 1 do
      index[d] = index[d] + 1
      if index[d] <= shape[d] then break end
      index[d], d = 1, d - 1
    end
  end
  if total > 2 then out[#out + 1] = ("  … %d more rows"):format(total - 2) end
end

local bytes_of = { f64 = 8, i64 = 8, f32 = 4, i32 = 4, f16 = 2, bf16 = 2, u8 = 1, bool = 1 }

--- Card of a tensor: header, statistics, a corner.
local function tensor(t)
  if t:is_dead() then return "Tensor (freed)" end
  local n = t:numel()
  local out = { ("Tensor %s [%s] %s  %d elements %s  %s"):format(t.dtype,
    table.concat(t:size(), " "), t.device, n, term.bytes(n * (bytes_of[t.dtype] or 1)),
    t:is_contiguous() and "contiguous" or "strided") }
  if n == 0 or not bytes_of[t.dtype] then return out[1] end
  local core = require "weft.core"
  core.no_grad(core.scope, function()
    local s = statistics(t)
    local bad = ("NaN %d  Inf %d"):format(s.nan, s.inf)
    if s.nan + s.inf > 0 then bad = term.paint("red", bad) end
    out[2] = s.min and ("  min %.4g  max %.4g  mean %.4g  std %.4g  %s")
      :format(s.min, s.max, s.mean, s.std, bad) or "  " .. bad
    corner(t, out)
  end)
  return table.concat(out, "\n")
end

-- ---- tables ----

local function quoted(s)
  if #s > 200 then s = s:sub(1, 200) .. "…" end
  return '"' .. term.safe(s):gsub('"', '\\"'):gsub("\n", "\\n") .. '"'
end

local function sorted_keys(t)
  local keys = {}
  for k in next, t do keys[#keys + 1] = k end
  table.sort(keys, function(a, b)
    if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then return a < b end
    return type(a) == type(b) and tostring(a) < tostring(b) or type(a) < type(b)
  end)
  return keys
end

local function key_text(k)
  if type(k) == "string" then
    return k:match("^[%a_][%w_]*$") and k or "[" .. quoted(k) .. "]"
  end
  return "[" .. tostring(k) .. "]"
end

local is_plain = { number = true, boolean = true, string = true, ["nil"] = true }

--- One value on one line.
local function inline(v)
  if type(v) == "string" then return quoted(v) end
  if type(v) == "number" then return ("%.14g"):format(v) end
  return tostring(v)
end

--- A list of plain values on one line, when it fits.
local function inline_list(t, keys, columns)
  if #t == 0 or #keys ~= #t then return nil end
  local out, used = {}, 4
  for i, v in ipairs(t) do
    if not is_plain[type(v)] then return nil end
    out[i] = inline(v)
    used = used + #out[i] + 2
    if used > columns then return nil end
  end
  return "{ " .. table.concat(out, ", ") .. " }"
end

local table_lines

local function entry(out, state, indent, label, v)
  if type(v) == "table" and not getmetatable(v) then
    table_lines(out, state, indent, label, v)
  else
    out[#out + 1] = indent .. label .. inline(v) .. ","
  end
end

function table_lines(out, state, indent, label, t)
  local comma = indent == "" and "" or ","
  if state.seen[t] then
    out[#out + 1] = indent .. label .. "{ (shown above) }" .. comma
    return
  end
  state.seen[t] = true
  local keys = sorted_keys(t)
  local one = #keys == 0 and "{}" or inline_list(t, keys, state.columns - #indent - #label)
  if one or #indent >= 2 * state.depth then
    out[#out + 1] = indent .. label .. (one or ("{ %d entries }"):format(#keys)) .. comma
    return
  end
  out[#out + 1] = indent .. label .. "{"
  for i, k in ipairs(keys) do
    if state.left <= 0 then
      out[#out + 1] = ("%s  … %d more (:full shows all)"):format(indent, #keys - i + 1)
      break
    end
    state.left = state.left - 1
    entry(out, state, indent .. "  ",
      type(k) == "number" and k <= #t and "" or key_text(k) .. " = ", t[k])
  end
  out[#out + 1] = indent .. "}" .. comma
end

--- How many entries a table has.
function M.count(t)
  local n = 0
  for _ in next, t do n = n + 1 end
  return n
end

local function plain_table(t, is_full)
  local out, state = {}, { seen = {}, columns = (term.size()), depth = is_full and 100 or MAX_DEPTH,
    left = is_full and math.huge or MAX_ITEMS }
  table_lines(out, state, "", "", t)
  return table.concat(out, "\n")
end

-- ---- the rest ----

local function callable(f)
  local info = debug.getinfo(f, "Su")
  if info.what == "C" then return tostring(f) .. "  built in" end
  local names = {}
  for i = 1, info.nparams or 0 do names[i] = debug.getlocal(f, i) end
  if info.isvararg then names[#names + 1] = "..." end
  return ("function(%s)  %s:%d"):format(table.concat(names, ", "), info.short_src, info.linedefined)
end

local function audio(a)
  local columns = math.min((term.size()) - 4, 72)
  return tostring(a) .. "\n  " .. show.waveform(a, columns)
end

--- Draw the pictures of a value, as far as it has some and the terminal can.
local function draw(v, kind, opts)
  if kind == "image" then show.picture(v, opts) end
  if kind == "video" and v.strip then show.picture(v:strip{ columns = 8 }, opts) end
end

--- Kind of a value: a Lua type, "tensor", or a media object's own kind.
function M.kind(v)
  if check.is_tensor(v) then return "tensor" end
  if type(v) == "table" and getmetatable(v) then
    local ok, kind = pcall(function() return v.kind end)
    if ok and type(kind) == "string" then return kind end
    return "object"
  end
  return type(v)
end

--- Text that shows a value; is_full leaves nothing out.
function M.text(v, is_full)
  local kind = M.kind(v)
  if kind == "tensor" then return tensor(v) end
  if kind == "audio" then return audio(v) end
  if kind == "string" then return term.safe(v) end
  if kind == "function" then return callable(v) end
  if kind == "table" then return plain_table(v, is_full) end
  if kind == "object" and not getmetatable(v).__tostring then return plain_table(v, is_full) end
  return kind == "number" and ("%.14g"):format(v) or term.safe(tostring(v))
end

--- Show a value on stdout: its picture where it has one, then its text, after its name if given.
function M.show(v, opts, name)
  local kind = M.kind(v)
  draw(v, kind, opts)
  if kind == "object" and type(v.images) == "table" then
    for _, im in ipairs(v.images) do draw(im, "image", opts) end
  end
  io.write(name and name .. " = " or "", M.text(v), "\n")
end

return M
