/*
** What is stored in queues and dicts, to bytes and back, with the objects that
** it names. The thread of the Lua state.
*/
#include "bind/lshared.h"

#include "bind/lclient.h"
#include "bind/lerror.h"
#include "os/codes.h"
#include "shared/arena.h"

static const char lent_keys[CCP_DRAFTS]; /* addresses: in the registry */

/* shared_stats() -> objects, members; bytes of the arena handed out, warm. */
int ccp_sharing_stats(lua_State *L) {
  uint32_t objects, members;
  size_t reserved, used, warm;
  ccp_object_stats(&objects, &members);
  ccp_arena_stats(&reserved, &used, &warm);
  lua_pushinteger(L, objects);
  lua_pushinteger(L, members);
  lua_pushinteger(L, (lua_Integer)used);
  lua_pushinteger(L, (lua_Integer)warm);
  return 4;
}

/* reap(): lets go what dead processes held, and what nobody holds. */
int ccp_sharing_reap(lua_State *L) {
  (void)L;
  ccp_object_reap_now();
  ccp_object_sweep();
  return 0;
}

/* The table is made anew for each message that lends something. */
void ccp_sharing_lend(lua_State *L, ccp_client *c, int draft) {
  if (c->lent[draft] == 0) {
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &lent_keys[draft]);
  }
  lua_rawgetp(L, LUA_REGISTRYINDEX, &lent_keys[draft]);
  lua_insert(L, -2);
  lua_rawseti(L, -2, (lua_Integer)c->lent[draft] + 1);
  c->lent[draft]++;
  lua_pop(L, 1);
}

void ccp_sharing_lent(lua_State *L, ccp_client *c, int draft) {
  if (c->lent[draft] == 0) { /* the table is an older message's */
    lua_pushnil(L);
    return;
  }
  lua_rawgetp(L, LUA_REGISTRYINDEX, &lent_keys[draft]);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &lent_keys[draft]);
  c->lent[draft] = 0;
}

void ccp_sharing_return(lua_State *L) {
  lua_Integer n = lua_istable(L, -1) ? (lua_Integer)lua_rawlen(L, -1) : 0;
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, -1, i);
    ccp_shared_close(lua_touserdata(L, -1));
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

void ccp_sharing_lend_pool(lua_State *L, ccp_client *c, int draft,
                           ccp_pool *pool) {
  uint32_t n = c->lent[draft];
  int rc = CCP_OK;
  if (n == 0)
    return;
  ccp_sharing_lent(L, c, draft);
  for (uint32_t i = 1; i <= n && rc == CCP_OK; i++) {
    ccp_shared *h;
    lua_rawgeti(L, -1, (lua_Integer)i);
    h = lua_touserdata(L, -1);
    rc = ccp_pool_lend(pool, h->name);
    if (rc == CCP_OK)
      h->object = NULL;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  if (rc != CCP_OK)
    (void)ccp_error_raise(L, rc, NULL);
}

void ccp_sharing_untrack(ccp_names *track) {
  while (track->n > 0)
    ccp_object_release(track->list[--track->n].name);
}

static int put_message(lua_State *L, ccp_sharing *s, int draft, int at,
                       const char *noun, size_t prefix) {
  static const char zeros[32] = {0};
  const ccp_what what = {noun, -1, CCP_STORED_BY(draft)};
  ccp_buf *out = &s->outs[draft];
  ccp_names *track = &s->tracks[draft];
  int rc = ccp_buf_put(out, zeros, prefix);
  if (rc == CCP_OK)
    rc = ccp_encode_in(L, s->codec, at, 1, what, out, NULL);
  ccp_drafts_end(&s->drafts, draft);
  for (size_t i = 0; i < track->n && rc == CCP_OK; i++)
    rc = ccp_buf_put(out, &track->list[i].name, sizeof(ccp_object_name));
  return rc;
}

/* A memory error of Lua leaves names in a draft's list, which the next message
** there puts right. */
uint32_t ccp_sharing_encode(lua_State *L, ccp_sharing *s, int at,
                            const char *noun, size_t prefix) {
  int draft = ccp_drafts_begin(L, &s->drafts, CCP_FRAME), rc;
  ccp_names track;
  ccp_buf out;
  ccp_sharing_untrack(&s->tracks[draft]);
  ccp_buf_reset(&s->outs[draft]);
  rc = put_message(L, s, draft, at, noun, prefix);
  if (rc != CCP_OK) {
    ccp_sharing_untrack(&s->tracks[draft]);
    (void)ccp_error_raise(L, rc, NULL);
  }
  ccp_sharing_untrack(&s->track);
  track = s->track;
  out = s->out;
  s->track = s->tracks[draft];
  s->out = s->outs[draft];
  s->tracks[draft] = track;
  s->outs[draft] = out;
  return (uint32_t)s->track.n;
}

void ccp_sharing_decode(lua_State *L, ccp_sharing *s, const void *p,
                        size_t len) {
  size_t used;
  if (ccp_decode_in(L, s->codec, p, len, &used, NULL) != 1)
    luaL_error(L, "malformed message: one value expected");
}

typedef struct stored_message {
  ccp_sharing *s;
  const void *p;
  size_t len;
} stored_message;

static int decode_stored(lua_State *L) {
  const stored_message *m = lua_touserdata(L, 1);
  ccp_sharing_decode(L, m->s, m->p, m->len);
  return 1;
}

int ccp_sharing_decode_safely(lua_State *L, ccp_sharing *s, const void *p,
                              size_t len) {
  stored_message m = {s, p, len};
  int status;
  lua_pushcfunction(L, decode_stored);
  lua_pushlightuserdata(L, &m);
  s->stored++;
  status = lua_pcall(L, 1, 1, 0);
  s->stored--;
  return status;
}
