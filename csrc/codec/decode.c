/*
** Bytes to values; see codec.h for the contract, wire.h for the format. The
** thread of the state, in protected mode.
**
** Nothing here trusts the bytes: every length, count, tag and reference is
** checked, and tables are made ahead only as large as the input that is left
** can fill. A message of scalars and a known function is pushed straight away
** (flat); the first value that is more takes scratch memory.
*/
#include "codec/decode.h"

#include <limits.h>
#include <stdlib.h>

#include <lauxlib.h>

#include "codec/custom.h"
#include "codec/func.h"
#include "codec/large.h"
#include "codec/names.h"
#include "codec/pace.h"
#include "codec/wire.h"

enum {
  STACK_ROOM = 2 * CCP_DEC_LEVELS + 48,
  SLOTS_FIRST = 16,
  SLOTS_TIMES = 4, /* string slots grow 16, 64, 256 */
  FLAT_MAX = 4,    /* values pushed without asking for stack */
  HINT_MAX = 40,
  REST_FROM = 16 << 10,    /* bytes: less is made before the collector is due */
  REST_TIMES = 32,         /* data takes no more than that, times its bytes */
  REST_MOST = INT_MAX / 2, /* KiB */
  LATER_MOST = 64 << 10    /* KiB: more counts at once */
};

/* While data is made the collector rests: all of it is alive, and what it goes
** through half-made it goes through again, in generational mode as old. It is
** lent more than the data takes, which it gives back but for what was taken:
** that counts when the state has nothing else to do, see ccp_codec_settle. What
** is more than data may run the code of others, which may make garbage. */
static void rest(ccp_dec *d) {
  size_t len = (size_t)(d->end - d->p), kb = len / 1024 * REST_TIMES;
  if (d->lent_kb > 0 || len < REST_FROM || !lua_gc(d->L, LUA_GCISRUNNING))
    return;
  ccp_codec_settle(d->L, d->ctx);
  d->lent_kb = kb < REST_MOST ? (int)kb : REST_MOST;
  d->heap_kb = lua_gc(d->L, LUA_GCCOUNT);
  ccp_gc_credit(d->L, d->lent_kb);
}

static void end_rest(ccp_dec *d) {
  int kb = d->lent_kb, took;
  d->lent_kb = 0;
  if (kb <= 0)
    return;
  took = lua_gc(d->L, LUA_GCCOUNT) - d->heap_kb;
  if (took > 0 && took <= LATER_MOST && took < kb && d->ctx->later_kb == 0) {
    d->ctx->later_kb = took;
    kb -= took;
  }
  ccp_gc_credit(d->L, -kb);
}

int ccp_codec_owes(const ccp_ctx *ctx) {
  return ctx->later_kb > 0;
}

void ccp_codec_settle(lua_State *L, ccp_ctx *ctx) {
  int kb = ctx->later_kb;
  ctx->later_kb = 0;
  if (kb > 0 && lua_gc(L, LUA_GCISRUNNING))
    ccp_gc_credit(L, -kb);
}

_Noreturn void ccp_dec_bad(ccp_dec *d, const char *why) {
  end_rest(d);
  lua_pushfstring(d->L, "malformed message: %s", why);
  lua_error(d->L);
  __builtin_unreachable();
}

uint64_t ccp_dec_long_varint(ccp_dec *d) {
  uint64_t v;
  const unsigned char *p = ccp_wire_unvarint(d->p, d->end, &v);
  if (p == NULL)
    ccp_dec_bad(d, "truncated");
  d->p = p;
  return v;
}

/* A length and that many bytes; they lie in the message. */
static const char *read_text(ccp_dec *d, size_t *len) {
  uint64_t n = ccp_dec_varint(d);
  const void *s = ccp_dec_bytes(d, n);
  *len = (size_t)n;
  return s;
}

/* --- strings with slots --- */

