/*
** Futures. A future has no finalizer, no user value and, while its call is
** small, no memory but its own few bytes: a task in flight points to it, and it
** to the task, until the reply is delivered. An outcome that is not small is
** kept in a table of the state, by the future (weak); for a future that
** somebody watches it is a table there: { outcome, callbacks =, watchers =,
** fd = }.
**
** Size: one userdata type; splitting it would tear its states apart.
*/
#include "bind/lfuture.h"

#include <string.h>

#include "bind/lerror.h"
#include "codec/quick.h"
#include "os/clock.h"
#include "os/codes.h"
#include "os/fd.h"

#define MAGIC 0xf0707e01u

enum { INLINE_BYTES = 16, HOLD_FROM = 4096 };

enum state { PENDING, FINISHED, CANCELLED };

enum form {
  NONE,
  INLINE, /* the message lies in 'bytes' */
  TEXT,   /* outcome: the message as a string */
  HELD,   /* outcome: a userdata that owns the message */
  VALUE,  /* outcome: the one value */
  PACKED, /* outcome: table of the values, with n */
  FAILURE /* outcome: table { error, traceback } */
};

typedef struct future {
  uint32_t magic;
  uint8_t state, form, status;
  uint8_t len;     /* of 'bytes' */
  uint8_t extras;  /* what is kept is the table of extras */
  uint8_t watched; /* counted in ccp_pool_watch */
  union {
    struct {
      ccp_task *task;     /* the pool's until delivered */
      ccp_handle *handle; /* borrowed */
    } pending;
    unsigned char bytes[INLINE_BYTES]; /* when done */
  } at;
} future;

static const char class_key = 0, kept_key = 0, holder_key = 0, fd_key = 0,
                  reporter_key = 0; /* their addresses: in the registry */

static future *check(lua_State *L, int arg) {
  future *f = lua_touserdata(L, arg);
  /* a light userdata has no length */
  if (!f || lua_rawlen(L, arg) != sizeof *f || f->magic != MAGIC)
    luaL_typeerror(L, arg, "ccpool.Future");
  return f;
}

/* ------------------------------------------------------------ what is kept */

/* Pushes what is kept for the future at 'index' (absolute). */
static void push_kept(lua_State *L, int index) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &kept_key);
  lua_pushvalue(L, index);
  lua_rawget(L, -2);
  lua_remove(L, -2);
}

/* Pops what is to be kept from now on. */
static void keep(lua_State *L, int index) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &kept_key);
  lua_insert(L, -2);
  lua_pushvalue(L, index);
  lua_insert(L, -2);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

static void push_outcome(lua_State *L, const future *f, int index) {
  push_kept(L, index);
  if (f->extras) {
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
  }
}

/* Pops the new outcome. */
static void set_outcome(lua_State *L, const future *f, int index) {
  if (f->extras) {
    push_kept(L, index);
    lua_insert(L, -2);
    lua_rawseti(L, -2, 1);
    lua_pop(L, 1);
  } else
    keep(L, index);
}

/* Pushes the table of extras, made if need be. */
static void push_extras(lua_State *L, future *f, int index) {
  if (f->extras) {
    push_kept(L, index);
    return;
  }
  lua_createtable(L, 1, 2);
  push_kept(L, index);
  lua_rawseti(L, -2, 1);
  lua_pushvalue(L, -1);
  keep(L, index);
  f->extras = 1;
}

/* ------------------------------------------------------------ delivery */

static int holder__gc(lua_State *L) {
  ccp_bytes_free(lua_touserdata(L, 1));
  return 0;
}

/* Pushes a userdata that owns the bytes from now on. */
static void push_holder(lua_State *L, ccp_bytes *from) {
  ccp_bytes *b = lua_newuserdatauv(L, sizeof *b, 0);
  ccp_bytes_init(b);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &holder_key) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, holder__gc);
    lua_setfield(L, -2, "__gc");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &holder_key);
  }
  lua_setmetatable(L, -2);
  *b = *from;
  ccp_bytes_init(from);
}

/* Appends the future at 'index' to each array of extras.watchers. */
static void tell_watchers(lua_State *L, int index) {
  if (lua_getfield(L, -1, "watchers") == LUA_TTABLE)
    for (lua_Integer i = 1; lua_rawgeti(L, -1, i) == LUA_TTABLE; i++) {
      lua_pushvalue(L, index);
      lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
      lua_pop(L, 1);
    }
  else
    lua_pushnil(L);
  lua_pop(L, 2);
}

