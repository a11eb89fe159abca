--- `weft repro FILE`: make a file again from what it says about itself, and compare. It is made in
-- a process of its own (weft.cli.remake), so that whatever a file's recipe does can be ended, and
-- its folder is taken away in every case.
local args = require "weft.cli.args"
local host = require "weft.host"
local json = require "weft.json"
local paths = require "weft.paths"
local provenance = require "weft.provenance"

local M = {}

local SAME, DIFFERS, FAULT = 0, 1, 70
local TIMEOUT = "10m"

local function fresh_folder()
  local path = os.tmpname()
  os.remove(path)
  return paths.make_dir(path)
end

--- Why bytes may differ although the call is the same.
local function reasons(meta, other)
  local out = {}
  for _, field in ipairs { "engine", "device", "dtype" } do
    if meta[field] ~= other[field] then
      out[#out + 1] = ("%s: %s, now %s"):format(field, tostring(meta[field]),
        tostring(other[field]))
    end
  end
  if (meta.model or {}).sha256 ~= (other.model or {}).sha256 then out[#out + 1] = "other model" end
  return table.concat(out, "; ")
end

local function psnr(a, b)
  local weft = require "weft"
  local x, y = weft.image.load(a), weft.image.load(b)
  if x.width ~= y.width or x.height ~= y.height then return nil end
  local mse = (x:as(3):tensor() - y:as(3):tensor()):square():mean():item()
  return mse > 0 and -10 * math.log10(mse) or math.huge
end

local function compare(path, again, meta)
  if host.sha256_file(path) == host.sha256_file(again) then return SAME, "identical" end
  local other = provenance.read(again)
  local why = reasons(meta, other or {})
  local ok, db = pcall(psnr, path, again)
  local text = ok and db and ("differs, PSNR %.1f dB"):format(db) or "differs"
  return DIFFERS, why ~= "" and text .. " (" .. why .. ")" or text
end

--- Wait for the process that makes the file again. Returns what it answered, and its exit status;
-- or nil and why it was ended: "time", "int", "term".
local function watch(pid, answers, seconds)
  local text, start = "", host.clock()
  while true do
    local n = host.signal_counts()
    local why = n.int > 0 and "int" or n.term + n.hup > 0 and "term"
      or seconds > 0 and host.clock() - start > seconds and "time"
    if why then return nil, why end
    if host.poll({ answers }, 0.1)[1] then
      local got = host.read(answers) or ""
      if got == "" then break end
      text = text .. got
    end
  end
  local how, code
  repeat
    how, code = host.wait(pid)
    if not how then host.sleep(0.01) end
  until how or host.signal_counts().int > 0
  return text, how == "exit" and code or FAULT
end

--- Make the file again in dir, in a process that can be ended. Returns as watch does.
local function make_again(path, dir, o, seconds)
  host.signals "idle"
  local pid, orders, answers = host.spawn({ "--remake",
    json.encode { path = path, dir = dir, options = o } }, -1)
  if not pid then require("weft.core").raise("io", "cannot start a process: " .. orders) end
  local text, status = watch(pid, answers, seconds)
  if not text then
    host.kill(pid, "kill")
    while not host.wait(pid) do host.sleep(0.01) end
  end
  host.close(orders)
  host.close(answers)
  return text, status
end

--- Move the new file into a folder; across file systems it is copied.
local function keep(again, folder, name)
  local target = paths.make_dir(folder) .. "/" .. name
  if os.rename(again, target) then return target end
  local file, err = io.open(target, "wb")
  if not file then require("weft.core").raise("io", err) end
  file:write((assert(paths.slurp(again))))
  file:close()
  return target
end

local stops = { int = 130, term = 143, time = 75 }

--- Say why nothing was compared, and give the exit status.
local function say_stopped(path, why, limit)
  local text = why == "time" and ("%s: not made again within %s (--timeout)"):format(path, limit)
  io.stderr:write("weft: ", text or "stopped", "\n")
  return stops[why]
end

--- Make it again and compare: exit status and verdict, or a status alone when there is none.
local function try(path, meta, dir, o)
  local limit = o.timeout or TIMEOUT
  local again, status = make_again(path, dir, o, args.time("--timeout", limit))
  if not again then return say_stopped(path, status, limit) end
  if status ~= 0 then return status end
  if again == "" then return DIFFERS, "the recipe made no such file" end
  if o.out then again = keep(again, o.out, select(2, paths.split(path))) end
  return compare(path, again, meta)
end

function M.main(a)
  local path = a.words[1] or args.fail "repro: which file? (weft repro fox.png)"
  local meta = provenance.read(path)
  if not meta then
    require("weft.core").raise("format", path .. ": does not say how it was made")
  end
  local dir = fresh_folder()
  local ok, status, text = pcall(try, path, meta, dir, a.options)
  paths.remove_tree(dir)
  if not ok then error(status, 0) end
  if not text then return status end
  if a.options.json then
    io.write(json.encode { file = path, same = status == SAME, result = text }, "\n")
  else
    io.write(path, ": ", text, "\n")
  end
  return status
end

return M
