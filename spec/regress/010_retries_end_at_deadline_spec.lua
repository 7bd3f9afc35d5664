-- A deadline that passed after a retry left fewer retries than there had been attempts,
-- and the task was tried again for ever.
local assert, describe, it = assert, describe, it
local _ENV = _G -- luacheck: ignore

local ccpool = require "ccpool"

describe("a deadline that passes after a retry", function()
  it("is the end of the task", function()
    local ex <close> = ccpool.ThreadPoolExecutor(1)
    local view = ex:with{ timeout = 0.02, retries = 2, deadline = 0.05 }
    local future = view:submit(function() while true do end end)
    local ok, err = future:presult(10)
    local done = future:done()
    if not done then future:cancel{ force = true } end
    assert.is_false(ok)
    assert.is_true(ccpool.is_error(err, "TimeoutError"))
    assert.is_true(done)
  end)
end)
