--- What a service says of itself when one connects to it.
-- @module ccpool.cli.scan.banner

local errno = require("posix.errno")
local socket = require("posix.sys.socket")

local NAMED = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\\"] = "\\\\" }

local Reader = {}
Reader.__index = Reader

--- Makes a reader.
-- @tparam integer max_bytes how many bytes to read at most
-- @treturn table with `read` and `text`
local function new(max_bytes)
  return setmetatable({ max_bytes = max_bytes, bytes = "" }, Reader)
end

--- Reads what has come.
-- @tparam integer fd a connected socket that does not block
-- @treturn boolean whether the banner is complete: a line, as much as wanted, or all that
--   came before the other side closed
function Reader:read(fd)
  local data, _, number = socket.recv(fd, self.max_bytes - #self.bytes)
  if not data then
    return number ~= errno.EAGAIN and number ~= errno.EINTR
  end
  self.bytes = self.bytes .. data
  return data == "" or #self.bytes >= self.max_bytes or data:find("\n", 1, true) ~= nil
end

--- What has been read.
-- @treturn ?string raw bytes; nil if nothing came
function Reader:text()
  return self.bytes ~= "" and self.bytes or nil
end

local function escape_byte(byte)
  return NAMED[byte] or ("\\x%02x"):format(byte:byte())
end

--- Writes a banner so that it is safe to show: line ends at its end are left out, printable
-- ASCII stays, and all else, the backslash included, is escaped.
-- @tparam string bytes
-- @treturn string
-- @usage banner.escape("SSH-2.0\27[2J\r\n")  --> "SSH-2.0\\x1b[2J"
local function escape(bytes)
  return (bytes:gsub("[\r\n]+$", ""):gsub("[%c\\\127-\255]", escape_byte))
end

return { escape = escape, new = new }
