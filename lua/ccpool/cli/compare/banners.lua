--- The I/O-bound workload: banners of a server that takes its time.
-- @module ccpool.cli.compare.banners

local servers = require("ccpool.cli.compare.server")

local COUNT = 24
local DELAY = 0.05

local Banners = {
  name = "io",
  title = ("%d banners of a server that waits %d ms before each"):format(COUNT,
    DELAY * 1000 // 1 | 0),
  unit = "banners",
  task = "banner",
  is_cpu_bound = false,
  rivals = { python = true },
}
Banners.__index = Banners

--- Makes the workload.
-- @treturn table as `ccpool.cli.compare.workloads` describes it
local function new()
  return setmetatable({}, Banners)
end

function Banners:prepare()
  self.server = servers.open(1, DELAY)
end

function Banners:close()
  if self.server then
    self.server:close()
    self.server = nil
  end
end

function Banners:items()
  local items = {}
  for i = 1, COUNT do
    items[i] = { self.server.host, self.server.ports[1] }
  end
  return items
end

function Banners.count()
  return COUNT
end

function Banners.gather(_, banners)
  local right = 0
  for i = 1, COUNT do
    right = right + (banners[i] == servers.BANNER and 1 or 0)
  end
  return right
end

function Banners.key(_, right)
  return tostring(right)
end

--- What a rival program is given.
-- @treturn table words
function Banners:arguments()
  return { COUNT, self.server.host, self.server.ports[1], (servers.BANNER:gsub("%s+$", "")) }
end

function Banners.verify(_, right)
  return right == COUNT, ("%d of %d banners are right"):format(right, COUNT)
end

function Banners.text(_, right)
  return ("banners read: %d\n"):format(right)
end

function Banners.json(_, right)
  return right
end

return { new = new }
