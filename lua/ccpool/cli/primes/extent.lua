--- Estimates how many numbers the input of `ccpool primes` holds, for the progress line.
-- Those among the arguments are counted. How many a file holds is guessed from its size and
-- from what was read of it so far; nothing is known of a pipe.
-- @module ccpool.cli.primes.extent

local stat = require("posix.sys.stat")
local unistd = require("posix.unistd")

local numbers = require("ccpool.cli.numbers")

local STDIN = "-"
local TWO_64 = 2.0 ^ 64

--- How many numbers a range holds.
-- @tparam integer low to be read as unsigned, as `high`
-- @tparam integer high
-- @treturn number a float, as there may be 2^64
-- @usage extent.count(0, -1)  --> 2.0 ^ 64
local function count(low, high)
  local more = high - low
  return (more >= 0 and more or more + TWO_64) + 1.0
end

-- The bytes of a regular file that are still to be read; nil if that cannot be known.
local function bytes_of(path)
  if path ~= STDIN then
    local found = stat.stat(path)
    return found and stat.S_ISREG(found.st_mode) ~= 0 and found.st_size or nil
  end
  local found = stat.fstat(unistd.STDIN_FILENO)
  if not found or stat.S_ISREG(found.st_mode) == 0 then
    return nil
  end
  local position = unistd.lseek(unistd.STDIN_FILENO, 0, unistd.SEEK_CUR)
  return position and math.max(0, found.st_size - position)
end

local function count_of_word(word)
  local low, high = numbers.parse_range(word)
  if low then
    return count(low, high)
  end
  return numbers.parse(word) and 1 or 0
end

local Extent = {}
Extent.__index = Extent

--- Looks at the input.
-- @tparam table arguments words; `-` stands for standard input, and so does nothing at all
-- @tparam table files paths
-- @treturn table with `add` and `total`
local function new(arguments, files)
  local self = setmetatable({
    counted = 0, -- numbers among the arguments
    bytes = 0, -- of all files; nil if that is not known
    read_bytes = 0, -- of files, as far as they are answered
    read_numbers = 0, -- in them
  }, Extent)
  local paths = table.move(files, 1, #files, 1, {})
  for _, word in ipairs(arguments) do
    if word == STDIN then
      paths[#paths + 1] = STDIN
    else
      self.counted = self.counted + count_of_word(word)
    end
  end
  if #arguments == 0 and #files == 0 then
    paths[1] = STDIN
  end
  for _, path in ipairs(paths) do
    local bytes = bytes_of(path)
    self.bytes = self.bytes and bytes and self.bytes + bytes
  end
  return self
end

--- Takes note of what was answered.
-- @tparam ?number bytes of a file that it came from, nil if it was among the arguments
-- @tparam integer answered how many numbers
function Extent:add(bytes, answered)
  if bytes then
    self.read_bytes = self.read_bytes + bytes
    self.read_numbers = self.read_numbers + answered
  end
end

--- The estimate.
-- @treturn ?number nil if nothing is known
function Extent:total()
  if self.bytes == 0 then
    return self.counted
  elseif self.bytes and self.read_bytes > 0 then
    return self.counted + self.read_numbers * self.bytes / self.read_bytes
  end
end

return { count = count, new = new }
