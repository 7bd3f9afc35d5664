--- Scans a chunk of ports, of one address or of several, with one poll loop.
--
--     queue of ports -> start -> in flight -> poll -> settle -> outcomes
--           ^                                  |  ^      |
--           |                              read banner <-+
--           +-------- another try, or a shortage -------+
--
-- At most as many connects are in flight as the window allows.
--
-- A target on this machine has answered by the time connect returns, so it is asked at
-- once and poll is seldom needed; a refused socket is used again for the next port.
-- @module ccpool.cli.scan.engine

local poll = require("posix.poll")
local unistd = require("posix.unistd")

local banner = require("ccpool.cli.scan.banner")
local pace = require("ccpool.cli.scan.pace")
local probe = require("ccpool.cli.scan.probe")
local slates = require("ccpool.cli.scan.slates")
local states = require("ccpool.cli.scan.states")
local window = require("ccpool.cli.scan.window")

-- A chunk that cannot start a single connect gives up after these naps, 5 s in all.
local MAX_NAPS = 50
local NAP_MS = 100
local WRITABLE, READABLE = { OUT = true }, { IN = true }

-- Each poll looks at everything in flight, so with much in flight answers are gathered
-- for a while: for a millisecond for as many connects.
local CONNECTS_PER_GATHER_MS = 200

local code_of = states.code_of

local Scan = {}
Scan.__index = Scan

-- Writes one after the other the ports of all segments and to whom they belong.
local function flatten(segments)
  local ports, owners = {}, {}
  for _, segment in ipairs(segments) do
    local owner = {
      address = probe.address_of(segment.target),
      is_local = segment.target.is_local,
      deadline = segment.deadline,
    }
    for _, port in ipairs(segment.ports) do
      local count = #ports + 1
      ports[count], owners[count] = port, owner
    end
  end
  return ports, owners
end

local function new_scan(segments, limits, slate)
  local ports, owners = flatten(segments)
  return setmetatable({
    ports = ports,
    owners = owners,
    outcomes = {},
    banners = {},
    slate = slate,
    codes = slate and slate.codes,
    timeout = limits.timeout,
    retries = limits.retries,
    rate = limits.rate,
    banner_bytes = limits.banner,
    window = window.of_worker(limits.min_concurrency or 1, limits.concurrency),
    next_index = 1,
    again = {}, -- indices of ports to be tried again, a stack
    tries = {}, -- by index, of the ports tried again
    doubts = {}, -- by index, the outcome of the last try
    spares = {}, -- refused sockets by family, each a stack
    in_flight = 0,
    watched = {}, -- poll's table: descriptor -> { events, revents, index, deadline }
    expiries = {}, -- watched entries in the order of their deadlines
    first_expiry = 1,
    last_expiry = 0,
    naps = 0,
  }, Scan)
end

function Scan:has_unstarted()
  return #self.again > 0 or self.next_index <= #self.ports
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

function Scan:take_socket(family)
  local spares = self.spares[family]
  local count = spares and #spares or 0
  if count > 0 then
    local fd = spares[count]
    spares[count] = nil
    return fd
  end
  return probe.new_socket(family)
end

