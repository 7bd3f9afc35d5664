/*
** Executors: making, submitting, ending, looking in. The options are checked
** in Lua (lua/ccpool/executor.lua); here only what could do harm.
*/
#include "bind/lexecutor.h"

#include <string.h>

#include "bind/lcore.h"
#include "bind/lerror.h"
#include "bind/lfuture.h"
#include "bind/lserial.h"
#include "codec/wire.h"
#include "os/clock.h"
#include "os/codes.h"
#include "os/process.h"
#include "shared/arena.h"

#define MAGIC 0xe8ec0705u

static const char class_key = 0; /* its address: in the registry */

/* Pushes the userdata behind argument 'arg' and checks it. */
static ccp_executor *push_executor(lua_State *L, int arg) {
  ccp_executor *ex = NULL;
  if (lua_istable(L, arg)) {
    lua_rawgeti(L, arg, 1);
    if (lua_rawlen(L, -1) == sizeof *ex) /* light userdata have no length */
      ex = lua_touserdata(L, -1);
  }
  if (!ex || ex->magic != MAGIC)
    luaL_typeerror(L, arg, "ccpool executor");
  if (ex->handle && !ex->handle->pool)
    luaL_error(L, "this executor's Lua state is being closed");
  if (ex->handle && !ccp_pool_is_ours(ex->handle->pool))
    luaL_error(L, "this executor belongs to the process that made it");
  return ex;
}

ccp_executor *ccp_executor_check(lua_State *L, int arg) {
  ccp_executor *ex = push_executor(L, arg);
  lua_pop(L, 1);
  return ex;
}

void ccp_check_target(lua_State *L, int arg) {
  int type = lua_type(L, arg);
  luaL_argexpected(L, type == LUA_TFUNCTION || type == LUA_TSTRING, arg,
                   "function or \"module.function\"");
}

int ccp_executor_raise(lua_State *L, ccp_executor *ex, int code) {
  uint8_t status;
  ccp_bytes cause;
  if (code != CCP_E_BROKEN)
    return ccp_error_raise(L, code, NULL);
  if (ccp_pool_cause(ex->handle->pool, &status, &cause)) {
    /* as a string: an error while decoding must not lose the bytes */
    lua_pushlstring(L, (const char *)ccp_bytes_at(&cause), cause.len);
    ccp_bytes_free(&cause);
  } else
    lua_pushliteral(L, "");
  {
    size_t len;
    const char *p = lua_tolstring(L, -1, &len);
    ccp_error_of_reply(L, CCP_R_BROKEN, p, len);
  }
  lua_pop(L, 1);
  return lua_error(L);
}

/* ------------------------------------------------------------ submitting */

/* Upvalues of submit. */
#define FUTURE_CLASS lua_upvalueindex(1)
#define IN_FLIGHT lua_upvalueindex(2)

/* The task stays the client's spare until nothing can raise any more. */
static ccp_task *spare_task(lua_State *L, ccp_client *c) {
  if (!c->spare)
    c->spare = ccp_store_take(&c->store);
  if (!c->spare)
    (void)ccp_error_raise(L, CCP_E_NOMEM, NULL);
  return c->spare;
}

/* quick: the call's bytes; NULL: they are in the client's buffer. */
static int submit_to_pool(lua_State *L, ccp_executor *ex, const void *quick,
                          size_t len) {
  ccp_client *c = ex->client;
  ccp_task *t = spare_task(L, c);
  int rc;
  t->owner = ccp_future_new(L, FUTURE_CLASS, ex->handle, t);
  lua_pushvalue(L, -1);
  lua_rawseti(L, IN_FLIGHT, t->id); /* the last that may raise */
  rc = quick ? ccp_bytes_set(&t->body, quick, len)
             : ccp_body_from(&t->body, &c->out);
  if (rc == CCP_OK)
    rc = ccp_pool_submit(ex->handle->pool, t);
  if (rc != CCP_OK) {
    lua_pushnil(L);
    lua_rawseti(L, IN_FLIGHT, t->id);
    ccp_bytes_free(&t->body);
    return ccp_executor_raise(L, ex, rc);
  }
  c->spare = NULL;
  c->in_flight_n++;
  ccp_client_take(L, c, ex->handle);
  return 1;
}