/* More slots, below the frames, which move up. */
static void add_slots(ccp_dec *d) {
  lua_State *L = d->L;
  int more = d->slots == 0 ? SLOTS_FIRST : d->slots * (SLOTS_TIMES - 1);
  int frames = ccp_dec_string(d, d->slots);
  luaL_checkstack(L, more + STACK_ROOM, "codec");
  int top = lua_gettop(L);
  lua_settop(L, top + more);
  if (top >= frames)
    lua_rotate(L, frames, more);
  d->slots += more;
}

/* A string that takes the next slot. */
static void push_defined(ccp_dec *d, size_t len) {
  int slot = (int)(d->defined++ % CCP_STR_SLOTS);
  const void *s = ccp_dec_bytes(d, len);
  if (slot >= d->slots)
    add_slots(d);
  lua_pushlstring(d->L, s, len);
  lua_copy(d->L, -1, ccp_dec_string(d, slot));
}

static void push_slot(ccp_dec *d) {
  unsigned slot = ccp_dec_byte(d);
  if (slot >= d->defined)
    ccp_dec_bad(d, "string not defined");
  lua_pushvalue(d->L, ccp_dec_string(d, (int)slot));
}

/* --- containers --- */

/* How many of n elements may be allocated ahead: every element of a message
** is at least a byte of it. */
static int ahead(ccp_dec *d, uint64_t n) {
  if (n > d->budget)
    n = d->budget;
  if (n > INT_MAX / 2)
    n = INT_MAX / 2;
  d->budget -= (size_t)n;
  return (int)n;
}

static int open_table(ccp_dec *d, uint64_t off, int shared, int meta) {
  unsigned hint = ccp_dec_byte(d);
  uint64_t narr = ccp_dec_varint(d);
  if (hint > HINT_MAX || narr > (uint64_t)LUA_MAXINTEGER)
    ccp_dec_bad(d, "table too large");
  int items = narr > 0 ? ahead(d, narr) : 0;
  int pairs = hint > 0 ? ahead(d, UINT64_C(1) << (hint - 1)) : 0;
  lua_createtable(d->L, items, pairs);
  if (shared)
    ccp_dec_remember_table(d, off);
  ccp_open *f = ccp_dec_open(d, narr > 0 ? CCP_IN_ITEM : CCP_IN_KEY, narr);
  f->meta = (uint8_t)meta;
  return CCP_OPENED_FRAME;
}

/* The function on the top is loaded; its upvalues follow. */
static int open_function(ccp_dec *d, uint64_t off, int shared) {
  unsigned n = ccp_dec_byte(d);
  if ((int)n != ccp_func_nups(d->L))
    ccp_dec_bad(d, "wrong number of upvalues");
  if (shared)
    ccp_dec_remember(d, off);
  (void)ccp_dec_open(d, CCP_IN_UPVALUE, n);
  return CCP_OPENED_FRAME;
}

static int open_saved(ccp_dec *d, uint64_t off, int shared) {
  uint64_t n = ccp_dec_varint(d);
  if (n == 0 || n > (uint64_t)(d->end - d->p))
    ccp_dec_bad(d, "truncated");
  lua_createtable(d->L, ahead(d, n), 0);
  ccp_open *f = ccp_dec_open(d, CCP_IN_SAVED, n);
  f->shared = (uint8_t)shared;
  f->off = off;
  return CCP_OPENED_FRAME;
}

static int open_after(ccp_dec *d) {
  lua_pushnil(d->L);
  (void)ccp_dec_open(d, CCP_IN_AFTER, 2);
  return CCP_OPENED_FRAME;
}

static void push_type(ccp_dec *d) {
  size_t len;
  const char *text = read_text(d, &len);
  ccp_custom_push_type(d->L, d->ctx_at, text, len);
}

