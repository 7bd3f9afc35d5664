local examples = require "spec.examples.support"

describe("examples/too_many_workers.lua", function()
  it("prints the times of 1 to 64 workers, for large and for tiny tasks", function()
    local _, lines = examples.run("too_many_workers", 200000)
    assert.matches("^%d+ processors, 200000 steps in all$", lines[1])
    local rows = {}
    for i = 3, 12 do
      rows[#rows + 1] = table.concat({ lines[i]:match(
        "^ *(%d+) +(%d+) +%d+%.%d+ s +%d+%.%d+ s$") }, "/")
    end
    assert.same({ "1/64", "2/64", "4/64", "16/64", "64/64", "1/1024", "2/1024", "4/1024",
      "16/1024", "64/1024" }, rows)
  end)
end)
