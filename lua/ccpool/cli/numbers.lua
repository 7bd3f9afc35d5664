--- Reads numbers below 2^64 from the words of a user.
-- @module ccpool.cli.numbers

local MAX_DIGITS = "18446744073709551615"
local SHOWN_BYTES = 24

local function with_groups_of_nine(digits)
  -- Nine digits at a time: a 20-digit number wraps to its unsigned reading.
  local value = 0
  for group in digits:gmatch("%d%d?%d?%d?%d?%d?%d?%d?%d?") do
    value = value * math.tointeger(10 ^ #group) + tonumber(group, 10)
  end
  return value
end

--- Reads one number: digits, with an optional leading `+`.
-- @tparam string token
-- @treturn[1] integer the number, from 2^63 on to be read as unsigned
-- @treturn[1] string its digits, without sign and leading zeros
-- @treturn[2] nil
-- @treturn[2] string what is wrong with it
-- @usage numbers.parse("+7")  --> 7, "7"
local function parse(token)
  local digits = token:match("^%+?(%d+)$")
  if not digits then
    return nil, "is not a whole number"
  end
  digits = digits:match("^0*(%d.*)$")
  local is_too_large = #digits > #MAX_DIGITS or (#digits == #MAX_DIGITS and digits > MAX_DIGITS)
  if is_too_large then
    return nil, "is too large: numbers must be below 2^64"
  end
  return with_groups_of_nine(digits), digits
end

--- Writes a number that is to be read as unsigned.
-- @tparam integer value
-- @treturn string
-- @usage numbers.format(-1)  --> "18446744073709551615"
local function format(value)
  if value >= 0 then
    return tostring(value)
  end
  local tens = (value >> 1) // 5
  return ("%d%d"):format(tens, value - tens * 10)
end

--- Reads a range: two numbers with `-` or `..` between them.
-- @tparam string token
-- @treturn[1] integer the first number
-- @treturn[1] integer the last number, not below the first as unsigned numbers go
-- @treturn[2] nil
-- @treturn[2] ?string what is wrong with it; nil if it is no range at all
-- @usage numbers.parse_range("10-20")  --> 10, 20
local function parse_range(token)
  local first, last = token:match("^(%+?%d+)%-(%+?%d+)$")
  if not first then
    first, last = token:match("^(%+?%d+)%.%.(%+?%d+)$")
  end
  if not first then
    return nil
  end
  local low, low_problem = parse(first)
  local high, high_problem = parse(last)
  if not (low and high) then
    return nil, low and high_problem or low_problem
  elseif math.ult(high, low) then
    return nil, "is a range that ends before it begins"
  end
  return low, high
end

--- Makes any word fit to be shown in a message: quoted, escaped and short.
-- @tparam string token
-- @treturn string
-- @usage numbers.show("1.5")  --> '1.5'
local function show(token)
  local head = token:sub(1, SHOWN_BYTES):gsub("[%c\127-\255]", function(byte)
    return ("\\x%02x"):format(byte:byte())
  end)
  if #token > SHOWN_BYTES then
    return ("'%s...' (%d bytes)"):format(head, #token)
  end
  return "'" .. head .. "'"
end

return { format = format, parse = parse, parse_range = parse_range, show = show }
