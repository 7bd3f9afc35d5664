local examples = require "spec.examples.support"

describe("examples/concurrency_is_not_parallelism.lua", function()
  it("compares waits and computations on one processor and on all", function()
    local _, lines = examples.run("concurrency_is_not_parallelism", 1000000)
    assert.equal(2, #lines)
    assert.matches("^one processor: ", lines[1])
    assert.matches("^%d+ processors: two waits take %d+%.%d times as long as one, " ..
      "two computations %d+%.%d times$", lines[2])
  end)
end)
