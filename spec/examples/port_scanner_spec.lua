local examples = require "spec.examples.support"

describe("examples/port_scanner.lua", function()
  it("finds the same ports serially, with threads and with processes", function()
    local _, lines = examples.run "port_scanner"
    local opened = lines[1]:match("^opened\t(.*)$")
    local found = {}
    for i, label in ipairs{ "serial", "threads", "processes" } do
      found[i] = lines[i + 1]:match("^" .. label .. " +103 ports, open: (.*) %(%d+%.%d+ s%)$")
      for port in opened:gmatch("%d+") do
        assert.matches("%f[%d]" .. port .. "%f[%D]", found[i])
      end
    end
    assert.equal(found[1], found[2])
    assert.equal(found[1], found[3])
    assert.equal(4, #lines)
  end)
end)
