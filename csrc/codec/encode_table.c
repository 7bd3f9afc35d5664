/*
** Tables to bytes; see encode.h. The thread of the state.
**
** What is more than data goes this way, and everything where tables cannot be
** read as they lie in memory (encode_plain.c). One pass of lua_next does it:
** as long as its keys count up from 1 they are array items, numbers among them
** gathered into runs; then come pairs. Keys are looked at one by one because
** no API tells where the array part ends, and lua_next started behind it would
** miss pairs if it ends early.
*/
#include "codec/encode.h"

#include <lauxlib.h>

#include "codec/emit.h"
#include "codec/raw.h"
#include "codec/wire.h"
#include "os/codes.h"

enum {
  PAIRS_AHEAD = 16 /* stack slots for pairs that are read at once */
};

/* What a weak table holds may die while the message is made, and its address
** come back as another object's: hold it. */
static void hold_weak(ccp_enc *e) {
  lua_State *L = e->L;
  int t = lua_gettop(L), weak = 0;
  if (lua_getmetatable(L, t)) {
    lua_pushliteral(L, "__mode");
    weak = lua_rawget(L, -2) == LUA_TSTRING;
  }
  lua_settop(L, t);
  if (!weak)
    return;
  lua_newtable(L);
  lua_pushnil(L);
  while (lua_next(L, t)) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, t + 1);
  }
  ccp_enc_keep(e);
}

int ccp_enc_table_tag(ccp_enc *e, uint64_t narr, int meta) {
  unsigned char *p = ccp_buf_room(e->b, 2 + CCP_VARINT_MAX);
  if (p == NULL)
    return CCP_E_NOMEM;
  p[0] = meta ? CCP_T_TABLE_MT : CCP_T_TABLE;
  p[1] = 0; /* the hint, known at the end */
  e->b->len += (size_t)(ccp_wire_varint(p + 2, narr) - p);
  return CCP_OK;
}

int ccp_enc_open_table(ccp_enc *e, size_t off, int meta) {
  if (meta)
    hold_weak(e);
  if (ccp_enc_strings(e) != CCP_OK)
    return CCP_E_NOMEM;
  const ccp_raw_table *raw = ccp_raw_known() ? lua_topointer(e->L, -1) : NULL;
  uint64_t narr = raw != NULL ? ccp_raw_length(raw) : lua_rawlen(e->L, -1);
  int rc = ccp_enc_table_tag(e, narr, meta);
  if (rc == CCP_OK)
    rc = ccp_enc_push_frame(e, e->depth, narr > 0 ? CCP_AT_ITEM : CCP_AT_VALUE,
                            off, narr, raw);
  if (rc != CCP_OPENED)
    return rc;
  ccp_enc_take_slots(e);
  ccp_enc_top(e)->meta = (unsigned char)meta;
  return rc;
}

/* How many nils stand between the last array item and that key: 0 for the next
** index, -1 if the key is no array item. */
static int gap(const ccp_enc *e, const ccp_frame *f, int key) {
  if (!lua_isinteger(e->L, key))
    return -1;
  uint64_t i = (uint64_t)lua_tointegerx(e->L, key, NULL);
  uint64_t nils = i - f->next - 1; /* wraps if i is behind or negative */
  return i <= f->count && nils <= CCP_GAP_MAX ? (int)nils : -1;
}

static int put_nils(ccp_enc *e, ccp_frame *f, int nils) {
  int rc = CCP_OK;
  f->next += (uint64_t)nils;
  for (; nils > 0 && rc == CCP_OK; nils--)
    rc = ccp_emit_tag(e->b, CCP_T_NIL);
  return rc;
}

/* Writes the string at idx. */
static inline int put_string(ccp_enc *e, int idx) {
  int slot = ccp_strs_slot(e->s->strs, lua_topointer(e->L, idx));
  return slot >= 0 ? ccp_emit_slot(e->b, slot) : ccp_enc_new_string(e, idx, 0);
}

/* Writes the value above the key, of that type, and pops it, or opens it as a
** frame. */
static inline int put_value(ccp_enc *e, int key, int type) {
  lua_State *L = e->L;
  int rc;
  if (type == LUA_TSTRING) {
    rc = put_string(e, key + 1);
  } else {
    rc = type == LUA_TTABLE ? CCP_NAMELESS : ccp_enc_scalar(e, key + 1, type);
    if (rc == CCP_NAMELESS)
      return ccp_enc_put_object(e, type);
  }
  lua_settop(L, key);
  return rc;
}

