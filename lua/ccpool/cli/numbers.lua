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

return { parse = parse, show = show }
