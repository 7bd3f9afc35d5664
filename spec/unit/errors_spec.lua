local ccpool = require "ccpool"
local errors = require "ccpool.errors"

describe("an error object", function()
  it("has kind, message and further fields", function()
    local err = errors.new("CancelledError", "it was", { reason = "late" })
    assert.equal("CancelledError", err.kind)
    assert.equal("it was", err.message)
    assert.equal("late", err.reason)
  end)

  it("says kind and message", function()
    assert.equal("ClosedError: closed", tostring(errors.new("ClosedError", "closed")))
  end)

  it("has a name for its metatable", function()
    assert.equal("ccpool.Error", getmetatable(errors.new("ClosedError", "closed")).__name)
  end)

  it("is what pcall gets, unchanged", function()
    local err = errors.new("ClosedError", "closed")
    local _, got = pcall(error, err)
    assert.equal(err, got)
  end)
end)

describe("is_error", function()
  it("knows error objects, and their kinds", function()
    local err = errors.new("TimeoutError", "late")
    assert.is_true(ccpool.is_error(err))
    assert.is_true(ccpool.is_error(err, "TimeoutError"))
    assert.is_false(ccpool.is_error(err, "CancelledError"))
    assert.is_false(ccpool.is_error(err, "timeouterror"))
  end)

  it("is false for everything else", function()
    for _, value in ipairs{ 1, "TimeoutError: late", true, print, {}, { kind = "TimeoutError" },
      setmetatable({ kind = "TimeoutError" }, { __name = "ccpool.Error" }), io.stdout } do
      assert.is_false(ccpool.is_error(value))
      assert.is_false(ccpool.is_error(value, "TimeoutError"))
    end
    assert.is_false(ccpool.is_error(nil))
    assert.is_false(ccpool.is_error())
  end)
end)
