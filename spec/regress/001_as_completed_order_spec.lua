-- A future that finished while as_completed was still taking down its list passed for done
-- before those that had finished earlier.
local ccpool = require "ccpool"

describe("as_completed", function()
  it("keeps the order in which futures finish while they are being watched", function()
    local ex <close> = ccpool.ThreadPoolExecutor(1) -- one worker: they finish in order
    for _ = 1, 150 do
      local futures, place = {}, {}
      for i = 1, 400 do
        futures[i] = ex:submit(math.sqrt, i)
        place[futures[i]] = i
      end
      local last = 0
      for f in ccpool.as_completed(futures) do
        assert.is_true(place[f] > last)
        last = place[f]
      end
    end
  end)
end)
