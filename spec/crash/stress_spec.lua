--- The stress program, for a second of each of two seeds. (make stress runs it longer.)

local program = require "spec.support.program"

local PATH = (os.getenv("CCPOOL_ROOT") or ".") .. "/spec/stress/stress.lua"

describe("a random mix of everything #crash #slow", function()
  for _, seed in ipairs{ 1, 4 } do
    it("ends as it may, seed " .. seed, function()
      local file <close> = assert(io.open(PATH))
      local result = program.run(file:read("a"), { args = { 1, seed } })
      assert(result.code == 0, result.err)
      assert.is_truthy(result.out:match("%d+ rounds, [1-9]%d* outcomes right\n$"))
    end)
  end
end)