/* What is known of the pair behind the last one. */
enum { ASK = -1, NONE = 0, PAIR = 1 };

/* The number at idx as a run holds it. */
static inline uint64_t item(lua_State *L, int idx, int floats) {
  return floats ? ccp_wire_bits(lua_tonumberx(L, idx, NULL))
                : (uint64_t)lua_tointegerx(L, idx, NULL);
}

/* Is the value above the key the array item behind `last`, and a number of that
** kind? */
static inline int goes_on(lua_State *L, int key, uint64_t last, int floats) {
  if (floats ? lua_type(L, key + 1) != LUA_TNUMBER || lua_isinteger(L, key + 1)
             : !lua_isinteger(L, key + 1))
    return 0;
  return lua_isinteger(L, key) &&
         (uint64_t)lua_tointegerx(L, key, NULL) == last + 1;
}

/* Gathers the number on the top, array item f->next, and those of its kind that
** follow, as many as there are before something else comes. Several pairs are
** on the stack before it is cut back, since that costs as much as reading a
** value. Afterwards the stack ends with the key of the last item, or with the
** pair behind it. Inlined, so that 'floats' is a constant. */
static inline __attribute__((always_inline)) int
gather(const ccp_enc *e, ccp_frame *f, ccp_run *r, int t, int floats) {
  lua_State *L = e->L;
  uint64_t next = f->next;
  unsigned n = 1, most = CCP_RUN_MAX;
  int key = t + 1, more = ASK;
  if (f->count - next < most - n)
    most = n + (unsigned)(f->count - next);
  r->items[0] = item(L, t + 2, floats);
  for (lua_settop(L, t); n < most; key += 2) {
    if (key > t + PAIRS_AHEAD) {
      key = t + 1;
      lua_settop(L, t);
    }
    lua_pushinteger(L, (lua_Integer)next);
    more = lua_next(L, t);
    if (!more || !goes_on(L, key, next, floats))
      break;
    r->items[n++] = item(L, key + 1, floats);
    next++;
    more = ASK;
  }
  if (more == PAIR && key > t + 1) {
    lua_copy(L, key, t + 1);
    lua_copy(L, key + 1, t + 2);
  }
  lua_settop(L, more == PAIR ? t + 2 : t);
  if (more == ASK)
    lua_pushinteger(L, (lua_Integer)next);
  r->n = n;
  f->next = next;
  return more;
}

/* Writes the number on the top and those that follow it. */
static int put_numbers(ccp_enc *e, ccp_frame *f, int t, int *more) {
  ccp_run run;
  if (lua_isinteger(e->L, t + 2)) {
    run.tag = CCP_T_RUN64;
    *more = gather(e, f, &run, t, 0);
  } else {
    run.tag = CCP_T_RUNF;
    *more = gather(e, f, &run, t, 1);
  }
  return ccp_emit_run(e->b, &run);
}

/* Writes array items until a child opens, or there are no more: then *pair
** tells whether a pair lies on the stack or the table has ended. */
static int put_items(ccp_enc *e, int t, int *pair) {
  ccp_frame *f = ccp_enc_top(e);
  int rc = CCP_WRITTEN, more = ASK;
  while (rc == CCP_WRITTEN) {
    if (more == ASK)
      more = lua_next(e->L, t);
    int nils = more ? gap(e, f, t + 1) : -1;
    if (nils < 0)
      break;
    if (nils > 0)
      rc = put_nils(e, f, nils);
    f->next++;
    if (rc != CCP_OK)
      return rc;
    if (lua_type(e->L, t + 2) == LUA_TNUMBER) {
      rc = put_numbers(e, f, t, &more);
    } else {
      rc = put_value(e, t + 1, lua_type(e->L, t + 2));
      more = ASK;
    }
  }
  if (rc != CCP_WRITTEN)
    return rc;
  if (f->next < f->count)
    rc = ccp_emit_tag(e->b, CCP_T_ENDARR);
  f->at = CCP_AT_VALUE;
  *pair = more;
  return rc;
}

/* Writes the key of the pair on the top, which is no string. Unless a child
** opens, the value is on the top again. CCP_NAMELESS: the pair is written
** later, and only the key is on the top. */
static int put_odd_key(ccp_enc *e, int t) {
  lua_State *L = e->L;
  lua_settop(L, t + 1);
  ccp_enc_top(e)->at = CCP_AT_KEY;
  lua_pushvalue(L, t + 1);
  int rc = ccp_enc_put(e);
  if (rc != CCP_WRITTEN)
    return rc;
  if (ccp_enc_top(e)->at != CCP_AT_KEY)
    return CCP_NAMELESS;
  ccp_enc_top(e)->at = CCP_AT_VALUE;
  lua_pushvalue(L, t + 1);
  lua_rawget(L, t);
  return CCP_WRITTEN;
}

