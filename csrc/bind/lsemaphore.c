/*
** Semaphore and BoundedSemaphore. The thread of the Lua state.
*/
#include "bind/lshared.h"
#include "bind/lsync.h"
#include "os/codes.h"
#include "shared/semaphore.h"

static const char SEMAPHORE[] = "ccpool.Semaphore",
                  BOUNDED[] = "ccpool.BoundedSemaphore";
static const lua_Integer MOST = INT32_MAX;

static ccp_semaphore *check(lua_State *L) {
  const char *tname = luaL_testudata(L, 1, BOUNDED) ? BOUNDED : SEMAPHORE;
  return ccp_shared_check(L, 1, tname);
}

static int make(lua_State *L, int bounded) {
  lua_Integer n = luaL_optinteger(L, 1, 1);
  ccp_shared *h;
  luaL_argcheck(L, n >= bounded && n <= MOST, 1,
                "a count of permits is expected");
  h = ccp_shared_push(L, bounded ? BOUNDED : SEMAPHORE);
  ccp_shared_set(L, h, ccp_semaphore_new((uint64_t)n, bounded));
  return 1;
}

static int semaphore_new(lua_State *L) {
  return make(L, 0);
}

static int bounded_new(lua_State *L) {
  return make(L, 1);
}

/* acquire([timeout]) -> true, or false: timed out. */
static int semaphore_acquire(lua_State *L) {
  ccp_semaphore *s = check(L);
  ccp_wait w = ccp_wait_begin(ccp_wait_check(L, 2));
  int rc;
  do
    rc = ccp_semaphore_acquire(s, ccp_member_me(), ccp_wait_until(L, &w));
  while (ccp_wait_again(L, &w, rc));
  lua_pushboolean(L, rc == CCP_OK);
  return 1;
}

static int semaphore_release(lua_State *L) {
  ccp_semaphore *s = check(L);
  lua_Integer n = luaL_optinteger(L, 2, 1);
  luaL_argcheck(L, n >= 1 && n <= MOST, 2, "a count of permits is expected");
  if (ccp_semaphore_release(s, ccp_member_me(), (uint32_t)n) != CCP_OK)
    return luaL_error(L, "BoundedSemaphore released too many times");
  return 0;
}

/* value() -> permits that are free now. */
static int semaphore_value(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)ccp_semaphore_free(check(L)));
  return 1;
}

void ccp_semaphore_class(lua_State *L) {
  static const luaL_Reg methods[] = {{"acquire", semaphore_acquire},
                                     {"release", semaphore_release},
                                     {"value", semaphore_value},
                                     {NULL, NULL}};
  ccp_shared_class c = {.tname = SEMAPHORE,
                        .kind = CCP_K_SEMAPHORE,
                        .methods = methods,
                        .make = semaphore_new};
  ccp_shared_add_class(L, &c);
  c.tname = BOUNDED;
  c.make = bounded_new;
  ccp_shared_add_class(L, &c);
}
