--- How many connects a worker may have in flight.
--
-- A window starts as wide as it may be, because what filters does not answer and so would
-- never let it grow. It is halved by every shortage of descriptors, memory or source ports,
-- and when an answer that came to a second try shows that the first one was lost. It grows
-- with answers, by a few for as many as fill it.
-- @module ccpool.cli.scan.window

local pace = require("ccpool.cli.scan.pace")

-- By so many it grows with as many answers as fill it.
local GROWTH = 16

local Window = {}
Window.__index = Window

--- Makes a window.
-- @tparam integer least what it is never narrower than
-- @tparam integer most what it is never wider than
-- @treturn table with `size`, `grow`, `shrink`, `notice_loss`
-- @usage window.new(64, 1000).size  --> 1000
local function new(least, most)
  return setmetatable({
    least = math.min(least, most),
    most = most,
    size = most,
    next_loss = 0, -- when an answer may next be taken for a sign of loss
  }, Window)
end

--- Takes note of a shortage.
function Window:shrink()
  self.size = math.max(self.least, self.size / 2)
end

--- Takes note of an answer.
function Window:grow()
  if self.size < self.most then
    self.size = math.min(self.most, self.size + GROWTH / self.size)
  end
end

--- Takes note of an answer to a second try: the first one, or its answer, was lost. What is
-- lost together counts once.
-- @tparam number timeout seconds after which an answer is missed
function Window:notice_loss(timeout)
  local time = pace.now()
  if time >= self.next_loss then
    self.next_loss = time + timeout
    self:shrink()
  end
end

-- What a worker has learned lasts from task to task, as the state of a module does.
local known = {}

--- The window of this worker, as its last chunk left it.
-- @tparam integer least as for @{new}
-- @tparam integer most as for @{new}
-- @treturn table
local function of_worker(least, most)
  local window = known[most]
  if not window or window.least ~= math.min(least, most) then
    window = new(least, most)
    known[most] = window
  end
  return window
end

return { new = new, of_worker = of_worker }
