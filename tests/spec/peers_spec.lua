--- What bench-peers keeps of its runs, and what the page says of the hosts they ran on.
package.path = "./tests/lib/?.lua;" .. package.path
local json = require "weft.json"
local micro = require "micro"
local shell = require "shell"

local function host(name)
  return { name = name, model = "1", has = { "avx2" }, processors = 2, torch = "2.0" }
end

local function row(name, on, gflops)
  return { group = "process", name = name, date = "2026-01-02", host = on, load = 0,
    machine = { fma_gflops = gflops, bf16_gflops = 2 * gflops, read_gbytes_s = 10,
      level = "avx2" },
    parties = { weft = { best_s = 1, median_s = 1, own_bytes = 0 } } }
end

describe("the table of bench-peers", function()
  local dir
  setup(function() dir = micro.temp() end)
  teardown(function() micro.remove(dir) end)

  local function report(saved)
    micro.write(dir .. "/peers.json", json.encode(saved))
    return shell.out("luajit tests/bench/report.lua " .. dir .. "/peers.json")
  end

  it("names every host of its rows, each with its own figures", function()
    local a, b = host "Old", host "New"
    local text = report { rows = { row("start", a, 100), row("help", b, 300), row("load", a, 90) } }
    assert.truthy(text:find("Old (model 1; avx2), 2 processors; weft's kernels for avx2, PyTorch "
      .. "2.0; measured on 2026-01-02: start; load.\nMeasured beside: f32 multiply-adds 100 ", 1,
      true), text)
    assert.truthy(text:find("2026-01-02: help.\nMeasured beside: f32 multiply-adds 300 ", 1, true),
      text)
  end)

  it("says of one host no more than its figures", function()
    local one = report { host = host "Old",
      rows = { row("start", nil, 100), row("load", nil, 90) } }
    assert.truthy(one:find("measured on 2026-01-02.\nMeasured beside: f32 multiply-adds 100 ", 1,
      true), one)
  end)

  it("keeps the host of rows that another host does not replace", function()
    if shell.out("command -v python3") == "" then return pending "no python3" end
    micro.write(dir .. "/peers.json", json.encode { host = host "Old",
      rows = { row("start", nil, 100), row("load", nil, 90) } })
    micro.write(dir .. "/new.json", json.encode { row("load", host "New", 300) })
    shell.out(("PYTHONPATH=tests/bench/peers python3 -B -c 'import json, saved; "
      .. "saved.save(\"%s/peers.json\", json.load(open(\"%s/new.json\")))'"):format(dir, dir))
    local rows = json.decode(shell.out("cat " .. dir .. "/peers.json")).rows
    assert.are.same({ "start", "Old", "load", "New" },
      { rows[1].name, rows[1].host.name, rows[2].name, rows[2].host.name })
    assert.are.same({ 2, 300 }, { #rows, rows[2].machine.fma_gflops })
  end)
end)
