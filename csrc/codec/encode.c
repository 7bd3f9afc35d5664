/*
** Values to bytes; see codec.h for the contract, wire.h for the format and
** encode.h for what lies on the stack. The thread of the state.
**
** Most calls are a function sent before and a few scalars: they are written
** straight away (flat). The first value that is more takes scratch memory, and
** from there every table, function and saved value is a frame on an explicit
** stack, so that depth costs memory and never the C stack.
*/
#include "codec/encode.h"

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "codec/emit.h"
#include "codec/func.h"
#include "codec/wire.h"
#include "os/codes.h"

enum { STACK_ROOM = 2 * CCP_ENC_LEVELS + 32 };

/* --- frames --- */

void ccp_enc_take_slots(ccp_enc *e) {
  lua_State *L = e->L;
  if (e->depth >= CCP_ENC_LEVELS) {
    int slot = ccp_enc_slot(e, e->depth), spill = ccp_enc_spill(e);
    lua_Integer i = 2 * (lua_Integer)(e->depth - CCP_ENC_LEVELS);
    if (lua_isnil(L, spill)) {
      lua_newtable(L);
      lua_replace(L, spill);
    }
    lua_pushvalue(L, slot);
    lua_rawseti(L, spill, i + 1);
    lua_pushvalue(L, slot + 1);
    lua_rawseti(L, spill, i + 2);
    lua_replace(L, slot);
    lua_settop(L, slot);
  }
  lua_pushnil(L);
  e->depth++;
}

/* Field by field, so that none waits for others to be stored. */
int ccp_enc_push_frame(ccp_enc *e, size_t level, int at, size_t off,
                       uint64_t count, const void *obj) {
  if (ccp_buf_room(&e->s->frames, sizeof(ccp_frame)) == NULL)
    return CCP_E_NOMEM;
  e->s->frames.len += sizeof(ccp_frame);
  ccp_frame *f = ccp_enc_frame(e, level);
  f->at = (unsigned char)at;
  f->meta = 0;
  f->off = off;
  f->next = 0;
  f->count = count;
  f->pairs = 0;
  f->obj = obj;
  return CCP_OPENED;
}

int ccp_enc_open(ccp_enc *e, int at, size_t off, uint64_t count) {
  int rc = ccp_enc_push_frame(e, e->depth, at, off, count, NULL);
  if (rc == CCP_OPENED)
    ccp_enc_take_slots(e);
  return rc;
}

/* Ends the innermost frame; its parent finds its two slots as they were. */
static void close_frame(ccp_enc *e) {
  lua_State *L = e->L;
  e->depth--;
  e->s->frames.len -= sizeof(ccp_frame);
  lua_settop(L, ccp_enc_slot(e, e->depth) - 1);
  if (e->depth >= CCP_ENC_LEVELS) {
    lua_Integer i = 2 * (lua_Integer)(e->depth - CCP_ENC_LEVELS);
    lua_rawgeti(L, ccp_enc_spill(e), i + 1);
    lua_rawgeti(L, ccp_enc_spill(e), i + 2);
  }
}

void ccp_enc_keep(ccp_enc *e) {
  lua_State *L = e->L;
  int alive = ccp_enc_alive(e);
  if (lua_isnil(L, alive)) {
    lua_newtable(L);
    lua_replace(L, alive);
  }
  lua_rawseti(L, alive, (lua_Integer)lua_rawlen(L, alive) + 1);
}

/* --- single values --- */

int ccp_enc_strings(ccp_enc *e) {
  if (e->s->strs != NULL)
    return CCP_OK;
  e->s->strs = malloc(sizeof *e->s->strs);
  if (e->s->strs == NULL)
    return CCP_E_NOMEM;
  ccp_strs_init(e->s->strs);
  return CCP_OK;
}

int ccp_enc_put_text(ccp_enc *e, const void *p, const char *s, size_t len,
                     int hot) {
  if (len > CCP_SHORT_MAX)
    return ccp_emit_bytes(e->b, CCP_T_STR, s, len);
  int slot = CCP_STR_PLAIN;
  if (len > 0)
    slot = ccp_strs_find(e->s->strs, p, hot);
  if (slot >= 0)
    return ccp_emit_slot(e->b, slot);
  return ccp_emit_short(
      e->b, slot == CCP_STR_DEFINE ? CCP_T_DEFINE : CCP_T_SHORT, s, len);
}