static void queue_callbacks(lua_State *L, ccp_client *c, int index) {
  if (lua_getfield(L, -1, "callbacks") == LUA_TTABLE) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->callbacks);
    lua_pushvalue(L, index);
    lua_rawseti(L, -2, c->callback_first + c->callback_n);
    c->callback_n++;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

typedef struct parcel {
  ccp_client *client;
  future *f;
  ccp_bytes *bytes;
} parcel;

/* Stack: parcel, future. */
static int store(lua_State *L) {
  parcel *p = lua_touserdata(L, 1);
  future *f = p->f;
  if (f->form == TEXT || f->form == HELD) {
    if (f->form == TEXT)
      lua_pushlstring(L, (const char *)ccp_bytes_at(p->bytes), p->bytes->len);
    else
      push_holder(L, p->bytes);
    set_outcome(L, f, 2);
  }
  if (f->extras) {
    push_extras(L, f, 2);
    tell_watchers(L, 2);
    queue_callbacks(L, p->client, 2);
  }
  return 0;
}

static void unpack_reply(future *f, uint8_t status, const ccp_bytes *b) {
  f->status = status;
  f->state = status == CCP_R_CANCELLED ? CANCELLED : FINISHED;
  f->len = 0;
  if (b->len <= INLINE_BYTES && !ccp_bytes_is_block(b)) {
    f->form = INLINE;
    f->len = (uint8_t)b->len;
    memcpy(f->at.bytes, ccp_bytes_at(b), b->len);
  } else
    f->form = ccp_bytes_is_block(b) || b->len >= HOLD_FROM ? HELD : TEXT;
}

static void unwatch(future *f) {
  if (f->watched)
    ccp_pool_watch(f->at.pending.handle->pool, -1);
  f->watched = 0;
}

/* Most replies are small and nobody watches: then this calls nothing of Lua
** but to let go of the future. */
void ccp_future_deliver(lua_State *L, ccp_client *c, ccp_task *t,
                        int in_flight) {
  future *f = t->owner;
  unwatch(f);
  unpack_reply(f, t->status, &t->body);
  c->in_flight_n--;
  if (f->form != INLINE || f->extras) {
    parcel p = {c, f, &t->body};
    lua_pushcfunction(L, store);
    lua_pushlightuserdata(L, &p);
    lua_rawgeti(L, in_flight, t->id);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
      f->form = INLINE; /* no memory for the outcome: that is the outcome */
      f->status = CCP_R_MEMORY;
      f->len = 0;
      lua_pop(L, 1);
    }
  }
  lua_pushnil(L);
  lua_rawseti(L, in_flight, t->id);
}

void ccp_future_settle(lua_State *L, int index, uint8_t status,
                       const void *bytes, size_t len) {
  future *f = lua_touserdata(L, index);
  f->status = status;
  if (len <= INLINE_BYTES) {
    f->form = INLINE;
    f->len = (uint8_t)len;
    memcpy(f->at.bytes, bytes, len);
  } else {
    lua_pushlstring(L, bytes, len);
    set_outcome(L, f, lua_absindex(L, index));
    f->form = TEXT;
  }
  f->state = FINISHED;
}

void *ccp_future_new(lua_State *L, int class_, ccp_handle *h, ccp_task *t) {
  future *f = lua_newuserdatauv(L, sizeof *f, 0);
  f->magic = MAGIC;
  f->state = PENDING;
  f->form = NONE;
  f->status = CCP_R_VALUES;
  f->len = f->extras = f->watched = 0;
  f->at.pending.task = t;
  f->at.pending.handle = h;
  lua_pushvalue(L, class_);
  lua_setmetatable(L, -2);
  return f;
}

/* ------------------------------------------------------------ outcomes */

static const void *message(lua_State *L, const future *f, int index,
                           size_t *len) {
  const ccp_bytes *b;
  if (f->form == INLINE) {
    *len = f->len;
    return f->at.bytes;
  }
  push_outcome(L, f, index); /* stays on the stack while it is read */
  if (f->form == TEXT)
    return lua_tolstring(L, -1, len);
  b = lua_touserdata(L, -1);
  *len = b->len;
  return ccp_bytes_at(b);
}

