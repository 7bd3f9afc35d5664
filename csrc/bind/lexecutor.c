/*
** Executors: making, submitting, ending, looking in. The options are checked
** in Lua (lua/ccpool/executor.lua); here only what could do harm.
*/
#include "bind/lexecutor.h"

#include <string.h>

#include "bind/lcore.h"
#include "bind/lerror.h"
#include "bind/lhand.h"
#include "bind/lshared.h"
#include "codec/raw.h"
#include "os/clock.h"
#include "os/codes.h"
#include "os/process.h"

static const char class_key = 0; /* its address: in the registry */

void ccp_check_target(lua_State *L, int arg) {
  int type = lua_type(L, arg);
  luaL_argexpected(L, type == LUA_TFUNCTION || type == LUA_TSTRING, arg,
                   "function or \"module.function\"");
}

void ccp_executor_check_inline(lua_State *L, ccp_executor *ex, int self) {
  if (ex->shut)
    (void)ccp_error_raise(L, CCP_E_CLOSED, NULL);
  if (!ex->broken)
    return;
  lua_getiuservalue(L, self, 1);
  ccp_error_broken(L);
  lua_error(L);
}

void ccp_executor_check_open(lua_State *L, ccp_executor *ex) {
  ccp_bytes cause;
  if (ccp_pool_life_now(ex->handle->pool) != CCP_P_OPEN)
    (void)ccp_error_raise(L, CCP_E_CLOSED, NULL);
  if (!ccp_pool_cause(ex->handle->pool, &cause))
    return;
  ccp_bytes_free(&cause);
  (void)ccp_executor_raise(L, ex, CCP_E_BROKEN);
}

