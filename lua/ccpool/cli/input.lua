--- Reads words from the arguments and from standard input, one at a time.
-- Standard input is waited for with poll, because a blocking read would hide Ctrl-C.
-- @module ccpool.cli.input

local errno = require("posix.errno")
local poll = require("posix.poll")
local unistd = require("posix.unistd")

local BLOCK_BYTES = 65536
local STDIN = "-"

-- Returns the next block, or nil at the end. Only poll is sure to return on a signal.
local function read_block(fd)
  while true do
    local ready, message, code = poll.rpoll(fd, -1)
    if ready then
      local block
      block, message, code = unistd.read(fd, BLOCK_BYTES)
      if block then
        return block ~= "" and block or nil
      end
    end
    if code ~= errno.EINTR and code ~= errno.EAGAIN then
      error({ failure = "cannot read standard input: " .. tostring(message) }, 0)
    end
  end
end

-- Iterates over the lines of a descriptor, without their ends.
local function lines(fd)
  local buffer, position = "", 1
  local is_at_end = false
  return function()
    local parts = {}
    while true do
      local stop = buffer:find("\n", position, true)
      if stop then
        parts[#parts + 1] = buffer:sub(position, stop - 1)
        position = stop + 1
        return table.concat(parts)
      end
      parts[#parts + 1] = buffer:sub(position)
      buffer, position = not is_at_end and read_block(fd) or "", 1
      if buffer == "" then
        is_at_end = true
        local rest = table.concat(parts)
        return rest ~= "" and rest or nil
      end
    end
  end
end

--- Iterates over the blank-separated words of a descriptor.
-- @tparam integer fd
-- @treturn function iterator: word, line number
-- @raise a table with `failure` if reading fails
local function words(fd)
  local next_line = lines(fd)
  local next_word
  local line_number = 0
  return function()
    while true do
      local word = next_word and next_word()
      if word then
        return word, line_number
      end
      local line = next_line()
      if not line then
        return nil
      end
      line_number = line_number + 1
      next_word = line:gmatch("%S+")
    end
  end
end

--- Iterates over arguments; `-`, or no argument at all, stands for standard input.
-- @tparam table arguments an array of strings
-- @treturn function iterator: word, place (such as `argument 2` or `line 7`)
-- @raise a table with `failure` if reading fails
-- @usage for word, place in input.words_of(arguments) do print(place, word) end
local function words_of(arguments)
  local sources = #arguments > 0 and arguments or { STDIN }
  local i = 0
  local stdin_words
  return function()
    while true do
      if stdin_words then
        local word, line_number = stdin_words()
        if word then
          return word, "line " .. line_number
        end
        stdin_words = nil
      end
      i = i + 1
      local word = sources[i]
      if word ~= STDIN then
        return word, "argument " .. i
      end
      stdin_words = words(unistd.STDIN_FILENO)
    end
  end
end

return { words = words, words_of = words_of }
