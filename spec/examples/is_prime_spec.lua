local examples = require "spec.examples.support"

describe("examples/is_prime.lua", function()
  it("tells five primes and one number that is none, in the order of the input", function()
    assert.equal([[
112272535095293 is prime: true
112582705942171 is prime: true
112272535095293 is prime: true
115280095190773 is prime: true
115797848077099 is prime: true
1099726899285419 is prime: false
]], (examples.run "is_prime"))
  end)
end)