function Scan:spare(fd, family)
  local spares = self.spares[family] or {}
  self.spares[family] = spares
  spares[#spares + 1] = fd
end

function Scan:suffer(index, shortage)
  self.again[#self.again + 1] = index
  self.window:shrink()
  self.shortage = shortage
end

-- Writes down what a port is found to be, or that nothing is found out.
function Scan:file(index, outcome)
  self.outcomes[index] = outcome
  local codes = self.codes
  if codes then
    local text = self.banners[index]
    if text then
      slates.tell_banner(self.slate, index, text)
    end
    codes[index] = code_of(outcome)
  end
end

function Scan:answer(index, outcome)
  if states.is_doubtful(outcome) then
    local tries = self.tries[index] or 0
    if tries < self.retries then
      self.tries[index] = tries + 1
      self.doubts[index] = outcome
      self.again[#self.again + 1] = index
      return
    end
  elseif self.doubts[index] == "timeout" then
    self.window:notice_loss(self.timeout)
  end
  self:file(index, outcome)
  self.naps = 0
  self.window:grow()
end

-- Ends a connect that succeeded, or goes on to its banner, and then returns nil: there is
-- no outcome yet.
function Scan:end_connected(fd, index)
  local owner = self.owners[index]
  owner.address.port = self.ports[index]
  local outcome = probe.verify(fd, owner.address, owner.is_local, self.timeout)
  if outcome == "connected" and self.banner_bytes then
    self:watch(fd, index, READABLE, banner.new(self.banner_bytes))
    return nil
  end
  probe.abort(fd)
  return outcome
end

-- Ends a connect: closes the socket or keeps it, and files the outcome.
-- Returns false after a shortage.
function Scan:settle(fd, index, outcome)
  if outcome == "ECONNREFUSED" then
    self:spare(fd, self.owners[index].address.family)
  elseif outcome == "connected" then
    outcome = self:end_connected(fd, index)
    if not outcome then
      return true
    end
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

function Scan:watch(fd, index, events, reader)
  local entry = {
    events = events,
    revents = {},
    fd = fd,
    index = index,
    reader = reader, -- of a banner, once connected
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

-- Leaves a port alone if its host has used up its time: what a first try said holds.
function Scan:is_too_late(index)
  local deadline = self.owners[index].deadline
  if not deadline or probe.now() < deadline then
    return false
  end
  self:file(index, self.doubts[index] or "host-timeout")
  return true
end

-- Starts the connect to one port; returns false after a shortage.
function Scan:start(index)
  if self:is_too_late(index) then
    return true
  end
  local owner = self.owners[index]
  local address = owner.address
  local fd, shortage = self:take_socket(address.family)
  if not fd then
    self:suffer(index, shortage)
    return false
  end
  address.port = self.ports[index]
  local outcome = probe.ask(fd, address) or (owner.is_local and probe.ask(fd, address))
  if outcome then
    return self:settle(fd, index, outcome)
  end
  self:watch(fd, index, WRITABLE)
  return true
end

function Scan:start_all()
  self.pause = nil
  while self.in_flight < self.window.size and self:has_unstarted() do
    self.pause = pace.ask(self.rate)
    if self.pause or not self:start(self:take_index()) then
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

function Scan:end_banner(entry)
  self:unwatch(entry)
  self.banners[entry.index] = entry.reader:text()
  unistd.close(entry.fd)
  self:answer(entry.index, "connected")
end

function Scan:expire()
  local time = probe.now()
  local entry = self:next_expiry()
  while entry and entry.deadline <= time do
    if entry.reader then
      self:end_banner(entry)
    else
      self:unwatch(entry)
      self:settle(entry.fd, entry.index, "timeout")
    end
    entry = self:next_expiry()
  end
end

function Scan:collect_one(entry)
  if entry.reader then
    if entry.reader:read(entry.fd) then
      self:end_banner(entry)
    end
    return
  end
  local address = self.owners[entry.index].address
  address.port = self.ports[entry.index]
  local outcome = probe.ask(entry.fd, address)
  if outcome then
    self:unwatch(entry)
    self:settle(entry.fd, entry.index, outcome)
  end
end

function Scan:collect()
  local ready = {}
  for _, entry in pairs(self.watched) do
    local revents = entry.revents
    if revents.OUT or revents.IN or revents.ERR or revents.HUP or revents.NVAL then
      ready[#ready + 1] = entry
    end
  end
  for _, entry in ipairs(ready) do
    self:collect_one(entry)
  end
end

function Scan:wait()
  local gather_ms = self.in_flight // CONNECTS_PER_GATHER_MS
  if gather_ms > 0 then
    probe.nap(gather_ms)
  end
  local left = self:next_expiry().deadline - probe.now()
  if self.pause and self.pause < left then
    left = self.pause
  end
  if (poll.poll(self.watched, math.max(0, math.ceil(left * 1000))) or 0) > 0 then
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
    self:file(index, self.shortage)
    index = self:take_index()
  end
end

function Scan:run()
  while self.in_flight > 0 or self:has_unstarted() do
    self.shortage = nil
    self:start_all()
    if self.in_flight > 0 then
      self:wait()
    elseif self.shortage then
      self:rest()
    elseif self.pause then
      probe.nap(math.ceil(self.pause * 1000))
    end
  end
end

function Scan:close()
  for _, spares in pairs(self.spares) do
    for _, fd in ipairs(spares) do
      unistd.close(fd)
    end
  end
  for fd in pairs(self.watched) do
    unistd.close(fd)
  end
end

--- Scans a chunk of ports: the task of the `poll` engine.
-- @tparam table segments an array of `{ target, ports, deadline }`: a target has `family`,
--   `addr`, `is_local`, and for IPv6 `scope_id`; no connect starts after the deadline, if
--   there is one, a time of `probe.now`
-- @tparam table limits `timeout` in seconds, `retries`, `concurrency`, and if wanted
--   `min_concurrency`, `rate` (connects a second), `banner` (bytes to read)
-- @tparam[opt] table slate where to tell outcomes as they come
-- @treturn table the outcomes, in the order of the ports of all segments
-- @treturn table the banners that were read, by the same index
-- @usage engine.scan_chunk({ { target = target, ports = { 22, 80 } } },
--   { timeout = 1, retries = 1, concurrency = 64 })
local function scan_chunk(segments, limits, slate)
  local state = new_scan(segments, limits, slate)
  local ok, err = pcall(state.run, state)
  state:close()
  if not ok then
    error(err, 0)
  end
  return state.outcomes, state.banners
end

--- Scans ports of one target.
-- @tparam table target as in @{scan_chunk}
-- @tparam table ports an array of port numbers
-- @tparam table limits as for @{scan_chunk}
-- @treturn table the outcomes, in the order of `ports`
-- @treturn table the banners that were read, by the same index
-- @usage engine.scan(target, { 22, 80 }, { timeout = 1, retries = 1, concurrency = 64 })
local function scan(target, ports, limits)
  return scan_chunk({ { target = target, ports = ports } }, limits)
end

return { scan = scan, scan_chunk = scan_chunk }
