/*
** Futures. A future has no finalizer, no user value and, while its call is
** small, no memory but its own few bytes: a task in flight points to it, and it
** to the task, until the reply is delivered. An outcome that is not small is
** kept in a table of the state, by the future (weak); for a future that
** somebody watches it is a table there: { outcome, callbacks =, watchers =,
** fd = }.
**
** This file has the outcomes and the waiting; lfuture_deliver.c what comes in,
** lfuture_watch.c who is told.
*/
#include "bind/lfuture_state.h"

#include <stdlib.h>
#include <string.h>

#include "bind/lerror.h"
#include "codec/quick.h"
#include "os/clock.h"
#include "os/codes.h"
#include "os/local.h"
#include "os/process.h"
#include "task/rules.h"
#include "worker/vm.h"

ccp_future *ccp_future_check(lua_State *L, int arg) {
  ccp_future *f = lua_touserdata(L, arg);
  /* a light userdata has no length */
  if (!f || lua_rawlen(L, arg) != sizeof *f || f->magic != CCP_FUTURE_MAGIC)
    luaL_typeerror(L, arg, "ccpool.Future");
  return f;
}

void ccp_future_check_ours(lua_State *L, const ccp_future *f) {
  if (!ccp_pool_is_ours(f->at.pending.handle->pool))
    luaL_error(L, "this future belongs to the process that submitted the task");
}

int ccp_future_refresh(lua_State *L, ccp_future *f) {
  if (f->state == PENDING) {
    ccp_future_check_ours(L, f);
    ccp_client_collect(L, ccp_client_get(L));
  }
  return f->state != PENDING;
}

/* ------------------------------------------------------------ outcomes */

const void *ccp_future_message(lua_State *L, const ccp_future *f, int index,
                               size_t *len) {
  const ccp_held *held;
  if (f->form == INLINE) {
    *len = f->len;
    return f->at.bytes;
  }
  /* what is pushed stays on the stack while it is read */
  ccp_future_push_outcome(L, f, index);
  if (f->form == TEXT)
    return lua_tolstring(L, -1, len);
  held = lua_touserdata(L, -1);
  if (held->epoch != ccp_process_epoch() && ccp_bytes_is_block(&held->bytes))
    luaL_error(L, "this future belongs to the process that submitted the task");
  *len = held->bytes.len;
  return ccp_bytes_at(&held->bytes);
}

int ccp_future_push_packed(lua_State *L, const ccp_future *f, int index) {
  int base, n;
  ccp_future_push_outcome(L, f, index);
  base = lua_gettop(L);
  lua_getfield(L, base, "n");
  n = (int)lua_tointeger(L, -1);
  luaL_checkstack(L, n, "too many results");
  for (int i = 1; i <= n; i++)
    lua_rawgeti(L, base, i);
  return n;
}

/* Pushes the values; what was decoded once is kept, so that a table is the
** same table each time. */
static int push_values(lua_State *L, ccp_future *f, int index) {
  ccp_held *held = NULL;
  size_t len, used;
  int n;
  const void *p;
  if (f->form == INLINE && ccp_quick_push(L, f->at.bytes, f->len))
    return 1;
  if (f->form == VALUE) {
    ccp_future_push_outcome(L, f, index);
    return 1;
  }
  if (f->form == PACKED)
    return ccp_future_push_packed(L, f, index);
  p = ccp_future_message(L, f, index, &len);
  if (f->form == HELD) {
    held = lua_touserdata(L, -1);
    held->readers++; /* after an error it stays, until it is collected */
  }
  n = ccp_decode(L, p, len, &used, NULL);
  if (f->form == INLINE)
    return n;
  ccp_future_keep_values(L, f, index, n);
  if (held && --held->readers == 0 && held->epoch == ccp_process_epoch())
    ccp_bytes_free(&held->bytes);
  return n;
}

/* Pushes error value and traceback or nil. */
void ccp_future_push_failure(lua_State *L, ccp_future *f, int index) {
  int top = lua_gettop(L);
  if (f->form != FAILURE) {
    size_t len;
    const void *p = ccp_future_message(L, f, index, &len);
    ccp_future_looked(L, f, index);
    lua_createtable(L, 2, 0);
    ccp_error_of_reply(L, f->status, p, len);
    lua_rawseti(L, -3, 2);
    lua_rawseti(L, -2, 1);
    ccp_future_set_outcome(L, f, index);
    f->form = FAILURE;
    lua_settop(L, top);
  }
  ccp_future_push_outcome(L, f, index);
  lua_rawgeti(L, -1, 1);
  lua_rawgeti(L, -2, 2);
  lua_remove(L, -3);
}

