/*
** Futures: how a reply comes to its future, and what is kept of it. In the
** thread of the Lua state.
*/
#include "bind/lfuture_state.h"

#include <string.h>

#include "bind/lshared.h"
#include "os/codes.h"
#include "task/rules.h"

static const char kept_key = 0; /* its address: in the registry */

/* ------------------------------------------------------------ what is kept */

void ccp_future_open_kept(lua_State *L) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &kept_key);
}

/* Pushes what is kept for the future at 'index' (absolute). */
void ccp_future_push_kept(lua_State *L, int index) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &kept_key);
  lua_pushvalue(L, index);
  lua_rawget(L, -2);
  lua_remove(L, -2);
}

/* Pops what is to be kept from now on. */
void ccp_future_keep(lua_State *L, int index) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &kept_key);
  lua_insert(L, -2);
  lua_pushvalue(L, index);
  lua_insert(L, -2);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

void ccp_future_push_outcome(lua_State *L, const ccp_future *f, int index) {
  ccp_future_push_kept(L, index);
  if (f->extras) {
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
  }
}

/* Pops the new outcome. */
void ccp_future_set_outcome(lua_State *L, const ccp_future *f, int index) {
  if (f->extras) {
    ccp_future_push_kept(L, index);
    lua_insert(L, -2);
    lua_rawseti(L, -2, 1);
    lua_pop(L, 1);
  } else
    ccp_future_keep(L, index);
}

void ccp_future_keep_values(lua_State *L, ccp_future *f, int index, int n) {
  int base = lua_gettop(L) - n;
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
  ccp_future_set_outcome(L, f, index);
  f->form = n == 1 ? VALUE : PACKED;
}

/* Pushes the table of extras, made if need be. */
void ccp_future_push_extras(lua_State *L, ccp_future *f, int index) {
  if (f->extras) {
    ccp_future_push_kept(L, index);
    return;
  }
  lua_createtable(L, 1, 2);
  ccp_future_push_kept(L, index);
  lua_rawseti(L, -2, 1);
  lua_pushvalue(L, -1);
  ccp_future_keep(L, index);
  f->extras = 1;
}

/* ------------------------------------------------------------ delivery */

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
    ccp_future_note();
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* What the call was lent, from the extras on the top. */
static void take_back(lua_State *L) {
  lua_getfield(L, -1, "lent");
  ccp_sharing_return(L);
  lua_pushnil(L);
  lua_setfield(L, -2, "lent");
}

void ccp_future_lend(lua_State *L, ccp_client *c, int draft) {
  int index = lua_gettop(L);
  ccp_future_push_extras(L, lua_touserdata(L, index), index);
  ccp_sharing_lent(L, c, draft);
  lua_setfield(L, -2, "lent");
  lua_pop(L, 1);
}

typedef struct parcel {
  ccp_client *client;
  ccp_future *f;
  ccp_bytes *bytes;
  const ccp_rules *rules; /* or NULL */
} parcel;

/* Stack: parcel, future. */
static int store(lua_State *L) {
  parcel *p = lua_touserdata(L, 1);
  ccp_future *f = p->f;
  if (f->form == TEXT || f->form == HELD) {
    if (f->form == TEXT)
      lua_pushlstring(L, (const char *)ccp_bytes_at(p->bytes), p->bytes->len);
    else
      ccp_future_push_holder(L, p->bytes, f->status,
                             ccp_future_is_news(f, f->status));
    ccp_future_set_outcome(L, f, 2);
  }
  if (p->rules && p->rules->attempt_n) {
    ccp_future_push_extras(L, f, 2);
    lua_pushlstring(L, (const char *)p->rules->attempt,
                    p->rules->attempt_n * sizeof *p->rules->attempt);
    lua_setfield(L, -2, "attempts");
    lua_pop(L, 1);
  }
  if (f->extras) {
    ccp_future_push_extras(L, f, 2);
    tell_watchers(L, 2);
    queue_callbacks(L, p->client, 2);
    take_back(L);
  }
  return 0;
}

static void unpack_reply(ccp_future *f, uint8_t status, const ccp_bytes *b) {
  f->status = status;
  f->state = status == CCP_R_CANCELLED ? CANCELLED : FINISHED;
  f->len = 0;
  if (ccp_future_is_news(f, status))
    f->form = HELD;
  else if (b->len <= INLINE_BYTES && !ccp_bytes_is_block(b)) {
    f->form = INLINE;
    f->len = (uint8_t)b->len;
    memcpy(f->at.bytes, ccp_bytes_at(b), b->len);
  } else
    f->form = ccp_bytes_is_block(b) || b->len >= HOLD_FROM ? HELD : TEXT;
}

static void unwatch(ccp_future *f) {
  if (f->marks & WATCHED)
    ccp_pool_watch(f->at.pending.handle->pool, -1);
  f->marks &= (uint8_t)~WATCHED;
}

/* Most replies are small and nobody watches: then this calls nothing of Lua
** but to let go of the future. */
void ccp_future_deliver(lua_State *L, ccp_client *c, ccp_task *t,
                        int in_flight) {
  ccp_future *f = t->owner;
  unwatch(f);
  unpack_reply(f, t->status, &t->body);
  f->worker = t->worker;
  f->pid = t->pid;
  c->in_flight_n--;
  if (f->form != INLINE || f->extras || (t->rules && t->rules->attempt_n)) {
    parcel p = {c, f, &t->body, t->rules};
    lua_pushlightuserdata(L, &p);
    lua_rawgeti(L, in_flight, ccp_task_key(t));
    if (ccp_client_quietly(L, c, store, 2) != LUA_OK) {
      f->form = INLINE; /* no memory for the outcome: that is the outcome */
      f->status = CCP_R_MEMORY;
      f->len = 0;
    }
  }
  lua_pushnil(L);
  lua_rawseti(L, in_flight, ccp_task_key(t));
}

void ccp_future_settle(lua_State *L, int index, uint8_t status,
                       const void *bytes, size_t len) {
  ccp_future *f = lua_touserdata(L, index);
  f->status = status;
  if (ccp_future_is_news(f, status)) {
    ccp_bytes copy;
    ccp_bytes_init(&copy);
    if (ccp_bytes_set(&copy, bytes, len) != CCP_OK)
      luaL_error(L, "not enough memory");
    ccp_future_push_holder(L, &copy, status, 1);
    ccp_future_set_outcome(L, f, lua_absindex(L, index));
    f->form = HELD;
  } else if (len <= INLINE_BYTES) {
    f->form = INLINE;
    f->len = (uint8_t)len;
    memcpy(f->at.bytes, bytes, len);
  } else {
    lua_pushlstring(L, bytes, len);
    ccp_future_set_outcome(L, f, lua_absindex(L, index));
    f->form = TEXT;
  }
  f->state = status == CCP_R_CANCELLED ? CANCELLED : FINISHED;
}

void *ccp_future_new(lua_State *L, int class_, ccp_handle *h, ccp_task *t) {
  ccp_future *f = lua_newuserdatauv(L, sizeof *f, 0);
  f->magic = CCP_FUTURE_MAGIC;
  f->state = PENDING;
  f->form = NONE;
  f->status = CCP_R_VALUES;
  f->len = f->extras = f->marks = 0;
  f->worker = 0;
  f->pid = 0;
  f->at.pending.task = t;
  f->at.pending.handle = h;
  lua_pushvalue(L, class_);
  lua_setmetatable(L, -2);
  return f;
}
