local examples = require "spec.examples.support"

describe("examples/no_main_guard.lua", function()
  it("runs its top level once and doubles no output", function()
    assert.equal("top level\nSerialExecutor\t1 4 9\nThreadPoolExecutor\t1 4 9\n" ..
      "ProcessPoolExecutor\t1 4 9\nThread\ttrue\nProcess\ttrue\nend\n",
      (examples.run "no_main_guard"))
  end)
end)
