/*
** Containers out of bytes: what is open while a message is read. See decode.h
** for the stack. The thread of the state.
**
** A frame takes one value after the other until it is complete; then it is
** itself the next value of the frame around it.
*/
#include "codec/decode.h"

#include <lauxlib.h>

#include "codec/custom.h"
#include "codec/wire.h"
#include "os/codes.h"

/* Slots of the frame beside its container: a pending key. */
static int has_key(const ccp_open *f) {
  return f->in == CCP_IN_VALUE;
}

/* Stack: parent, [its key,] child. The child takes the parent's place. */
static void spill_parent(ccp_dec *d, const ccp_open *parent) {
  lua_State *L = d->L;
  int slot = ccp_dec_at(d, parent), spill = ccp_dec_spill(d);
  lua_Integer i = 2 * (lua_Integer)(d->depth - CCP_DEC_LEVELS);
  if (lua_isnil(L, spill)) {
    lua_newtable(L);
    lua_replace(L, spill);
  }
  lua_pushvalue(L, slot);
  lua_rawseti(L, spill, i + 1);
  if (has_key(parent)) {
    lua_pushvalue(L, slot + 1);
    lua_rawseti(L, spill, i + 2);
  }
  lua_replace(L, slot);
  lua_settop(L, slot);
}

/* Stack: child. The parent, the innermost frame again, comes below it. */
static void unspill_parent(ccp_dec *d) {
  lua_State *L = d->L;
  const ccp_open *parent = ccp_dec_top(d);
  lua_Integer i = 2 * (lua_Integer)(d->depth - CCP_DEC_LEVELS);
  lua_rawgeti(L, ccp_dec_spill(d), i + 1);
  if (has_key(parent))
    lua_rawgeti(L, ccp_dec_spill(d), i + 2);
  lua_rotate(L, ccp_dec_at(d, parent), -1);
}

ccp_open *ccp_dec_open(ccp_dec *d, int in, uint64_t last) {
  int slot = 0;
  if (d->depth > 0) {
    const ccp_open *parent = ccp_dec_top(d);
    slot = parent->slot;
    if (d->depth >= CCP_DEC_LEVELS)
      spill_parent(d, parent);
    else
      slot += 1 + has_key(parent);
  }
  if (ccp_buf_room(&d->s->frames, sizeof(ccp_open)) == NULL)
    luaL_error(d->L, "not enough memory");
  d->s->frames.len += sizeof(ccp_open);
  d->depth++;
  ccp_open *f = ccp_dec_top(d);
  *f = (ccp_open){.in = (uint8_t)in, .slot = slot, .next = 1, .last = last};
  return f;
}

void ccp_dec_remember(ccp_dec *d, uint64_t off) {
  lua_State *L = d->L;
  int memo = ccp_dec_memo(d);
  if (lua_isnil(L, memo)) {
    lua_newtable(L);
    lua_replace(L, memo);
  }
  lua_pushvalue(L, -1);
  lua_rawseti(L, memo, (lua_Integer)off + 1);
}

void ccp_dec_recall(ccp_dec *d, uint64_t off) {
  if (lua_isnil(d->L, ccp_dec_memo(d)) ||
      lua_rawgeti(d->L, ccp_dec_memo(d), (lua_Integer)(off + 1)) == LUA_TNIL)
    ccp_dec_bad(d, "reference to nothing");
}

/* --- tables --- */

/* Integers of that many bytes; inlined, so that 'size' is a constant. */
static inline __attribute__((always_inline)) void
read_integers(lua_State *L, int t, lua_Integer i, const unsigned char *p,
              const unsigned char *end, size_t size) {
  for (; p < end; p += size) {
    lua_pushinteger(L, ccp_wire_signed(p, size));
    lua_rawseti(L, t, i++);
  }
}

static void read_numbers(ccp_dec *d, int t, lua_Integer i, unsigned n,
                         unsigned tag) {
  lua_State *L = d->L;
  unsigned log2 = tag == CCP_T_RUNF ? 3 : tag - CCP_T_RUN8;
  const unsigned char *p = ccp_dec_bytes(d, (uint64_t)n << log2);
  const unsigned char *end = d->p;
  switch (tag) {
  case CCP_T_RUN8:
    read_integers(L, t, i, p, end, 1);
    break;
  case CCP_T_RUN16:
    read_integers(L, t, i, p, end, 2);
    break;
  case CCP_T_RUN32:
    read_integers(L, t, i, p, end, 4);
    break;
  case CCP_T_RUN64:
    read_integers(L, t, i, p, end, 8);
    break;
  default:
    for (; p < end; p += 8) {
      lua_pushnumber(L, ccp_wire_double(ccp_wire_fetch(p, 8)));
      lua_rawseti(L, t, i++);
    }
  }
}

