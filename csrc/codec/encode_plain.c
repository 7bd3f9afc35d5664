/*
** Tables of data to bytes, read as they lie in memory. See encode.h and raw.h.
** The thread of the state.
**
** Booleans, numbers, strings, and tables of these with neither metatable nor
** name, whose frames have no slots on the Lua stack. Where anything else comes
** they get them. `next` of a frame is the place to be read next: first come
** items, then nodes, as lua_next passes them.
*/
#include "codec/encode.h"

#include <lauxlib.h>

#include "codec/custom.h"
#include "codec/emit.h"
#include "codec/names.h"
#include "codec/raw.h"
#include "codec/wire.h"
#include "os/codes.h"

enum { FAR = 6, NEAR = 3 }; /* items ahead, see fetch_ahead */

/* The innermost of the frames, `depth` of which are open. */
static inline ccp_frame *top(const ccp_enc *e, size_t depth) {
  return ccp_enc_frame(e, depth - 1);
}

static int open(ccp_enc *e, size_t depth, const ccp_raw_table *t, size_t off) {
  size_t narr = ccp_raw_length(t);
  int rc = ccp_enc_table_tag(e, narr, 0);
  return rc != CCP_OK
             ? rc
             : ccp_enc_push_frame(e, depth,
                                  narr > 0 ? CCP_AT_ITEM : CCP_AT_VALUE, off,
                                  narr, t);
}

static int put_table(ccp_enc *e, size_t depth, const ccp_raw_table *t) {
  size_t off = ccp_enc_offset(e);
  uint64_t word;
  if (t->metatable != NULL || ccp_names_maybe(e->ctx, t) ||
      ccp_custom_maybe(e->ctx, t) || t == e->ctx->globals)
    return CCP_NAMELESS;
  int rc = ccp_memo_add(&e->s->seen, t, (uint64_t)off << 1, &word);
  if (rc < 0)
    return rc;
  if (rc == 0)
    return open(e, depth, t, off);
  if ((word & 1) || word == CCP_LATE)
    return CCP_NAMELESS;
  ccp_enc_share(e, word >> 1);
  return ccp_emit_varint(e->b, CCP_T_REF, word >> 1);
}

static inline int put_short(ccp_enc *e, const ccp_raw_string *s, int hot) {
  int slot = ccp_strs_slot(e->s->strs, s);
  return slot >= 0 ? ccp_emit_slot(e->b, slot)
                   : ccp_enc_put_text(e, s, s->text, s->short_len, hot);
}

static int put_long(ccp_enc *e, const ccp_raw_string *s) {
  return ccp_emit_bytes(e->b, CCP_T_STR, s->text, s->u.len);
}

static inline int put_value(ccp_enc *e, size_t depth, unsigned tag,
                            ccp_raw_word as) {
  switch (tag) {
  case CCP_RAW_SHORT:
    return put_short(e, as.p, 0);
  case CCP_RAW_INT:
    return ccp_emit_int(e->b, as.i);
  case CCP_RAW_TABLE:
    return put_table(e, depth, as.p);
  case CCP_RAW_FLOAT:
    return ccp_emit_float(e->b, as.n);
  case CCP_RAW_FALSE:
    return ccp_emit_tag(e->b, CCP_T_FALSE);
  case CCP_RAW_TRUE:
    return ccp_emit_tag(e->b, CCP_T_TRUE);
  case CCP_RAW_LONG:
    return put_long(e, as.p);
  default:
    return CCP_NAMELESS;
  }
}

static inline int put_key(ccp_enc *e, unsigned tag, ccp_raw_word as) {
  if (tag == CCP_RAW_SHORT)
    return put_short(e, as.p, 1);
  int rc = tag == CCP_RAW_TABLE ? CCP_NAMELESS : put_value(e, 0, tag, as);
  return rc == CCP_NAMELESS ? CCP_ODD_KEY : rc;
}