int ccp_enc_new_string(ccp_enc *e, int idx, int hot) {
  size_t len;
  const char *s = lua_tolstring(e->L, idx, &len);
  return ccp_enc_put_text(e, lua_topointer(e->L, idx), s, len, hot);
}

static int put_string(ccp_enc *e, int idx) {
  int rc = ccp_enc_strings(e);
  return rc == CCP_OK ? ccp_enc_new_string(e, idx, 0) : rc;
}

int ccp_enc_scalar(ccp_enc *e, int idx, int type) {
  switch (type) {
  case LUA_TNUMBER:
    if (lua_isinteger(e->L, idx))
      return ccp_emit_int(e->b, lua_tointegerx(e->L, idx, NULL));
    return ccp_emit_float(e->b, lua_tonumberx(e->L, idx, NULL));
  case LUA_TSTRING:
    return put_string(e, idx);
  case LUA_TBOOLEAN:
    return ccp_emit_tag(e->b,
                        lua_toboolean(e->L, idx) ? CCP_T_TRUE : CCP_T_FALSE);
  case LUA_TNIL:
    return ccp_emit_tag(e->b, CCP_T_NIL);
  default:
    return CCP_NAMELESS;
  }
}

/* --- any value --- */

int ccp_enc_put(ccp_enc *e) {
  int type = lua_type(e->L, -1);
  int rc = ccp_enc_scalar(e, -1, type);
  if (rc == CCP_NAMELESS)
    return ccp_enc_put_object(e, type);
  lua_pop(e->L, 1);
  return rc;
}

/* Works on the frames until none is open. */
static int run(ccp_enc *e) {
  while (e->depth > 0) {
    int rc;
    switch (ccp_enc_top(e)->at) {
    case CCP_AT_UPVALUE:
      rc = ccp_enc_step_function(e);
      break;
    case CCP_AT_SAVED:
      rc = ccp_enc_step_saved(e);
      break;
    case CCP_AT_TYPE:
      rc = ccp_enc_step_type(e);
      break;
    case CCP_AT_AFTER:
      rc = ccp_enc_step_after(e);
      break;
    default:
      rc = ccp_enc_step_table(e);
    }
    if (rc < 0)
      return rc;
    if (rc == CCP_WRITTEN)
      close_frame(e);
  }
  return CCP_OK;
}

/* --- messages --- */

/* A function sent before that takes its id alone. */
static int put_sent(lua_State *L, ccp_ctx *ctx, int idx, ccp_buf *b,
                    const ccp_funcs *fs) {
  const void *p = lua_topointer(L, idx);
  const ccp_sent *way = ccp_func_way(ctx, p);
  if (p == NULL || way->fn != p || fs == NULL || way->uid != fs->uid)
    return CCP_NAMELESS;
  if (way->nups > 0 && !(way->env && ccp_func_env_is_globals(L, ctx, idx)))
    return CCP_NAMELESS;
  return ccp_emit_varint(b, CCP_T_FREF0, way->id);
}

/* A value of the message itself, if it needs no scratch memory. */
static int put_flat(lua_State *L, ccp_ctx *ctx, int idx, ccp_buf *b,
                    const ccp_funcs *fs) {
  if (lua_isinteger(L, idx))
    return ccp_emit_int(b, lua_tointegerx(L, idx, NULL));
  switch (lua_type(L, idx)) {
  case LUA_TNIL:
    return ccp_emit_tag(b, CCP_T_NIL);
  case LUA_TBOOLEAN:
    return ccp_emit_tag(b, lua_toboolean(L, idx) ? CCP_T_TRUE : CCP_T_FALSE);
  case LUA_TNUMBER:
    return ccp_emit_float(b, lua_tonumberx(L, idx, NULL));
  case LUA_TSTRING: {
    size_t len;
    const char *s = lua_tolstring(L, idx, &len);
    return ccp_emit_string(b, s, len);
  }
  case LUA_TFUNCTION:
    return put_sent(L, ctx, idx, b, fs);
  default:
    return CCP_NAMELESS;
  }
}

/* Types that a function must not be without while it is made. */
static int put_types(ccp_enc *e) {
  int rc = CCP_OK;
  for (int i = 1; rc == CCP_OK; i++) {
    rc = ccp_enc_next_type(e, i);
    if (rc == CCP_OPENED)
      rc = run(e);
  }
  return rc == CCP_NAMELESS ? CCP_OK : rc;
}

