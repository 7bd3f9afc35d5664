/*
** Is the layout of tables what raw.h says? The thread of the state.
**
** The trial makes a state of its own whose memory is one block, so that no
** pointer is followed that may not be one. In it are tables of every kind, and
** what is read there is compared with what Lua's interface says.
*/
#include "codec/raw.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static size_t search(const ccp_raw_table *t, size_t i, size_t j) {
  while (j - i > 1) {
    size_t m = (i + j) / 2;
    if (ccp_raw_is_free(&t->items[m - 1]))
      j = m;
    else
      i = m;
  }
  return i;
}

size_t ccp_raw_length(const ccp_raw_table *t) {
  size_t hint = t->size, places = ccp_raw_places(t);
  if (hint > 0 && ccp_raw_is_free(&t->items[hint - 1])) {
    if (hint >= 2 && !ccp_raw_is_free(&t->items[hint - 2]))
      return hint - 1;
    return search(t, 0, hint);
  }
  if (hint == places || ccp_raw_is_free(&t->items[hint]))
    return hint;
  return ccp_raw_is_free(&t->items[places - 1]) ? search(t, hint, places)
                                                : places;
}

#if LUA_VERSION_NUM == 504

enum { PEN = 32 * 1024, GRAIN = 16 };

/* The memory of the state: given out from its start, never taken back. */
typedef struct pen {
  unsigned char *mem;
  size_t used;
} pen;

static void *allocate(void *ud, void *p, size_t old, size_t size) {
  pen *pn = ud;
  if (size == 0)
    return NULL;
  if (p != NULL && size <= old)
    return p;
  if (size > PEN - pn->used)
    return NULL;
  void *to = pn->mem + pn->used;
  pn->used += (size + GRAIN - 1) / GRAIN * GRAIN;
  return p != NULL ? memcpy(to, p, old) : to;
}

/* Do n bytes at p lie in the pen? */
static int is_in(const pen *pn, const void *p, size_t n) {
  uintptr_t at = (uintptr_t)p - (uintptr_t)pn->mem;
  return at < PEN && n <= PEN - at && (uintptr_t)p % sizeof(void *) == 0;
}

/* Is that the string at idx? */
static int is_string(const pen *pn, lua_State *L, int idx, int is_long,
                     const ccp_raw_string *s) {
  size_t len;
  const char *text = lua_tolstring(L, idx, &len);
  return is_in(pn, s, sizeof *s) && s == lua_topointer(L, idx) &&
         s->text == text && (is_long ? s->u.len : s->short_len) == len;
}

/* Is that the value at idx, which is none but those with a tag? */
static int is_value(const pen *pn, lua_State *L, int idx, unsigned char tag,
                    ccp_raw_word as) {
  int type = lua_type(L, idx);
  switch (tag) {
  case CCP_RAW_FALSE:
  case CCP_RAW_TRUE:
    return type == LUA_TBOOLEAN &&
           lua_toboolean(L, idx) == (tag == CCP_RAW_TRUE);
  case CCP_RAW_INT:
    return lua_isinteger(L, idx) && lua_tointeger(L, idx) == as.i;
  case CCP_RAW_FLOAT:
    return type == LUA_TNUMBER && !lua_isinteger(L, idx) &&
           memcmp(&as.n, &(lua_Number){lua_tonumber(L, idx)}, sizeof as.n) == 0;
  case CCP_RAW_SHORT:
  case CCP_RAW_LONG:
    return type == LUA_TSTRING &&
           is_string(pn, L, idx, tag == CCP_RAW_LONG, as.p);
  case CCP_RAW_TABLE:
    return type == LUA_TTABLE && lua_topointer(L, idx) == as.p;
  default:
    return 0;
  }
}

/* The next value that is there, from *at on; 0 if there is none. */
static int is_next(const pen *pn, lua_State *L, const ccp_raw_table *t,
                   size_t *at) {
  size_t places = ccp_raw_places(t), all = places + ccp_raw_nodes(t);
  while (*at < places && ccp_raw_is_free(&t->items[*at]))
    ++*at;
  if (*at < places) {
    const ccp_raw_value *v = &t->items[*at];
    return lua_tointeger(L, -2) == (lua_Integer)++ * at &&
           is_value(pn, L, -1, v->tag, v->as);
  }
  while (*at < all && ccp_raw_is_nil(t->nodes[*at - places].tag))
    ++*at;
  if (*at == all)
    return 0;
  const ccp_raw_node *node = &t->nodes[(*at)++ - places];
  return is_value(pn, L, -2, node->key_tag, node->key) &&
         is_value(pn, L, -1, node->tag, node->as);
}

