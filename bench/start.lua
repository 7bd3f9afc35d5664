-- What a worker costs: 64 are started at once, from the constructor on until all are
-- ready; and the memory that the program and its children have then more than before.

package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local support = require "support"

local WORKERS = 64
local US, KB = 1e6, 1024

local now = support.now

local function identity(...) return ... end

-- Threads share the memory of the program; pages that processes share are counted once.
local function memory(kind)
  return kind == "threads" and support.memory().Rss or support.family_memory()
end

support.main({ "threads", "processes" }, function(kind)
  collectgarbage()
  local before = memory(kind)
  local started = now()
  local ex <close> = support.construct(kind, WORKERS)
  ex:warmup()
  local seconds = now() - started
  local after = memory(kind)
  support.expect(#ex:stats().workers, WORKERS, "number of workers")
  support.expect(ex:submit(identity, "works"):result(), "works", "result")
  support.report(kind, "start_us", seconds / WORKERS * US)
  support.report(kind, "memory_KB", (after - before) / WORKERS / KB)
end)
