/*
** Submitting a call: the shortest way from Lua values to the board. In the
** thread of the Lua state.
*/
#include "bind/lexecutor.h"

#include <string.h>

#include "bind/lerror.h"
#include "bind/lfuture.h"
#include "bind/lserial.h"
#include "bind/lshared.h"
#include "codec/wire.h"
#include "os/codes.h"

/* Upvalues of submit. */
#define FUTURE_CLASS lua_upvalueindex(1)
#define IN_FLIGHT lua_upvalueindex(2)

/* The task stays the client's spare until nothing can raise any more; a submit
** by a finalizer meanwhile has another. One for a pool of another state is not
** of the client's store: it may outlive it. */
static ccp_task *spare_task(lua_State *L, ccp_client *c, const ccp_handle *h) {
  ccp_task *t;
  if (h->party) {
    t = ccp_guest_new(h->party);
    if (!t)
      (void)ccp_error_raise(L, CCP_E_NOMEM, NULL);
    return t;
  }
  if (c->spare && !ccp_draft_lasts(c->spare_for, CCP_FRAME)) {
    c->spare_for = CCP_FRAME;
    return c->spare;
  }
  t = ccp_store_take(&c->store);
  if (!t)
    (void)ccp_error_raise(L, CCP_E_NOMEM, NULL);
  if (!c->spare) {
    c->spare = t;
    c->spare_for = CCP_FRAME;
  }
  return t;
}

static void use_spare(ccp_client *c, const ccp_task *t) {
  if (t == c->spare) {
    c->spare = NULL;
    c->spare_for = 0;
  }
}

/* There was room a moment ago, but another thread has taken it. */
static int lost_the_race(const ccp_executor *ex, int rc) {
  return rc == CCP_E_FULL && ex->overflow != CCP_OVER_ERROR;
}

/* The call's bytes are the quick ones, or if there are none, in `out`. Pushes
** the future; 0: there is no room any more, and it matters. */
static int submit_to_pool(lua_State *L, ccp_executor *ex, const void *quick,
                          size_t len, ccp_buf *out, const ccp_rules *view) {
  ccp_client *c = ex->client;
  ccp_task *t = spare_task(L, c, ex->handle);
  int rc;
  t->owner = ccp_future_new(L, FUTURE_CLASS, ex->handle, t);
  if (out && c->lent[ccp_client_draft_of(c, out)] > 0)
    ccp_future_lend(L, c, ccp_client_draft_of(c, out));
  lua_pushvalue(L, -1);
  lua_rawseti(L, IN_FLIGHT, ccp_task_key(t)); /* the last that may raise */
  rc = view ? ccp_rules_apply(t, view) : CCP_OK;
  if (rc == CCP_OK)
    rc = out ? ccp_body_from(&t->body, out)
             : ccp_bytes_set(&t->body, quick, len);
  if (out)
    ccp_client_drafted(c, out);
  if (rc == CCP_OK)
    rc = ccp_pool_submit(ex->handle->pool, t);
  if (rc != CCP_OK) {
    lua_pushnil(L);
    lua_rawseti(L, IN_FLIGHT, ccp_task_key(t));
    use_spare(c, t);
    ccp_client_give(c, t);
    return lost_the_race(ex, rc) ? 0 : ccp_executor_raise(L, ex, rc);
  }
  use_spare(c, t);
  c->in_flight_n++;
  ccp_client_take(L, c, ex->handle);
  return 1;
}

