-- What `weft demo` runs, on random weights: each section that the parts allow, one page, one sheet.
package.path = "./tests/lib/?.lua;" .. package.path
local weft = require "weft"
local micro = require "micro"

describe("weft demo", function()
  local dir
  before_each(function() dir = micro.temp() end)
  after_each(function() micro.remove(dir) end)

  --- Run it with a model of these parts: what it says, and the page.
  local function demo(parts)
    micro.make(dir .. "/micro", parts)
    local line = ("WEFT_MODELS=%s ./weft demo steps=1 out=%s 2>&1; echo rc=$?"):format(dir, dir)
    local p = io.popen(line)
    local said = p:read "*a"
    p:close()
    assert.matches("rc=0\n$", said)
    local f = assert(io.open(dir .. "/index.html"))
    local page = f:read "*a"
    f:close()
    assert.is_true(weft.image.load(dir .. "/sheet.png").width > 64)
    return said, page
  end

  it("tours pictures and says what the model has no parts for", function()
    local said, page = demo { narrow = true }
    assert.matches("Edits as told +left out: this model has no language_model\n", said)
    assert.matches("left out: this model has no audio_encoder, audio_conditioner", page, 1, true)
    assert.matches('alt="a large plain red cat at the left in the snow"', page, 1, true)
    local shown = select(2, page:gsub("<article", ""))
    assert.is_true(shown >= 9, shown)
    assert.is_nil(page:find("<audio", 1, true))
  end)

  it("tours sounds, instructions and a conversation where they are there", function()
    local said, page = demo { narrow = true, sounds = true, language = true }
    assert.equal(2, select(2, said:gsub("left out", "")))
    assert.matches("A picture and its sound +left out: this model has no joint", said)
    assert.matches("A video +left out: this model has no unet_video", said)
    assert.equal(4, select(2, page:gsub("<audio", "")))
    assert.equal(2, select(2, page:gsub('class="you"', "")))
    assert.is_nil(page:find(">picture</span>", 1, true), "a medium of a prompt is not shown")
  end)
end)
