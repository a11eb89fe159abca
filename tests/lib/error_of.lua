--- The message of the error that f raises.
return function(f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok, "no error was raised")
  return tostring(err)
end
