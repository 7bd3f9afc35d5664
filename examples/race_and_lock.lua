-- Four workers count in one shared number. Read, add and write are three steps: another
-- worker may come between, and its count is lost. A lock makes one step of the three, and so
-- does 'add', which costs far less.
-- Arguments: how often each worker counts (200000).
local ccpool = require "ccpool"

local WORKERS = 4
local TIMES = math.tointeger(tonumber(arg and arg[1]) or 200000)

local ways = {
  { "no lock", function(value, _, times)
    for _ = 1, times do value:set(value:get() + 1) end
  end },
  { "lock", function(value, lock, times)
    for _ = 1, times do
      lock:acquire()
      value:set(value:get() + 1)
      lock:release()
    end
  end },
  { "add", function(value, _, times)
    for _ = 1, times do value:add(1) end
  end },
}

for _, kind in ipairs{ "Thread", "Process" } do
  for _, way in ipairs(ways) do
    local ex <close> = ccpool[kind .. "PoolExecutor"](WORKERS)
    local value, lock = ccpool.Value("i64", 0), ccpool.Lock()
    ex:warmup() -- so that all of them count at the same time
    local futures = {}
    for i = 1, WORKERS do futures[i] = ex:submit(way[2], value, lock, TIMES) end
    ccpool.all(futures)
    local lost = WORKERS * TIMES - value:get()
    print(("%-7s  %-7s  %d of %d, %d lost"):format(kind, way[1], value:get(), WORKERS * TIMES,
      lost))
  end
end
