--- Cuts the input of `ccpool primes` into chunks: pieces of text, and pieces of ranges.
-- A chunk is a table with `place`, which tells where it comes from, and `text` (and
-- `by_line`), or `low` and `high`, and `lines`, the line ends it takes from the text. What
-- comes from a file has `bytes`, its share of them.
-- @module ccpool.cli.primes.chunks

local fcntl = require("posix.fcntl")
local unistd = require("posix.unistd")

local extent = require("ccpool.cli.primes.extent")
local input = require("ccpool.cli.input")
local numbers = require("ccpool.cli.numbers")

local STDIN = "-"
-- What the coroutine yields before it reads. The waiting is done outside of it: the
-- interpreter raises Ctrl-C in the main coroutine only.
local WAIT = {}
-- What may be in a range: a quick look whether a text has any.
local RANGE_HINT = "%d[-.][.+%d]"

local Chunks = {}
Chunks.__index = Chunks

local function emit(text, place)
  if text ~= "" then
    local bytes = place.is_file and #text or nil
    coroutine.yield({ place = place, text = text, by_line = place.by_line, bytes = bytes })
  end
end

-- Yields a text cut after every `size` words.
local function emit_sized(text, place, size)
  if not size then
    return emit(text, place)
  end
  local word = place.by_line and "[^\n]*\n" or "%S+%s*"
  local first, position, count = 1, 1, 0
  while true do
    local _, last = text:find(word, position)
    if not last then
      return emit(text:sub(first), place)
    end
    position, count = last + 1, count + 1
    if count == size then
      emit(text:sub(first, last), place)
      first, count = position, 0
    end
  end
end

-- Yields a range in pieces; in a file it takes so many bytes.
local function emit_range(low, high, place, sizes, bytes)
  local size = sizes.range(low, high)
  local share = place.is_file and bytes / extent.count(low, high) or nil
  local function emit_piece(last, lines)
    coroutine.yield({ place = place, low = low, high = last, lines = lines,
      bytes = share and share * extent.count(low, last) })
  end
  while high - low < 0 or high - low >= size do
    emit_piece(low + size - 1, 0)
    low = low + size
  end
  emit_piece(high, place.by_line and 1 or 0)
end

-- Yields a text, its ranges by themselves.
local function emit_text(text, place, sizes)
  local start, position = 1, 1
  local word = place.by_line and "()([^\n]+)()\n" or "()(%S+)()"
  while text:find(RANGE_HINT, position) do
    -- Skip to the word that the hint is in.
    local hint = text:find(RANGE_HINT, position)
    while position < hint and text:find("%s", position) and text:find("%s", position) < hint do
      position = text:find("%s", position) + 1
    end
    local first, token, behind = text:match(word, position)
    local low, high = numbers.parse_range(token)
    if low then
      emit_sized(text:sub(start, first - 1), place, sizes.words)
      emit_range(low, high, place, sizes, #token + 1)
      start = behind + (place.by_line and 1 or 0)
    end
    position = behind
  end
  emit_sized(text:sub(start), place, sizes.words)
end

-- Arguments are lines: a blank in one is no end of a word, but an error.
local function emit_arguments(arguments, first, last, sizes)
  local lines = {}
  for i = first, last do
    lines[#lines + 1] = arguments[i]:gsub("\n", "\r") .. "\n"
  end
  local place = { name = "argument ", offset = first - 1, by_line = true }
  emit_text(table.concat(lines), place, sizes)
end

local function emit_descriptor(self, fd, name, place)
  local reader = input.reader(fd, name)
  self.reader = reader
  reader.before_read = function()
    coroutine.yield(WAIT)
  end
  for text in reader.next, reader do
    emit_text(text, place, self.sizes)
  end
  self.reader = nil
end

local function emit_file(self, path)
  if path == STDIN then
    emit_descriptor(self, unistd.STDIN_FILENO, "standard input",
      { name = "line ", offset = 0, is_file = true })
    return
  end
  local fd, message = fcntl.open(path, fcntl.O_RDONLY)
  if not fd then
    self.on_problem(("cannot open %s"):format(message))
    return
  end
  emit_descriptor(self, fd, path, { name = path .. ": line ", offset = 0, is_file = true })
  unistd.close(fd)
end

local function emit_all(self, arguments, files)
  local first = 1
  for i = 1, #arguments + 1 do
    if i > #arguments or arguments[i] == STDIN then
      emit_arguments(arguments, first, i - 1, self.sizes)
      first = i + 1
    end
    if arguments[i] == STDIN then
      emit_file(self, STDIN)
    end
  end
  for _, path in ipairs(files) do
    emit_file(self, path)
  end
  if #arguments == 0 and #files == 0 then
    emit_file(self, STDIN)
  end
end

--- Returns the next chunk, waiting for input if need be.
-- @treturn ?table nil at the end
-- @raise a table with `failure` if reading fails
function Chunks:next()
  local chunk = self.step()
  while chunk == WAIT do
    self.reader:wait()
    chunk = self.step()
  end
  return chunk
end

--- Tells whether @{Chunks:next} need not wait, as far as is known.
-- @treturn boolean
function Chunks:is_ready()
  return self.reader == nil or self.reader:is_ready()
end

--- Begins to cut.
-- @tparam table arguments words; `-` stands for standard input, and so does nothing at all
-- @tparam table files paths of files, to be read behind the arguments
-- @tparam table sizes `words`, how many words of a text make a chunk (nil: what is read
--   at once), and `range`, a function that tells how many numbers of a range do
-- @tparam function on_problem called with a message about a file that cannot be opened
-- @treturn table with `next()` and `is_ready()`
local function new(arguments, files, sizes, on_problem)
  local self = setmetatable({ sizes = sizes, on_problem = on_problem }, Chunks)
  self.step = coroutine.wrap(function()
    emit_all(self, arguments, files)
    while true do
      coroutine.yield(nil)
    end
  end)
  return self
end

return { new = new }