/* A run of array items. */
static void read_run(ccp_dec *d, unsigned tag) {
  ccp_open *f = ccp_dec_top(d);
  unsigned n = ccp_dec_byte(d) + 1;
  if (n > f->last - f->next + 1)
    ccp_dec_bad(d, "array too long");
  read_numbers(d, ccp_dec_at(d, f), (lua_Integer)f->next, n, tag);
  f->next += n;
}

/* The key on the top must be one. */
static void check_key(ccp_dec *d) {
  lua_State *L = d->L;
  int type = lua_type(L, -1);
  if (type == LUA_TNIL)
    ccp_dec_bad(d, "nil as a key");
  if (type == LUA_TNUMBER && lua_tonumber(L, -1) != lua_tonumber(L, -1))
    ccp_dec_bad(d, "NaN as a key");
}

/* Pushes the next value if it is of the kinds that tables hold most, or returns
** 0 and has read nothing. */
static inline int push_usual(ccp_dec *d) {
  const unsigned char *p = d->p;
  size_t left = (size_t)(d->end - p), n;
  if (left < 2)
    return 0;
  unsigned tag = *p++;
  if (tag == CCP_T_SREF && *p < d->defined) {
    lua_pushvalue(d->L, ccp_dec_string(d, *p));
    n = 1;
  } else if (tag >= CCP_T_SMALL) {
    lua_pushinteger(d->L, (int)tag - CCP_T_SMALL + CCP_SMALL_MIN);
    n = 0;
  } else if (tag >= CCP_T_SHORT && tag < CCP_T_DEFINE) {
    n = tag - CCP_T_SHORT;
    if (n >= left)
      return 0;
    lua_pushlstring(d->L, (const char *)p, n);
  } else if (tag >= CCP_T_INT8 && tag <= CCP_T_INT64) {
    n = (size_t)1 << (tag - CCP_T_INT8);
    if (n >= left)
      return 0;
    lua_pushinteger(d->L, ccp_wire_signed(p, n));
  } else {
    return 0;
  }
  d->p = p + n;
  return 1;
}

/* Array items until a child opens (0) or they end (1). */
static int step_items(ccp_dec *d) {
  ccp_open *f = ccp_dec_top(d);
  for (; f->next <= f->last; f = ccp_dec_top(d)) {
    if (!push_usual(d)) {
      unsigned tag = d->p < d->end ? *d->p : CCP_T_NIL;
      if (tag == CCP_T_ENDARR) {
        d->p++;
        break;
      }
      if (tag >= CCP_T_RUN8 && tag <= CCP_T_RUNF) {
        d->p++;
        read_run(d, tag);
        continue;
      }
      if (ccp_dec_value(d) != CCP_PUSHED)
        return 0;
      f = ccp_dec_top(d);
    }
    lua_rawseti(d->L, ccp_dec_at(d, f), (lua_Integer)f->next++);
  }
  f->in = CCP_IN_KEY;
  return 1;
}

/* A key: pushed (1), opened as a frame (0), or there is none (-1). */
static inline int read_key(ccp_dec *d) {
  unsigned tag = d->p < d->end ? *d->p : CCP_T_NIL;
  if (tag == CCP_T_END) {
    d->p++;
    return -1;
  }
  if (push_usual(d))
    return 1;
  if (ccp_dec_value(d) != CCP_PUSHED)
    return 0;
  if (tag < CCP_T_SHORT && tag != CCP_T_SREF)
    check_key(d);
  return 1;
}

/* Pairs until a child opens (0) or they end (1). */
static int step_pairs(ccp_dec *d) {
  ccp_open *f = ccp_dec_top(d);
  for (;;) {
    if (f->in == CCP_IN_KEY) {
      int rc = read_key(d);
      if (rc != 1)
        return rc != 0;
      f = ccp_dec_top(d);
    }
    if (!push_usual(d)) {
      f->in = CCP_IN_VALUE;
      if (ccp_dec_value(d) != CCP_PUSHED)
        return 0;
      f = ccp_dec_top(d);
    }
    f->in = CCP_IN_KEY;
    lua_rawset(d->L, ccp_dec_at(d, f));
  }
}

