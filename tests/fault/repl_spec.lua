--- The prompt on a terminal (tmux plays it): completion, pictures, Ctrl-C that keeps the model,
-- history over sessions.
package.path = "./tests/lib/?.lua;" .. package.path
local micro = require "micro"
local shell = require "shell"

local has_tmux = os.execute "command -v tmux >/dev/null" == 0
local PATIENCE = 150        -- fifths of a second: tests share their machine

describe("the prompt on a terminal", function()
  local dir, models, tmux

  setup(function()
    dir, models = micro.temp(), micro.temp()
    os.execute(("mkdir %s/micro"):format(models))
    micro.make(models .. "/micro", { narrow = true })
    tmux = "tmux -L weft-test-" .. dir:match "[^/_]+$"
  end)
  teardown(function()
    os.execute(tmux .. " kill-server 2>/dev/null")
    micro.remove(dir)
    micro.remove(models)
  end)

  local function screen() return shell.out(tmux .. " capture-pane -p -S -200") end

  --- Wait until pattern stands on the screen.
  local function expect(pattern)
    for _ = 1, PATIENCE do
      if screen():find(pattern) then return end
      os.execute "sleep 0.2"
    end
    error(("%q does not come; there is:\n%s"):format(pattern, screen()))
  end

  local function keys(...)
    for _, k in ipairs { ... } do os.execute(("%s send-keys '%s'"):format(tmux, k)) end
  end

  local function start()
    os.execute(("%s new-session -d -x 100 -y 40 'cd %s; env WEFT_MODELS=%s WEFT_HISTORY=%s/h %s'")
      :format(tmux, dir, models, dir, shell.program))
    expect "weft:1>"
  end

  local function start_again()
    os.execute(tmux .. " kill-server 2>/dev/null; sleep 0.5")
    start()
  end

  it("completes, shows pictures, survives Ctrl-C with its model, and remembers", function()
    if not has_tmux then
      pending "tmux is not here"
      return
    end
    start()
    keys('m = weft.load "micro"', "Enter")
    expect "\n  Model micro .* text image %-> image\n"
    keys("m:ima", "Tab")
    expect "weft:2> m:image"
    keys('{ "a cat", steps = 2, seed = 3, gui', "Tab")
    expect "guidance = *the model's"
    keys("2 }", "Enter")
    expect "guidance = 2 }\n▀▀▀▀"
    expect "▀\n_2 = Image 64x64 rgb  seed 3\n"
    keys('m:image{ "x", steps = 1000 }', "Enter")
    expect "step %d+/1000"
    keys "C-c"
    expect "\nstopped at step %d+/1000 .*; partial picture in _\n"
    keys(":show", "Enter")
    expect "\nImage 64x64 rgb  seed %d+\n"
    keys("while true do end", "Enter")
    os.execute "sleep 0.5"
    keys "C-c"
    expect "weft:4> while true do end\nstopped\nweft:5>"
    keys("while true do end", "C-c")
    expect "weft:5> while true do end%^C\nweft:5>"
    keys('m:image{ "again", steps = 1, seed = 4 }.width', "Enter")
    expect "\n64\n"
    keys("local kept = 41", "Enter", "kept + 1", "Enter")
    expect "\n42\n"
    keys(":agian", "Enter")
    expect "there is no :agian %(did you mean :again%?%)"
    keys "C-d"
    for _ = 1, PATIENCE do
      if os.execute(tmux .. " has-session 2>/dev/null") ~= 0 then break end
      os.execute "sleep 0.2"
    end
    assert.is_true(os.execute(tmux .. " has-session 2>/dev/null") ~= 0)
    start()
    keys("Up", "Up")
    expect "weft:1> kept %+ 1"
  end)

  local LOOP = "loop = function() while true do pcall(function() while true do end end) end end"

  it("stops a loop that swallows errors at the first Ctrl-C", function()
    if not has_tmux then
      pending "tmux is not here"
      return
    end
    start_again()
    keys(LOOP, "Enter", "loop()", "Enter")
    os.execute "sleep 0.5"
    keys "C-c"
    expect "weft:2> loop%(%)\nstopped\nweft:3>"
    keys("coroutine.wrap(loop)()", "Enter")
    os.execute "sleep 0.5"
    keys "C-c"
    expect "stopped\nweft:4>"
    keys("setmetatable({}, { __tostring = loop })", "Enter")
    os.execute "sleep 0.5"
    keys "C-c"
    expect "%(object of type table that cannot be shown%)\n.*weft:5>"
  end)
  it("goes on after a value that cannot be shown", function()
    micro.write(dir .. "/odd", [[
      im = weft.image.new(4, 4)
      im:tensor():free();
      im
      setmetatable({}, { __tostring = function() error "t" end })
      :show
      :who
      "still here"
    ]])
    local rc, out, err = shell.run(dir, shell.program .. " repl < odd")
    assert.are.equal("", err)
    assert.are.equal(0, rc)
    local _, n = out:gsub("%(object of type table that cannot be shown%)\n", "")
    assert.is_true(n >= 4)
    assert.is_truthy(out:find "still here\n$")
  end)
  it("takes changes back, and moves by line in an entry of several", function()
    if not has_tmux then
      pending "tmux is not here"
      return
    end
    start_again()
    keys("1 + 41", "C-w", "C-_", "Enter")
    expect "\n42\n"
    keys("abc", "C-_", "C-_", "C-_", "7", "Enter")
    expect "\n7\n"
    keys("do", "Escape", "Enter", "x=5", "Escape", "Enter", "print(x)", "Escape", "Enter",
      "en", "d", "Up", "Up", "6", "Enter")             -- tmux has a key of the name end
    expect "\n56\n"
  end)
  it("takes a paste as text, up to its end", function()
    if not has_tmux then
      pending "tmux is not here"
      return
    end
    start_again()
    local function type_bytes(text)
      local hex = text:gsub(".", function(ch) return ("%02x "):format(ch:byte()) end)
      os.execute(("%s send-keys -H %s"):format(tmux, hex))
    end
    type_bytes "\27[200~x = '\27[2J' .. 6\27\27[201~"
    keys "Enter"
    type_bytes "x"
    keys "Enter"
    expect "\n%[2J6\n"
  end)
  it("ends with its terminal, whatever runs", function()
    if not has_tmux then
      pending "tmux is not here"
      return
    end
    start_again()
    local pid = shell.out(tmux .. " list-panes -F '#{pane_pid}'"):match "%d+"
    keys(LOOP, "Enter", "loop()", "Enter")
    os.execute "sleep 0.5"
    os.execute(tmux .. " kill-server")
    for _ = 1, PATIENCE do
      if not io.open("/proc/" .. pid .. "/stat") then return end
      os.execute "sleep 0.2"
    end
    os.execute("kill -9 " .. pid)
    error "it runs on"
  end)
end)