int ccp_enc_end_pairs(ccp_enc *e, const ccp_frame *f) {
  /* 1 + log2, rounded up */
  int hint = f->pairs > 1    ? 65 - __builtin_clzll(f->pairs - 1)
             : f->pairs == 1 ? 1
                             : 0;
  e->b->data[e->start + f->off + 1] = (unsigned char)hint;
  return ccp_emit_tag(e->b, CCP_T_END);
}

/* All pairs are written, and the metatable follows. */
static int end_table(ccp_enc *e, int t) {
  ccp_frame *f = ccp_enc_top(e);
  int rc = ccp_enc_end_pairs(e, f);
  if (rc != CCP_OK || !f->meta)
    return rc;
  f->at = CCP_AT_METATABLE;
  lua_pushnil(e->L);
  if (!lua_getmetatable(e->L, t)) /* a `save` has taken it away */
    lua_pushnil(e->L);
  return ccp_enc_put(e);
}

/* Writes the key of the pair on the top. Most keys were sent before, and have a
** slot. */
static inline int put_key(ccp_enc *e, int t) {
  int slot = ccp_strs_slot(e->s->strs, lua_topointer(e->L, t + 1));
  if (slot >= 0)
    return ccp_emit_slot(e->b, slot);
  if (lua_type(e->L, t + 1) == LUA_TSTRING)
    return ccp_enc_new_string(e, t + 1, 1);
  return put_odd_key(e, t);
}

/* Writes the pair on the top, unless a child opens. */
static int put_pair(ccp_enc *e, int t) {
  ccp_enc_top(e)->pairs++;
  int rc = put_key(e, t);
  if (rc == CCP_NAMELESS)
    return CCP_WRITTEN;
  return rc == CCP_WRITTEN ? put_value(e, t + 1, lua_type(e->L, t + 2)) : rc;
}

/* Writes pairs until a child opens or the table ends. */
static int put_pairs(ccp_enc *e, int t, int pair) {
  while (pair || lua_next(e->L, t)) {
    pair = 0;
    int rc = put_pair(e, t);
    if (rc != CCP_WRITTEN)
      return rc;
  }
  return end_table(e, t);
}

/* Goes on with a table that lies in memory as is known. What comes may be deep
** inside. The keys that lua_next is to go on from can be made anew only as long
** as they are data: behind an odd one it passes to the end. */
static int step_raw(ccp_enc *e) {
  int rc = ccp_enc_put_plain(e), t = ccp_enc_slot(e, e->depth - 1);
  switch (rc) {
  case CCP_WRITTEN:
    lua_settop(e->L, t);
    return end_table(e, t);
  case CCP_NAMELESS:
    lua_pushvalue(e->L, t + 1);
    lua_rawget(e->L, t);
    rc = ccp_enc_put_object(e, lua_type(e->L, -1));
    break;
  case CCP_ODD_KEY:
    ccp_enc_top(e)->obj = NULL;
    break;
  default:
    break;
  }
  return rc < 0 ? rc : CCP_OPENED; /* a frame to go on with */
}

/* Goes on where lua_next passes. */
static int step_passed(ccp_enc *e, int t) {
  int pair = 0;
  if (ccp_enc_top(e)->at == CCP_AT_ITEM) {
    int rc = put_items(e, t, &pair);
    if (rc != CCP_WRITTEN)
      return rc;
    if (!pair)
      return end_table(e, t);
  }
  return put_pairs(e, t, pair);
}

int ccp_enc_step_table(ccp_enc *e) {
  int t = ccp_enc_slot(e, e->depth - 1);
  if (ccp_enc_top(e)->at == CCP_AT_METATABLE)
    return CCP_WRITTEN;
  if (ccp_enc_top(e)->at == CCP_AT_KEY) { /* it is written, its value is next */
    ccp_enc_top(e)->at = CCP_AT_VALUE;
    lua_pushvalue(e->L, t + 1);
    lua_rawget(e->L, t);
    int rc = put_value(e, t + 1, lua_type(e->L, t + 2));
    if (rc != CCP_WRITTEN)
      return rc;
  }
  return ccp_enc_top(e)->obj != NULL ? step_raw(e) : step_passed(e, t);
}
