--- The reference: what it lists exists, and docs/api.md is what it says now.
package.path = "./tests/lib/?.lua;" .. package.path
local weft = require "weft"
local Micro = require("weft.pipeline.micro").class

describe("the reference", function()
  it("lists only functions that exist", function()
    for _, c in ipairs(require "weft.reference") do
      local owner, name = c.signature:match "^(%w+)[.:]([%w_]+)"
      local found = owner == "weft" and weft[name] or owner == "m" and Micro[name]
      assert.is_truthy(found, c.signature)
    end
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
