/*
** Futures: how they travel to other threads of the process. One that is done
** takes its outcome along; one that is not becomes a link there, a task that
** ends as this one's does. In the thread of the Lua state.
*/
#include "bind/lfuture_state.h"

#include <string.h>

#include "bind/lerror.h"
#include "os/codes.h"
#include "os/process.h"

/* What follows the epoch. */
enum { SENT = 1, RAW, VALUES, FAILED };
/* Arguments of load that all done ones have: epoch, form, status, worker, pid.
 */
enum { COMMON = 5 };

/* ------------------------------------------------------------ saving */

static int save_pending(lua_State *L, const ccp_future *f) {
  const ccp_handle *h = f->at.pending.handle;
  uint64_t number;
  if (!h)
    return luaL_error(L, "a future of a serial executor stays where it is");
  if (!h->pool)
    return luaL_error(L, "this future's Lua state is being closed");
  ccp_future_check_ours(L, f);
  number = ccp_pool_send(h->pool, f->at.pending.task);
  if (!number)
    return ccp_error_raise(L, CCP_E_NOMEM, NULL);
  lua_pushinteger(L, SENT);
  lua_pushinteger(L, (lua_Integer)ccp_pool_uid(h->pool));
  lua_pushinteger(L, (lua_Integer)number);
  return 4;
}

/* Pushes what the outcome is made of; returns its form. */
static int push_parts(lua_State *L, const ccp_future *f) {
  const char *p;
  size_t len;
  int at = lua_gettop(L) + 1;
  if (f->form == PACKED) {
    (void)ccp_future_push_packed(L, f, 1);
    lua_remove(L, at); /* the table, and how many */
    lua_remove(L, at);
    return VALUES;
  }
  if (f->form == VALUE) {
    ccp_future_push_outcome(L, f, 1);
    return VALUES;
  }
  if (f->form == FAILURE) {
    ccp_future_push_outcome(L, f, 1);
    lua_rawgeti(L, at, 1);
    lua_rawgeti(L, at, 2);
    lua_remove(L, at);
    return FAILED;
  }
  p = ccp_future_message(L, f, 1, &len);
  lua_pushlstring(L, p, len);
  lua_insert(L, at); /* before what kept the bytes, if anything did */
  lua_settop(L, at);
  return RAW;
}

static int save_done(lua_State *L, const ccp_future *f) {
  int form, base = lua_gettop(L);
  lua_pushinteger(L, 0);
  lua_pushinteger(L, f->status);
  lua_pushinteger(L, f->worker);
  lua_pushinteger(L, f->pid);
  form = push_parts(L, f);
  lua_pushinteger(L, form);
  lua_replace(L, base + 1);
  return lua_gettop(L) - base + 1;
}

/* save(future): who receives it shall look at its error. */
static int future_save(lua_State *L) {
  ccp_future *f = ccp_future_check(L, 1);
  lua_settop(L, 1);
  if (ccp_codec_saves_for_elsewhere(L))
    return luaL_error(L, "a future travels to threads of its own process only");
  ccp_future_looked(L, f, 1);
  lua_settop(L, 1);
  lua_pushinteger(L, ccp_process_epoch());
  return f->state == PENDING ? save_pending(L, f) : save_done(L, f);
}

/* ------------------------------------------------------------ loading */

/* The task cannot be lost: nothing raises between its making and its link. */
static void link_up(lua_State *L, ccp_pool *pool, uint64_t number, int future) {
  ccp_client *c = ccp_client_get(L);
  ccp_future *f = lua_touserdata(L, future);
  ccp_handle *h = ccp_client_join_as_guest(c, pool);
  ccp_task *t = h ? ccp_guest_new(h->party) : NULL;
  if (!t) {
    if (!h)
      ccp_pool_unref(pool);
    (void)ccp_error_raise(L, CCP_E_NOMEM, NULL);
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, c->in_flight);
  lua_pushvalue(L, future);
  lua_rawseti(L, -2, ccp_task_key(t));
  t->owner = f;
  if (ccp_pool_receive(h->pool, t, number) == CCP_OK) {
    f->state = PENDING;
    f->form = NONE;
    f->at.pending.task = t;
    f->at.pending.handle = h;
    c->in_flight_n++;
    lua_pop(L, 1);
    return;
  }
  lua_pushnil(L);
  lua_rawseti(L, -2, ccp_task_key(t));
  ccp_guest_free(t);
  (void)ccp_error_raise(L, CCP_E_CLOSED, "the future is not known any more");
}