/* Does the table on the top lie there as lua_next passes it? Lua must have made
** it of that many places and nodes. */
static int is_table(const pen *pn, lua_State *L, size_t places, int log2) {
  const ccp_raw_table *t = lua_topointer(L, -1);
  size_t at = 0;
  if (!is_in(pn, t, sizeof *t) || t->log2 != log2 ||
      ccp_raw_places(t) != places || t->metatable != NULL)
    return 0;
  if (places > 0 && !is_in(pn, t->items, places * sizeof *t->items))
    return 0;
  /* A table without pairs has one node that all such tables share. */
  if (log2 > 0 && !is_in(pn, t->nodes, ccp_raw_nodes(t) * sizeof *t->nodes))
    return 0;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
    if (!is_next(pn, L, t, &at))
      return 0;
  for (size_t rest = places + ccp_raw_nodes(t); at < rest; at++)
    if (!ccp_raw_is_nil(at < places ? t->items[at].tag
                                    : t->nodes[at - places].tag))
      return 0;
  size_t length = ccp_raw_length(t); /* which Lua may remember when asked */
  return lua_rawlen(L, -1) == length && ccp_raw_places(t) == places;
}

/* Pushes value number i, one of every kind that has a tag. */
static void push_kind(lua_State *L, int i) {
  static const char text[] = "more bytes than the short strings of Lua have, "
                             "of which there is but one";
  switch (i % 7) {
  case 0:
    lua_pushinteger(L, LUA_MININTEGER + i);
    break;
  case 1:
    lua_pushnumber(L, 0.1 * i);
    break;
  case 2:
    lua_pushlstring(L, text, (size_t)i % 41);
    break;
  case 3:
    lua_pushlstring(L, text, 41 + (size_t)i % 20);
    break;
  case 4:
    lua_newtable(L);
    break;
  default:
    lua_pushboolean(L, i % 7 == 5);
  }
}

/* Items: put in ahead, appended, and taken away again with holes. */
static int try_items(const pen *pn, lua_State *L) {
  int ok;
  lua_createtable(L, 7, 0);
  for (int i = 1; i <= 7; i++) {
    push_kind(L, i);
    lua_rawseti(L, -2, i);
  }
  ok = is_table(pn, L, 7, 0);
  lua_newtable(L);
  for (int i = 1, places = 1; i <= 10; i++) {
    push_kind(L, i);
    lua_rawseti(L, -2, i);
    places = i > places ? 2 * places : places;
    ok &= is_table(pn, L, (size_t)places, 0);
  }
  for (int i = 10; i > 1; i -= i % 5 == 0 ? 3 : 1) {
    lua_pushnil(L);
    lua_rawseti(L, -2, i);
    ok &= is_table(pn, L, 16, 0);
  }
  lua_pop(L, 2);
  return ok;
}

/* Pairs with all kinds of keys, beside that many items; then less of them. */
static int try_pairs(const pen *pn, lua_State *L, int items) {
  int ok;
  lua_createtable(L, items, 16);
  for (int i = 1; i <= items; i++) {
    push_kind(L, i);
    lua_rawseti(L, -2, i);
  }
  ok = is_table(pn, L, (size_t)items, 4);
  for (int i = 0; i < 16; i++) {
    push_kind(L, i);
    push_kind(L, i / 7);
    lua_rawset(L, -3);
  }
  ok &= is_table(pn, L, (size_t)items, 4);
  for (int i = 0; i < 16; i += 3) {
    push_kind(L, i);
    lua_pushnil(L);
    lua_rawset(L, -3);
  }
  ok &= is_table(pn, L, (size_t)items, 4);
  lua_pop(L, 1);
  return ok;
}

static int try_metatable(lua_State *L) {
  lua_newtable(L);
  lua_newtable(L);
  const ccp_raw_table *t = lua_topointer(L, -2);
  const void *meta = lua_topointer(L, -1);
  int ok = t->metatable == NULL;
  lua_setmetatable(L, -2);
  ok &= t->metatable == meta;
  lua_pop(L, 1);
  return ok;
}

/* try(pen): returns whether all is as it should be. */
static int try(lua_State *L) {
  const pen *pn = lua_touserdata(L, 1);
  lua_pushboolean(L, try_items(pn, L) && try_pairs(pn, L, 0) &&
                         try_pairs(pn, L, 5) && try_metatable(L));
  return 1;
}

static int try_apart(void) {
  pen pn = {.mem = malloc(PEN)};
  int ok = 0;
  lua_State *L = pn.mem != NULL ? lua_newstate(allocate, &pn) : NULL;
  if (L != NULL && lua_version(L) == LUA_VERSION_NUM) {
    lua_gc(L, LUA_GCSTOP);
    lua_pushcfunction(L, try);
    lua_pushlightuserdata(L, &pn);
    ok = lua_pcall(L, 1, 1, 0) == LUA_OK && lua_toboolean(L, -1);
  }
  if (L != NULL)
    lua_close(L);
  free(pn.mem);
  return ok;
}

#else

static int try_apart(void) {
  return 0;
}

#endif

enum { UNTRIED, KNOWN, UNKNOWN };

int ccp_raw_known(void) {
  /* Written by whoever tries first, all with the same result; read by all.
  ** Relaxed: nothing else depends on it. */
  static _Atomic int state;
  int now = atomic_load_explicit(&state, memory_order_relaxed);
  if (now == UNTRIED) {
    now = try_apart() ? KNOWN : UNKNOWN;
    atomic_store_explicit(&state, now, memory_order_relaxed);
  }
  return now == KNOWN;
}