int ccp_executor_raise(lua_State *L, ccp_executor *ex, int code) {
  ccp_bytes cause;
  if (code != CCP_E_BROKEN)
    return ccp_error_raise(L, code, NULL);
  if (ccp_pool_cause(ex->handle->pool, &cause)) {
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

/* ------------------------------------------------------------ making */

static int executor__gc(lua_State *L) {
  ccp_executor *ex = lua_touserdata(L, 1);
  ccp_handle *h = ex->handle;
  ex->handle = NULL;
  ex->shut = 1;
  if (ex->by_caller.trace && ex->epoch == ccp_process_epoch())
    (void)ccp_trace_close(ex->by_caller.trace); /* a copy has no file to end */
  ex->by_caller.trace = NULL;
  if (!h)
    return 0;
  /* the state that made it may have got it back, as a result for example: the
  ** last object that stands for the pool is its end */
  if (h->objects == 1 && h->pool && !h->party && ccp_pool_is_ours(h->pool))
    ccp_pool_shutdown(h->pool, 0); /* what is pending still runs */
  ccp_handle_leave(h);
  return 0;
}

static ccp_executor *new_executor(lua_State *L) {
  ccp_client *c = ccp_client_get(L); /* first: it is to be finalized last */
  ccp_executor *ex = lua_newuserdatauv(L, sizeof *ex, 1);
  memset(ex, 0, sizeof *ex);
  ex->magic = CCP_EXECUTOR_MAGIC;
  ex->epoch = ccp_process_epoch();
  ex->client = c;
  ex->by_caller.grace_ns = CCP_NS_PER_S;
  (void)lua_rawgetp(L, LUA_REGISTRYINDEX, &class_key);
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

/* A field of the table of options at 4; 0 if it is not there. */
static double number_option(lua_State *L, const char *name) {
  double x = lua_getfield(L, 4, name) == LUA_TNIL
                 ? 0.0
                 : (double)luaL_checknumber(L, -1);
  lua_pop(L, 1);
  return x;
}

static void take_limits(lua_State *L, ccp_limits *l) {
  l->min_workers = (uint32_t)number_option(L, "min_workers");
  l->idle_ns =
      (int64_t)(number_option(L, "idle_timeout") * (double)CCP_NS_PER_S);
  l->tasks_most = (uint32_t)number_option(L, "max_tasks_per_worker");
  l->rss_growth = (size_t)number_option(L, "max_rss_growth");
  l->queue_most = (uint32_t)number_option(L, "max_queue");
  l->break_on_crash =
      lua_getfield(L, 4, "break_on_crash") != LUA_TNIL && lua_toboolean(L, -1);
  lua_pop(L, 1);
}

static ccp_pool *make_pool(lua_State *L, ccp_client *c, int is_process) {
  ccp_pool_config config = {0};
  ccp_pool *pool;
  int rc;
  config.is_process = is_process;
  config.name = luaL_checkstring(L, 2);
  config.max_workers = (uint32_t)luaL_checkinteger(L, 3);
  config.grace_s = number_option(L, "grace");
  config.memory_limit = (size_t)number_option(L, "memory_limit");
  take_limits(L, &config.limits);
  config.owner = c->bell;
  config.L = L;
  config.open_core = luaopen_ccpool_core;
  config.finish = ccp_client_finish;
  if (!is_process) {
    config.path = package_field(L, "path");
    config.cpath = package_field(L, "cpath");
  }
  (void)ccp_raw_known(); /* so that no worker need find out */
  pool = ccp_pool_new(&config, &rc);
  if (!pool)
    (void)ccp_error_raise(L, rc, "new executor");
  return pool;
}

int ccp_executor_encode(lua_State *L, ccp_executor *ex, int first, int n,
                        const char *noun, ccp_buf *out) {
  ccp_pool *pool = ex->handle->pool;
  int draft = ccp_client_draft_of(ex->client, out);
  const ccp_what what = {noun, 0, CCP_LENT_TO(draft)};
  int rc = ccp_encode_call(L, first, n, what, out, ccp_pool_funcs(pool));
  if (rc == CCP_OK)
    ccp_sharing_lend_pool(L, ex->client, draft, pool);
  return rc;
}

/* The messages of the prelude, see vm_prepare.c. */
static int encode_prelude(lua_State *L, ccp_executor *ex, int last,
                          int is_process, ccp_buf *out) {
  const struct ccp_funcs *funcs = ccp_pool_funcs(ex->handle->pool);
  int rc = CCP_OK, initialized = !lua_isnoneornil(L, 6);
  ccp_buf_reset(out);
  luaL_checkstack(L, 12, "too many initargs");
  if (!is_process)
    rc = ccp_encode_setup(L, 5, out, funcs, initialized);
  if (rc == CCP_OK && initialized)
    rc = ccp_executor_encode(L, ex, 6, last - 5, "initargs", out);
  ccp_codec_types_known(L, funcs->uid, is_process);
  return rc;
}

static int encode_finalizer(lua_State *L, ccp_executor *ex, ccp_buf *out) {
  int rc = CCP_OK;
  ccp_buf_reset(out);
  if (lua_getfield(L, 4, "finalizer") != LUA_TNIL) {
    rc = ccp_executor_encode(L, ex, lua_gettop(L), 1, "finalizer", out);
    if (rc == CCP_OK)
      rc = ccp_pool_set_finalizer(ex->handle->pool, out->data, out->len);
  }
  if (rc != CCP_E_NOTSENDABLE) /* its path is on the top */
    lua_pop(L, 1);
  return rc;
}

/* sendable(value) -> could it be a preload of a new state? */
static int core_sendable(lua_State *L) {
  const ccp_what what = {"value", CCP_WHAT_EARLY, 0};
  ccp_client *c = ccp_client_get(L);
  ccp_buf *out;
  int rc;
  luaL_checkany(L, 1);
  out = ccp_client_draft(L, c, CCP_FRAME);
  rc = ccp_encode(L, 1, 1, what, out, NULL);
  ccp_client_drafted(c, out);
  lua_pushboolean(L, rc == CCP_OK);
  return 1;
}

/* new(kind, name, max_workers, options, setup | nil, initializer | nil, ...)
** gives the executor's userdata. Options: grace, memory_limit, finalizer and
** what take_limits reads. Setup, for threads: { preloads, modules to require };
** the preloads are already known to be sendable one by one. */
static int core_new(lua_State *L) {
  static const char *const kinds[] = {"thread", "process", "serial", NULL};
  int kind = luaL_checkoption(L, 1, NULL, kinds), rc = CCP_OK;
  int last = lua_gettop(L);
  lua_Integer n = luaL_checkinteger(L, 3);
  ccp_executor *ex;
  ccp_client *c;
  ccp_buf *out;
  luaL_argcheck(L, n >= 1 && n <= CCP_WORKERS_MOST, 3, "max_workers");
  luaL_checktype(L, 4, LUA_TTABLE);
  ex = new_executor(L);
  ex->max_workers = (uint32_t)n;
  ex->queue_limited = number_option(L, "max_queue") > 0;
  ex->overflow = (uint8_t)number_option(L, "overflow");
  ex->by_caller.grace_ns =
      (int64_t)(number_option(L, "grace") * (double)CCP_NS_PER_S);
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
  out = ccp_client_draft(L, c, CCP_FRAME);
  rc = encode_finalizer(L, ex, out);
  if (rc == CCP_OK)
    rc = encode_prelude(L, ex, last, kind == 1, out);
  if (rc != CCP_OK) {
    ccp_client_drafted(c, out);
    return ccp_error_raise(L, rc, NULL);
  }
  rc = ccp_pool_start(ex->handle->pool, out->data, out->len, L);
  ccp_client_drafted(c, out);
  return rc == CCP_OK ? 1 : ccp_error_raise(L, rc, "start executor");
}

/* ------------------------------------------------------------ travelling */

/* save(executor) -> uid of the pool: who receives it looks for that pool. */
static int executor_save(lua_State *L) {
  const ccp_executor *ex = lua_touserdata(L, 1);
  if (!ex->handle)
    return luaL_error(L, "a serial executor stays where it is");
  if (!ex->handle->pool || !ccp_pool_is_ours(ex->handle->pool))
    return luaL_error(L, "this executor belongs to the process that made it");
  if (ccp_codec_saves_for_elsewhere(L))
    return luaL_error(L, "an executor travels to threads of its own process "
                         "only");
  lua_pushinteger(L, (lua_Integer)ccp_pool_uid(ex->handle->pool));
  lua_pushinteger(L, ccp_process_epoch());
  return 2;
}

/* load(uid, epoch) -> another state's executor for the same pool. */
static int executor_load(lua_State *L) {
  uint64_t uid = (uint64_t)luaL_checkinteger(L, 1);
  int ours = luaL_checkinteger(L, 2) == (lua_Integer)ccp_process_epoch();
  ccp_executor *ex = new_executor(L);
  ccp_pool *pool = ours ? ccp_pool_find(uid) : NULL;
  if (!ours)
    return ccp_error_raise_unsendable(L, "executor");
  if (!pool)
    return ccp_error_raise(L, CCP_E_CLOSED, NULL);
  ex->handle = ccp_client_join(ex->client, pool);
  if (!ex->handle) {
    ccp_pool_unref(pool);
    return ccp_error_raise(L, CCP_E_NOMEM, NULL);
  }
  ex->handle->objects++;
  ex->max_workers = ccp_pool_size(pool);
  ex->queue_limited = ccp_pool_places(pool) != UINT64_MAX;
  return 1;
}

/* What only the state that made the executor may ask for. */
static ccp_executor *check_owner(lua_State *L, const char *what) {
  ccp_executor *ex = ccp_executor_check(L, 1);
  if (ex->handle && ex->handle->party)
    luaL_error(L, "%s: this executor belongs to another thread", what);
  return ex;
}

/* ------------------------------------------------------------ ending */

/* shutdown(executor, cancel): no more submits. */
static int core_shutdown(lua_State *L) {
  ccp_executor *ex = check_owner(L, "shutdown");
  ex->shut = 1;
  if (ex->handle) {
    ccp_pool_shutdown(ex->handle->pool, lua_toboolean(L, 2));
    ccp_client_collect(L, ex->client);
  }
  return 0;
}

/* kill(executor, signal) */
static int core_kill(lua_State *L) {
  ccp_executor *ex = check_owner(L, "kill");
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
  ccp_executor *ex = check_owner(L, "shutdown");
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
  return ccp_pool_ready(ex->handle->pool) >= ccp_executor_size(ex) ||
         ccp_pool_warmup(ex->handle->pool) != CCP_OK;
}

/* warmup(executor): starts all workers and waits until they are ready. */
static int core_warmup(lua_State *L) {
  ccp_executor *ex = check_owner(L, "warmup");
  int rc;
  if (!ex->handle) {
    (void)ccp_executor_push(L, 1);
    ccp_executor_check_inline(L, ex, lua_gettop(L));
    return 0;
  }
  rc = ccp_pool_warmup(ex->handle->pool);
  if (rc == CCP_OK)
    (void)ccp_client_wait(L, ex->client, ex->handle->pool, CCP_NEVER, is_warm,
                          ex);
  rc = ccp_pool_warmup(ex->handle->pool);
  return rc == CCP_OK ? 0 : ccp_executor_raise(L, ex, rc);
}

/* The class is registered as a type that travels. Once per state. */
static void make_class(lua_State *L) {
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, executor__gc);
  lua_setfield(L, -2, "__gc");
  lua_pushliteral(L, "ccpool executor");
  lua_setfield(L, -2, "__name");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &class_key);
  lua_pushcfunction(L, ccp_codec_register);
  lua_pushliteral(L, "ccpool.executor");
  lua_rawgetp(L, LUA_REGISTRYINDEX, &class_key);
  lua_pushcfunction(L, executor_save);
  lua_pushcfunction(L, executor_load);
  lua_call(L, 4, 0);
}

void ccp_executor_functions(lua_State *L) {
  static const luaL_Reg functions[] = {{"new", core_new},
                                       {"shutdown", core_shutdown},
                                       {"kill", core_kill},
                                       {"wait_closed", core_wait_closed},
                                       {"warmup", core_warmup},
                                       {"sendable", core_sendable},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  ccp_executor_self_functions(L);
  make_class(L);
}
