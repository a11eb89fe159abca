-- A report in a browser, where one is installed: nothing in the console, sounds that load, no
-- sideways scrolling on a phone, the same cards without JavaScript. The demo's own page, made by
-- the model that ships, is opened too.
--
-- A page beside the report holds it in frames and writes what it finds into itself; the browser
-- prints that page.
local weft = require "weft"

local function has(program)
  return os.execute(("command -v %s >/dev/null 2>&1"):format(program)) == 0
end

local BROWSER = has "chromium" and "chromium" or has "chromium-browser" and "chromium-browser"

local WATCHER = [[
<!DOCTYPE html><meta charset="utf-8">
<iframe id="desk" width="1280" height="900" src="page.html"></iframe>
<iframe id="phone" width="360" height="640" src="page.html"></iframe>
<iframe id="plain" width="360" height="640" src="page.html" %s></iframe>
<pre id="found"></pre>
<script>
function look(id) {
  const d = document.getElementById(id).contentDocument;
  for (const more of d.querySelectorAll("details")) more.open = true;
  const wide = [...d.querySelectorAll("body *")].filter(e => {
    const r = e.getBoundingClientRect();
    return r.width > 0 && r.right > d.documentElement.clientWidth + 0.5;
  });
  return { cards: d.querySelectorAll(".card").length, bar: !d.querySelector(".bar").hidden,
    stars: d.querySelectorAll(".star").length,
    scroll: d.documentElement.scrollWidth, width: d.documentElement.clientWidth,
    wide: wide.map(e => e.tagName + "." + e.className),
    audio: [...d.querySelectorAll("audio")].map(a => a.readyState),
    seconds: [...d.querySelectorAll("audio")].map(a => a.duration),
    broken: [...d.images].filter(i => i.src && i.complete && !i.naturalWidth).length };
}
function press(id, key) {
  const w = document.getElementById(id).contentWindow, d = w.document;
  (d.activeElement || d.body).dispatchEvent(
    new w.KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  return d.activeElement.id;
}
function use() {
  const d = document.getElementById("desk").contentDocument, out = {};
  out.first = press("desk", "ArrowRight");
  out.second = press("desk", "ArrowRight");
  press("desk", "s");
  out.starred = [...d.querySelectorAll(".starred")].map(c => c.id);
  press("desk", "Enter");
  out.open = d.querySelector("dialog").open;
  d.querySelector("dialog").close();
  const select = d.querySelector(".bar select");
  select.value = "1";
  select.dispatchEvent(new Event("change"));
  out.shown = d.querySelectorAll(".card:not([hidden])").length;
  return out;
}
let tries = 0;
function wait() {
  const all = ["desk", "phone", "plain"].map(look);
  const is_ready = all.every(f => f.audio.every(s => s >= 1));
  if (!is_ready && tries++ < 100) { setTimeout(wait, 100); return; }
  const out = { desk: all[0], phone: all[1], plain: all[2], use: use() };
  document.getElementById("found").textContent = JSON.stringify(out);
}
window.addEventListener("load", wait);
</script>
]]

-- The same of one frame, when all of it is loaded.
local PLAYERS = [[
<!DOCTYPE html><meta charset="utf-8">
<iframe id="desk" width="1280" height="900" src="index.html"></iframe>
<pre id="found"></pre>
<script>
let tries = 0;
function wait() {
  const d = document.getElementById("desk").contentDocument;
  const audio = [...d.querySelectorAll("audio")].map(a => a.readyState);
  const is_ready = d.readyState === "complete" && audio.every(s => s >= 1);
  if (!is_ready && tries++ < 100) { setTimeout(wait, 100); return; }
  document.getElementById("found").textContent = JSON.stringify({ audio, is_ready,
    cards: d.querySelectorAll(".card").length,
    broken: [...d.images].filter(i => i.src && i.complete && !i.naturalWidth).length });
}
window.addEventListener("load", wait);
</script>
]]

local function picture(seed, prompt)
  local im = weft.image.from(weft.tensor.rand({ 16, 24, 3 }, { seed = seed }))
  im.meta = weft.provenance.new { seed = seed, call = { fn = "image",
    prompt = { { text = prompt } }, options = { guidance = seed } } }
  return im
end

--- Pages with all that a report can hold, in dir; inside the page, or all of it beside.
local function make(dir, opts)
  local sound = weft.audio.from(weft.tensor.randn({ 8000 }, { seed = 1 }) * 0.1, 8000)
  local long = ("averylongwordwithoutanyblank"):rep(8)
  local frames = { picture(1, "one"), picture(2, "two") }
  weft.report({ { title = "Pictures " .. long, note = long }, picture(1, long),
    picture(2, "a cat"), picture(3, "a </script> dog"),
    { picture(4, "before"), picture(5, "after"), picture(6, "more"), title = long },
    { title = "Sounds" }, sound, weft.video.new { frames = frames, fps = 4, audio = sound },
    { long, prompt = { "what is ", frames[1], long, sound, "?" } }, long },
    dir .. "/page.html", opts)
end

describe("a report in a browser", function()
  local dir
  before_each(function()
    dir = os.tmpname()
    os.remove(dir)
    os.execute("mkdir -p " .. dir)
  end)
  after_each(function() os.execute("rm -rf " .. dir) end)

  --- What a watching page found, and what the browser's console said.
  local function watch(page)
    local f = assert(io.open(dir .. "/watch.html", "w"))
    f:write(page)
    f:close()
    local command = ("timeout 180 %s --headless=new --no-sandbox --disable-gpu --mute-audio "
      .. "--allow-file-access-from-files --user-data-dir=%s/profile --enable-logging=stderr "
      .. "--timeout=120000 --virtual-time-budget=20000 --dump-dom file://%s/watch.html 2>%s/log")
      :format(BROWSER, dir, dir, dir)
    local p = io.popen(command)
    local dom = p:read "*a"
    p:close()
    local console = {}
    for line in io.lines(dir .. "/log") do
      if line:find("CONSOLE", 1, true) then console[#console + 1] = line end
    end
    local found = dom:match '<pre id="found">(.-)</pre>'
    assert.is_truthy(found and found ~= "", "the watcher found nothing: " .. dom:sub(1, 400))
    found = found:gsub("&amp;", "&"):gsub("&lt;", "<"):gsub("&gt;", ">")
    return weft.json.decode(found), console
  end

  --- The watcher's. is_plain: the third frame runs no scripts, of which the console tells.
  local function open(is_plain)
    local more = is_plain and 'sandbox="allow-same-origin"' or ""
    return watch((WATCHER:gsub("%%s", more)))
  end

  local function check_frames(found)
    for _, name in ipairs { "desk", "phone", "plain" } do
      local frame = found[name]
      assert.equal(7, frame.cards, name)
      assert.same({}, { unpack(frame.wide) }, name)
      assert.is_true(frame.scroll <= frame.width, name)
      assert.equal(0, frame.broken, name)
      assert.equal(2, #frame.audio, name)
      for _, state in ipairs(frame.audio) do assert.is_true(state >= 1, name) end
      for _, s in ipairs(frame.seconds) do assert.near(1, s, 0.01) end
    end
    assert.is_true(found.phone.width <= 360)
  end

  it("is silent, plays, fits a phone, and answers keys and filters", function()
    if not BROWSER then pending "no chromium on this machine: the page was not opened" end
    make(dir)
    local found, console = open(false)
    assert.same({}, console)
    check_frames(found)
    assert.is_true(found.desk.bar)
    assert.equal(7, found.desk.stars)
    assert.same({ "c1", "c2" }, { found.use.first, found.use.second })
    assert.same({ "c2" }, { unpack(found.use.starred) })
    assert.is_true(found.use.open)
    assert.equal(1, found.use.shown)
  end)

  it("is the same list without JavaScript", function()
    if not BROWSER then pending "no chromium on this machine: the page was not opened" end
    make(dir)
    local found = open(true)
    check_frames(found)
    assert.is_false(found.plain.bar)
    assert.equal(0, found.plain.stars)
  end)

  it("is what weft demo makes with the model that ships", function()
    if not BROWSER then pending "no chromium on this machine: the page was not opened" end
    local p = io.popen(("./weft demo steps=1 out=%s 2>&1; echo rc=$?"):format(dir))
    local said = p:read "*a"
    p:close()
    assert.matches("rc=0\n$", said)
    assert.is_nil(said:find("left out", 1, true), said)
    local found, console = watch(PLAYERS)
    assert.same({}, console)
    assert.is_true(found.is_ready)
    assert.same({ 28, 5, 0 }, { found.cards, #found.audio, found.broken })
  end)

  it("finds what stands beside it", function()
    if not BROWSER then pending "no chromium on this machine: the page was not opened" end
    make(dir, { link = true })
    local found, console = open(false)
    assert.same({}, console)
    assert.equal(0, found.desk.broken)
  end)
end)
