local examples = require "spec.examples.support"

describe("examples/url_fetch.lua", function()
  it("prints the size of each page or what went wrong, as they come", function()
    local out, lines = examples.run "url_fetch"
    assert.equal(5, #lines)
    assert.matches("/small page is 6 bytes\n", out)
    assert.matches("/large page is 1000000 bytes\n", out)
    assert.matches("/slow page is 6 bytes\n", out)
    assert.matches("/forbidden generated an exception: status 403 Forbidden\n", out)
    assert.matches("//no%-such%-host%.invalid/ generated an exception: cannot find " ..
      "no%-such%-host%.invalid: ", out)
  end)
end)
