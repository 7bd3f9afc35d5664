/*
** Futures: which workers tried the task, and what came of it. In the thread of
** the Lua state.
*/
#include "bind/lfuture_state.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bind/lerror.h"
#include "task/rules.h"

/* Stack: array. Appends an attempt, whose error is on the top (popped). worker
** 0: none, whoever submitted the task ran it. */
static void add_attempt(lua_State *L, lua_Integer i, int32_t worker,
                        int32_t pid) {
  lua_createtable(L, 0, 3);
  lua_insert(L, -2);
  lua_setfield(L, -2, "error");
  if (worker) {
    lua_pushinteger(L, worker);
    lua_setfield(L, -2, "worker");
  }
  lua_pushinteger(L, pid);
  lua_setfield(L, -2, "pid");
  lua_rawseti(L, -2, i);
}

/* Pushes the attempts that were followed by another, as bytes or nil. */
static void push_earlier(lua_State *L, ccp_future *f) {
  ccp_attempt *list;
  size_t n;
  if (f->state != PENDING) {
    lua_pushnil(L);
    if (!f->extras)
      return;
    ccp_future_push_kept(L, 1);
    lua_getfield(L, -1, "attempts");
    return;
  }
  list = ccp_pool_attempts(f->at.pending.handle->pool, f->at.pending.task, &n);
  lua_pushlstring(L, (const char *)list, n * sizeof *list);
  free(list);
}

void ccp_future_ran_here(lua_State *L, int index, uint32_t timeouts) {
  ccp_future *f = lua_touserdata(L, index);
  ccp_attempt a;
  luaL_Buffer list;
  index = lua_absindex(L, index);
  f->pid = (int32_t)getpid();
  if (timeouts == 0)
    return;
  if (timeouts >= CCP_ATTEMPTS_MOST)
    timeouts = CCP_ATTEMPTS_MOST - 1;
  memset(&a, 0, sizeof a);
  a.status = CCP_R_TIMEOUT;
  a.crash.worker = -1;
  a.crash.pid = f->pid;
  ccp_future_push_extras(L, f, index);
  luaL_buffinit(L, &list);
  for (uint32_t i = 0; i < timeouts; i++)
    luaL_addlstring(&list, (const char *)&a, sizeof a);
  luaL_pushresult(&list);
  lua_setfield(L, -2, "attempts");
  lua_pop(L, 1);
}

int ccp_future_attempts(lua_State *L) {
  ccp_future *f = ccp_future_check(L, 1);
  size_t len = 0;
  lua_Integer n = 0;
  const char *bytes;
  int array;
  (void)ccp_future_refresh(L, f);
  push_earlier(L, f);
  bytes = lua_isstring(L, -1) ? lua_tolstring(L, -1, &len) : NULL;
  lua_newtable(L);
  array = lua_gettop(L);
  for (size_t at = 0; at + sizeof(ccp_attempt) <= len;
       at += sizeof(ccp_attempt)) {
    ccp_attempt a;
    memcpy(&a, bytes + at, sizeof a);
    ccp_error_of_reply(L, a.status, a.status == CCP_R_CRASH ? &a.crash : NULL,
                       a.status == CCP_R_CRASH ? sizeof a.crash : 0);
    lua_settop(L, array + 1);
    add_attempt(L, ++n, a.crash.worker + 1, a.crash.pid);
  }
  if (f->state == PENDING || f->pid == 0)
    return 1;
  if (f->status == CCP_R_VALUES)
    lua_pushnil(L);
  else
    ccp_future_push_failure(L, f, 1);
  lua_settop(L, array + 1);
  add_attempt(L, ++n, f->worker, f->pid);
  return 1;
}
