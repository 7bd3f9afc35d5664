/*
** Printing. In the thread of the Lua state; threads are kept apart by the lock
** of stdout, processes by the system: one write to a file, a terminal, or up to
** PIPE_BUF bytes to a pipe is not torn apart by another.
*/
#include "worker/vm_print.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include <lauxlib.h>

#include "worker/vm_interrupt.h"

/* Did writing fail for now only? A worker that was told to stop does not wait
** for a reader. */
static int may_go_on(int fd) {
  struct pollfd out = {fd, POLLOUT, 0};
  if (ccp_vm_is_told())
    return 0;
  if (errno == EAGAIN) /* somebody has made it non-blocking */
    return poll(&out, 1, -1) > 0 || errno == EINTR;
  return errno == EINTR;
}

/* What cannot be written is lost, as with Lua's print. */
static void write_all(const char *p, size_t len) {
  int fd = fileno(stdout);
  while (len > 0) {
    ssize_t n = write(fd, p, len);
    if (n < 0 && !may_go_on(fd))
      return;
    if (n > 0) {
      p += n;
      len -= (size_t)n;
    }
  }
}

int ccp_vm_print(lua_State *L) {
  int n = lua_gettop(L);
  size_t len;
  const char *line;
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (int i = 1; i <= n; i++) {
    if (i > 1)
      luaL_addchar(&b, '\t');
    (void)luaL_tolstring(L, i, NULL);
    luaL_addvalue(&b);
  }
  luaL_addchar(&b, '\n');
  luaL_pushresult(&b);
  line = lua_tolstring(L, -1, &len);
  flockfile(stdout);
  if (fflush(stdout) == 0) /* what io.write has left there comes first */
    write_all(line, len);
  funlockfile(stdout);
  return 0;
}