/* Pushes the values; what was decoded once is kept, so that a table is the
** same table each time. */
static int push_values(lua_State *L, future *f, int index) {
  size_t len, used;
  int base, n;
  const void *p;
  if (f->form == INLINE && ccp_quick_push(L, f->at.bytes, f->len))
    return 1;
  if (f->form == VALUE) {
    push_outcome(L, f, index);
    return 1;
  }
  if (f->form == PACKED) {
    push_outcome(L, f, index);
    base = lua_gettop(L);
    lua_getfield(L, base, "n");
    n = (int)lua_tointeger(L, -1);
    luaL_checkstack(L, n, "too many results");
    for (int i = 1; i <= n; i++)
      lua_rawgeti(L, base, i);
    return n;
  }
  p = message(L, f, index, &len);
  n = ccp_decode(L, p, len, &used, NULL);
  if (f->form == INLINE)
    return n;
  base = lua_gettop(L) - n;
  if (n == 1)
    lua_pushvalue(L, -1);
  else {
    lua_createtable(L, n, 1);
    for (int i = 1; i <= n; i++) {
      lua_pushvalue(L, base + i);
      lua_rawseti(L, -2, i);
    }
    lua_pushinteger(L, n);
    lua_setfield(L, -2, "n");
  }
  set_outcome(L, f, index);
  f->form = n == 1 ? VALUE : PACKED;
  return n;
}

/* Pushes error value and traceback or nil. */
static void push_failure(lua_State *L, future *f, int index) {
  if (f->form != FAILURE) {
    size_t len;
    const void *p = message(L, f, index, &len);
    ccp_error_of_reply(L, f->status, p, len);
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, -3);
    lua_rawseti(L, -2, 1);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, 2);
    set_outcome(L, f, index);
    f->form = FAILURE;
    lua_pop(L, 2);
  }
  push_outcome(L, f, index);
  lua_rawgeti(L, -1, 1);
  lua_rawgeti(L, -2, 2);
  lua_remove(L, -3);
}

/* ------------------------------------------------------------ waiting */

static int is_done(lua_State *L, void *ud) {
  (void)L;
  return ((future *)ud)->state != PENDING;
}

static void check_ours(lua_State *L, const future *f) {
  if (!ccp_pool_is_ours(f->at.pending.handle->pool))
    luaL_error(L, "this future belongs to the process that submitted the task");
}

/* Looks whether it is done by now, without waiting. */
static int refresh(lua_State *L, future *f) {
  if (f->state == PENDING) {
    check_ours(L, f);
    ccp_client_collect(L, ccp_client_get(L));
  }
  return f->state != PENDING;
}

/* Waits as argument 2 says; raises TimeoutError. */
static void await(lua_State *L, future *f) {
  int64_t deadline;
  ccp_client *c;
  if (f->state != PENDING) {
    if (lua_gettop(L) > 1)
      (void)ccp_check_timeout(L, 2);
    return;
  }
  deadline = ccp_check_timeout(L, 2);
  check_ours(L, f);
  c = ccp_client_get(L);
  lua_settop(L, 2);
  if (ccp_client_wait(L, c, f->at.pending.handle->pool, deadline, is_done, f) != CCP_OK)
    (void)ccp_error_raise(L, CCP_E_TIMEOUT, "the future is not done yet");
}

static int future_result(lua_State *L) {
  future *f = check(L, 1);
  await(L, f);
  if (f->status == CCP_R_VALUES)
    return push_values(L, f, 1);
  push_failure(L, f, 1);
  lua_pop(L, 1);
  return lua_error(L);
}

static int values_of(lua_State *L) {
  return push_values(L, lua_touserdata(L, 1), 1);
}

/* false, err for whatever goes wrong with the task or its result; but a signal
** during the wait raises, as everywhere. */
static int future_presult(lua_State *L) {
  future *f = check(L, 1);
  int64_t deadline = ccp_check_timeout(L, 2);
  lua_settop(L, 1);
  if (f->state == PENDING) {
    check_ours(L, f);
    if (ccp_client_wait(L, ccp_client_get(L), f->at.pending.handle->pool, deadline,
                        is_done, f) != CCP_OK) {
      lua_pushboolean(L, 0);
      lua_pushnil(L);
      ccp_error_make(L, "TimeoutError", "the future is not done yet");
      return 2;
    }
  }
  lua_pushboolean(L, f->status == CCP_R_VALUES);
  if (f->status == CCP_R_VALUES) {
    lua_pushcfunction(L, values_of);
    lua_pushvalue(L, 1);
    if (lua_pcall(L, 1, LUA_MULTRET, 0) == LUA_OK)
      return lua_gettop(L) - 1;
    lua_pushboolean(L, 0);
    lua_replace(L, 2);
    return 2;
  }
  push_failure(L, f, 1);
  lua_pop(L, 1);
  return 2;
}

