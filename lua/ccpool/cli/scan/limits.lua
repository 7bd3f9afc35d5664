--- How many connects may be in flight, as far as descriptors go.
-- @module ccpool.cli.scan.limits

local resource = require("posix.sys.resource")

local MAX_CONCURRENCY = 1000
-- Descriptors kept free for everything but connects.
local RESERVED_DESCRIPTORS = 64

-- Raises the soft limit of descriptors to the hard one; returns what holds then.
local function raise_descriptor_limit()
  local limit = resource.getrlimit(resource.RLIMIT_NOFILE)
  if limit.rlim_cur ~= limit.rlim_max then
    local raised = { rlim_cur = limit.rlim_max, rlim_max = limit.rlim_max }
    if resource.setrlimit(resource.RLIMIT_NOFILE, raised) then
      return limit.rlim_max
    end
  end
  return limit.rlim_cur
end

--- Raises the limit of descriptors and derives how many connects may be in flight.
-- @treturn integer at least 1
local function auto_concurrency()
  local limit = raise_descriptor_limit()
  -- No limit at all reads as a negative number.
  if limit < 0 then
    return MAX_CONCURRENCY
  end
  return math.max(1, math.min(MAX_CONCURRENCY, limit - RESERVED_DESCRIPTORS))
end

return { auto_concurrency = auto_concurrency }
