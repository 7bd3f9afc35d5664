local support = dofile("spec/cli/support.lua")
local scan_workload = require("ccpool.cli.compare.scan")

local ANSWERS = [[
112272535095293 is prime: true
112582705942171 is prime: true
112272535095293 is prime: true
115280095190773 is prime: true
115797848077099 is prime: true
1099726899285419 is prime: false
]]

describe("ccpool compare", function()
  it("shows the results and one table of all backends #slow", function()
    local out, code = support.run({ "compare", "-w", "2" })
    assert.are.equal(0, code)
    assert.are.equal(ANSWERS, out:sub(1, #ANSWERS))
    assert.matches("\n127.0.0.1: open ports: %d+ [%d ]+\n\nworkload ", out)
    local rows = {}
    for workload, backend, workers in out:gmatch("\n(%l+) +(%l+) +(%d+) +[%d.]+ +[%d.]+") do
      rows[#rows + 1] = table.concat({ workload, backend, workers }, " ")
    end
    assert.are.same({
      "primes serial 1", "primes threads 2", "primes processes 2",
      "scan serial 1", "scan threads 2", "scan processes 2",
    }, rows)
  end)

  it("runs one workload, repeatedly, with several numbers of workers", function()
    local out, code = support.run({ "compare", "primes", "-w", "1,2", "--runs", "2" })
    assert.are.equal(0, code)
    assert.are.equal(ANSWERS, out:sub(1, #ANSWERS))
    local count = select(2, out:gsub("\nprimes ", ""))
    assert.are.equal(5, count)
    assert.matches("min s  +max s\n", out)
  end)

  it("writes JSON", function()
    local out, code = support.run({ "compare", "primes", "--format", "json", "-w", "2" })
    assert.are.equal(0, code)
    assert.matches('^{"runs":1,"results":{"primes":%[{"number":112272535095293,"prime":true}', out)
    assert.matches('"backend":"processes","workers":2,"seconds":', out, 1, true)
  end)
end)

describe("the scan workload of compare", function()
  it("misses no listener of its own", function()
    local workload = scan_workload.new(true)
    workload:prepare()
    finally(function()
      workload:close()
    end)
    assert.is_true(workload:verify(workload.own_ports))
    local is_right, message = workload:verify({ workload.own_ports[1] })
    assert.is_false(is_right)
    assert.matches("was not found", message)
  end)
end)
