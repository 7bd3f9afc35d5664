local examples = require "spec.examples.support"

describe("examples/numbers_letters.lua", function()
  it("prints numbers and letters beside the main thread and the main process", function()
    local out, lines = examples.run "numbers_letters"
    assert.same({
      ["Number: 1"] = 2, ["Number: 2"] = 2, ["Number: 3"] = 2,
      ["Letter: a"] = 1, ["Letter: b"] = 1, ["Letter: c"] = 1,
      ["Main thread continues..."] = 1, ["The thread has finished."] = 1,
      ["Main process continues..."] = 1, ["Both processes have finished."] = 1,
    }, examples.counts(lines))
    assert.matches("Number: 1.*Number: 2.*Number: 3.*The thread has finished", out)
    assert.matches("Letter: a.*Letter: b.*Letter: c.*Both processes", out)
    assert.equal("Both processes have finished.", lines[#lines])
  end)
end)
