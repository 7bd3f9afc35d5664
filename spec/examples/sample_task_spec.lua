local examples = require "spec.examples.support"

describe("examples/sample_task.lua", function()
  it("prints five whole lines from processes and five from threads", function()
    local _, lines = examples.run "sample_task"
    assert.same({ ["Sample Process"] = 5, ["Sample Thread"] = 5 }, examples.counts(lines))
    assert.equal("Sample Thread", lines[10])
  end)
end)