static int future_exception(lua_State *L) {
  future *f = check(L, 1);
  await(L, f);
  if (f->status == CCP_R_VALUES) {
    lua_pushnil(L);
    return 1;
  }
  push_failure(L, f, 1);
  return 2;
}

static int future_traceback(lua_State *L) {
  future *f = check(L, 1);
  if (!refresh(L, f) || f->status == CCP_R_VALUES)
    lua_pushnil(L);
  else
    push_failure(L, f, 1);
  return 1;
}

/* ------------------------------------------------------------ looking */

static int future_done(lua_State *L) {
  lua_pushboolean(L, refresh(L, check(L, 1)));
  return 1;
}

static int runs(lua_State *L, future *f) {
  return !refresh(L, f) && ccp_pool_running(f->at.pending.handle->pool, f->at.pending.task);
}

static int future_running(lua_State *L) {
  lua_pushboolean(L, runs(L, check(L, 1)));
  return 1;
}

static int future_cancelled(lua_State *L) {
  future *f = check(L, 1);
  (void)refresh(L, f);
  lua_pushboolean(L, f->state == CANCELLED);
  return 1;
}

static const char *state_name(const future *f, int running) {
  static const char *const names[] = {"pending", "finished", "cancelled"};
  return running ? "running" : names[f->state];
}

static int future_state(lua_State *L) {
  future *f = check(L, 1);
  int running = runs(L, f);
  lua_pushstring(L, state_name(f, running));
  return 1;
}

static int future__tostring(lua_State *L) {
  future *f = check(L, 1);
  int running = f->state == PENDING && ccp_pool_is_ours(f->at.pending.handle->pool) &&
                ccp_pool_running(f->at.pending.handle->pool, f->at.pending.task);
  lua_pushfstring(L, "ccpool.Future: %p (%s)", lua_topointer(L, 1),
                  state_name(f, running));
  return 1;
}

static int future_cancel(lua_State *L) {
  future *f = check(L, 1);
  luaL_argcheck(L, lua_isnoneornil(L, 2), 2, "no options expected");
  if (f->state == PENDING) {
    check_ours(L, f);
    if (ccp_pool_cancel(f->at.pending.handle->pool, f->at.pending.task))
      ccp_client_collect(L, ccp_client_get(L));
  }
  lua_pushboolean(L, f->state == CANCELLED);
  return 1;
}

/* ------------------------------------------------------------ watching */

static void watch_pool(future *f) {
  if (!f->watched)
    ccp_pool_watch(f->at.pending.handle->pool, 1);
  f->watched = 1;
}

/* Stack on entry: ..., callback, future. Pops both. */
static void run_callback(lua_State *L) {
  lua_pushvalue(L, -1);
  lua_insert(L, -3); /* future, callback, future */
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &reporter_key) == LUA_TFUNCTION) {
      lua_insert(L, -2);
      lua_pushvalue(L, -3);
      if (lua_pcall(L, 2, 0, 0) != LUA_OK)
        lua_pop(L, 1); /* a reporter that fails has nobody to tell */
    } else
      lua_pop(L, 2);
  }
  lua_pop(L, 1);
}

void ccp_future_set_reporter(lua_State *L) {
  lua_rawsetp(L, LUA_REGISTRYINDEX, &reporter_key);
}

/* Each future is taken out before its callbacks run: they may wait, and come
** here again. */
int ccp_future_run_callbacks(lua_State *L, ccp_client *c) {
  int n = 0;
  for (; c->callback_n > 0; n++) {
    int f;
    luaL_checkstack(L, 8, NULL);
    lua_rawgeti(L, LUA_REGISTRYINDEX, c->callbacks);
    lua_rawgeti(L, -1, c->callback_first);
    lua_pushnil(L);
    lua_rawseti(L, -3, c->callback_first);
    lua_remove(L, -2);
    c->callback_first++;
    c->callback_n--;
    f = lua_gettop(L);
    push_kept(L, f);
    lua_getfield(L, -1, "callbacks");
    lua_pushnil(L);
    lua_setfield(L, -3, "callbacks");
    for (lua_Integer i = 1; lua_rawgeti(L, f + 2, i) != LUA_TNIL; i++) {
      lua_pushvalue(L, f);
      run_callback(L);
    }
    lua_settop(L, f - 1);
  }
  return n;
}

