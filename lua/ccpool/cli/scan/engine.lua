--- Scans a chunk of ports of one address with one poll loop.
--
--     queue of ports -> start -> in flight -> poll -> settle -> outcomes
--           ^                                           |
--           +-------- another try, or a shortage -------+
--
-- At most `window` connects are in flight. The window grows with every answer and is
-- halved by every shortage of descriptors, memory or source ports. A target on this
-- machine has answered by the time connect returns, so it is asked at once and poll is
-- seldom needed; a refused socket is used again for the next port.
-- @module ccpool.cli.scan.engine

local poll = require("posix.poll")
local unistd = require("posix.unistd")

local probe = require("ccpool.cli.scan.probe")
local states = require("ccpool.cli.scan.states")

local FIRST_WINDOW = 64
-- A chunk that cannot start a single connect gives up after these naps, 5 s in all.
local MAX_NAPS = 50
local NAP_MS = 100
local EVENTS = { OUT = true }

local Scan = {}
Scan.__index = Scan

local function new_scan(target, ports, limits)
  return setmetatable({
    address = probe.address_of(target),
    is_local = target.is_local,
    ports = ports,
    outcomes = {},
    timeout = limits.timeout,
    retries = limits.retries,
    max_window = limits.concurrency,
    window = math.min(FIRST_WINDOW, limits.concurrency),
    next_index = 1,
    again = {}, -- indices of ports to be tried again, a stack
    tries = {}, -- by index, of the ports tried again
    spares = {}, -- refused sockets, a stack
    in_flight = 0,
    watched = {}, -- poll's table: descriptor -> { events, revents, index, deadline }
    expiries = {}, -- watched entries in the order of their deadlines
    first_expiry = 1,
    last_expiry = 0,
    naps = 0,
  }, Scan)
end

function Scan:take_index()
  local again = self.again
  local count = #again
  if count > 0 then
    local index = again[count]
    again[count] = nil
    return index
  end
  local index = self.next_index
  if index <= #self.ports then
    self.next_index = index + 1
    return index
  end
end

function Scan:take_socket()
  local spares = self.spares
  local count = #spares
  if count > 0 then
    local fd = spares[count]
    spares[count] = nil
    return fd
  end
  return probe.new_socket(self.address.family)
end

function Scan:suffer(index, shortage)
  self.again[#self.again + 1] = index
  self.window = math.max(1, self.window // 2)
  self.shortage = shortage
end

function Scan:answer(index, outcome)
  local tries = self.tries[index] or 0
  if states.is_doubtful(outcome) and tries < self.retries then
    self.tries[index] = tries + 1
    self.again[#self.again + 1] = index
    return
  end
  self.outcomes[index] = outcome
  self.naps = 0
  self.window = math.min(self.max_window, self.window + 1)
end

-- Ends a connect: files its outcome, and closes the socket or keeps it.
-- Returns false after a shortage.
function Scan:settle(fd, index, outcome)
  if outcome == "ECONNREFUSED" then
    self.spares[#self.spares + 1] = fd
    self:answer(index, outcome)
    return true
  end
  if outcome == "connected" then
    self.address.port = self.ports[index]
    outcome = probe.verify(fd, self.address, self.is_local, self.timeout)
    probe.abort(fd)
  else
    unistd.close(fd)
  end
  if states.is_shortage(outcome) then
    self:suffer(index, outcome)
    return false
  end
  self:answer(index, outcome)
  return true
end

function Scan:watch(fd, index)
  local entry = {
    events = EVENTS,
    revents = {},
    fd = fd,
    index = index,
    deadline = probe.now() + self.timeout,
  }
  self.watched[fd] = entry
  self.in_flight = self.in_flight + 1
  self.last_expiry = self.last_expiry + 1
  self.expiries[self.last_expiry] = entry
end

function Scan:unwatch(entry)
  self.watched[entry.fd] = nil
  self.in_flight = self.in_flight - 1
end

-- Starts the connect to one port; returns false after a shortage.
function Scan:start(index)
  local fd, shortage = self:take_socket()
  if not fd then
    self:suffer(index, shortage)
    return false
  end
  local address = self.address
  address.port = self.ports[index]
  local outcome = probe.ask(fd, address) or (self.is_local and probe.ask(fd, address))
  if outcome then
    return self:settle(fd, index, outcome)
  end
  self:watch(fd, index)
  return true
end

function Scan:start_all()
  while self.in_flight < self.window do
    local index = self:take_index()
    if not index or not self:start(index) then
      return
    end
  end
end

-- The first watched entry in order of deadlines; drops those settled before.
function Scan:next_expiry()
  while self.first_expiry <= self.last_expiry do
    local entry = self.expiries[self.first_expiry]
    if self.watched[entry.fd] == entry then
      return entry
    end
    self.expiries[self.first_expiry] = nil
    self.first_expiry = self.first_expiry + 1
  end
end

function Scan:expire()
  local time = probe.now()
  local entry = self:next_expiry()
  while entry and entry.deadline <= time do
    self:unwatch(entry)
    self:settle(entry.fd, entry.index, "timeout")
    entry = self:next_expiry()
  end
end

function Scan:collect()
  local ready = {}
  for _, entry in pairs(self.watched) do
    local revents = entry.revents
    if revents.OUT or revents.ERR or revents.HUP or revents.NVAL then
      ready[#ready + 1] = entry
    end
  end
  for _, entry in ipairs(ready) do
    self.address.port = self.ports[entry.index]
    local outcome = probe.ask(entry.fd, self.address)
    if outcome then
      self:unwatch(entry)
      self:settle(entry.fd, entry.index, outcome)
    end
  end
end

function Scan:wait()
  local left_ms = math.ceil((self:next_expiry().deadline - probe.now()) * 1000)
  if (poll.poll(self.watched, math.max(0, left_ms)) or 0) > 0 then
    self:collect()
  end
  self:expire()
end

-- Waits out a shortage that lets no connect start at all; gives up in the end, and then
-- the shortage is the outcome of all ports left.
function Scan:rest()
  self.naps = self.naps + 1
  if self.naps <= MAX_NAPS then
    probe.nap(NAP_MS)
    return
  end
  local index = self:take_index()
  while index do
    self.outcomes[index] = self.shortage
    index = self:take_index()
  end
end

function Scan:has_more()
  return self.in_flight > 0 or #self.again > 0 or self.next_index <= #self.ports
end

function Scan:run()
  while self:has_more() do
    self.shortage = nil
    self:start_all()
    if self.in_flight > 0 then
      self:wait()
    elseif self.shortage then
      self:rest()
    end
  end
end

function Scan:close()
  for _, fd in ipairs(self.spares) do
    unistd.close(fd)
  end
  for fd in pairs(self.watched) do
    unistd.close(fd)
  end
end

--- Scans a chunk of ports: the task of the `poll` engine.
-- @tparam table target `family`, `addr`, `is_local`, and for IPv6 `scope_id`
-- @tparam table ports an array of port numbers
-- @tparam table limits `timeout` in seconds, `retries`, `concurrency`
-- @treturn table the outcomes, in the order of `ports`
-- @usage engine.scan(target, { 22, 80 }, { timeout = 1, retries = 1, concurrency = 64 })
local function scan(target, ports, limits)
  local state = new_scan(target, ports, limits)
  local ok, err = pcall(state.run, state)
  state:close()
  if not ok then
    error(err, 0)
  end
  return state.outcomes
end

return { scan = scan }
