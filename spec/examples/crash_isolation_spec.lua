local examples = require "spec.examples.support"

describe("examples/crash_isolation.lua", function()
  it("loses nothing but the task that fails or dies", function()
    local out, lines = examples.run "crash_isolation"
    local counts = examples.counts(lines)
    assert.equal(2, counts["  first  returned done: first"])
    assert.equal(2, counts["  last   returned done: last"])
    assert.equal(1, counts["  die    raised WorkerCrashedError"])
    assert.equal(1, counts["  crashes: 1, and the pool goes on: done: again"])
    assert.equal(2, select(2, out:gsub("\n  error  raised [^\n]+: this task has failed\n", "")))
  end)
end)
