--- Scans ports of targets on an executor.
--
--     targets x ports -> chunks of segments -> tasks -> outcomes, segment by segment
--                              ^                  |
--                              +-- worker lost ---+
--
-- What a worker finds out it also writes on the slate of its chunk, so that a scan that is
-- broken off loses nothing of what is known. A chunk of one port by itself needs none.
--
-- A segment is a run of neighbours in the list of ports, for one target; a chunk has as
-- many segments as make it large enough. Targets are asked for when a chunk needs them.
-- @module ccpool.cli.scan.sweep

local ccpool = require("ccpool")

local engine = require("ccpool.cli.scan.engine")
local interrupt = require("ccpool.cli.interrupt")
local probe = require("ccpool.cli.scan.probe")
local slates = require("ccpool.cli.scan.slates")

-- Fewer ports are not worth a task, unless a worker may not have so many in flight.
local MIN_CHUNK, MAX_CHUNK = 256, 1024
local MIN_CONCURRENCY = 64
-- A chunk that so many workers died of is given up.
local MAX_ATTEMPTS = 3

-- How many connects a worker may have in flight.
local function window_of(plan)
  return math.max(1, plan.concurrency // plan.workers)
end

-- A chunk is as large as the window of its worker, so that all of it is in flight at once,
-- but small enough for every worker to get one.
local function auto_chunk(plan)
  local size = math.max(MIN_CONCURRENCY, math.min(MAX_CHUNK, window_of(plan)))
  local total = plan.total or (plan.targets and #plan.targets * #plan.ports) or math.huge
  local even = math.ceil(math.min(total / plan.workers, MAX_CHUNK))
  -- A rate is shared out evenly, so every worker has to have its part of few ports too.
  return math.max(1, math.min(size, math.max(plan.rate and 1 or MIN_CHUNK, even)))
end

local Sweep = {}
Sweep.__index = Sweep

local function new_sweep(plan)
  local is_poll = plan.engine == "poll"
  local size = plan.chunk == "auto" and auto_chunk(plan) or plan.chunk
  return setmetatable({
    plan = plan,
    is_poll = is_poll,
    size = is_poll and size or 1,
    slates = is_poll and slates.new(plan.banner ~= nil) or nil,
    target = nil, -- whose ports are being handed out
    target_index = 0,
    deadline = nil, -- of that target
    next_port = math.huge, -- its next port, an index
    again = {}, -- chunks whose worker died, a queue
    pending = {}, -- chunks handed out and not yet delivered, by the index of the map
    count = 0,
  }, Sweep)
end

-- Goes on to the next target; returns false if there is none.
function Sweep:advance()
  local plan = self.plan
  local index = self.target_index + 1
  local target
  if plan.targets then
    target = plan.targets[index]
  else
    target = plan.next_target()
  end
  if not target then
    return false
  end
  self.target, self.target_index, self.next_port = target, index, 1
  self.deadline = plan.host_timeout and probe.now() + plan.host_timeout
  return true
end

-- The next run of ports that are not known yet: its first index and how many, at most
-- `room`; nil at the end of the target.
function Sweep:run_of_ports(room)
  local plan, first = self.plan, self.next_port
  local is_known, index = plan.is_known, self.target_index
  local count = #plan.ports
  while is_known and first <= count and is_known(index, first) do
    first = first + 1
  end
  local after = math.min(first + room, count + 1)
  if is_known then
    local stop = after
    after = first
    while after < stop and not is_known(index, after) do
      after = after + 1
    end
  end
  self.next_port = after
  if after > first then
    return first, after - first
  end
end

function Sweep:new_segment(first, count)
  return {
    index = self.target_index,
    first = first,
    count = count,
    target = self.target,
    ports = table.move(self.plan.ports, first, first + count - 1, 1, {}),
    deadline = self.deadline,
  }
end

-- The next chunk, an array of segments; nil if all ports are handed out.
function Sweep:new_chunk()
  local chunk, room = { attempts = 0, count = 0, slate = nil }, self.size
  while room > 0 do
    local first, count = self:run_of_ports(room)
    if first then
      chunk[#chunk + 1] = self:new_segment(first, count)
      chunk.count, room = chunk.count + count, room - count
    elseif self.next_port > #self.plan.ports and not self:advance() then
      break
    end
  end
  return #chunk > 0 and chunk or nil
end

local function limits_of(plan)
  return {
    timeout = plan.timeout,
    retries = plan.retries,
    concurrency = window_of(plan),
    min_concurrency = math.ceil(MIN_CONCURRENCY / plan.workers),
    rate = plan.rate and plan.rate / plan.workers,
    banner = plan.banner,
  }
end

-- What travels to a worker of a chunk.
local function payload_of(chunk)
  local list = {}
  for i, segment in ipairs(chunk) do
    list[i] = { target = segment.target, ports = segment.ports, deadline = segment.deadline }
  end
  return list
end

-- The arguments of the next task; nil in the end.
function Sweep:next_task()
  local chunk = table.remove(self.again, 1) or self:new_chunk()
  if not chunk then
    return nil
  end
  self.count = self.count + 1
  self.pending[self.count] = chunk
  chunk.attempts = chunk.attempts + 1
  local limits = limits_of(self.plan)
  if self.is_poll then
    chunk.slate = self.slates:take(chunk.count)
    return payload_of(chunk), limits, chunk.slate
  end
  local segment = chunk[1]
  return segment.target, segment.ports[1], limits, segment.deadline
end

-- Hands out some outcomes of a segment, `count` from its port number `skipped + 1` on.
-- They are in `outcomes`, where the segment begins behind index `before`.
local function deliver_run(segment, before, skipped, count, outcomes, banners, on_outcomes)
  local from = before + skipped
  local part, texts = table.move(outcomes, from + 1, from + count, 1, {}), nil
  for i = 1, count do
    local text = banners and banners[from + i]
    if text then
      texts = texts or {}
      texts[i] = text
    end
  end
  on_outcomes(segment.index, segment.first + skipped, part, texts)
end

-- Hands out the outcomes of a chunk, segment by segment.
local function deliver(chunk, outcomes, banners, on_outcomes)
  local before = 0
  for _, segment in ipairs(chunk) do
    deliver_run(segment, before, 0, segment.count, outcomes, banners, on_outcomes)
    before = before + segment.count
  end
end

-- Hands out those outcomes of a chunk that are known.
local function deliver_known(chunk, outcomes, banners, on_outcomes)
  local before = 0
  for _, segment in ipairs(chunk) do
    local first = 1
    while first <= segment.count do
      local after = first
      while after <= segment.count and outcomes[before + after] do
        after = after + 1
      end
      if after > first then
        deliver_run(segment, before, first - 1, after - first, outcomes, banners, on_outcomes)
      end
      first = after + 1
    end
    before = before + segment.count
  end
end

-- Hands out what is known of the chunks that are not through. Part of one may have been
-- handed out already.
function Sweep:salvage(on_salvaged)
  if not self.slates then
    return
  end
  for _, chunk in pairs(self.pending) do
    local outcomes, banners = self.slates:read(chunk.slate, chunk.count)
    deliver_known(chunk, outcomes, banners, on_salvaged)
  end
end

-- Takes a chunk that could not be scanned: it is handed out again if its worker died.
function Sweep:fail(chunk, err, on_failure)
  interrupt.rethrow(err)
  if ccpool.is_error(err, "WorkerCrashedError") and chunk.attempts < MAX_ATTEMPTS then
    self.again[#self.again + 1] = chunk
    if self.plan.on_crash then
      self.plan.on_crash(err)
    end
    return
  end
  for _, segment in ipairs(chunk) do
    on_failure(segment.index, segment.first, segment.count, err)
  end
end

-- Hands out all there is to hand out, until the last result has come.
function Sweep:pass(executor, on_outcomes, on_failure)
  local plan = self.plan
  self.pending, self.count = {}, 0
  local options = {
    chunksize = self.is_poll and 1 or plan.chunk,
    ordered = false,
    on_error = "return",
    -- The time of a host runs from the moment when its first chunk is handed out, so no
    -- chunk may then wait for a worker.
    buffersize = plan.host_timeout and plan.workers or nil,
  }
  local task = self.is_poll and engine.scan_chunk or probe.check
  local function source()
    return self:next_task()
  end
  for i, ok, value, more in executor:map(task, source, options) do
    local chunk = self.pending[i]
    if not ok then
      self:fail(chunk, value, on_failure)
    elseif self.is_poll then
      deliver(chunk, value, more, on_outcomes)
    else
      deliver(chunk, { value }, { more }, on_outcomes)
    end
    self.pending[i] = nil
    if chunk.slate then
      self.slates:give_back(chunk.slate)
    end
  end
end

--- Scans every port of every target.
-- @tparam table executor
-- @tparam table plan `targets` (an array) or `next_target` (a function that gives one by
--   one), `ports` (in the order of the scan), `engine` (`poll` or `connect`), `workers`,
--   `chunk` (a number or `auto`), `timeout` in seconds, `retries`, `concurrency`; if wanted
--   `rate` (connects a second), `banner` (bytes), `host_timeout` in seconds, `total` (how
--   many ports in all, if known), `is_known(target_index, port_index)` (ports to leave
--   out), `on_crash(err)` (called when a chunk is handed out again)
-- @tparam function on_outcomes called as `on_outcomes(target_index, first, outcomes,
--   banners)` for each segment in the order of completion; `outcomes` belong to the ports
--   from index `first` on, `banners` (nil if there are none) have the same index
-- @tparam function on_failure called as `on_failure(target_index, first, count, err)`
--   for a segment that could not be scanned
-- @tparam[opt] function on_salvaged called as `on_outcomes` when an error ends the scan,
--   Ctrl-C say, for what is known of chunks that are not through; what `on_outcomes` had
--   last may come again
-- @raise what ended the scan
local function run(executor, plan, on_outcomes, on_failure, on_salvaged)
  local sweep = new_sweep(plan)
  local ok, err
  repeat
    ok, err = pcall(sweep.pass, sweep, executor, on_outcomes, on_failure)
  until not ok or #sweep.again == 0
  if not ok and on_salvaged then
    -- What cannot be handed out now is lost; the first error is the one to tell.
    pcall(sweep.salvage, sweep, on_salvaged)
  end
  if not ok then
    error(err, 0)
  end
end

return { run = run }