/* Writes the number at v and those of its kind behind it, of `most` items. */
static int put_numbers(ccp_enc *e, ccp_frame *f, const ccp_raw_value *v,
                       uint64_t most) {
  ccp_run run;
  unsigned n = 0;
  unsigned char tag = v->tag;
  if (most > CCP_RUN_MAX)
    most = CCP_RUN_MAX;
  do {
    run.items[n] = (uint64_t)v[n].as.i;
    n++;
  } while (n < most && v[n].tag == tag);
  run.n = n;
  run.tag = tag == CCP_RAW_INT ? CCP_T_RUN64 : CCP_T_RUNF;
  f->next += n;
  return ccp_emit_run(e->b, &run);
}

/* Passes over nils, which are written unless they are too many: then, or if
** nothing follows them, the array items end. */
static int put_nils(ccp_enc *e, ccp_frame *f, const ccp_raw_value *items,
                    uint64_t end) {
  uint64_t next = f->next;
  while (next < end && ccp_raw_is_free(&items[next]))
    next++;
  if (next == end || next - f->next > CCP_GAP_MAX) {
    f->at = CCP_AT_VALUE;
    return ccp_emit_tag(e->b, CCP_T_ENDARR);
  }
  int rc = CCP_OK;
  for (; f->next < next && rc == CCP_OK; f->next++)
    rc = ccp_emit_tag(e->b, CCP_T_NIL);
  return rc;
}

/* Tables of an array lie anywhere in memory: it takes long to get at each. So
** the next ones are fetched while this one is written. */
static inline void fetch_ahead(const ccp_enc *e, const ccp_raw_value *v,
                               uint64_t left) {
  if (left > FAR && v[FAR].tag == CCP_RAW_TABLE) {
    __builtin_prefetch(v[FAR].as.p);
    ccp_memo_fetch(&e->s->seen, v[FAR].as.p);
  }
  if (left > NEAR && v[NEAR].tag == CCP_RAW_TABLE) {
    const ccp_raw_table *t = v[NEAR].as.p;
    __builtin_prefetch(t->nodes);
    __builtin_prefetch(t->items);
  }
}

/* Array items, until a child opens or there are no more. A `save` may have made
** the table smaller. */
static int put_items(ccp_enc *e, size_t depth, size_t places) {
  ccp_frame *f = top(e, depth);
  const ccp_raw_table *t = f->obj;
  uint64_t end = f->count < places ? f->count : places;
  int rc = CCP_WRITTEN;
  while (rc == CCP_WRITTEN && f->at == CCP_AT_ITEM && f->next < end) {
    const ccp_raw_value *v = &t->items[f->next];
    if (v->tag == CCP_RAW_INT || v->tag == CCP_RAW_FLOAT) {
      rc = put_numbers(e, f, v, end - f->next);
    } else if (ccp_raw_is_free(v)) {
      rc = put_nils(e, f, t->items, end);
    } else {
      if (v->tag == CCP_RAW_TABLE)
        fetch_ahead(e, v, end - f->next);
      f->next++;
      rc = put_value(e, depth, v->tag, v->as);
    }
  }
  if (rc != CCP_WRITTEN || f->at != CCP_AT_ITEM)
    return rc;
  f->at = CCP_AT_VALUE;
  return f->next < f->count ? ccp_emit_tag(e->b, CCP_T_ENDARR) : CCP_WRITTEN;
}

/* The items behind the array items are pairs. Those and nodes, until a child
** opens or there are no more. */
static int put_rest(ccp_enc *e, size_t depth, size_t places) {
  ccp_frame *f = top(e, depth);
  const ccp_raw_table *t = f->obj;
  int rc = CCP_WRITTEN;
  while (rc == CCP_WRITTEN && f->next < places) {
    const ccp_raw_value *v = &t->items[f->next++];
    if (ccp_raw_is_free(v))
      continue;
    f->pairs++;
    rc = ccp_emit_int(e->b, (lua_Integer)f->next);
    if (rc == CCP_OK)
      rc = put_value(e, depth, v->tag, v->as);
  }
  return rc;
}