static void append_to(lua_State *L, const char *field) {
  if (lua_getfield(L, -1, field) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, field);
  }
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

static int callable(lua_State *L, int arg) {
  if (lua_isfunction(L, arg))
    return 1;
  if (luaL_getmetafield(L, arg, "__call") == LUA_TNIL)
    return 0;
  lua_pop(L, 1);
  return 1;
}

static int future_add_done_callback(lua_State *L) {
  future *f = check(L, 1);
  luaL_argexpected(L, callable(L, 2), 2, "function");
  lua_settop(L, 2);
  if (refresh(L, f)) {
    lua_pushvalue(L, 1);
    run_callback(L);
    return 0;
  }
  push_extras(L, f, 1);
  append_to(L, "callbacks");
  watch_pool(f);
  return 0;
}

int ccp_future_failed(lua_State *L) {
  const future *f = check(L, 1);
  lua_pushboolean(L, f->state == FINISHED && f->status != CCP_R_VALUES);
  return 1;
}

int ccp_future_is(lua_State *L) {
  const future *f = lua_touserdata(L, 1);
  lua_pushboolean(L, f && lua_type(L, 1) == LUA_TUSERDATA &&
                         lua_rawlen(L, 1) == sizeof *f && f->magic == MAGIC);
  return 1;
}

int ccp_future_watch(lua_State *L) {
  future *f = check(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  if (refresh(L, f)) {
    lua_pushboolean(L, 0);
    return 1;
  }
  push_extras(L, f, 1);
  append_to(L, "watchers");
  lua_pushboolean(L, 1);
  return 1;
}

/* ------------------------------------------------------------ descriptor */

static int fd__gc(lua_State *L) {
  int *fd = lua_touserdata(L, 1);
  ccp_fd_close(*fd);
  *fd = -1;
  return 0;
}

/* Pushes a userdata that owns a new event descriptor. */
static int push_fd(lua_State *L) {
  int *fd = lua_newuserdatauv(L, sizeof *fd, 0);
  *fd = -1;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &fd_key) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, fd__gc);
    lua_setfield(L, -2, "__gc");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &fd_key);
  }
  lua_setmetatable(L, -2);
  *fd = ccp_fd_event();
  if (*fd < 0)
    return ccp_error_raise(L, CCP_E_SYS, "eventfd");
  return *fd;
}

static int future_getfd(lua_State *L) {
  future *f = check(L, 1);
  int fd;
  lua_settop(L, 1);
  (void)refresh(L, f);
  push_extras(L, f, 1);
  if (lua_getfield(L, 2, "fd") == LUA_TUSERDATA) {
    lua_pushinteger(L, *(int *)lua_touserdata(L, -1));
    return 1;
  }
  fd = push_fd(L);
  lua_setfield(L, 2, "fd");
  if (f->state != PENDING)
    ccp_fd_ring(fd);
  else {
    ccp_pool_watch_fd(f->at.pending.handle->pool, f->at.pending.task, fd);
    watch_pool(f);
  }
  lua_pushinteger(L, fd);
  return 1;
}

static int future_events(lua_State *L) {
  (void)check(L, 1);
  lua_pushliteral(L, "r");
  return 1;
}

static int future_timeout(lua_State *L) {
  if (refresh(L, check(L, 1)))
    lua_pushinteger(L, 0);
  else
    lua_pushnil(L);
  return 1;
}

/* A future needs no closing: nothing of it outlives its last reference. */
static int future__close(lua_State *L) {
  (void)L;
  return 0;
}

void ccp_future_class(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"result", future_result},
      {"presult", future_presult},
      {"exception", future_exception},
      {"traceback", future_traceback},
      {"done", future_done},
      {"running", future_running},
      {"cancelled", future_cancelled},
      {"state", future_state},
      {"cancel", future_cancel},
      {"add_done_callback", future_add_done_callback},
      {"getfd", future_getfd},
      {"pollfd", future_getfd},
      {"events", future_events},
      {"timeout", future_timeout},
      {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__tostring", future__tostring},
                                  {"__close", future__close},
                                  {NULL, NULL}};
  luaL_newlib(L, meta);
  lua_pushliteral(L, "ccpool.Future");
  lua_setfield(L, -2, "__name");
  luaL_newlib(L, methods);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__index");
  lua_pushvalue(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &class_key);
  lua_newtable(L); /* what is kept, by future */
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &kept_key);
}
