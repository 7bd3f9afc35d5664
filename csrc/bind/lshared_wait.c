/*
** How a Lua state waits on a shared object: in slices, between which the dead
** are looked for, futures are delivered, and hooks run that a signal has set.
** The thread of the Lua state.
*/
#include "bind/lshared.h"

#include "bind/lclient.h"
#include "os/clock.h"
#include "os/codes.h"

enum {
  SLICE_NS = 50000000,     /* a signal may come just before a sleep */
  BUSY_SLICE_NS = 10000000 /* while futures are on their way */
};

int64_t ccp_wait_check(lua_State *L, int arg) {
  return ccp_check_timeout(L, arg);
}

ccp_wait ccp_wait_begin(int64_t deadline_ns) {
  return (ccp_wait){deadline_ns, 0, 1};
}

/* The first try does not sleep: it needs no clock. Before the others there is
** time for the collector. */
int64_t ccp_wait_until(lua_State *L, ccp_wait *w) {
  ccp_ctx *codec;
  const ccp_client *c;
  int64_t slice;
  if (w->first)
    return w->until_ns = 0;
  if ((codec = ccp_codec_peek(L)) != NULL)
    ccp_codec_settle(L, codec);
  c = ccp_client_peek(L);
  slice =
      ccp_clock_now_ns() + (c && c->in_flight_n > 0 ? BUSY_SLICE_NS : SLICE_NS);
  w->until_ns = slice < w->deadline_ns ? slice : w->deadline_ns;
  return w->until_ns;
}

static int over(const ccp_wait *w, int rc) {
  if (rc != CCP_E_TIMEOUT && rc != CCP_E_INTR)
    return 1;
  return w->deadline_ns != CCP_NEVER && rc == CCP_E_TIMEOUT &&
         ccp_clock_now_ns() >= w->deadline_ns;
}

static int nothing(lua_State *L) {
  (void)L;
  return 0;
}

/* Delivers what has arrived and runs callbacks. Calling any function lets a
** hook run that a signal handler has set. */
static int breathe(lua_State *L) {
  ccp_client *c = ccp_client_peek(L);
  if (c && c->handles) {
    ccp_client_collect(L, c);
    if (c->callback_n > 0)
      (void)ccp_future_run_callbacks(L, c);
  }
  luaL_checkstack(L, 4, NULL);
  lua_pushcfunction(L, nothing);
  lua_call(L, 0, 0);
  return 0;
}

int ccp_wait_again(lua_State *L, ccp_wait *w, int rc) {
  if (over(w, rc))
    return 0;
  if (!w->first) {
    ccp_object_reap();
    (void)breathe(L);
  }
  w->first = 0;
  return 1;
}

int ccp_wait_again_safely(lua_State *L, ccp_wait *w, int rc, int *raised) {
  if (over(w, rc))
    return 0;
  if (!w->first) {
    ccp_object_reap();
    lua_pushcfunction(L, breathe);
    *raised = lua_pcall(L, 0, 0, 0) != LUA_OK;
    if (*raised)
      return 0;
  }
  w->first = 0;
  return 1;
}
