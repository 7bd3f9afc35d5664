local examples = require "spec.examples.support"

describe("examples/sleep_321.lua", function()
  it("starts 3, 2, 1 and ends 1, 2, 3, in threads and in processes", function()
    local _, lines = examples.run("sleep_321", "0.5")
    local order = { "start 3", "start 2", "start 1", "end 1", "end 2", "end 3" }
    for half, title in ipairs{ "threads, a shared list", "processes, a queue" } do
      local first = (half - 1) * 8 + 1
      assert.equal(title, lines[first])
      assert.same(order, table.move(lines, first + 1, first + 6, 1, {}))
      local seconds = tonumber(lines[first + 7]:match("^(%d+%.%d) s$"))
      assert.is_true(seconds >= 1.5) -- as long as the longest sleep at least
    end
    assert.equal(16, #lines)
  end)
end)