/* ------------------------------------------------------------ waiting */

static int is_done(lua_State *L, void *ud) {
  (void)L;
  return ((ccp_future *)ud)->state != PENDING;
}

/* Before it waits for a task of a pool that another state owns: who could run
** it may be this very thread. */
static void help(lua_State *L, ccp_client *c, ccp_future *f) {
  ccp_handle *h = f->at.pending.handle;
  if (h->party && ccp_client_help(L, c, h, f->at.pending.task) < 0)
    (void)lua_error(L);
}

/* CCP_OK, or with an error object on the stack another code. */
static int wait_for(lua_State *L, ccp_client *c, ccp_handle *h, ccp_future *f,
                    int64_t deadline) {
  int rc;
  help(L, c, f);
  if (f->state != PENDING)
    return CCP_OK;
  ccp_client_wants(c, h->pool, f->at.pending.task);
  rc = ccp_client_wait(L, c, h->pool, deadline, is_done, f);
  if (rc == CCP_OK)
    return rc;
  lua_pushnil(L);
  if (rc == CCP_E_DEADLOCK)
    ccp_error_make(L, "DeadlockError", "the tasks wait for each other");
  else
    ccp_error_make(L, "TimeoutError", "the future is not done yet");
  return rc;
}

static CCP_LOCAL int news; /* may a client of this thread have some to tell? */

void ccp_future_note(void) {
  news = 1;
}

/* Who asks for what is done already does not wait, but callbacks must not have
** to wait for ever because of that. Of two states of one thread the second may
** have to wait until it blocks. */
static void pass_by(lua_State *L) {
  ccp_client *c = news ? ccp_client_peek(L) : NULL;
  if (!c || c->calling)
    return;
  news = 0;
  if (c->callback_n > 0 || c->unheard)
    (void)ccp_future_run_callbacks(L, c);
}

/* Waits as argument 2 says; raises TimeoutError. */
static void await(lua_State *L, ccp_future *f) {
  int64_t deadline;
  ccp_client *c;
  ccp_handle *h;
  if (f->state != PENDING) {
    if (lua_gettop(L) > 1)
      (void)ccp_check_timeout(L, 2);
    pass_by(L);
    return;
  }
  deadline = ccp_check_timeout(L, 2);
  ccp_future_check_ours(L, f);
  c = ccp_client_get(L);
  h = f->at.pending.handle;
  lua_settop(L, 2);
  if (wait_for(L, c, h, f, deadline) != CCP_OK)
    (void)lua_error(L);
}

static int future_result(lua_State *L) {
  ccp_future *f = ccp_future_check(L, 1);
  await(L, f);
  if (f->status == CCP_R_VALUES)
    return push_values(L, f, 1);
  ccp_future_push_failure(L, f, 1);
  lua_pop(L, 1);
  return lua_error(L);
}

/* Stack: future, depth (light userdata): 1 while the values are decoded. */
static int values_of(lua_State *L) {
  int *depth = lua_touserdata(L, 2), n;
  *depth = 1;
  n = push_values(L, lua_touserdata(L, 1), 1);
  *depth = 0;
  return n;
}

/* false, err for whatever goes wrong with the task or its result; but a signal
** raises, as everywhere. */
static int future_presult(lua_State *L) {
  ccp_future *f = ccp_future_check(L, 1);
  int64_t deadline = ccp_check_timeout(L, 2);
  int decoding = 0;
  lua_settop(L, 1);
  if (f->state == PENDING) {
    ccp_future_check_ours(L, f);
    if (wait_for(L, ccp_client_get(L), f->at.pending.handle, f, deadline) !=
        CCP_OK) {
      lua_pushboolean(L, 0);
      lua_insert(L, -2);
      return 2;
    }
  } else
    pass_by(L);
  lua_pushboolean(L, f->status == CCP_R_VALUES);
  if (f->status == CCP_R_VALUES) {
    lua_pushcfunction(L, values_of);
    lua_pushvalue(L, 1);
    lua_pushlightuserdata(L, &decoding);
    if (lua_pcall(L, 2, LUA_MULTRET, 0) == LUA_OK)
      return lua_gettop(L) - 1;
    if (!decoding) /* a hook raised it, before the first step or after the last
                    */
      return lua_error(L);
    lua_pushboolean(L, 0);
    lua_replace(L, 2);
    return 2;
  }
  ccp_future_push_failure(L, f, 1);
  lua_pop(L, 1);
  return 2;
}

