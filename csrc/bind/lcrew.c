/*
** What an executor may ask of its workers as a whole: their number, broadcasts,
** traces. In the thread of the Lua state.
*/
#include "bind/lexecutor.h"

#include <errno.h>

#include "bind/lerror.h"
#include "bind/lserial.h"
#include "bind/lshared.h"
#include "os/clock.h"
#include "os/codes.h"
#include "worker/vm.h"

/* resize(executor, n) */
static int core_resize(lua_State *L) {
  ccp_executor *ex = ccp_executor_push(L, 1);
  lua_Integer n = luaL_checkinteger(L, 2);
  int rc = CCP_OK;
  if (!ex->handle)
    ccp_executor_check_inline(L, ex, lua_gettop(L));
  luaL_argcheck(L, n >= 1 && n <= CCP_WORKERS_MOST, 2, "number of workers");
  if (ex->handle)
    rc = ccp_pool_resize(ex->handle->pool, (uint32_t)n);
  if (rc == CCP_E_FULL)
    return luaL_argerror(L, 2, "there is no address space for so many workers");
  if (rc != CCP_OK)
    return ccp_executor_raise(L, ex, rc);
  ex->max_workers = (uint32_t)n;
  return 0;
}

typedef struct hearing {
  ccp_pool *pool;
  uint32_t number;
} hearing;

static int all_heard(lua_State *L, void *ud) {
  const hearing *h = ud;
  (void)L;
  return ccp_pool_heard(h->pool, h->number);
}

static int raise_bad_news(lua_State *L, const hearing *h) {
  ccp_bytes why;
  uint8_t status = ccp_pool_bad_news(h->pool, h->number, &why);
  size_t len;
  const char *bytes;
  if (status == CCP_R_VALUES)
    return 0;
  lua_pushlstring(L, (const char *)ccp_bytes_at(&why), why.len);
  ccp_bytes_free(&why);
  bytes = lua_tolstring(L, -1, &len);
  ccp_error_of_reply(L, status, bytes, len);
  lua_pop(L, 1); /* the traceback */
  return lua_error(L);
}

/* broadcast(executor, fn, ...): the executor has a pool. */
static int core_broadcast(lua_State *L) {
  int n = lua_gettop(L), rc;
  ccp_executor *ex = ccp_executor_check(L, 1);
  ccp_buf *out;
  hearing h = {NULL, 0};
  ccp_check_target(L, 2);
  luaL_argcheck(L, ex->handle, 1, "an executor with workers expected");
  luaL_checkstack(L, 8, "too many arguments");
  h.pool = ex->handle->pool;
  if (ccp_self_pool() == h.pool) /* it runs between two tasks of each worker */
    return ccp_error_raise(L, CCP_E_DEADLOCK,
                           "a task of this executor cannot wait for its "
                           "broadcast");
  out = ccp_client_draft(L, ex->client, CCP_FRAME);
  rc = ccp_executor_encode(L, ex, 2, n - 1, "argument", out);
  if (rc == CCP_OK)
    rc = ccp_pool_broadcast(h.pool, out->data, out->len, &h.number);
  ccp_client_drafted(ex->client, out);
  if (rc != CCP_OK)
    return ccp_executor_raise(L, ex, rc);
  (void)ccp_client_wait(L, ex->client, h.pool, CCP_NEVER, all_heard, &h);
  return raise_bad_news(L, &h);
}

/* Of an executor that runs inline; as ccp_pool_trace. */
static int trace_inline(ccp_executor *ex, const char *path, const char *name) {
  ccp_trace *old = ex->by_caller.trace, *t = NULL;
  int error;
  if (path && (t = ccp_trace_open(path, 0)) == NULL)
    return CCP_E_SYS;
  if (t)
    ccp_trace_worker(t, 0, 0, name);
  ex->by_caller.trace = t;
  error = old ? ccp_trace_close(old) : 0;
  errno = error;
  return error ? CCP_E_SYS : CCP_OK;
}

/* trace(executor, path | nil, name) */
static int core_trace(lua_State *L) {
  ccp_executor *ex = ccp_executor_check(L, 1);
  const char *path = luaL_optstring(L, 2, NULL);
  const char *name = luaL_checkstring(L, 3);
  int rc = ex->handle ? ccp_pool_trace(ex->handle->pool, path)
                      : trace_inline(ex, path, name);
  return rc == CCP_OK ? 0 : ccp_error_raise(L, rc, path ? path : "trace");
}

static int has_room(lua_State *L, void *ud) {
  ccp_executor *ex = ud;
  (void)L;
  return ccp_pool_has_room(ex->handle->pool);
}

void ccp_executor_wait_for_room(lua_State *L, ccp_executor *ex) {
  if (!has_room(L, ex))
    (void)ccp_client_wait(L, ex->client, ex->handle->pool, CCP_NEVER, has_room,
                          ex);
}

void ccp_crew_functions(lua_State *L) {
  static const luaL_Reg functions[] = {{"resize", core_resize},
                                       {"broadcast", core_broadcast},
                                       {"trace", core_trace},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