static int step_table(ccp_dec *d) {
  ccp_open *f = ccp_dec_top(d);
  if (f->in == CCP_IN_ITEM && !step_items(d))
    return 0;
  if (ccp_dec_top(d)->in != CCP_IN_METATABLE) {
    if (!step_pairs(d))
      return 0;
    f = ccp_dec_top(d);
    if (!f->meta)
      return 1;
    f->in = CCP_IN_METATABLE;
    if (ccp_dec_value(d) != CCP_PUSHED)
      return 0;
    f = ccp_dec_top(d);
    int type = lua_type(d->L, -1);
    if (type != LUA_TTABLE && type != LUA_TNIL)
      ccp_dec_bad(d, "metatable is no table");
    lua_setmetatable(d->L, ccp_dec_at(d, f));
  }
  return 1;
}

/* --- functions and saved values --- */

/* The next upvalue is one that another function has. */
static void join_upvalue(ccp_dec *d) {
  lua_State *L = d->L;
  d->p++;
  uint64_t off = ccp_dec_varint(d);
  int n = (int)ccp_dec_byte(d);
  ccp_dec_recall(d, off);
  if (!lua_isfunction(L, -1) || lua_iscfunction(L, -1) ||
      lua_upvalueid(L, -1, n) == NULL)
    ccp_dec_bad(d, "no such upvalue");
  ccp_open *f = ccp_dec_top(d);
  lua_upvaluejoin(L, ccp_dec_at(d, f), (int)f->next++, lua_gettop(L), n);
  lua_pop(L, 1);
}

/* Upvalues until a child opens (0) or they end (1). */
static int step_function(ccp_dec *d) {
  for (;;) {
    ccp_open *f = ccp_dec_top(d);
    if (f->next > f->last)
      return 1;
    if (d->p < d->end && *d->p == CCP_T_UPJOIN) {
      join_upvalue(d);
      continue;
    }
    if (ccp_dec_value(d) != CCP_PUSHED)
      return 0;
    f = ccp_dec_top(d);
    lua_setupvalue(d->L, ccp_dec_at(d, f), (int)f->next++);
  }
}

/* Saved values, or the parts of a type, until a child opens (0) or they end and
** are loaded (1). */
static int step_saved(ccp_dec *d) {
  lua_State *L = d->L;
  ccp_open *f = ccp_dec_top(d);
  while (f->next <= f->last) {
    if (ccp_dec_value(d) != CCP_PUSHED)
      return 0;
    f = ccp_dec_top(d);
    lua_rawseti(L, ccp_dec_at(d, f), (lua_Integer)f->next++);
  }
  if (f->in == CCP_IN_TYPE)
    return ccp_dec_end_type(d);
  int shared = f->shared;
  uint64_t off = f->off;
  ccp_custom_load(L, d->ctx, d->ctx_at, (int)f->last);
  if (shared)
    ccp_dec_remember(d, off);
  return 1;
}

/* --- all frames --- */

/* The value on the top, a frame just closed, goes to the innermost frame. */
static void deliver(ccp_dec *d) {
  lua_State *L = d->L;
  ccp_open *f = ccp_dec_top(d);
  int at = ccp_dec_at(d, f);
  switch (f->in) {
  case CCP_IN_ITEM:
  case CCP_IN_SAVED:
  case CCP_IN_TYPE:
    lua_rawseti(L, at, (lua_Integer)f->next++);
    break;
  case CCP_IN_KEY:
    check_key(d);
    f->in = CCP_IN_VALUE;
    break;
  case CCP_IN_VALUE:
    f->in = CCP_IN_KEY;
    lua_rawset(L, at);
    break;
  case CCP_IN_LATE:
    ccp_dec_late(d);
    break;
  case CCP_IN_AFTER:
    ccp_dec_after(d);
    break;
  case CCP_IN_METATABLE:
    if (!lua_istable(L, -1))
      ccp_dec_bad(d, "metatable is no table");
    lua_setmetatable(L, at);
    break;
  default:
    lua_setupvalue(L, at, (int)f->next++);
  }
}

static int step(ccp_dec *d) {
  switch (ccp_dec_top(d)->in) {
  case CCP_IN_UPVALUE:
    return step_function(d);
  case CCP_IN_SAVED:
  case CCP_IN_TYPE:
    return step_saved(d);
  case CCP_IN_LATE:
    return ccp_dec_step_late(d);
  case CCP_IN_AFTER:
    return ccp_dec_step_after(d);
  default:
    return step_table(d);
  }
}

void ccp_dec_run(ccp_dec *d) {
  for (;;) {
    if (!step(d))
      continue; /* with the child that opened */
    d->depth--;
    d->s->frames.len -= sizeof(ccp_open);
    if (d->depth == 0)
      return;
    if (d->depth >= CCP_DEC_LEVELS)
      unspill_parent(d);
    deliver(d);
  }
}
