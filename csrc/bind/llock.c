/*
** Lock and RLock. The thread of the Lua state.
*/
#include "bind/lshared.h"
#include "bind/lsync.h"

#include "bind/llock.h"
#include "os/codes.h"

static const char LOCK[] = "ccpool.Lock", RLOCK[] = "ccpool.RLock";

ccp_lockobj *ccp_lock_check(lua_State *L, int arg) {
  const char *tname = luaL_testudata(L, arg, RLOCK) ? RLOCK : LOCK;
  if (!luaL_testudata(L, arg, tname))
    (void)luaL_typeerror(L, arg, "Lock or RLock");
  return ccp_shared_check(L, arg, tname);
}

static int make(lua_State *L, int recursive) {
  ccp_shared *h = ccp_shared_push(L, recursive ? RLOCK : LOCK);
  ccp_shared_set(L, h, ccp_lockobj_new(recursive));
  return 1;
}

static int lock_new(lua_State *L) {
  return make(L, 0);
}

static int rlock_new(lua_State *L) {
  return make(L, 1);
}

void ccp_lock_push_new(lua_State *L) {
  (void)make(L, 1);
}

/* Pushes what acquire returns. */
int ccp_lock_acquired(lua_State *L, int rc) {
  lua_pushboolean(L, rc >= 0);
  if (rc != CCP_OWNER_DIED)
    return 1;
  lua_pushliteral(L, "owner died");
  return 2;
}

/* lock:acquire([timeout]) -> true; true, "owner died"; false: timed out. */
static int lock_acquire(lua_State *L) {
  ccp_lockobj *l = ccp_lock_check(L, 1);
  int64_t deadline = ccp_wait_check(L, 2);
  return ccp_lock_acquired(L, ccp_sharing_acquire(L, ccp_sharing_get(L),
                                                  &l->object, &l->latch,
                                                  (int)l->recursive, deadline));
}

/* Any thread may release a Lock, only its owner an RLock. */
static int lock_release(lua_State *L) {
  ccp_lockobj *l = ccp_lock_check(L, 1);
  int rc = ccp_sharing_release(ccp_sharing_get(L), &l->object, &l->latch,
                               (int)l->recursive);
  if (rc == CCP_E_NOTHELD)
    return luaL_error(L, l->recursive
                             ? "release of an RLock that is not one's own"
                             : "release of a Lock that is not held");
  return 0;
}

static int lock_locked(lua_State *L) {
  ccp_lockobj *l = ccp_lock_check(L, 1);
  lua_pushboolean(L, ccp_latch_held(&l->object, &l->latch));
  return 1;
}

void ccp_lock_class(lua_State *L) {
  static const luaL_Reg methods[] = {{"acquire", lock_acquire},
                                     {"release", lock_release},
                                     {"locked", lock_locked},
                                     {NULL, NULL}};
  ccp_shared_class c = {
      .tname = LOCK, .kind = CCP_K_LOCK, .methods = methods, .make = lock_new};
  ccp_shared_add_class(L, &c);
  c.tname = RLOCK;
  c.make = rlock_new;
  ccp_shared_add_class(L, &c);
}
