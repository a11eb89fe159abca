--- What the checks of this folder share: the tree's files, their lines, their functions.
local M = { problems = 0 }

--- Say a problem; the check fails at the end.
function M.complain(fmt, ...)
  M.problems = M.problems + 1
  print(fmt:format(...))
end

--- Files that a shell pattern of `find` fits, sorted.
function M.files(folders, names)
  local tests = {}
  for _, name in ipairs(names) do tests[#tests + 1] = ("-name '%s'"):format(name) end
  local pipe = io.popen(("find %s \\( %s \\) -type f | sort"):format(folders,
    table.concat(tests, " -o ")))
  local out = {}
  for path in pipe:lines() do out[#out + 1] = path end
  pipe:close()
  return out
end

function M.lines(path)
  local out = {}
  for line in io.lines(path) do out[#out + 1] = line end
  return out
end

--- The same lines without comments and strings, so that words in them do not count.
function M.code_lines(path)
  local text = table.concat(M.lines(path), "\n")
  text = text:gsub("/%*.-%*/", function(comment) return (comment:gsub("[^\n]", " ")) end)
  text = text:gsub('"[^"\n]*"', '""')
  local out = {}
  for line in (text .. "\n"):gmatch("([^\n]*)\n") do out[#out + 1] = line end
  return out
end

--- Functions of a C file: { name, first line, lines }. A body begins and ends at the margin.
function M.c_functions(path)
  local out, name, from = {}, nil, nil
  for i, line in ipairs(M.lines(path)) do
    if not from and line:match "^[%a_].*%(" and not line:match ";$" then name, from = line, i end
    if line == "{" and from then
      out[#out + 1] = { name = name:match "([%w_]+)%s*%(", from = from, opened = true }
    elseif line == "}" and #out > 0 and out[#out].opened then
      out[#out].lines, out[#out].opened = i - out[#out].from + 1, nil
      from = nil
    elseif line == "" or line:match ";$" then
      if not (#out > 0 and out[#out].opened) then from = nil end
    end
  end
  for i = #out, 1, -1 do
    if not out[i].lines then table.remove(out, i) end
  end
  return out
end

--- Exit as a check does.
function M.done()
  if M.problems > 0 then
    print(M.problems .. " problems")
    os.exit(1)
  end
end

return M