/* A function without upvalues is the same bytes in every message: remember
** them for the next time it comes. */
static void remember(lua_State *L, ccp_executor *ex, int self) {
  const ccp_what what = {"argument", 0};
  ccp_buf *out = &ex->client->out;
  size_t at = out->len;
  ex->quick_fn = NULL;
  if (!ex->handle || lua_iscfunction(L, 2) || lua_getupvalue(L, 2, 1))
    return; /* what was pushed goes with the call */
  if (ccp_encode_call_in(L, ex->client->codec, 2, 1, what, out,
                         ccp_pool_funcs(ex->handle->pool)) != CCP_OK ||
      out->len - at - 1 > CCP_QUICK_BYTES) {
    out->len = at;
    return;
  }
  ex->quick_len = (uint8_t)(out->len - at - 1); /* without the count */
  memcpy(ex->quick, out->data + at + 1, ex->quick_len);
  out->len = at;
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, self, 1);
  ex->quick_fn = lua_topointer(L, 2);
}

enum { QUICK_ARGS = 3, QUICK_ROOM = 2 + CCP_QUICK_BYTES + 9 * (QUICK_ARGS + 1) };

/* The function sent last and a few integers: bytes written, or 0. */
static size_t encode_quick(lua_State *L, const ccp_executor *ex, int n,
                           unsigned char *to) {
  unsigned char *p = to;
  if (n > 2 + QUICK_ARGS || !ex->quick_fn ||
      lua_topointer(L, 2) != ex->quick_fn)
    return 0;
  *p++ = CCP_BODY_CALL;
  *p++ = (unsigned char)(n - 1);
  memcpy(p, ex->quick, CCP_QUICK_BYTES);
  p += ex->quick_len;
  for (int i = 3; i <= n; i++) {
    if (!lua_isinteger(L, i))
      return 0;
    p = ccp_wire_int(p, lua_tointegerx(L, i, NULL));
  }
  return (size_t)(p - to);
}

/* Encodes function and arguments [2, n] into the client's buffer. */
static void encode_call(lua_State *L, ccp_executor *ex, int n) {
  const ccp_what what = {"argument", 0};
  const unsigned char kind = CCP_BODY_CALL;
  ccp_buf *out = &ex->client->out;
  int rc;
  luaL_checkstack(L, 8, "too many arguments");
  ccp_buf_reset(out);
  rc = ccp_buf_put(out, &kind, 1);
  if (rc == CCP_OK)
    rc = ccp_encode_call_in(L, ex->client->codec, 2, n - 1, what, out,
                            ex->handle ? ccp_pool_funcs(ex->handle->pool)
                                       : NULL);
  if (rc != CCP_OK)
    (void)ccp_error_raise(L, rc, NULL);
}

/* The inline call may submit again: its bytes need a place of their own. */
static int submit_inline(lua_State *L, ccp_executor *ex) {
  const ccp_buf *out = &ex->client->out;
  int future;
  if (ex->shut)
    return ccp_error_raise(L, CCP_E_CLOSED, NULL);
  (void)ccp_future_new(L, FUTURE_CLASS, NULL, NULL);
  future = lua_gettop(L);
  lua_pushlstring(L, (const char *)out->data, out->len);
  ccp_serial_call(L, lua_tostring(L, -1), out->len, future,
                  &ex->inline_counts);
  lua_settop(L, future);
  return 1;
}

static int core_submit(lua_State *L) {
  unsigned char quick[QUICK_ROOM];
  int n = lua_gettop(L);
  ccp_executor *ex = push_executor(L, 1);
  size_t len = encode_quick(L, ex, n, quick);
  if (len)
    return submit_to_pool(L, ex, quick, len);
  ccp_check_target(L, 2);
  encode_call(L, ex, n);
  if (!ex->handle)
    return submit_inline(L, ex);
  if (lua_topointer(L, 2) != ex->quick_fn)
    remember(L, ex, n + 1);
  return submit_to_pool(L, ex, NULL, 0);
}

/* ------------------------------------------------------------ making */

static int executor__gc(lua_State *L) {
  ccp_executor *ex = lua_touserdata(L, 1);
  ccp_handle *h = ex->handle;
  ex->handle = NULL;
  ex->shut = 1;
  if (!h)
    return 0;
  if (h->pool && ccp_pool_is_ours(h->pool))
    ccp_pool_shutdown(h->pool, 0); /* what is pending still runs */
  ccp_handle_leave(h);
  return 0;
}

static ccp_executor *new_executor(lua_State *L) {
  ccp_client *c = ccp_client_get(L); /* first: it is to be finalized last */
  ccp_executor *ex = lua_newuserdatauv(L, sizeof *ex, 1);
  memset(ex, 0, sizeof *ex);
  ex->magic = MAGIC;
  ex->client = c;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &class_key) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, executor__gc);
    lua_setfield(L, -2, "__gc");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &class_key);
  }
  lua_setmetatable(L, -2);
  return ex;
}

