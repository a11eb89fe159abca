--- The reference: what it lists exists, and docs/api.md is what it says now.
package.path = "./tests/lib/?.lua;" .. package.path
local weft = require "weft"
local Micro = require("weft.pipeline.micro").class

describe("the reference", function()
  it("lists only functions that exist", function()
    local doc, classes = require "weft.doc", { im = "Image", a = "Audio", chat = "Chat" }
    for _, c in ipairs(require "weft.reference") do
      local owner, path = c.signature:match "^(%w+)[.:]([%w_.]+)"
      local found = owner == "weft" and weft or owner == "m" and Micro
      for name in path:gmatch "[%w_]+" do found = found and found[name] end
      if classes[owner] then found = doc.find(classes[owner] .. ":" .. path)[1] end
      assert.is_truthy(found, c.signature)
    end
  end)
  it("has examples in words that the model that ships knows", function()
    local known, p = {}, io.popen "cat recipes/micro/world/*.lua"
    for word in p:read("*a"):gmatch "%a+" do known[word] = true end
    p:close()
    for _, verb in ipairs { "image", "audio", "video", "text", "generate", "edit", "chat" } do
      for said in require("weft.reference").by_name[verb].example:gmatch '{[^}]-"([^"]*)"' do
        for word in said:gmatch "%a+" do assert.is_true(known[word], verb .. ": " .. word) end
      end
    end
  end)
  it("names every variable of the environment that weft reads", function()
    local listed = {}
    for _, v in ipairs(require("weft.reference").environment) do listed[v[1]] = true end
    local p = io.popen "grep -rhoE 'getenv *\\(?\"WEFT_[A-Z]+' lua core"
    for name in p:read("*a"):gmatch "WEFT_%u+" do assert.is_true(listed[name], name) end
    p:close()
  end)
  it("has its options in the list of options", function()
    local spec = require "weft.spec"
    for _, c in ipairs(require "weft.reference") do
      if c.options then
        assert.is_true(#spec.options_of(c.options) > 0, c.name)
        assert.is_truthy(spec.verbs[c.options] or spec.tables[c.options], c.name)
      end
    end
  end)
  it("is what docs/api.md says (make docs)", function()
    local file = assert(io.open "docs/api.md")
    local text = file:read "*a"
    file:close()
    assert.is_true(text == require("weft.manual").text(), "docs/api.md is old: make docs")
  end)
end)