static int put_deep(ccp_enc *e, int first, int i, int n) {
  e->value = i;
  int rc = put_types(e);
  for (; i < n && rc == CCP_OK; i++) {
    e->value = i;
    lua_settop(e->L, e->top + 4);
    lua_pushvalue(e->L, first + i);
    rc = ccp_enc_put(e);
    if (rc == CCP_OPENED)
      rc = run(e);
  }
  return rc;
}

/* The values from number `i` on, with scratch memory. */
static int put_rest(ccp_enc *e, int first, int i, int n) {
  lua_State *L = e->L;
  e->top = lua_gettop(L);
  if (!lua_checkstack(L, STACK_ROOM))
    return CCP_E_NOMEM;
  ccp_ctx_push(L);
  ccp_ctx_globals(L, e->ctx, e->top + 1);
  e->s = ccp_scratch_take(L, e->ctx, e->top + 1, CCP_UV_ENC);
  size_t len = e->b->len;
  int rc = put_deep(e, first, i, n);
  while (rc == CCP_STALE) {
    e->b->len = len;
    e->depth = 0;
    e->types = 0;
    ccp_enc_forget(e);
    ccp_scratch_give(e->s); /* empties it */
    e->s->busy = 1;
    rc = put_deep(e, first, i, n);
  }
  ccp_scratch_give(e->s);
  lua_settop(L, rc == CCP_E_NOTSENDABLE ? e->top + 1 : e->top);
  return rc;
}

/* The values from number `i` on, the first of which is not flat. */
static int put_deep_values(lua_State *L, ccp_ctx *ctx, int first, int i, int n,
                           ccp_what what, ccp_buf *b, const ccp_funcs *fs,
                           size_t start) {
  ccp_enc e = {
      .L = L, .ctx = ctx, .b = b, .fs = fs, .what = what, .start = start};
  return put_rest(&e, first, i, n);
}

/* The values from number `i` on; what stands before them began at `start`. */
static inline int put_values(lua_State *L, ccp_ctx *ctx, int first, int i,
                             int n, ccp_what what, ccp_buf *b,
                             const ccp_funcs *fs, size_t start) {
  int rc = CCP_OK;
  for (; i < n && rc == CCP_OK; i++)
    rc = put_flat(L, ctx, first + i, b, fs);
  if (rc == CCP_NAMELESS)
    rc = put_deep_values(L, ctx, first, i - 1, n, what, b, fs, start);
  if (rc != CCP_OK)
    b->len = start;
  return rc;
}

static inline int put_count(ccp_buf *b, int n) {
  unsigned char *p = ccp_buf_room(b, CCP_VARINT_MAX);
  if (p == NULL)
    return CCP_E_NOMEM;
  b->len += (size_t)(ccp_wire_varint(p, (uint64_t)n) - p);
  return CCP_OK;
}

int ccp_encode_in(lua_State *L, ccp_ctx *ctx, int first, int n, ccp_what what,
                  ccp_buf *b, const ccp_funcs *fs) {
  size_t start = b->len;
  if (put_count(b, n) != CCP_OK)
    return CCP_E_NOMEM;
  return put_values(L, ctx, first, 0, n, what, b, fs, start);
}

int ccp_encode(lua_State *L, int first, int n, ccp_what what, ccp_buf *b,
               const ccp_funcs *fs) {
  return ccp_encode_in(L, ccp_ctx_get(L), first, n, what, b, fs);
}

int ccp_encode_call_in(lua_State *L, ccp_ctx *ctx, int first, int n,
                       ccp_what what, ccp_buf *b, const ccp_funcs *fs) {
  size_t start = b->len;
  int rc = put_count(b, n);
  if (rc == CCP_OK && n > 0) {
    rc = put_sent(L, ctx, first, b, fs);
    if (rc == CCP_NAMELESS && lua_type(L, first) == LUA_TSTRING) {
      size_t len;
      const char *s = lua_tolstring(L, first, &len);
      rc = ccp_emit_bytes(b, CCP_T_RESOLVE, s, len);
    }
  }
  if (rc < 0) {
    b->len = start;
    return rc;
  }
  int i = n > 0 && rc == CCP_OK;
  return put_values(L, ctx, first, i, n, what, b, fs, start);
}

int ccp_encode_call(lua_State *L, int first, int n, ccp_what what, ccp_buf *b,
                    const ccp_funcs *fs) {
  return ccp_encode_call_in(L, ccp_ctx_get(L), first, n, what, b, fs);
}