/* Stack: ..., its bytes as a string. */
static int settle_with(lua_State *L, int future, uint8_t status) {
  size_t len;
  const char *p = lua_tolstring(L, -1, &len);
  ccp_future_settle(L, future, status, p, len);
  lua_pop(L, 1);
  return 1;
}

static void load_sent(lua_State *L, int future) {
  uint64_t uid = (uint64_t)luaL_checkinteger(L, 3);
  uint64_t number = (uint64_t)luaL_checkinteger(L, 4);
  ccp_future *f = lua_touserdata(L, future);
  ccp_pool *pool = NULL;
  ccp_outcome o;
  int rc = ccp_ticket_outcome(number, &o);
  if (rc == 0 && (pool = ccp_pool_find(uid)) == NULL)
    rc = ccp_ticket_outcome(number, &o); /* it ended meanwhile */
  if (pool)
    link_up(L, pool, number, future);
  else if (rc != 1)
    (void)ccp_error_raise(L, CCP_E_CLOSED, "the future is not known any more");
  else {
    f->worker = o.worker;
    f->pid = o.pid;
    lua_pushlstring(L, (const char *)ccp_bytes_at(&o.bytes), o.bytes.len);
    ccp_bytes_free(&o.bytes);
    (void)settle_with(L, future, o.status);
  }
}

static void load_done(lua_State *L, int future, int form, int last) {
  ccp_future *f = lua_touserdata(L, future);
  f->status = (uint8_t)luaL_checkinteger(L, 3);
  f->worker = (uint16_t)luaL_checkinteger(L, 4);
  f->pid = (int32_t)luaL_checkinteger(L, 5);
  if (form == RAW) {
    luaL_checktype(L, COMMON + 1, LUA_TSTRING);
    lua_pushvalue(L, COMMON + 1);
    (void)settle_with(L, future, f->status);
    return;
  }
  luaL_checkstack(L, last + 4, "too many results");
  if (form == FAILED) {
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, COMMON + 1);
    lua_rawseti(L, -2, 1);
    lua_pushvalue(L, COMMON + 2);
    lua_rawseti(L, -2, 2);
    ccp_future_set_outcome(L, f, future);
    f->form = FAILURE;
  } else {
    for (int i = COMMON + 1; i <= last; i++)
      lua_pushvalue(L, i);
    ccp_future_keep_values(L, f, future, last - COMMON);
    lua_settop(L, future);
  }
  f->state = f->status == CCP_R_CANCELLED ? CANCELLED : FINISHED;
}

/* load(epoch, form, ...); upvalue: the metatable of futures. */
static int future_load(lua_State *L) {
  int last = lua_gettop(L), form = (int)luaL_checkinteger(L, 2);
  ccp_future *f;
  if (luaL_checkinteger(L, 1) != (lua_Integer)ccp_process_epoch())
    return ccp_error_raise_unsendable(L, "future");
  /* until it is complete it passes for done, so that nobody waits for it */
  f = ccp_future_new(L, lua_upvalueindex(1), NULL, NULL);
  f->state = FINISHED;
  f->marks = LOOKED; /* an error is reported where the task was submitted */
  if (form == SENT)
    load_sent(L, last + 1);
  else
    load_done(L, last + 1, form, last);
  lua_settop(L, last + 1);
  return 1;
}

void ccp_future_travels(lua_State *L, int class_) {
  lua_pushcfunction(L, ccp_codec_register);
  lua_pushliteral(L, "ccpool.future");
  lua_pushvalue(L, class_);
  lua_pushcfunction(L, future_save);
  lua_pushvalue(L, class_);
  lua_pushcclosure(L, future_load, 1);
  lua_call(L, 4, 0);
}
