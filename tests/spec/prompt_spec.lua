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

describe("the prompt", function()
  it("counts NaN and Inf apart", function()
    local _, out = typed "weft.tensor { 1, 0 / 0, 1 / 0 }"
    assert.is_truthy(out:find("NaN 1  Inf 1", 1, true))
  end)
  it("names the line of a recipe that does not compile", function()
    micro.write(dir .. "/bad.lua", "local a = 1\nlocal b = = 2\n")
    local rc, _, err = typed ":run bad.lua"
    assert.are.equal(1, rc)
    assert.is_truthy(err:find("bad.lua:2: unexpected symbol near '='", 1, true), err)
  end)
  it("takes no seed that is no number", function()
    local rc, _, err = typed ":set seed x"
    assert.are.equal(1, rc)
    assert.is_truthy(err:find("seed must be", 1, true))
    assert.are.equal(0, (typed ":set seed 4"))
  end)
end)

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

describe("help at the prompt", function()
  local function says(line, ...)
    local rc, out, err = typed(line)
    assert.are.equal("", err)
    assert.are.equal(0, rc)
    for _, text in ipairs { ... } do assert.is_truthy(out:find(text, 1, true), line .. out) end
    for one in out:gmatch "[^\n]+" do
      assert.is_true(#one <= 100 or one:find "^/" ~= nil, one)
    end
    return out
  end

  it("knows the methods of media, and breaks between words", function()
    says("?resize", "image:resize(width, height, opts)", "Another size.")
    says("?weft.image.load", "weft.image.load(path, {size}?) -> Image", "read a PNG or JPEG")
    says("?Image", "image:crop(x, y, w, h)", "image:save(path, opts)", "weft.image.new(")
    says("?im:blend", "image:blend(other, a)")
    local out = says("?image", "m:image{ prompt..., options } -> Image")
    for one in out:gmatch "[^\n]+" do assert.is_true(#one < 84, one) end
  end)
  it("opens the source", function()
    local out = says("??image", "lua/weft/pipeline/micro.lua:", "function Micro:image(opts)")
    assert.is_truthy(out:find "\n%-%-%- One picture")
    says("??resize", "lua/weft/image.lua:", "function Image:resize(", "\nend\n")
    local rc, missing = typed "??nothing"
    assert.are.equal(1, rc)
    assert.are.equal("no source for 'nothing'\n", missing)
  end)
end)

describe("the prompt", function()
  it("shows the line of an error, also of a value's", function()
    local _, _, err = typed('m = weft.load "micro"', 'm:image{"a",', "  stps = 3 }")
    assert.is_truthy(err:find("  weft:2:1\n", 1, true), err)
    assert.is_truthy(err:find("    2 |   stps = 3 }\n      |   ^^^^", 1, true), err)
  end)
  it("shows all values of an expression, and none after ;", function()
    local rc, out = typed("1, nil, 3", "4;", "_2", "-- nothing", "(function() return end)()")
    assert.are.equal(0, rc)
    assert.are.equal("1\nnil\n3\n4\n", out)
  end)
  it("lists its variables in words", function()
    local _, out = typed("t = { 1, a = { 2 } }", ":who")
    assert.are.equal("  t            a table of 2\n  weft         the package\n", out)
  end)
end)

describe("completion", function()
  it("offers models by name where one is loaded", function()
    local complete = require "weft.repl.complete"
    local function names(text)
      return (complete.candidates(text, { weft = weft }, {}))
    end
    assert.are.same({ "micro" }, names 'm = weft.load "mic')
    assert.are.same({ "micro" }, names 'm = weft.load("mic')
    local all = table.concat(names 'weft.load "', " ")
    assert.is_truthy(all:find "%f[%w]micro%f[^%w]")
    assert.is_falsy(all:find("README.md", 1, true))
  end)
end)
