--- The prompt in a pipe: what it shows, finds, completes and records.
package.path = "./tests/lib/?.lua;" .. package.path
local micro = require "micro"
local shell = require "shell"
local weft = require "weft"

local dir, model

setup(function()
  dir = micro.temp()
  model = micro.make(micro.temp(), { narrow = true })
end)
teardown(function()
  micro.remove(dir)
  micro.remove(model)
end)

--- Type lines at the prompt. Exit code, stdout, stderr.
local function typed(...)
  micro.write(dir .. "/in.txt", table.concat({ ... }, "\n") .. "\n")
  return shell.weft(dir, ("repl -m %s < in.txt"):format(model))
end

local function same_pixels(a, b)
  local x, y = weft.image.load(dir .. "/" .. a), weft.image.load(dir .. "/" .. b)
  assert.are.equal(x:tensor():bytes(), y:tensor():bytes())
end

describe(":record", function()
  it("writes a recipe that makes the session's files again", function()
    local rc, _, err = typed('m = weft.load "micro"', ":set steps 2", 'm:image{"a cat"}',
      ":save plain.png", ":explore 4", ":save sheet.png", ":again seed=5 steps=1",
      ":save again.png",
      'm:image{"a dog", seed = 3}', ":again seed=9", ":save 6 dog.png", ":save 2 first.png",
      ":record s.lua")
    assert.are.equal("", err)
    assert.are.equal(0, rc)
    assert.are.equal(0, (shell.weft(dir, "run s.lua -o made -m " .. model)))
    for _, name in ipairs { "plain.png", "sheet.png", "again.png", "dog.png", "first.png" } do
      same_pixels(name, "made/" .. name)
    end
  end)
  it("writes out the session's options and drawn seeds, once", function()
    assert.are.equal(0, (typed('m = weft.load "micro"', ":set steps 2", "m:image{ 'a cat' }",
      "local im = m:image({ 'a cat', seed = 1 }).width", "for i = 1, 2 do m:image{ 'x' } end",
      ":record t.lua")))
    local text = shell.read(dir .. "/t.lua")
    assert.is_truthy(text:find "\nm:image{ 'a cat', seed = %d+, steps = 2 }\n")
    assert.is_truthy(text:find("im = m:image({ 'a cat', seed = 1, steps = 2 }).width", 1, true))
    assert.is_truthy(text:find("do m:image{ 'x', steps = 2 } end", 1, true))
    assert.is_truthy(text:find "\n%-%- image was given seed = %d+, steps = 2\n")
  end)
end)
