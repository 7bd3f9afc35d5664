--- Reads words: blocks of whole words from a descriptor, as soon as they are there.
-- It is waited for with poll, because a blocking read would hide Ctrl-C.
-- @module ccpool.cli.input

local errno = require("posix.errno")
local poll = require("posix.poll")
local unistd = require("posix.unistd")

local BLOCK_BYTES = 65536
-- A word longer than this is cut: no number is that long, but memory is finite.
local MAX_WORD_BYTES = 1 << 20
-- A signal may come just before poll sleeps: then it is seen to once that sleep ends.
local SLICE_MS = 100

--- Waits until a descriptor is readable.
-- @tparam integer fd
-- @treturn[1] integer 1
-- @treturn[2] nil when a signal came, or for another reason
-- @treturn[2] string the message
-- @treturn[2] integer the number of the error
-- @raise what the handler of a signal raises, Ctrl-C
-- @usage assert(input.await(0))
local function await(fd)
  local ready, message, code
  repeat
    ready, message, code = poll.rpoll(fd, SLICE_MS)
  until ready ~= 0
  return ready, message, code
end

-- Returns the next bytes, or nil at the end. Only poll is sure to return on a signal.
local function read(fd, name)
  while true do
    local ready, message, code = await(fd)
    if ready then
      local block
      block, message, code = unistd.read(fd, BLOCK_BYTES)
      if block then
        return block ~= "" and block or nil
      end
    end
    if code ~= errno.EINTR and code ~= errno.EAGAIN then
      message = tostring(message):gsub("^.*: ", "")
      error({ failure = ("cannot read %s: %s"):format(name, message) }, 0)
    end
  end
end

local Reader = {}
Reader.__index = Reader

--- Tells whether @{Reader:next} has something to look at without waiting.
-- @treturn boolean
function Reader:is_ready()
  return self.is_at_end or poll.rpoll(self.fd, 0) == 1
end

--- Waits until there is something to read. Ctrl-C is raised here.
function Reader:wait()
  local ready
  repeat
    ready = self.is_at_end or await(self.fd)
  until ready
end

-- Takes in a block without a blank: the word that has begun gets longer.
function Reader:lengthen(block)
  local room = MAX_WORD_BYTES - self.rest_bytes
  if room > 0 then
    table.insert(self.rest, block:sub(1, room))
    self.rest_bytes = self.rest_bytes + math.min(room, #block)
  end
end

--- Returns text that ends where a word does, waiting for it if need be.
-- @treturn ?string nil at the end
-- @raise a table with `failure` if reading fails
function Reader:next()
  while not self.is_at_end do
    if self.before_read then
      self.before_read()
    end
    local block = read(self.fd, self.name)
    if not block then
      self.is_at_end = true
      local text = table.concat(self.rest)
      return text ~= "" and text or nil
    end
    -- The last blank: greedy up to it.
    local _, cut = block:find("^.*%s")
    if cut then
      table.insert(self.rest, block:sub(1, cut))
      local text = table.concat(self.rest)
      self.rest = { block:sub(cut + 1) }
      self.rest_bytes = #block - cut
      return text
    end
    self:lengthen(block)
  end
end

--- Begins to read a descriptor.
-- @tparam integer fd
-- @tparam string name for messages, such as `standard input`
-- @treturn table with `next()` and `is_ready()`
-- @usage for text in input.reader(0, "standard input").next, reader do print(#text) end
local function reader(fd, name)
  return setmetatable({ fd = fd, name = name, rest = {}, rest_bytes = 0, is_at_end = false },
    Reader)
end

--- Iterates over the blank-separated words of a descriptor.
-- @tparam integer fd
-- @tparam[opt="standard input"] string name for messages
-- @treturn function iterator: word, line number
-- @raise a table with `failure` if reading fails
-- @usage for word, line in input.words(0) do print(line, word) end
local function words(fd, name)
  local source = reader(fd, name or "standard input")
  local text, position, line = "", 1, 1
  return function()
    while true do
      local first, last = text:find("%S+", position)
      local _, ends = text:sub(position, (first or 0) - 1):gsub("\n", "")
      line = line + ends
      if first then
        position = last + 1
        return text:sub(first, last), line
      end
      text, position = source:next(), 1
      if not text then
        text = ""
        return nil
      end
    end
  end
end

return { await = await, reader = reader, words = words }