static int future_exception(lua_State *L) {
  ccp_future *f = ccp_future_check(L, 1);
  await(L, f);
  if (f->status == CCP_R_VALUES) {
    lua_pushnil(L);
    return 1;
  }
  ccp_future_push_failure(L, f, 1);
  return 2;
}

static int future_traceback(lua_State *L) {
  ccp_future *f = ccp_future_check(L, 1);
  if (!ccp_future_refresh(L, f) || f->status == CCP_R_VALUES)
    lua_pushnil(L);
  else
    ccp_future_push_failure(L, f, 1);
  return 1;
}

/* ------------------------------------------------------------ looking */

static int future_done(lua_State *L) {
  lua_pushboolean(L, ccp_future_refresh(L, ccp_future_check(L, 1)));
  return 1;
}

static int runs(lua_State *L, ccp_future *f) {
  return !ccp_future_refresh(L, f) &&
         ccp_pool_running(f->at.pending.handle->pool, f->at.pending.task);
}

static int future_running(lua_State *L) {
  lua_pushboolean(L, runs(L, ccp_future_check(L, 1)));
  return 1;
}

static int future_cancelled(lua_State *L) {
  ccp_future *f = ccp_future_check(L, 1);
  (void)ccp_future_refresh(L, f);
  lua_pushboolean(L, f->state == CANCELLED);
  return 1;
}

static const char *state_name(const ccp_future *f, int running) {
  static const char *const names[] = {"pending", "finished", "cancelled"};
  return running ? "running" : names[f->state];
}

static int future_state(lua_State *L) {
  ccp_future *f = ccp_future_check(L, 1);
  int running = runs(L, f);
  lua_pushstring(L, state_name(f, running));
  return 1;
}

static int future__tostring(lua_State *L) {
  ccp_future *f = ccp_future_check(L, 1);
  int running =
      f->state == PENDING && ccp_pool_is_ours(f->at.pending.handle->pool) &&
      ccp_pool_running(f->at.pending.handle->pool, f->at.pending.task);
  lua_pushfstring(L, "ccpool.Future: %p (%s)", lua_topointer(L, 1),
                  state_name(f, running));
  return 1;
}

/* Checks the options at 2: is it to be forced, and why. */
static int cancel_options(lua_State *L, const char **reason) {
  int force = 0;
  *reason = "";
  if (lua_isnoneornil(L, 2))
    return 0;
  luaL_argexpected(L, lua_istable(L, 2), 2, "table of options");
  for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
    const char *name =
        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
    if (strcmp(name, "force") == 0) {
      luaL_argcheck(L, lua_isboolean(L, -1), 2,
                    "option 'force': boolean expected");
      force = lua_toboolean(L, -1);
    } else if (strcmp(name, "reason") == 0) {
      luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, 2,
                    "option 'reason': string expected");
      *reason = lua_tostring(L, -1); /* anchored in the table */
    } else {
      lua_pushfstring(L, "unknown option '%s'", name);
      return luaL_argerror(L, 2, lua_tostring(L, -1));
    }
  }
  return force;
}

static int future_cancel(lua_State *L) {
  ccp_future *f = ccp_future_check(L, 1);
  const char *reason;
  int force = cancel_options(L, &reason);
  if (f->state == PENDING) {
    ccp_pool *pool = f->at.pending.handle->pool;
    ccp_task *t = f->at.pending.task;
    ccp_future_check_ours(L, f);
    if (force ? ccp_pool_cancel_running(pool, t, reason)
              : ccp_pool_cancel(pool, t, reason))
      ccp_client_collect(L, ccp_client_get(L));
  }
  lua_pushboolean(L, f->state == CANCELLED);
  return 1;
}

/* A future needs no closing: nothing of it outlives its last reference. */
static int future__close(lua_State *L) {
  (void)L;
  return 0;
}

void ccp_future_class(lua_State *L) {
  static const luaL_Reg methods[] = {{"result", future_result},
                                     {"presult", future_presult},
                                     {"exception", future_exception},
                                     {"traceback", future_traceback},
                                     {"done", future_done},
                                     {"running", future_running},
                                     {"cancelled", future_cancelled},
                                     {"state", future_state},
                                     {"cancel", future_cancel},
                                     {"attempts", ccp_future_attempts},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__tostring", future__tostring},
                                  {"__close", future__close},
                                  {NULL, NULL}};
  luaL_newlib(L, meta);
  lua_pushliteral(L, "ccpool.Future");
  lua_setfield(L, -2, "__name");
  luaL_newlib(L, methods);
  ccp_future_watch_methods(L);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__index");
  ccp_future_open_kept(L);
  ccp_future_travels(L, lua_gettop(L) - 1);
}
