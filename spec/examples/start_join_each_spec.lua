local examples = require "spec.examples.support"

describe("examples/start_join_each.lua", function()
  it("runs its workers strictly one after the other", function()
    local _, lines = examples.run "start_join_each"
    local last = 0
    for i = 1, 3 do
      for k, event in ipairs{ "start", "end  " } do
        local at, what = lines[2 * i - 2 + k]:match("^%[ *(%d+%.%d+) s%] (.*)$")
        assert.equal(event .. " worker " .. i, what)
        assert.is_true(tonumber(at) >= last)
        last = tonumber(at)
      end
    end
    assert.matches("^one by one +100 tasks, total 5000500000, ", lines[7])
    assert.matches("^pooled +100 tasks, total 5000500000, ", lines[8])
    assert.equal(9, #lines)
  end)
end)
