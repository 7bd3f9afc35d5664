/*
** Barrier. Its action, a function or nil, is the handle's uservalue and travels
** with it. The thread of the Lua state.
*/
#include <string.h>

#include "bind/lerror.h"
#include "bind/lshared.h"
#include "bind/lsync.h"
#include "os/codes.h"
#include "shared/barrier.h"

static const char BARRIER[] = "ccpool.Barrier";

/* Barrier(n [, action]) */
static int barrier_new(lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 1);
  ccp_shared *h;
  luaL_argcheck(L, n >= 1 && n <= INT32_MAX, 1,
                "a number of parties is expected");
  if (!lua_isnoneornil(L, 2))
    luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  h = ccp_shared_push(L, BARRIER);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, 1);
  ccp_shared_set(L, h, ccp_barrier_new((uint32_t)n));
  return 1;
}

static int broken(lua_State *L) {
  return ccp_shared_fail(L, "ClosedError", "the barrier is broken");
}

/* The last party: runs the action, then lets all go on. */
static int open_it(lua_State *L, ccp_barrier *b, uint32_t index) {
  int is_broken;
  if (lua_getiuservalue(L, 1, 1) == LUA_TFUNCTION &&
      lua_pcall(L, 0, 0, 0) != LUA_OK) {
    ccp_barrier_break(b);
    return lua_error(L);
  }
  ccp_barrier_open(b);
  (void)ccp_barrier_look(b, &is_broken);
  if (is_broken)
    return broken(L);
  lua_pushinteger(L, index);
  return 1;
}

/* Waits with the others. CCP_OK, CCP_E_BROKEN, CCP_E_TIMEOUT; who stops waiting
** breaks the barrier, also by an error of a hook. */
static int wait_for_others(lua_State *L, ccp_barrier *b, ccp_waiter *me,
                           ccp_wait *w) {
  int rc, raised = 0;
  do {
    int64_t until = ccp_wait_until(L, w);
    rc = ccp_barrier_wait(b, me, until ? until : 1);
  } while (ccp_wait_again_safely(L, w, rc, &raised));
  if (rc == CCP_OK || rc == CCP_E_BROKEN)
    return rc;
  if (ccp_barrier_leave(b, me))
    rc = CCP_OK; /* it opened at the last moment */
  return raised ? lua_error(L) : rc;
}

/* wait([timeout]) -> index; nil, TimeoutError; nil, ClosedError: broken. */
static int barrier_wait(lua_State *L) {
  ccp_barrier *b = ccp_shared_check(L, 1, BARRIER);
  ccp_wait w = ccp_wait_begin(ccp_wait_check(L, 2));
  ccp_waiter *me = NULL;
  uint32_t index = 0;
  int rc;
  do
    rc = ccp_barrier_come(b, ccp_member_me(), ccp_wait_until(L, &w), &me,
                          &index);
  while (ccp_wait_again(L, &w, rc));
  if (rc == CCP_E_NOMEM)
    return ccp_error_raise(L, rc, "no room in the arena");
  if (rc == CCP_OK && !me)
    return open_it(L, b, index);
  if (rc == CCP_OK)
    rc = wait_for_others(L, b, me, &w);
  if (rc == CCP_E_BROKEN)
    return broken(L);
  if (rc != CCP_OK)
    return ccp_shared_fail(L, "TimeoutError", "the barrier timed out");
  lua_pushinteger(L, index);
  return 1;
}

static int barrier_abort(lua_State *L) {
  ccp_barrier_break(ccp_shared_check(L, 1, BARRIER));
  return 0;
}

static int barrier_reset(lua_State *L) {
  ccp_barrier_reset(ccp_shared_check(L, 1, BARRIER));
  return 0;
}

/* parties, n_waiting and broken are fields, as in Python. */
static int barrier__index(lua_State *L) {
  ccp_barrier *b;
  const char *key = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  int is_broken;
  uint32_t n;
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
    return 1;
  b = ccp_shared_check(L, 1, BARRIER);
  n = ccp_barrier_look(b, &is_broken);
  if (strcmp(key, "parties") == 0)
    lua_pushinteger(L, b->parties);
  else if (strcmp(key, "n_waiting") == 0)
    lua_pushinteger(L, n);
  else if (strcmp(key, "broken") == 0)
    lua_pushboolean(L, is_broken);
  else
    lua_pushnil(L);
  return 1;
}

void ccp_barrier_class(lua_State *L) {
  static const luaL_Reg methods[] = {{"wait", barrier_wait},
                                     {"abort", barrier_abort},
                                     {"reset", barrier_reset},
                                     {NULL, NULL}};
  ccp_shared_class c = {.tname = BARRIER,
                        .kind = CCP_K_BARRIER,
                        .methods = methods,
                        .make = barrier_new,
                        .index = barrier__index};
  ccp_shared_add_class(L, &c);
}