static int put_pairs(ccp_enc *e, size_t depth, size_t places) {
  ccp_frame *f = top(e, depth);
  const ccp_raw_table *t = f->obj;
  size_t all = places + ccp_raw_nodes(t);
  int rc = CCP_WRITTEN;
  while (rc == CCP_WRITTEN && f->next < all) {
    const ccp_raw_node *node = &t->nodes[f->next - places];
    if (!ccp_raw_is_nil(node->tag)) {
      rc = put_key(e, node->key_tag, node->key);
      if (rc != CCP_WRITTEN)
        return rc;
      f->pairs++;
      f->next++;
      rc = put_value(e, depth, node->tag, node->as);
    } else {
      f->next++;
    }
  }
  return rc;
}

static int step(ccp_enc *e, size_t depth) {
  const ccp_frame *f = top(e, depth);
  size_t places = ccp_raw_places(f->obj);
  int rc = CCP_WRITTEN;
  if (f->at == CCP_AT_ITEM)
    rc = put_items(e, depth, places);
  if (rc == CCP_WRITTEN)
    rc = put_rest(e, depth, places);
  return rc == CCP_WRITTEN ? put_pairs(e, depth, places) : rc;
}

static void push_string(lua_State *L, const ccp_raw_string *s, size_t len) {
  lua_pushlstring(L, s->text, len);
}

/* Pushes the key of the last pair before `next`, or nil. It is none but those
** that are written here, or an item's. */
static void push_last_key(lua_State *L, const ccp_frame *f) {
  const ccp_raw_table *t = f->obj;
  size_t places = ccp_raw_places(t);
  uint64_t at = f->next, all = places + ccp_raw_nodes(t);
  if (at > all)
    at = all;
  while (at > places && ccp_raw_is_nil(t->nodes[at - places - 1].tag))
    at--;
  const ccp_raw_node *node = at > places ? &t->nodes[at - places - 1] : NULL;
  if (at == 0)
    lua_pushnil(L);
  else if (node == NULL)
    lua_pushinteger(L, (lua_Integer)at);
  else if (node->key_tag == CCP_RAW_INT)
    lua_pushinteger(L, node->key.i);
  else if (node->key_tag == CCP_RAW_FLOAT)
    lua_pushnumber(L, node->key.n);
  else if (node->key_tag == CCP_RAW_SHORT)
    push_string(L, node->key.p,
                ((const ccp_raw_string *)node->key.p)->short_len);
  else if (node->key_tag == CCP_RAW_LONG)
    push_string(L, node->key.p, ((const ccp_raw_string *)node->key.p)->u.len);
  else
    lua_pushboolean(L, node->key_tag == CCP_RAW_TRUE);
}

/* The frames down to `depth` get their slots. The containers are found by the
** keys at hand, from the outside in. That takes memory, so finalizers may run,
** and what they do to these tables cannot be made good. */
static void give_slots(ccp_enc *e, size_t depth) {
  lua_State *L = e->L;
  for (;;) {
    int slot = ccp_enc_slot(e, e->depth - 1);
    push_last_key(L, ccp_enc_top(e));
    lua_replace(L, slot + 1);
    if (e->depth == depth)
      return;
    lua_pushvalue(L, slot + 1);
    lua_rawget(L, slot);
    if (!lua_istable(L, -1) || /* of a dead table, another has the address */
        lua_topointer(L, -1) != ccp_enc_frame(e, e->depth)->obj)
      (void)luaL_error(L, "a table has changed while it was encoded");
    ccp_enc_take_slots(e);
  }
}

int ccp_enc_put_plain(ccp_enc *e) {
  size_t depth = e->depth;
  for (;;) {
    int rc = step(e, depth);
    if (rc == CCP_OPENED) {
      depth++;
    } else if (rc != CCP_WRITTEN) {
      if (rc > 0)
        give_slots(e, depth);
      return rc;
    } else if (depth == e->depth) {
      return CCP_WRITTEN;
    } else {
      rc = ccp_enc_end_pairs(e, top(e, depth--));
      if (rc != CCP_OK)
        return rc;
      e->s->frames.len -= sizeof(ccp_frame);
    }
  }
}
