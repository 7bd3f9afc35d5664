--- Targets as users write them, and the addresses that they stand for.
--
--     word -> parse -> specification -> expand, one address at a time -> target
--
-- A specification is a range of addresses or a name. Names are looked up only when their
-- turn comes.
-- @module ccpool.cli.scan.targets

local socket = require("posix.sys.socket")
local unistd = require("posix.unistd")

local address = require("ccpool.cli.scan.address")
local probe = require("ccpool.cli.scan.probe")

local FAMILY_NAMES = { [socket.AF_INET] = "IPv4", [socket.AF_INET6] = "IPv6" }

-- An address belongs to this machine if a socket can be bound to it.
local function is_local(target)
  local fd = socket.socket(target.family, socket.SOCK_STREAM, 0)
  if not fd then
    return false
  end
  local bound = socket.bind(fd, probe.address_of(target, 0))
  unistd.close(fd)
  return bound ~= nil
end

local function new_target(host, family, addr, scope_id)
  local target = { host = host, addr = addr, family = family, scope_id = scope_id }
  target.is_local = is_local(target)
  return target
end

-- Looks a name up: an array of the addresses found, each once, or nil and a message.
local function look_up(host, family)
  local hints = { family = family or socket.AF_UNSPEC, socktype = socket.SOCK_STREAM }
  local found, message = socket.getaddrinfo(host, nil, hints)
  if host == "" or not found or not found[1] then
    return nil, found and "no address" or message
  end
  local list, is_known = {}, {}
  for _, entry in ipairs(found) do
    if not is_known[entry.addr] and FAMILY_NAMES[entry.family] then
      is_known[entry.addr] = true
      list[#list + 1] = entry
    end
  end
  return list
end

--- Resolves a host name or an address; the first address found is taken.
-- @tparam string host
-- @tparam[opt] integer family `AF_INET` or `AF_INET6`; either if nil
-- @treturn[1] table `{ host, addr, family, scope_id, is_local }`
-- @treturn[2] nil
-- @treturn[2] string message
-- @usage targets.resolve("localhost")
local function resolve(host, family)
  local found, message = look_up(host, family)
  if not found then
    return nil, message
  end
  return new_target(host, found[1].family, found[1].addr, found[1].scope_id)
end

local function parse_network(word)
  local base, digits = word:match("^(.*)/(.*)$")
  local family, high, low = address.parse(base)
  local prefix = digits:find("^%d%d?%d?$") and math.tointeger(tonumber(digits))
  local range = family and prefix and address.network(family, high, low, prefix)
  if not range then
    return nil, "is not a network such as 192.168.0.0/24"
  end
  return range
end

-- Reads a-b; returns nothing if the word is no range at all, such as a name with a dash.
local function parse_range(word)
  local from, to = word:match("^([^-]+)%-([^-]+)$")
  local family, high, low = address.parse(from or "")
  if not family then
    return nil
  end
  local last_family, last_high, last_low = address.parse(to)
  if family == socket.AF_INET and to:find("^%d%d?%d?$") and tonumber(to) <= 255 then
    last_family, last_high, last_low = family, 0, low & ~255 | math.tointeger(tonumber(to))
  end
  if last_family ~= family then
    return nil, "is not a range such as 10.0.0.1-10.0.0.9"
  end
  local range = address.range(family, high, low, last_high, last_low)
  return range, not range and "runs backwards" or nil
end

local function parse_addresses(word)
  if word:find("/", 1, true) then
    return parse_network(word)
  end
  local family, high, low = address.parse(word)
  if family then
    return address.range(family, high, low, high, low)
  end
  return parse_range(word)
end

--- Reads one target: a name, an address, a network `10.0.0.0/24` (host bits allowed) or a
-- range `10.0.0.1-10.0.0.9`, `10.0.0.1-9`.
-- @tparam string word
-- @tparam[opt] integer family `AF_INET` or `AF_INET6`; either if nil
-- @treturn[1] table a specification: `word`, and `range` unless it is a name
-- @treturn[2] nil
-- @treturn[2] string message
-- @usage targets.parse("192.168.0.0/24")
local function parse(word, family)
  local range, message = parse_addresses(word)
  if message then
    return nil, message
  elseif range and family and range.family ~= family then
    return nil, "is not " .. FAMILY_NAMES[family]
  elseif word == "" or word:find("[%s,]") or word:find("^%-") then
    return nil, "is not a name or an address"
  end
  return { word = word, range = range }
end

-- The ranges that a specification stands for, names looked up.
local function ranges_of(spec)
  if spec.range then
    return { spec.range }
  end
  local found, message = look_up(spec.word)
  if not found then
    return nil, message
  end
  local ranges = {}
  for i, entry in ipairs(found) do
    local family, high, low = address.parse((entry.addr:gsub("%%.*$", "")))
    ranges[i] = address.range(family, high, low, high, low)
  end
  return ranges
end

--- Reads a list of targets with commas between them, for `--exclude`.
-- @tparam string text
-- @treturn[1] table an array of ranges
-- @treturn[2] nil
-- @treturn[2] string message
-- @usage targets.parse_excluded("10.0.0.1,10.0.1.0/24")
local function parse_excluded(text)
  local list = {}
  for word in (text .. ","):gmatch("([^,]*),") do
    local spec, message = parse(word)
    local ranges
    if spec then
      ranges, message = ranges_of(spec)
    end
    if not ranges then
      return nil, ("'%s': %s"):format(word, message)
    end
    table.move(ranges, 1, #ranges, #list + 1, list)
  end
  return list
end

--- How many addresses outside loopback and the private ones a specification may have.
-- @tparam table spec
-- @treturn number
-- @usage targets.count_public(targets.parse("8.8.0.0/16"))  --> 65536
local function count_public(spec)
  if not spec.range then
    return 0
  end
  return address.is_near(spec.range) and 0 or address.size(spec.range)
end

--- How many addresses a specification has; names count as one.
-- @tparam table spec
-- @treturn number
local function count(spec)
  return spec.range and address.size(spec.range) or 1
end

--- Tells whether a target lies outside loopback and the private addresses.
-- @tparam table target
-- @treturn boolean
local function is_public(target)
  local family, high, low = address.parse((target.addr:gsub("%%.*$", "")))
  return family ~= nil and not address.is_near(address.range(family, high, low, high, low))
end

local Expansion = {}
Expansion.__index = Expansion

-- The range among those excluded, or expanded already, that holds an address.
function Expansion:_barrier(family, high, low)
  for _, range in ipairs(self.excluded) do
    if address.holds(range, family, high, low) then
      return range
    end
  end
  for _, range in ipairs(self.done) do
    if address.holds(range, family, high, low) then
      self.repeated = self.repeated + 1
      return range
    end
  end
end

-- The next target of the range that is being expanded; nil at its end. What is excluded
-- or done is skipped as a whole, however large it is.
function Expansion:_step()
  local range = self.range
  while range do
    local family, high, low = range.family, self.high, self.low
    local barrier = self:_barrier(family, high, low)
    local last_high, last_low = high, low
    if barrier then
      last_high, last_low = barrier.last_high, barrier.last_low
    end
    self.high, self.low = address.after(last_high, last_low)
    -- Compared before the step, because after the last address of all comes the first.
    if not address.range(family, last_high, last_low, range.last_high, range.last_low)
      or (last_high == range.last_high and last_low == range.last_low) then
      self:_end_range(range)
      range = nil
    end
    if not barrier then
      local addr = address.format(family, high, low)
      return self:_once(new_target(addr, family, addr)) or self:_step()
    end
  end
end

function Expansion:_end_range(range)
  self.range = nil
  if address.size(range) > 1 then
    self.done[#self.done + 1] = range
  end
end

-- Gives the target, but nothing if its address came before by itself.
function Expansion:_once(target)
  local key = target.addr .. "%" .. (target.scope_id or 0)
  if self.singles[key] then
    self.repeated = self.repeated + 1
    return nil
  end
  if self.is_single then
    self.singles[key] = true
  end
  return target
end

function Expansion:_begin_name(word)
  local found, message = look_up(word, self.family)
  if not found then
    self.on_unresolved(word, message)
    return
  end
  self.is_single = true
  for i = 1, self.all_ips and #found or 1 do
    local entry = found[i]
    local family, high, low = address.parse((entry.addr:gsub("%%.*$", "")))
    if not self:_barrier(family, high, low) then
      self.waiting[#self.waiting + 1] =
        self:_once(new_target(word, entry.family, entry.addr, entry.scope_id))
    end
  end
end

function Expansion:_begin(spec)
  local range = spec.range
  if not range then
    self:_begin_name(spec.word)
    return
  end
  self.range, self.high, self.low = range, range.first_high, range.first_low
  self.is_single = address.size(range) == 1
end

--- The next target.
-- @treturn ?table as from @{resolve}; nil in the end
function Expansion:next()
  while true do
    local target = table.remove(self.waiting, 1) or self:_step()
    if target then
      return target
    end
    local spec = self.specs[self.next_spec]
    if not spec then
      return nil
    end
    self.next_spec = self.next_spec + 1
    self:_begin(spec)
  end
end

--- Expands specifications, one target at a time and each address once.
-- @tparam table specs an array
-- @tparam table options `excluded` (ranges), `family`, `all_ips` (all addresses of a name,
--   not only the first), `on_unresolved` (called with the name and a message)
-- @treturn table with `next()`, and `repeated`: how many addresses, or ranges of them, came
--   more than once
-- @usage local expansion = targets.expand({ targets.parse("::1") }, {})
local function expand(specs, options)
  return setmetatable({
    specs = specs,
    next_spec = 1,
    excluded = options.excluded or {},
    family = options.family,
    all_ips = options.all_ips,
    on_unresolved = options.on_unresolved,
    waiting = {}, -- targets of a name
    done = {}, -- ranges expanded already
    singles = {}, -- addresses that were given one by one
    repeated = 0,
  }, Expansion)
end

return {
  count = count,
  count_public = count_public,
  expand = expand,
  is_public = is_public,
  parse = parse,
  parse_excluded = parse_excluded,
  resolve = resolve,
}
