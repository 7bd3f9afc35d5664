--- C modules that specs build, where there is a compiler.

local M = {}

local SLOW = [[
typedef struct lua_State lua_State;
void lua_pushboolean(lua_State *L, int b);
int open(const char *path, int flags, ...);
long write(int fd, const void *p, unsigned long n);
int close(int fd);
int usleep(unsigned usec);
static volatile int whole;
__attribute__((constructor)) static void begin(void) {
  int fd = open("%s", 1);
  write(fd, "!", 1);
  close(fd);
  usleep(200000);
  whole = 1;
}
int luaopen_%s(lua_State *L) { lua_pushboolean(L, whole); return 1; }
]]

--- Builds the module in that folder from its source; false if it cannot be built.
function M.build(dir, name, source)
  local file <close> = assert(io.open(("%s/%s.c"):format(dir, name), "w"))
  file:write(source)
  file:close()
  return os.execute(("%s -shared -fPIC -o %s/%s.so %s/%s.c 2>/dev/null")
    :format(os.getenv("CC") or "cc", dir, name, dir, name)) == true
end

--- The same for one that is slow: its constructor tells when it has begun, and takes its time.
-- It gives whether that had ended. The path of the fifo from which to read that it has begun,
-- or false.
function M.build_slow(dir, name)
  local fifo = ("%s/%s.begun"):format(dir, name)
  return M.build(dir, name, SLOW:format(fifo, name)) and os.execute("mkfifo " .. fifo) == true
    and fifo
end

return M