/* A function without upvalues is the same bytes in every message: remember
** them for the next time it comes. */
static void remember(lua_State *L, ccp_executor *ex, int self, ccp_buf *out) {
  const ccp_what what = {"argument", 0, 0};
  size_t at = out->len;
  ex->quick_fn = NULL;
  if (!ex->handle || ex->queue_limited || lua_iscfunction(L, 2) ||
      lua_getupvalue(L, 2, 1))
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

enum {
  QUICK_ARGS = 3,
  QUICK_ROOM = 2 + CCP_QUICK_BYTES + 9 * (QUICK_ARGS + 1)
};

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

/* Gives up the draft that holds a call, and takes back what that was lent. */
static void drop_call(lua_State *L, ccp_client *c, const ccp_buf *out) {
  ccp_sharing_lent(L, c, ccp_client_draft_of(c, out));
  ccp_sharing_return(L);
  ccp_client_drafted(c, out);
}

/* Encodes function and arguments [2, n] into a buffer of the client's, which is
** to be given back, as is what it was lent. */
static ccp_buf *encode_call(lua_State *L, ccp_executor *ex, int n,
                            const char *noun) {
  ccp_client *c = ex->client;
  ccp_what what = {noun, 0, 0};
  const unsigned char kind = CCP_BODY_CALL;
  ccp_buf *out;
  int rc;
  luaL_checkstack(L, 8, "too many arguments");
  out = ccp_client_draft(L, c, CCP_FRAME);
  what.purpose = CCP_LENT_TO(ccp_client_draft_of(c, out));
  rc = ccp_buf_put(out, &kind, 1);
  if (rc == CCP_OK)
    rc = ccp_encode_call_in(L, c->codec, 2, n - 1, what, out,
                            ex->handle ? ccp_pool_funcs(ex->handle->pool)
                                       : &ccp_funcs_home);
  if (rc != CCP_OK) {
    drop_call(L, c, out);
    (void)ccp_error_raise(L, rc, NULL);
  }
  return out;
}

/* The inline call may submit again: its bytes need a place of their own. */
static int submit_inline(lua_State *L, ccp_executor *ex, const ccp_buf *out,
                         const ccp_rules *view) {
  size_t len = out->len;
  int future;
  (void)ccp_future_new(L, FUTURE_CLASS, NULL, NULL);
  future = lua_gettop(L);
  ccp_sharing_lent(L, ex->client, ccp_client_draft_of(ex->client, out));
  lua_pushlstring(L, (const char *)out->data, len);
  ccp_client_drafted(ex->client, out);
  ccp_serial_call(L, lua_tostring(L, -1), len, future,
                  ex->handle ? ccp_pool_funcs(ex->handle->pool) : NULL, view,
                  &ex->by_caller);
  lua_settop(L, future + 1);
  ccp_sharing_return(L);
  return 1;
}

/* Full, and the caller is to run it: true. Waiting comes before encoding: what
** runs meanwhile may submit as well. */
static int runs_here(lua_State *L, ccp_executor *ex) {
  if (!ex->handle)
    return 1;
  if (!ex->queue_limited || ex->overflow == CCP_OVER_ERROR)
    return 0;
  if (ex->overflow == CCP_OVER_BLOCK) {
    ccp_executor_wait_for_room(L, ex);
    return 0;
  }
  ccp_client_collect(L, ex->client);
  return !ccp_pool_has_room(ex->handle->pool);
}

static int submit_slowly(lua_State *L, ccp_executor *ex, int n,
                         const ccp_rules *view) {
  ccp_buf *out;
  int here, top, pushed;
  if (n < 2) /* what lies there is the executor's userdata */
    lua_settop(L, n);
  ccp_check_target(L, 2);
  if (!ex->handle)
    ccp_executor_check_inline(L, ex, n + 1);
  top = lua_gettop(L);
  do {
    lua_settop(L, top);
    here = runs_here(L, ex);
    out = encode_call(L, ex, n, "argument");
    if (here)
      return submit_inline(L, ex, out, view);
    if (lua_topointer(L, 2) != ex->quick_fn)
      remember(L, ex, n + 1, out);
    pushed = submit_to_pool(L, ex, NULL, 0, out, view);
  } while (!pushed);
  return pushed;
}

static int core_submit(lua_State *L) {
  unsigned char quick[QUICK_ROOM];
  int n = lua_gettop(L);
  ccp_executor *ex = ccp_executor_push(L, 1);
  size_t len = encode_quick(L, ex, n, quick);
  return len ? submit_to_pool(L, ex, quick, len, NULL, NULL)
             : submit_slowly(L, ex, n, NULL);
}

/* The same for a view. */
static int core_submit_with(lua_State *L) {
  int n = lua_gettop(L);
  const ccp_rules *view = ccp_rules_check(L, 1);
  return submit_slowly(L, ccp_executor_push(L, 1), n, view);
}

static void submit_off_record(lua_State *L, ccp_executor *ex,
                              const ccp_buf *out) {
  ex->by_caller.off_record = 1;
  (void)submit_inline(L, ex, out, NULL);
  ex->by_caller.off_record = 0;
}

/* initialize(executor, fn, ...): an inline executor's initializer, by value as
** in a worker. */
static int core_initialize(lua_State *L) {
  int n = lua_gettop(L), failed;
  ccp_executor *ex = ccp_executor_push(L, 1);
  submit_off_record(L, ex, encode_call(L, ex, n, "initargs"));
  lua_pushcfunction(L, ccp_future_failed);
  lua_pushvalue(L, -2);
  lua_call(L, 1, 1);
  failed = lua_toboolean(L, -1);
  lua_pop(L, 1);
  if (failed) {
    lua_getfield(L, -1, "exception");
    lua_insert(L, -2);
    lua_call(L, 1, 1);
    lua_setiuservalue(L, n + 1, 1);
    ex->broken = 1;
  }
  return 0;
}

/* check_finalizer(executor, fn): raises an error if it cannot travel. */
static int core_check_finalizer(lua_State *L) {
  int n = lua_gettop(L);
  ccp_executor *ex = ccp_executor_push(L, 1);
  drop_call(L, ex->client, encode_call(L, ex, n, "finalizer"));
  return 0;
}

/* finalize(executor, fn) -> future: a call that is not counted. */
static int core_finalize(lua_State *L) {
  int n = lua_gettop(L);
  ccp_executor *ex = ccp_executor_push(L, 1);
  ccp_executor_check_inline(L, ex, lua_gettop(L));
  submit_off_record(L, ex, encode_call(L, ex, n, "finalizer"));
  return 1;
}

void ccp_submit_function(lua_State *L, int class_, int in_flight) {
  lua_pushvalue(L, class_);
  lua_pushvalue(L, in_flight);
  lua_pushcclosure(L, core_submit, 2);
  lua_setfield(L, -2, "submit");
  lua_pushvalue(L, class_);
  lua_pushvalue(L, in_flight);
  lua_pushcclosure(L, core_submit_with, 2);
  lua_setfield(L, -2, "submit_with");
  lua_pushvalue(L, class_);
  lua_pushcclosure(L, core_initialize, 1);
  lua_setfield(L, -2, "initialize");
  lua_pushvalue(L, class_);
  lua_pushcclosure(L, core_check_finalizer, 1);
  lua_setfield(L, -2, "check_finalizer");
  lua_pushvalue(L, class_);
  lua_pushcclosure(L, core_finalize, 1);
  lua_setfield(L, -2, "finalize");
}
