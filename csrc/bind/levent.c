/*
** Event. The thread of the Lua state.
*/
#include "bind/lshared.h"
#include "bind/lsync.h"
#include "os/codes.h"
#include "shared/event.h"

static const char EVENT[] = "ccpool.Event";

static int event_new(lua_State *L) {
  ccp_shared *h = ccp_shared_push(L, EVENT);
  ccp_shared_set(L, h, ccp_event_new());
  return 1;
}

static int event_set(lua_State *L) {
  ccp_event_set(ccp_shared_check(L, 1, EVENT), 1);
  return 0;
}

static int event_clear(lua_State *L) {
  ccp_event_set(ccp_shared_check(L, 1, EVENT), 0);
  return 0;
}

static int event_is_set(lua_State *L) {
  const ccp_event *e = ccp_shared_check(L, 1, EVENT);
  lua_pushboolean(L, atomic_load_explicit(&e->set, memory_order_acquire) != 0);
  return 1;
}

/* wait([timeout]) -> true: set; false: timed out. */
static int event_wait(lua_State *L) {
  ccp_event *e = ccp_shared_check(L, 1, EVENT);
  ccp_wait w = ccp_wait_begin(ccp_wait_check(L, 2));
  int rc;
  do
    rc = ccp_event_wait(e, ccp_wait_until(L, &w));
  while (ccp_wait_again(L, &w, rc));
  lua_pushboolean(L, rc == CCP_OK);
  return 1;
}

void ccp_event_class(lua_State *L) {
  static const luaL_Reg methods[] = {{"set", event_set},
                                     {"clear", event_clear},
                                     {"is_set", event_is_set},
                                     {"wait", event_wait},
                                     {NULL, NULL}};
  ccp_shared_class c = {.tname = EVENT,
                        .kind = CCP_K_EVENT,
                        .methods = methods,
                        .make = event_new};
  ccp_shared_add_class(L, &c);
}