/* A type with all its parts: its name and number lie behind them. */
static int open_type(ccp_dec *d, uint64_t off, int shared) {
  lua_State *L = d->L;
  size_t len;
  const char *name = read_text(d, &len);
  lua_createtable(L, CCP_E_PARTS + 2, 0);
  lua_pushlstring(L, name, len);
  lua_rawseti(L, -2, CCP_E_PARTS + 1);
  lua_pushinteger(L, (lua_Integer)ccp_dec_varint(d));
  lua_rawseti(L, -2, CCP_E_PARTS + 2);
  ccp_open *f = ccp_dec_open(d, CCP_IN_TYPE, CCP_E_PARTS);
  f->shared = (uint8_t)shared;
  f->off = off;
  return CCP_OPENED_FRAME;
}

static void push_dump(ccp_dec *d) {
  size_t len;
  const void *dump = read_text(d, &len);
  ccp_func_load(d->L, d->ctx, dump, len);
}

/* --- values --- */

/* A value that needs nothing but its bytes: pushed, or 0 and nothing read. */
static int push_scalar(ccp_dec *d, unsigned tag) {
  lua_State *L = d->L;
  switch (tag) {
  case CCP_T_NIL:
    lua_pushnil(L);
    return 1;
  case CCP_T_FALSE:
  case CCP_T_TRUE:
    lua_pushboolean(L, tag == CCP_T_TRUE);
    return 1;
  case CCP_T_INT8:
  case CCP_T_INT16:
  case CCP_T_INT32:
  case CCP_T_INT64: {
    size_t n = (size_t)1 << (tag - CCP_T_INT8);
    lua_pushinteger(L, ccp_wire_signed(ccp_dec_bytes(d, n), n));
    return 1;
  }
  case CCP_T_FLOAT:
    lua_pushnumber(L, ccp_wire_double(ccp_wire_fetch(ccp_dec_bytes(d, 8), 8)));
    return 1;
  case CCP_T_STR: {
    size_t len;
    const char *s = read_text(d, &len);
    ccp_push_bytes(L, s, len);
    return 1;
  }
  case CCP_T_RESOLVE: {
    size_t len;
    const char *s = read_text(d, &len);
    ccp_names_resolve_call(L, s, len);
    return 1;
  }
  case CCP_T_FREF0:
    ccp_func_fetch(L, d->ctx, d->fs, ccp_dec_varint(d), 1);
    return 1;
  default:
    return 0;
  }
}

/* A value whose tag may be shared, without that mark. */
static int read_object(ccp_dec *d, unsigned tag, uint64_t off, int shared) {
  lua_State *L = d->L;
  if (tag != CCP_T_TABLE && tag != CCP_T_TABLE_MT)
    end_rest(d);
  switch (tag) {
  case CCP_T_TABLE:
  case CCP_T_TABLE_MT:
    return open_table(d, off, shared, tag == CCP_T_TABLE_MT);
  case CCP_T_FREF:
    ccp_func_fetch(L, d->ctx, d->fs, ccp_dec_varint(d), 0);
    return open_function(d, off, shared);
  case CCP_T_FDUMP:
    push_dump(d);
    return open_function(d, off, shared);
  case CCP_T_USER:
    return open_saved(d, off, shared);
  case CCP_T_TYPE:
    return open_type(d, off, shared);
  case CCP_T_AFTER:
    return open_after(d);
  case CCP_T_TYPE0:
    push_type(d);
    break;
  case CCP_T_FREF0:
    (void)push_scalar(d, tag);
    break;
  case CCP_T_FDUMP0:
    push_dump(d);
    if (ccp_func_nups(L) > 1)
      ccp_dec_bad(d, "upvalues missing");
    break;
  case CCP_T_NAME: {
    size_t len;
    const char *name = read_text(d, &len);
    ccp_names_resolve(L, name, len);
    ccp_names_note(L, d->ctx, d->ctx_at, name, len);
    break;
  }
  default:
    ccp_dec_bad(d, "unknown tag");
  }
  if (shared)
    ccp_dec_remember(d, off);
  return CCP_PUSHED;
}

