--- IP addresses as numbers.
-- An address is a family and two halves of 64 bits, unsigned, high and low; IPv4 uses 32
-- bits of the low one. A range is a table with `family`, `first_high`, `first_low`,
-- `last_high`, `last_low`.
-- @module ccpool.cli.scan.address

local socket = require("posix.sys.socket")

local AF_INET, AF_INET6 = socket.AF_INET, socket.AF_INET6
local BITS = { [AF_INET] = 32, [AF_INET6] = 128 }
local MASK4 = 0xffffffff
local GROUPS = 8

local function parse_ipv4(text)
  local low = 0
  local octets = { text:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$") }
  for _, digits in ipairs(octets) do
    -- A leading zero means octal to some and decimal to others.
    if #digits > 3 or tonumber(digits) > 255 or digits:find("^0%d") then
      return nil
    end
    low = low << 8 | math.tointeger(tonumber(digits))
  end
  return #octets == 4 and low or nil
end

-- Appends the 16-bit groups of a part of an IPv6 address; returns whether they are valid.
-- The last part of an address may end like one of IPv4.
local function add_groups(groups, text, is_last)
  if text == "" then
    return true
  end
  for group, is_more in (text .. ":"):gmatch("([^:]*):()") do
    local dotted = is_last and is_more > #text and parse_ipv4(group)
    if dotted then
      groups[#groups + 1] = dotted >> 16
      groups[#groups + 1] = dotted & 0xffff
    elseif group:find("^%x%x?%x?%x?$") then
      groups[#groups + 1] = tonumber(group, 16)
    else
      return false
    end
  end
  return true
end

local function groups_of(text)
  local head, tail = text:match("^(.-)::(.*)$")
  local groups, rest = {}, {}
  if not add_groups(groups, head or text, not head)
    or not add_groups(rest, tail or "", true) then
    return nil
  end
  local missing = GROUPS - #groups - #rest
  if (head and missing < 1) or (not head and missing ~= 0) then
    return nil
  end
  for _ = 1, missing do
    groups[#groups + 1] = 0
  end
  return table.move(rest, 1, #rest, #groups + 1, groups)
end

local function parse_ipv6(text)
  local groups = groups_of(text)
  if not groups then
    return nil
  end
  local high, low = 0, 0
  for i = 1, 4 do
    high, low = high << 16 | groups[i], low << 16 | groups[i + 4]
  end
  return high, low
end

--- Reads an address without a zone.
-- @tparam string text
-- @treturn[1] integer family
-- @treturn[1] integer high half
-- @treturn[1] integer low half
-- @treturn[2] nil if it is none
-- @usage address.parse("127.0.0.1")
local function parse(text)
  if text:find(":", 1, true) then
    local high, low = parse_ipv6(text)
    if high then
      return AF_INET6, high, low
    end
    return nil
  end
  local low = parse_ipv4(text)
  if low then
    return AF_INET, 0, low
  end
  return nil
end

-- The longest run of two or more zero groups: its first and last index.
local function longest_zeros(groups)
  local best_first, best_last, first = 1, 0, nil
  for i = 1, GROUPS + 1 do
    if groups[i] == 0 then
      first = first or i
    elseif first then
      if i - first > math.max(1, best_last - best_first + 1) then
        best_first, best_last = first, i - 1
      end
      first = nil
    end
  end
  return best_first, best_last
end

local function hex(groups, first, last)
  local texts = {}
  for i = first, last do
    texts[#texts + 1] = ("%x"):format(groups[i])
  end
  return table.concat(texts, ":")
end

--- Writes an address, IPv6 in its shortest form.
-- @tparam integer family
-- @tparam integer high
-- @tparam integer low
-- @treturn string
-- @usage address.format(address.parse("0:0::1"))  --> "::1"
local function format(family, high, low)
  if family == AF_INET then
    return ("%d.%d.%d.%d"):format(low >> 24, low >> 16 & 255, low >> 8 & 255, low & 255)
  end
  local groups = {}
  for i = 1, 4 do
    groups[i] = high >> (64 - 16 * i) & 0xffff
    groups[i + 4] = low >> (64 - 16 * i) & 0xffff
  end
  local first, last = longest_zeros(groups)
  if last < first then
    return hex(groups, 1, GROUPS)
  end
  return hex(groups, 1, first - 1) .. "::" .. hex(groups, last + 1, GROUPS)
end

-- Whether address a comes before address b of the same family.
local function is_before(a_high, a_low, b_high, b_low)
  if a_high ~= b_high then
    return math.ult(a_high, b_high)
  end
  return math.ult(a_low, b_low)
end

--- The address after another one; after the last comes the first.
-- @tparam integer high
-- @tparam integer low
-- @treturn integer high
-- @treturn integer low
local function after(high, low)
  low = low + 1
  return low == 0 and high + 1 or high, low
end

--- Makes a range from its first to its last address.
-- @treturn[1] table
-- @treturn[2] nil if it runs backwards
local function range(family, first_high, first_low, last_high, last_low)
  if is_before(last_high, last_low, first_high, first_low) then
    return nil
  end
  return {
    family = family,
    first_high = first_high,
    first_low = first_low,
    last_high = last_high,
    last_low = last_low,
  }
end

--- The range of all addresses that share the first bits of one.
-- @tparam integer family
-- @tparam integer high
-- @tparam integer low
-- @tparam integer prefix how many bits
-- @treturn[1] table a range
-- @treturn[2] nil if the family does not have so many bits
local function network(family, high, low, prefix)
  if prefix > BITS[family] then
    return nil
  end
  if family == AF_INET then
    local mask = MASK4 << (32 - prefix) & MASK4
    return range(family, 0, low & mask, 0, low | (~mask & MASK4))
  end
  -- A shift by 64 or more gives 0.
  local high_mask = prefix >= 64 and -1 or -1 << (64 - prefix)
  local low_mask = prefix <= 64 and 0 or -1 << (128 - prefix)
  return range(family, high & high_mask, low & low_mask, high | ~high_mask, low | ~low_mask)
end

local function unsigned(value)
  return value >= 0 and value + 0.0 or value + 0x1p64
end

--- How many addresses a range has.
-- @tparam table r a range
-- @treturn number a float
local function size(r)
  local highs = unsigned(r.last_high) - unsigned(r.first_high)
  return highs * 0x1p64 + (unsigned(r.last_low) - unsigned(r.first_low)) + 1
end

--- Tells whether a range holds an address.
-- @tparam table r a range
-- @tparam integer family
-- @tparam integer high
-- @tparam integer low
-- @treturn boolean
local function holds(r, family, high, low)
  return family == r.family and not is_before(high, low, r.first_high, r.first_low)
    and not is_before(r.last_high, r.last_low, high, low)
end

-- Loopback, private, link-local, and the unspecified address, which means this machine.
local NEAR = {}
for _, text in ipairs({
  "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
  "0.0.0.0/32", "::1/128", "::/128", "fc00::/7", "fe80::/10",
}) do
  local base, prefix = text:match("^(.*)/(%d+)$")
  local family, high, low = parse(base)
  NEAR[#NEAR + 1] = network(family, high, low, math.tointeger(tonumber(prefix)))
end

--- Tells whether a whole range lies within loopback, the private or link-local addresses.
-- @tparam table r a range
-- @treturn boolean
local function is_near(r)
  for _, near in ipairs(NEAR) do
    if holds(near, r.family, r.first_high, r.first_low)
      and holds(near, r.family, r.last_high, r.last_low) then
      return true
    end
  end
  return false
end

return {
  after = after,
  format = format,
  holds = holds,
  is_near = is_near,
  network = network,
  parse = parse,
  range = range,
  size = size,
}
