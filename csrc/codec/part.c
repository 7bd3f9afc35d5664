/*
** The array part of tables; see part.h. Any thread.
*/
#include "codec/part.h"

#include <stdatomic.h>

enum { UNTRIED, KNOWN, UNKNOWN };

/* Written by whoever tries first, all with the same result; read by all.
** Relaxed: nothing else depends on it. */
static _Atomic int state;

/* A table with that many places ahead and the items 1 to `items`: is its array
** part said to have `least` to `most` places, before and after Lua was asked
** for its length? */
static int says(lua_State *L, int places, int pairs, int items,
                unsigned int least, unsigned int most) {
  int ok = 1;
  lua_createtable(L, places, pairs);
  for (int i = 1; i <= items; i++) {
    lua_pushinteger(L, i);
    lua_rawseti(L, -2, i);
  }
  for (int times = 0; times < 2; times++) {
    unsigned int size = ccp_part_size(L, -1);
    ok &= size >= least && size <= most;
    ok &= lua_rawlen(L, -1) == (lua_Unsigned)items;
  }
  lua_pop(L, 1);
  return ok;
}

static int try(lua_State *L) {
  return says(L, 0, 0, 0, 0, 0) && says(L, 5, 0, 5, 5, 5) &&
         says(L, 1000, 3, 1000, 1000, 1000) &&
         says(L, 7, 0, 0, 0, 7) && /* the length may be remembered there */
         says(L, 0, 0, 5, 5, 8) && says(L, 0, 0, 40, 40, 64) &&
         says(L, 0, 64, 40, 0, 0) && says(L, 3, 64, 40, 3, 3) &&
         says(L, 0, 4, 0, 0, 0);
}

int ccp_part_known(lua_State *L) {
  int now = atomic_load_explicit(&state, memory_order_relaxed);
  if (now == UNTRIED) {
    now = try(L) ? KNOWN : UNKNOWN;
    atomic_store_explicit(&state, now, memory_order_relaxed);
  }
  return now == KNOWN;
}
