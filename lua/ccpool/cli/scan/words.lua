--- Reads the targets that a user names: in arguments, in files, on standard input.
-- @module ccpool.cli.scan.words

local errno = require("posix.errno")
local fcntl = require("posix.fcntl")
local unistd = require("posix.unistd")

local exit = require("ccpool.cli.exit")
local input = require("ccpool.cli.input")

local STDIN = "-"
local BLOCK_BYTES = 65536
local SHOWN_BYTES = 60

local function fail(path, message)
  local name = path == STDIN and "standard input" or path
  error({ failure = ("cannot read %s: %s"):format(name, message), code = exit.USAGE }, 0)
end

-- Reads all there is. Standard input is waited for with poll, because a blocking read
-- would hide Ctrl-C.
local function read_all(fd, path)
  local blocks = {}
  while true do
    local ready, message, code = input.await(fd)
    local block
    if ready then
      block, message, code = unistd.read(fd, BLOCK_BYTES)
    end
    if block == "" then
      return table.concat(blocks)
    elseif block then
      blocks[#blocks + 1] = block
    elseif code ~= errno.EINTR and code ~= errno.EAGAIN then
      fail(path, message:gsub("^.*: ", ""))
    end
  end
end

local function slurp(path)
  if path == STDIN then
    return read_all(unistd.STDIN_FILENO, path)
  end
  local fd, _, number = fcntl.open(path, fcntl.O_RDONLY)
  if not fd then
    fail(path, errno.errno(number))
  end
  local content = read_all(fd, path)
  unistd.close(fd)
  return content
end

local function add_file(list, path)
  local number = 0
  for line in (slurp(path) .. "\n"):gmatch("([^\n]*)\n") do
    number = number + 1
    for text in line:gsub("#.*$", ""):gmatch("%S+") do
      list[#list + 1] = { text = text, place = ("%s:%d: "):format(path, number) }
    end
  end
end

--- Reads words.
-- @tparam table arguments an array of words
-- @tparam table paths files with words between blanks, and comments behind `#`; `-` is
--   standard input
-- @treturn table an array of `{ text, place }`; the place is empty for an argument
-- @raise a table with `failure` and `code` if a file cannot be read
local function read(arguments, paths)
  local list = {}
  for _, text in ipairs(arguments) do
    list[#list + 1] = { text = text, place = "" }
  end
  for _, path in ipairs(paths) do
    add_file(list, path)
  end
  return list
end

--- Makes a word fit to be shown in a message: escaped and short.
-- @tparam string text
-- @treturn string
local function show(text)
  local head = text:sub(1, SHOWN_BYTES):gsub("[%c\127-\255]", function(byte)
    return ("\\x%02x"):format(byte:byte())
  end)
  return #text > SHOWN_BYTES and head .. "..." or head
end

return { read = read, show = show }
