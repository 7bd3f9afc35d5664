/*
** Executors: which one an argument is, and whether it is fit for a call
** here. In the thread of the Lua state.
*/
#include "bind/lexecutor.h"

#include "os/process.h"

/* NULL: it is none. Else its userdata is on the stack. */
static ccp_executor *push(lua_State *L, int arg) {
  ccp_executor *ex = NULL;
  if (!lua_istable(L, arg))
    return NULL;
  lua_rawgeti(L, arg, 1);
  if (lua_rawlen(L, -1) == sizeof *ex) /* light userdata have no length */
    ex = lua_touserdata(L, -1);
  return ex && ex->magic == CCP_EXECUTOR_MAGIC ? ex : NULL;
}

/* Why no method can be called on it here; NULL: it can. */
static const char *why_not(const ccp_executor *ex) {
  if (ex->handle && !ex->handle->pool)
    return "this executor's Lua state is being closed";
  if (ex->handle && !ccp_pool_is_ours(ex->handle->pool))
    return "this executor belongs to the process that made it";
  return NULL;
}

/* What runs inline does so in a descendant, too: by the client that the state
** has there. The ancestor's may be collected, and its trace is not written. */
static void settle_in(lua_State *L, ccp_executor *ex) {
  if (ex->handle || ex->epoch == ccp_process_epoch())
    return;
  ex->client = ccp_client_get(L);
  ex->by_caller.trace = NULL;
  ex->epoch = ccp_process_epoch();
}

ccp_executor *ccp_executor_push(lua_State *L, int arg) {
  ccp_executor *ex = push(L, arg);
  const char *why;
  if (!ex)
    luaL_typeerror(L, arg, "ccpool executor");
  why = why_not(ex);
  if (why)
    luaL_error(L, "%s", why);
  settle_in(L, ex);
  return ex;
}

/* unfit(executor, owner) -> nil, or why it is not fit for a method that, if
** 'owner', only the state that made it may call; and true if it is none. */
static int core_unfit(lua_State *L) {
  int owner = lua_toboolean(L, 2);
  ccp_executor *ex;
  const char *why;
  lua_settop(L, 1);
  ex = push(L, 1);
  if (!ex) {
    lua_pushfstring(L, "ccpool executor expected, got %s", luaL_typename(L, 1));
    lua_pushboolean(L, 1);
    return 2;
  }
  why = why_not(ex);
  if (!why && owner && ex->handle && ex->handle->party)
    why = "this executor belongs to another thread";
  lua_pushstring(L, why);
  return 1;
}

/* In a descendant, what it was when this state made or changed it: the lock of
** the ancestor's pool may be held there by a thread that is not here. */
uint32_t ccp_executor_size(const ccp_executor *ex) {
  const ccp_handle *h = ex->handle;
  return h && h->pool && ccp_pool_is_ours(h->pool) ? ccp_pool_size(h->pool)
                                                   : ex->max_workers;
}

/* size(executor) -> how many workers there may be; nil: it is none. */
static int core_size(lua_State *L) {
  const ccp_executor *ex = push(L, 1);
  if (ex)
    lua_pushinteger(L, ccp_executor_size(ex));
  else
    lua_pushnil(L);
  return 1;
}

ccp_executor *ccp_executor_check(lua_State *L, int arg) {
  ccp_executor *ex = ccp_executor_push(L, arg);
  lua_pop(L, 1);
  return ex;
}

void ccp_executor_self_functions(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"unfit", core_unfit}, {"size", core_size}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