static const char *package_field(lua_State *L, const char *name) {
  const char *s = NULL;
  if (lua_getglobal(L, "package") == LUA_TTABLE &&
      lua_getfield(L, -1, name) == LUA_TSTRING)
    s = lua_tostring(L, -1); /* anchored in the table */
  lua_settop(L, lua_gettop(L) - (s ? 2 : 1));
  return s;
}

static ccp_pool *make_pool(lua_State *L, ccp_client *c, int is_process) {
  ccp_pool_config config = {0};
  ccp_pool *pool;
  int rc;
  config.is_process = is_process;
  config.name = luaL_checkstring(L, 2);
  config.max_workers = (uint32_t)luaL_checkinteger(L, 3);
  config.grace_s = (double)luaL_checknumber(L, 4);
  config.owner = c->bell;
  config.L = L;
  config.open_core = luaopen_ccpool_core;
  config.finish = ccp_client_finish;
  if (!is_process) {
    config.path = package_field(L, "path");
    config.cpath = package_field(L, "cpath");
  }
  pool = ccp_pool_new(&config, &rc);
  if (!pool)
    (void)ccp_error_raise(L, rc, "new executor");
  return pool;
}

/* Two messages: the preloads; the call of the initializer, if there is one. */
static int encode_prelude(lua_State *L, ccp_executor *ex, int last) {
  const struct ccp_funcs *funcs = ccp_pool_funcs(ex->handle->pool);
  const ccp_what preloads = {"preload", -1}, call = {"initargs", 0};
  ccp_buf *out = &ex->client->out;
  int rc;
  ccp_buf_reset(out);
  if (lua_isnoneornil(L, 5) && lua_isnoneornil(L, 6))
    return CCP_OK;
  luaL_checkstack(L, 8, "too many initargs");
  rc = ccp_encode(L, 5, 1, preloads, out, funcs);
  if (rc == CCP_OK && !lua_isnoneornil(L, 6))
    rc = ccp_encode_call(L, 6, last - 5, call, out, funcs);
  return rc;
}

/* sendable(value) -> could it be an argument? */
static int core_sendable(lua_State *L) {
  const ccp_what what = {"value", -1};
  ccp_buf *out = &ccp_client_get(L)->out;
  int rc;
  luaL_checkany(L, 1);
  ccp_buf_reset(out);
  rc = ccp_encode(L, 1, 1, what, out, NULL);
  lua_pushboolean(L, rc == CCP_OK);
  return 1;
}

/* new(kind, name, max_workers, grace, preloads | nil, initializer | nil, ...):
** the executor's userdata. Preloads: table of functions, already known to be
** sendable one by one. */
static int core_new(lua_State *L) {
  static const char *const kinds[] = {"thread", "process", "serial", NULL};
  int kind = luaL_checkoption(L, 1, NULL, kinds), rc = CCP_OK;
  int last = lua_gettop(L);
  lua_Integer n = luaL_checkinteger(L, 3);
  ccp_executor *ex;
  ccp_client *c;
  luaL_argcheck(L, n >= 1 && n <= CCP_WORKERS_MOST, 3, "max_workers");
  ex = new_executor(L);
  ex->max_workers = (uint32_t)n;
  c = ex->client;
  if (kind == 2)
    return 1;
  ccp_client_sweep(L, c);
  {
    ccp_pool *pool = make_pool(L, c, kind == 1);
    ex->handle = ccp_client_add(c, pool);
    if (!ex->handle) {
      ccp_pool_free(pool);
      return ccp_error_raise(L, CCP_E_NOMEM, NULL);
    }
  }
  ex->handle->objects = 1;
  rc = encode_prelude(L, ex, last);
  if (rc != CCP_OK)
    return ccp_error_raise(L, rc, NULL);
  rc = ccp_pool_start(ex->handle->pool, c->out.data, c->out.len, L);
  return rc == CCP_OK ? 1 : ccp_error_raise(L, rc, "start executor");
}

/* ------------------------------------------------------------ ending */

/* shutdown(executor, cancel): no more submits. */
static int core_shutdown(lua_State *L) {
  ccp_executor *ex = ccp_executor_check(L, 1);
  ex->shut = 1;
  if (ex->handle) {
    ccp_pool_shutdown(ex->handle->pool, lua_toboolean(L, 2));
    ccp_client_collect(L, ex->client);
  }
  return 0;
}

/* kill(executor, signal) */
static int core_kill(lua_State *L) {
  ccp_executor *ex = ccp_executor_check(L, 1);
  int sig = (int)luaL_checkinteger(L, 2);
  ex->shut = 1;
  if (ex->handle) {
    ccp_pool_kill(ex->handle->pool, sig);
    ccp_client_collect(L, ex->client);
  }
  return 0;
}

