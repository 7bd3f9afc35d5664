/*
** Condition. Its lock, a Lock or RLock, is the handle's uservalue and travels
** with it. The thread of the Lua state.
*/
#include "bind/llock.h"
#include "bind/lshared.h"
#include "bind/lsync.h"
#include "bind/lerror.h"
#include "os/clock.h"
#include "os/codes.h"
#include "shared/condition.h"

static const char CONDITION[] = "ccpool.Condition";
#define PATIENCE_NS                                                            \
  (10 * CCP_NS_PER_S) /* for the lock, after an interruption */

/* Condition([lock]): an RLock if none is given. */
static int condition_new(lua_State *L) {
  ccp_shared *h;
  lua_settop(L, 1);
  if (lua_isnil(L, 1))
    ccp_lock_push_new(L);
  else
    lua_pushvalue(L, 1);
  (void)ccp_lock_check(L, lua_isnil(L, 1) ? 2 : 1);
  h = ccp_shared_push(L, CONDITION);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, 1);
  ccp_shared_set(L, h, ccp_condition_new());
  return 1;
}

/* Pushes the lock's handle. */
static ccp_lockobj *push_lock(lua_State *L) {
  lua_getiuservalue(L, 1, 1);
  return ccp_lock_check(L, lua_gettop(L));
}

/* get_lock() -> the lock. */
static int condition_lock(lua_State *L) {
  (void)ccp_shared_check(L, 1, CONDITION);
  (void)push_lock(L);
  return 1;
}

/* The lock is taken again whatever happens; no hook runs meanwhile, and who
** was interrupted does not wait for ever. */
static void relock(ccp_sharing *s, ccp_lockobj *l, uint32_t depth,
                   int interrupted) {
  int64_t give_up = interrupted ? ccp_clock_now_ns() + PATIENCE_NS : CCP_NEVER;
  int rc;
  do {
    int64_t slice = ccp_clock_now_ns() + CCP_NS_PER_S / 20;
    rc = ccp_latch_acquire(&l->object, &l->latch, ccp_sharing_who(s), 0, slice);
    if (rc < 0)
      ccp_object_reap();
  } while (rc < 0 && ccp_clock_now_ns() < give_up);
  if (rc >= 0)
    ccp_sharing_holds(s, &l->object);
  if (rc >= 0 && depth > 1)
    ccp_latch_set_depth(&l->object, &l->latch, depth);
}

/* wait([timeout]) -> true: notified; false: timed out. The lock is given up
** meanwhile. */
static int condition_wait(lua_State *L) {
  ccp_condition_object *c = ccp_shared_check(L, 1, CONDITION);
  ccp_wait w = ccp_wait_begin(ccp_wait_check(L, 2));
  ccp_sharing *s = ccp_sharing_get(L);
  ccp_lockobj *l = push_lock(L);
  uint32_t depth = 1;
  int rc, raised = 0, told;
  ccp_waiter *me = ccp_condition_enter(c, ccp_member_me());
  if (!me)
    return ccp_error_raise(L, CCP_E_NOMEM, "no room in the arena");
  if (ccp_latch_release_all(&l->object, &l->latch, ccp_sharing_who(s), 1,
                            &depth) != CCP_OK) {
    (void)ccp_condition_leave(c, me, 1);
    return luaL_error(L, "wait on a Condition whose lock is not held");
  }
  ccp_sharing_dropped(s, &l->object);
  do {
    int64_t until = ccp_wait_until(L, &w);
    rc = ccp_condition_wait(c, me, until ? until : 1);
  } while (ccp_wait_again_safely(L, &w, rc, &raised));
  told = ccp_condition_leave(c, me, raised);
  relock(s, l, depth, raised);
  if (raised)
    return lua_error(L);
  lua_pushboolean(L, told);
  return 1;
}

static int notify(lua_State *L, uint32_t n) {
  ccp_condition_object *c = ccp_shared_check(L, 1, CONDITION);
  ccp_lockobj *l = push_lock(L);
  if (!ccp_latch_held(&l->object, &l->latch))
    return luaL_error(L, "notify on a Condition whose lock is not held");
  (void)ccp_condition_notify(c, n);
  return 0;
}

static int condition_notify(lua_State *L) {
  lua_Integer n = luaL_optinteger(L, 2, 1);
  luaL_argcheck(L, n >= 1 && n <= INT32_MAX, 2, "a count is expected");
  return notify(L, (uint32_t)n);
}

static int condition_notify_all(lua_State *L) {
  return notify(L, UINT32_MAX);
}

void ccp_condition_class(lua_State *L) {
  static const luaL_Reg methods[] = {{"wait", condition_wait},
                                     {"notify", condition_notify},
                                     {"notify_all", condition_notify_all},
                                     {"get_lock", condition_lock},
                                     {NULL, NULL}};
  ccp_shared_class c = {.tname = CONDITION,
                        .kind = CCP_K_CONDITION,
                        .methods = methods,
                        .make = condition_new};
  ccp_shared_add_class(L, &c);
}
