-- Reports: what stands on the page, what hostile texts cannot do, what happens with bad files.
local weft = require "weft"
local files = require "weft.report.files"
local fingerprint = require "weft.fingerprint"
local html = require "weft.report.html"
local provenance = require "weft.provenance"

local root = io.popen("pwd"):read "*l"
local HOSTILE = [[</script><script>alert(1)</script>" onload='x' <img src=http://a.example/x> & ]]

local function temp()
  local path = os.tmpname()
  os.remove(path)
  os.execute("mkdir -p " .. path)
  return path
end

local function read(path)
  local f = assert(io.open(path, "rb"))
  local text = f:read "*a"
  f:close()
  return text
end

local function write(path, text)
  local f = assert(io.open(path, "wb"))
  f:write(text)
  f:close()
end

local function count(text, what)
  local n, at = 0, 1
  while true do
    local a, b = text:find(what, at, true)
    if not a then return n end
    n, at = n + 1, b + 1
  end
end

--- A picture that says how it was made.
local function picture(seed, more)
  local im = weft.image.from(weft.tensor.rand({ 16, 24, 3 }, { seed = seed }))
  local call = { fn = "image", prompt = { { text = "a cat" } },
    options = { steps = 5, guidance = 2, size = { 24, 16 } } }
  im.meta = provenance.new(weft.with({ call = call, seed = seed, index = 1,
    model = { name = "micro" } }, more or {}))
  return im
end

local function sound(seed)
  return weft.audio.from(weft.tensor.randn({ 4000 }, { seed = seed }) * 0.1, 8000)
end

describe("a report", function()
  local dir
  before_each(function() dir = temp() end)
  after_each(function() os.execute("rm -rf " .. dir) end)

  local function page(list, opts)
    return read(weft.report(list, dir .. "/page.html", opts))
  end

  it("is one page with a card for each thing, and alt texts that are the prompts", function()
    local text = page({ picture(1), { sound(2), title = "a sound", note = "of noise" },
      weft.video.new { frames = { picture(3), picture(4) }, fps = 4, audio = sound(5) },
      { "an answer", prompt = { "what is ", picture(6), "?" } } }, { title = "Things" })
    assert.equal(1, count(text, "<title>Things</title>"))
    assert.equal(4, count(text, "<article"))
    assert.equal(2, count(text, "<audio"))
    assert.equal(2, count(text, 'class="wave"'))
    assert.equal(2, count(text, 'class="spectrum"'))
    assert.equal(1, count(text, 'class="strip"'))
    assert.matches('alt="a cat"', text, 1, true)
    assert.matches("<h3>a sound</h3>", text, 1, true)
    assert.matches("of noise", text, 1, true)
    assert.matches("an answer", text, 1, true)
    assert.matches("seed 1 · guidance 2 · 5 steps", text, 1, true)
  end)

  it("loads nothing from anywhere, and says so to the browser", function()
    local text = page { picture(1), sound(2), HOSTILE }
    local policy = text:match 'Content%-Security%-Policy"' and text:match 'content="(default[^"]+)"'
    assert.matches("default-src &#39;none&#39;", policy, 1, true)
    assert.matches("script-src &#39;sha256-", policy, 1, true)
    assert.is_nil(policy:find("unsafe", 1, true))
    assert.is_nil(policy:find("file:", 1, true))
    for address in text:gmatch '%s[srchef]+="([^"]*)"' do
      assert.matches("^data:", address)
    end
    assert.is_nil(text:find '<[^>]+ style="')
    assert.is_nil(text:find "<link")
    assert.is_nil(text:find("@import", 1, true))
    assert.is_nil(text:find("url(", 1, true))
  end)

  it("lets no text become markup", function()
    local im = picture(1, { call = { fn = HOSTILE, prompt = { { text = HOSTILE } },
      options = { negative = HOSTILE, sampler = HOSTILE } }, engine = HOSTILE,
      params = { [HOSTILE] = HOSTILE } })
    local text = page({ { title = HOSTILE, note = HOSTILE }, HOSTILE,
      { im, title = HOSTILE, note = HOSTILE }, { HOSTILE, prompt = { HOSTILE, im } } },
      { title = HOSTILE })
    assert.equal(1, count(text, "<script>"))
    assert.equal(1, count(text, "</script>"))
    assert.is_nil(text:find("<img src=http", 1, true))
    assert.is_nil(text:find("onload='", 1, true))
    assert.is_true(count(text, "&lt;/script&gt;") > 8)
    assert.equal("a\239\191\189b", html.escape "a\0b")
    assert.equal("x%3Ay%20%22.png", html.href 'x:y ".png')
  end)

  it("shows media in the prompt where they stood, by what they hold", function()
    local cat = picture(1)
    local told = weft.options.describe("image", { prompt = { "put ", cat, " in the snow" } })
    local out = picture(2, { call = told })
    cat:save(dir .. "/cat.png")
    out:save(dir .. "/out.png")
    local again = weft.image.load(dir .. "/cat.png")
    assert.equal(fingerprint.of(cat), fingerprint.of(again))
    local prompt = [[put </span> <span class="thing" title="picture"><img alt="%[picture%]" ]]
      .. [[src="data:image/jpeg;base64,[%w+/=]+"></span> <span class="words"> in the snow]]
    assert.matches(prompt, read(weft.report(dir, dir .. "/page.html")))
    os.remove(dir .. "/cat.png")
    local known = fingerprint.of(cat)
    assert.is_truthy(fingerprint.find(known))
    told, out = nil, nil                                 -- luacheck: ignore
    for _ = 1, 3 do collectgarbage() end
    assert.is_nil(fingerprint.find(known))
    assert.matches('<span class="thing chip" title="picture">picture</span>',
      read(weft.report(dir, dir .. "/page.html")), 1, true)
  end)

  it("does without what was made in a scope that has closed", function()
    local told = weft.scope(function()
      return weft.options.describe("image", { prompt = { picture(8) } })
    end)
    local text = page { picture(2, { call = told }) }
    assert.matches('title="picture">picture</span>', text, 1, true)
    assert.equal(1, count(text, "data:image/png"))
  end)

  it("puts media into the page while there is room, and links the rest", function()
    local list = {}
    for i = 1, 6 do list[i] = picture(i) end
    list[1]:save(dir .. "/one picture.png")
    local whole = page(list)
    assert.equal(6, count(whole, "data:image/png"))
    local linked = page(list, { link = true })
    assert.equal(0, count(linked, "data:image/png"))
    assert.equal(6, count(linked, "data:image/jpeg"))
    assert.matches('<a href="one%%20picture.png">', linked)
    assert.matches('<a href="page%-files/005.png">', linked)
    assert.matches("img-src data: &#39;self&#39; file:", linked, 1, true)
    assert.is_truthy(weft.exists(dir .. "/page-files/005.png"))
    local some = page(list, { max_mb = 0.003 })
    assert.is_true(count(some, "data:image/png") > 0 and count(some, "data:image/png") < 6)
    assert.equal(6, count(page(list, { max_mb = 0, inline = true }), "data:image/png"))
    assert.has_error(function() page(list, { inline = true, link = true }) end)
  end)

  it("keeps the bytes of files, which say how they were made", function()
    local im = picture(7)
    im:save(dir .. "/it's.png")
    local text = read(weft.report({ dir .. "/it's.png" }, dir .. "/page.html"))
    local bytes = require("weft.base64").encode(read(dir .. "/it's.png"))
    assert.matches(bytes, text, 1, true)
    assert.matches(html.escape [[weft repro 'it'\''s.png']], text, 1, true)
    assert.equal(dir .. "/it's.png", fingerprint.path(im))
  end)

  it("shows conversations round by round, from memory and from files", function()
    local model = { respond = function(_, turns, o)
      local im = picture(#turns)
      return { image = im }, { role = "model", parts = { "here it is", im }, sources = {} }, o
    end }
    local chat = weft.chat.new(model, {})
    chat { picture(9), "make it blue" }
    chat { "now <at> night" }
    local text = page { chat }
    assert.equal(2, count(text, 'class="you"'))
    assert.equal(2, count(text, "here it is"))
    assert.matches("now &lt;at&gt; night", text, 1, true)
    chat:save(dir .. "/talk.json")
    local saved = read(weft.report(dir, dir .. "/page.html"))
    assert.equal(1, count(saved, "<article"))
    assert.equal(2, count(saved, 'class="you"'))
  end)

  it("says what is wrong with a missing and a damaged file, and goes on", function()
    picture(1):save(dir .. "/good.png")
    write(dir .. "/bad.png", read(dir .. "/good.png"):sub(1, 200))
    write(dir .. "/bad.wav", "RIFF nothing")
    local text = page { dir .. "/bad.png", dir .. "/bad.wav", dir .. "/none.png",
      dir .. "/good.png" }
    assert.equal(4, count(text, "<article"))
    assert.equal(3, count(text, 'class="bad"'))
    assert.equal(1, count(text, "data:image/png"))
    assert.matches("3 files not shown", text, 1, true)
    local folder = read(weft.report(dir, dir .. "/page.html"))
    assert.equal(2, count(folder, 'class="bad"'))
  end)

  it("says that an empty folder holds nothing, and raises for none", function()
    local text = read(weft.report(dir, dir .. "/page.html"))
    assert.matches("There is nothing here yet", text, 1, true)
    local ok, err = pcall(weft.report, dir .. "/none", dir .. "/page.html")
    assert.is_false(ok)
    assert.equal("io", err.kind)
  end)

  it("names the entry that it cannot show, and the option it does not know", function()
    local function message(...)
      local _, err = pcall(weft.report, ...)
      return tostring(err)
    end
    assert.matches("entry 2 is a function", message({ "x", print }, dir .. "/p.html"))
    assert.matches("did you mean 'title'",
      message({ { picture(1), titel = "x" } }, dir .. "/p.html"))
    assert.matches("unknown option 'max'", message({}, dir .. "/p.html", { max = 1 }))
  end)

  it("orders names as people do, and pairs a video with its sound", function()
    for _, n in ipairs { 10, 9, 1 } do picture(n):save(("%s/%d.png"):format(dir, n)) end
    weft.video.new { frames = { picture(3), picture(4) }, audio = sound(5) }:save(dir .. "/v.png")
    assert.is_true(files.is_animated(read(dir .. "/v.png")))
    assert.is_false(files.is_animated(read(dir .. "/1.png")))
    local text = read(weft.report(dir, dir .. "/page.html"))
    local order = {}
    for name in text:gmatch 'data%-file="([^"]*)"' do order[#order + 1] = name end
    assert.same({ "1.png", "9.png", "10.png", "v.png" }, order)
    assert.equal(1, count(text, "<audio"))
  end)

  it("finds files from where the page is", function()
    local function from(path)
      return require("weft.report.store").new(path, {}):relative "a/b.png"
    end
    assert.same({ "a/b.png", "b.png", "../a/b.png", "../../a/b.png" },
      { from "p.html", from "./a/p.html", from "c/p.html", from "a/x/../../c/d/p.html" })
    assert.equal(root:match "[^/]+$" .. "/a/b.png", from "../p.html")
  end)

  it("encodes base 64 as others do", function()
    local encode = require("weft.base64").encode
    assert.same({ "", "Zg==", "Zm8=", "Zm9v", "Zm9vYmFy" },
      { encode "", encode "f", encode "fo", encode "foo", encode "foobar" })
    assert.equal(4 * 10000, #encode(("\0\255\1"):rep(10000)))
  end)
end)

describe("weft report", function()
  local dir
  setup(function()
    dir = temp()
    os.execute("mkdir -p " .. dir .. "/jobs")
    write(dir .. "/jobs/a.lua", [[
local weft = require "weft"
local p = weft.params { guidance = 2, seed = 1 }
print "<line one>" print "line two"
if p.seed == 2 and p.guidance == 3 then error("the second <b>fails</b>") end
local im = weft.image.new(8, 8, p.guidance / 4)
im.meta = weft.provenance.new { seed = p.seed, call = { fn = "image", prompt = {},
  options = { guidance = p.guidance } } }
im:save "x.png"
]])
  end)
  teardown(function() os.execute("rm -rf " .. dir) end)

  local function run(words)
    local p = io.popen(("cd %s && ( %s/weft %s ) 2>&1; echo rc=$?"):format(dir, root, words))
    local text = p:read "*a"
    p:close()
    return tonumber(text:match "rc=(%d+)\n$"), text
  end

  it("groups a batch by what it varied and tells what failed", function()
    assert.equal(3, (run "batch jobs --sweep guidance=1,3 --sweep seed=1..3 --report all.html"))
    assert.matches("<h2>guidance 3</h2>.*<h2>Failed</h2>", read(dir .. "/all.html"))
    local rc, text = run "report out"
    assert.equal(0, rc)
    assert.matches("out/report.html", text)
    local page = read(dir .. "/out/report.html")
    assert.matches("<h2>guidance 1</h2>.*<h2>guidance 3</h2>.*<h2>Failed</h2>", page)
    assert.equal(5, count(page, "data:image/png"))
    assert.matches("the second &lt;b&gt;fails&lt;/b&gt;", page, 1, true)
    assert.matches("&lt;line one&gt;\nline two", page, 1, true)
    assert.matches("a.lua:4", page, 1, true)
    assert.equal(0, (run "report out -o seeds.html --group seed --title Seeds"))
    assert.matches("<h2>seed 1</h2>", read(dir .. "/seeds.html"))
    assert.equal(0, (run "report out -o flat.html --group none"))
    assert.is_nil(read(dir .. "/flat.html"):find("<h2>seed", 1, true))
  end)

  it("makes a labelled sheet of a sweep", function()
    assert.equal(0, (run "sheet out --x seed --y guidance"))
    local im = weft.image.load(dir .. "/out/sheet.png")
    assert.is_true(im.width > 3 * 144 and im.width < 4 * 144)
    local at = weft.image.load(dir .. "/out/sheet.png"):tensor()
    assert.near(0.25, at[{ 20, 20, 1 }], 0.01)
    local rc, text = run "sheet out --x nothing"
    assert.equal(2, rc)
    assert.matches("no picture says what its 'nothing' was", text)
  end)

  it("refuses what it cannot do, with a word why", function()
    assert.equal(2, (run "report"))
    assert.equal(2, (run "report a.lua"))
    assert.equal(2, (run "report out jobs"))
    local rc, text = run "report nowhere.png -o x.html"
    assert.equal(4, rc)
    assert.matches("nowhere.png: there is no such file", text, 1, true)
  end)
end)