static int is_closed(lua_State *L, void *ud) {
  ccp_executor *ex = ud;
  (void)L;
  return ccp_pool_life_now(ex->handle->pool) == CCP_P_CLOSED;
}

/* wait_closed(executor, timeout) -> true, or false when the time is up. */
static int core_wait_closed(lua_State *L) {
  ccp_executor *ex = ccp_executor_check(L, 1);
  int64_t deadline = ccp_check_timeout(L, 2);
  int rc = CCP_OK;
  if (ex->handle)
    rc = ccp_client_wait(L, ex->client, ex->handle->pool, deadline, is_closed,
                         ex);
  lua_pushboolean(L, rc == CCP_OK);
  return 1;
}

static int is_warm(lua_State *L, void *ud) {
  ccp_executor *ex = ud;
  (void)L;
  return ccp_pool_ready(ex->handle->pool) >= ex->max_workers ||
         ccp_pool_warmup(ex->handle->pool) != CCP_OK;
}

/* warmup(executor): starts all workers and waits until they are ready. */
static int core_warmup(lua_State *L) {
  ccp_executor *ex = ccp_executor_check(L, 1);
  int rc;
  if (!ex->handle)
    return ex->shut ? ccp_error_raise(L, CCP_E_CLOSED, NULL) : 0;
  rc = ccp_pool_warmup(ex->handle->pool);
  if (rc == CCP_OK)
    (void)ccp_client_wait(L, ex->client, ex->handle->pool, CCP_NEVER,
                          is_warm, ex);
  rc = ccp_pool_warmup(ex->handle->pool);
  return rc == CCP_OK ? 0 : ccp_executor_raise(L, ex, rc);
}

/* ------------------------------------------------------------ looking in */

static void set_count(lua_State *L, const char *name, uint64_t n) {
  lua_pushinteger(L, (lua_Integer)n);
  lua_setfield(L, -2, name);
}

static void push_worker(lua_State *L, const ccp_worker_info *w, int process) {
  static const char *const states[] = {"none", "starting", "idle", "ended"};
  lua_createtable(L, 0, 8);
  set_count(L, "id", w->index + 1);
  set_count(L, "tasks", w->tasks);
  if (w->task)
    set_count(L, "task", (uint64_t)w->task);
  if (w->pid)
    set_count(L, "pid", (uint64_t)w->pid);
  if (process && w->pid)
    set_count(L, "rss", (uint64_t)ccp_process_rss(w->pid));
  lua_pushstring(L, w->task ? "busy" : states[w->state & 3]);
  lua_setfield(L, -2, "state");
  lua_pushnumber(L, (lua_Number)w->age_s);
  lua_setfield(L, -2, "age");
}

/* stats(executor, is_process) -> table */
static int core_stats(lua_State *L) {
  ccp_executor *ex = ccp_executor_check(L, 1);
  ccp_pool_counts n = ex->inline_counts;
  lua_Integer k = 0;
  if (ex->handle)
    ccp_pool_counts_now(ex->handle->pool, &n);
  lua_createtable(L, 0, 12);
  set_count(L, "submitted", n.submitted);
  set_count(L, "queued", n.queued);
  set_count(L, "running", n.running);
  set_count(L, "done", n.done);
  set_count(L, "failed", n.failed);
  set_count(L, "cancelled", n.cancelled);
  set_count(L, "crashes", n.crashes);
  set_count(L, "abandoned", n.abandoned);
  lua_newtable(L);
  for (uint32_t i = 0; ex->handle && i < ex->max_workers; i++) {
    ccp_worker_info w;
    if (!ccp_pool_worker_now(ex->handle->pool, i, &w))
      continue;
    push_worker(L, &w, lua_toboolean(L, 2));
    lua_rawseti(L, -2, ++k);
  }
  lua_setfield(L, -2, "workers");
  return 1;
}

void ccp_executor_functions(lua_State *L, int class_, int in_flight) {
  static const luaL_Reg functions[] = {{"new", core_new},
                                       {"shutdown", core_shutdown},
                                       {"kill", core_kill},
                                       {"wait_closed", core_wait_closed},
                                       {"warmup", core_warmup},
                                       {"stats", core_stats},
                                       {"sendable", core_sendable},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  lua_pushvalue(L, class_);
  lua_pushvalue(L, in_flight);
  lua_pushcclosure(L, core_submit, 2);
  lua_setfield(L, -2, "submit");
}
