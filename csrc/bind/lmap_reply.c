/*
** A map's replies on their way to the caller. The thread of the Lua state.
*/
#include "bind/lmap_state.h"

#include <string.h>

#include <lauxlib.h>

#include "bind/lerror.h"
#include "codec/quick.h"
#include "os/codes.h"
#include "os/process.h"
#include "shared/arena.h"
#include "task/replies.h"

enum { FEW_BYTES = 512 /* of a reply: more get memory of their own */ };

typedef struct block_guard {
  void *block; /* owned, or NULL */
  uint32_t epoch;
} block_guard;

static int block_guard__gc(lua_State *L) {
  block_guard *g = lua_touserdata(L, 1);
  if (g->epoch == ccp_process_epoch()) /* a descendant's copy owns nothing */
    ccp_arena_free(g->block);
  g->block = NULL;
  return 0;
}

static block_guard *push_guard(lua_State *L) {
  block_guard *g = lua_newuserdatauv(L, sizeof *g, 0);
  g->block = NULL;
  g->epoch = ccp_process_epoch();
  if (luaL_newmetatable(L, "ccpool.block")) {
    lua_pushcfunction(L, block_guard__gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return g;
}

/* A reply on its way to the caller. While it is decoded a finalizer or a `load`
** may step the map or close it, and decoding may raise: so its bytes have an
** owner on the Lua stack, or are few and copied. */
typedef struct reply {
  ccp_item_head head;
  block_guard *guard; /* of an arena block, or NULL */
  unsigned char *own; /* room for many bytes, or NULL */
  const unsigned char *bytes;
  unsigned char few[FEW_BYTES];
} reply;

/* Pushes the owner of the next reply, if it needs one. False: what ran
** meanwhile has taken that reply, or closed the map. */
static int make_owner(lua_State *L, const ccp_map *m, const ccp_chunk *c,
                      reply *r) {
  uint64_t before = m->yielded;
  r->head = (ccp_item_head){0, CCP_R_MEMORY, 0};
  r->guard = NULL;
  r->own = NULL;
  if (c->at == c->reading.len)
    return 1; /* there was no memory for this reply */
  memcpy(&r->head, ccp_bytes_at(&c->reading) + c->at, sizeof r->head);
  if (r->head.is_block)
    r->guard = push_guard(L);
  else if (r->head.len > FEW_BYTES)
    r->own = lua_newuserdatauv(L, (size_t)r->head.len, 0);
  else
    return 1;
  return m->yielded == before && !m->closed;
}

/* Moves on to the next reply. */
static void take_reply(ccp_chunk *c, reply *r) {
  const unsigned char *p = ccp_bytes_at(&c->reading) + c->at;
  r->bytes = r->own ? r->own : r->few;
  if (c->at == c->reading.len)
    return;
  p += sizeof r->head;
  c->at += sizeof r->head;
  if (r->guard) {
    memcpy(&r->guard->block, p, sizeof r->guard->block);
    r->bytes = r->guard->block;
    c->at += sizeof r->guard->block;
  } else {
    memcpy(r->own ? r->own : r->few, p, (size_t)r->head.len);
    c->at += (size_t)r->head.len;
  }
}

/* Pushes what a step gives for this reply, but the index; returns how many
** values. */
static int give_values(lua_State *L, const ccp_map *m, const reply *r) {
  size_t used, len = (size_t)r->head.len;
  int more = m->returns_errors;
  if (more)
    lua_pushboolean(L, 1);
  if (ccp_quick_push(L, r->bytes, len))
    return 1 + more;
  return more +
         ccp_decode_in(L, m->ex->client->codec, r->bytes, len, &used, NULL);
}

static int give_error(lua_State *L, const ccp_map *m, const reply *r) {
  int top = lua_gettop(L);
  ccp_error_of_reply(L, r->head.status, r->bytes, (size_t)r->head.len);
  lua_settop(L, top + 1); /* without the traceback */
  if (!m->returns_errors)
    return lua_error(L);
  lua_pushboolean(L, 0);
  lua_insert(L, -2);
  return 2;
}

/* Pushes the next reply, behind the index of its item if `with_index`; returns
** how many values. */
static int give(lua_State *L, ccp_map *m, ccp_chunk *c, reply *r,
                int with_index) {
  int n;
  if (with_index)
    lua_pushinteger(L, (lua_Integer)(c->first + c->read));
  take_reply(c, r);
  c->read++;
  m->yielded++;
  n = r->head.status == CCP_R_VALUES ? give_values(L, m, r)
                                     : give_error(L, m, r);
  if (r->guard) {
    ccp_arena_free(r->guard->block);
    r->guard->block = NULL;
  }
  return n;
}

/* The same for a reply that is one integer: nobody's code runs, so it needs no
** owner. 0, and nothing pushed: it is another. */
static int give_quick(lua_State *L, ccp_map *m, ccp_chunk *c, int with_index) {
  const unsigned char *p = ccp_bytes_at(&c->reading) + c->at;
  int top = lua_gettop(L);
  ccp_item_head h;
  if (c->at == c->reading.len)
    return 0;
  memcpy(&h, p, sizeof h);
  if (h.status != CCP_R_VALUES || h.is_block)
    return 0;
  if (with_index)
    lua_pushinteger(L, (lua_Integer)(c->first + c->read));
  if (m->returns_errors)
    lua_pushboolean(L, 1);
  if (!ccp_quick_push(L, p + sizeof h, (size_t)h.len)) {
    lua_settop(L, top);
    return 0;
  }
  c->at += sizeof h + (size_t)h.len;
  c->read++;
  m->yielded++;
  return 1 + m->returns_errors;
}

int ccp_map_give(lua_State *L, ccp_map *m, ccp_chunk *c, int with_index) {
  int top = lua_gettop(L), n = give_quick(L, m, c, with_index);
  reply r;
  if (n > 0)
    return n;
  if (make_owner(L, m, c, &r))
    return give(L, m, c, &r, with_index);
  lua_settop(L, top);
  return -1;
}