int ccp_dec_value(ccp_dec *d) {
  uint64_t off = (uint64_t)(d->p - d->start);
  unsigned tag = ccp_dec_byte(d);
  if (tag >= CCP_T_SMALL) {
    lua_pushinteger(d->L, (int)tag - CCP_T_SMALL + CCP_SMALL_MIN);
  } else if (tag >= CCP_T_DEFINE) {
    push_defined(d, tag - CCP_T_DEFINE);
  } else if (tag >= CCP_T_SHORT) {
    const void *s = ccp_dec_bytes(d, tag - CCP_T_SHORT);
    lua_pushlstring(d->L, s, tag - CCP_T_SHORT);
  } else if (tag == CCP_T_TABLE) {
    return open_table(d, off, 0, 0);
  } else if (tag == CCP_T_SREF) {
    push_slot(d);
  } else if (tag == CCP_T_GLOBALS) {
    lua_pushglobaltable(d->L);
  } else if (tag == CCP_T_REF) {
    ccp_dec_recall(d, ccp_dec_varint(d));
  } else if (tag >= CCP_T_TABLE || !push_scalar(d, tag)) {
    int shared = (tag & CCP_T_SHARED) != 0;
    return read_object(d, tag & ~(unsigned)CCP_T_SHARED, off, shared);
  }
  return CCP_PUSHED;
}

/* --- messages --- */

/* Reads a value that needs no scratch memory: pushes it, or returns 0. */
static int read_flat(ccp_dec *d) {
  unsigned tag = ccp_dec_byte(d);
  if (tag >= CCP_T_SMALL) {
    lua_pushinteger(d->L, (int)tag - CCP_T_SMALL + CCP_SMALL_MIN);
    return 1;
  }
  if (tag >= CCP_T_SHORT && tag < CCP_T_DEFINE) {
    const void *s = ccp_dec_bytes(d, tag - CCP_T_SHORT);
    lua_pushlstring(d->L, s, tag - CCP_T_SHORT);
    return 1;
  }
  if (push_scalar(d, tag))
    return 1;
  d->p--;
  return 0;
}

/* The values from number `i` on, with scratch memory. The stack ends with the
** `i` values before them. */
static void read_rest(ccp_dec *d, int i, int n) {
  lua_State *L = d->L;
  int base = lua_gettop(L) - i;
  luaL_checkstack(L, n - i + STACK_ROOM, "codec");
  lua_settop(L, base + n);
  ccp_ctx_push(L);
  d->ctx_at = base + n + 1;
  d->s = ccp_scratch_take(L, d->ctx, d->ctx_at, CCP_UV_DEC);
  lua_settop(L, d->ctx_at + 3);
  for (; i < n; i++) {
    rest(d);
    if (ccp_dec_value(d) != CCP_PUSHED)
      ccp_dec_run(d);
    lua_replace(L, base + i + 1);
  }
  end_rest(d);
  ccp_scratch_give(d->s);
  lua_settop(L, base + n);
}

int ccp_decode_in(lua_State *L, ccp_ctx *ctx, const void *p, size_t len,
                  size_t *used, const ccp_funcs *fs) {
  const unsigned char *start = p;
  ccp_dec d = {.L = L,
               .ctx = ctx,
               .fs = fs,
               .start = start,
               .p = start,
               .end = start + len,
               .budget = len};
  uint64_t count = ccp_dec_varint(&d);
  if (count > (uint64_t)(d.end - d.p) || count > INT_MAX / 2)
    ccp_dec_bad(&d, "truncated");
  int n = (int)count, i = 0;
  if (n > FLAT_MAX)
    luaL_checkstack(L, n + STACK_ROOM, "codec");
  while (i < n && read_flat(&d))
    i++;
  if (i < n)
    read_rest(&d, i, n);
  *used = (size_t)(d.p - d.start);
  return n;
}

int ccp_decode(lua_State *L, const void *p, size_t len, size_t *used,
               const ccp_funcs *fs) {
  return ccp_decode_in(L, ccp_ctx_get(L), p, len, used, fs);
}
