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

#include "codec/custom.h"
#include "codec/emit.h"
#include "codec/func.h"
#include "codec/names.h"
#include "codec/wire.h"
#include "os/codes.h"

enum { STACK_ROOM = 2 * CCP_ENC_LEVELS + 32 };

/* --- frames --- */

int ccp_enc_open(ccp_enc *e, int at, size_t off, uint64_t count) {
  lua_State *L = e->L;
  ccp_frame f = {.at = (unsigned char)at, .off = off, .count = count};
  int rc = ccp_buf_put(&e->s->frames, &f, sizeof f);
  if (rc != CCP_OK)
    return rc;
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
  return CCP_OPENED;
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

/* The value on the top cannot travel: its path becomes the result. */
static int refuse(ccp_enc *e, const char *why) {
  ccp_path_push(e, why);
  lua_replace(e->L, e->top + 1);
  lua_settop(e->L, e->top + 1);
  return CCP_E_NOTSENDABLE;
}

/* --- single values --- */

/* The object on the top, found in the memo. */
static int put_ref(ccp_enc *e, uint64_t word) {
  if (word & 1)
    return refuse(e, "needs itself to be loaded");
  ccp_enc_share(e, word >> 1);
  lua_pop(e->L, 1);
  return ccp_emit_varint(e->b, CCP_T_REF, word >> 1);
}

int ccp_enc_string(ccp_enc *e, int idx, int hot) {
  size_t len;
  const char *s = lua_tolstring(e->L, idx, &len);
  if (len > CCP_SHORT_MAX)
    return ccp_emit_bytes(e->b, CCP_T_STR, s, len);
  if (e->s->strs == NULL) {
    e->s->strs = malloc(sizeof *e->s->strs);
    if (e->s->strs == NULL)
      return CCP_E_NOMEM;
    ccp_strs_init(e->s->strs);
  }
  int slot = len > 1 ? ccp_strs_find(e->s->strs, s, hot) : CCP_STR_PLAIN;
  if (slot < 0)
    return ccp_emit_short(
        e->b, slot == CCP_STR_DEFINE ? CCP_T_DEFINE : CCP_T_SHORT, s, len);
  unsigned char *p = ccp_buf_room(e->b, 2);
  if (p == NULL)
    return CCP_E_NOMEM;
  p[0] = CCP_T_SREF;
  p[1] = (unsigned char)slot;
  e->b->len += 2;
  return CCP_OK;
}

static int put_number(ccp_enc *e, int idx) {
  if (lua_isinteger(e->L, idx))
    return ccp_emit_int(e->b, lua_tointegerx(e->L, idx, NULL));
  return ccp_emit_float(e->b, lua_tonumberx(e->L, idx, NULL));
}

/* --- named and registered values --- */

static int fresh_names(ccp_enc *e) {
  if (e->named)
    return CCP_OK;
  e->named = 1;
  return ccp_names_refresh(e->L, e->ctx, ccp_enc_ctx(e), 0);
}

/* Writes the object on the top by name: CCP_WRITTEN or CCP_NAMELESS. */
static int put_name(ccp_enc *e, const void *p) {
  lua_State *L = e->L;
  int rc = fresh_names(e);
  if (rc != CCP_OK)
    return rc;
  if (!ccp_names_maybe(e->ctx, p) || !ccp_names_find(L, ccp_enc_ctx(e)))
    return CCP_NAMELESS;
  size_t len;
  const char *name = lua_tolstring(L, -1, &len);
  rc = ccp_emit_bytes(e->b, CCP_T_NAME, name, len);
  lua_pop(L, 2);
  return rc;
}

/* Objects that have a name or cannot travel. The index may be older than the
** object: look again before refusing. */
static int put_named(ccp_enc *e) {
  const void *p = lua_topointer(e->L, -1);
  int rc = put_name(e, p);
  if (rc != CCP_NAMELESS)
    return rc;
  rc = ccp_names_refresh(e->L, e->ctx, ccp_enc_ctx(e), 1);
  if (rc == CCP_OK)
    rc = put_name(e, p);
  return rc != CCP_NAMELESS ? rc : refuse(e, NULL);
}

/* Stack: value, its entry. Opens what its `save` gives. */
static int open_saved(ccp_enc *e, const void *p, size_t off) {
  lua_State *L = e->L;
  int n = 0;
  if (ccp_custom_save(L, &n) != LUA_OK) {
    const char *msg = lua_tostring(L, -1);
    return refuse(e, msg != NULL ? msg : "its save failed");
  }
  /* User code ran: a string may have died, another may have its address. */
  if (e->s->strs != NULL)
    ccp_strs_clear(e->s->strs, 0);
  size_t len;
  const char *name = lua_tolstring(L, -2, &len);
  int rc = ccp_emit_bytes(e->b, CCP_T_USER, name, len);
  unsigned char *at = ccp_buf_room(e->b, CCP_VARINT_MAX);
  if (rc != CCP_OK || at == NULL)
    return CCP_E_NOMEM;
  e->b->len += (size_t)(ccp_wire_varint(at, (uint64_t)n) - at);
  lua_pushvalue(L, -1);
  ccp_enc_keep(e);
  lua_remove(L, -2);
  ccp_memo_set(&e->s->seen, p, (uint64_t)off << 1 | 1);
  rc = ccp_enc_open(e, CCP_AT_SAVED, off, (uint64_t)n);
  if (rc == CCP_OPENED)
    ccp_enc_top(e)->obj = p;
  return rc;
}

static int put_table(ccp_enc *e) {
  const void *p = lua_topointer(e->L, -1);
  size_t off = ccp_enc_offset(e);
  uint64_t word;
  if (p == e->ctx->globals) {
    lua_pop(e->L, 1);
    return ccp_emit_tag(e->b, CCP_T_GLOBALS);
  }
  int rc = ccp_memo_add(&e->s->seen, p, (uint64_t)off << 1, &word);
  if (rc != 0)
    return rc == 1 ? put_ref(e, word) : rc;
  rc = put_name(e, p);
  if (rc != CCP_NAMELESS)
    return rc;
  if (ccp_custom_find(e->L, e->ctx, ccp_enc_ctx(e)))
    return open_saved(e, p, off);
  return ccp_enc_open_table(e, off);
}

static int put_userdata(ccp_enc *e) {
  const void *p = lua_topointer(e->L, -1);
  size_t off = ccp_enc_offset(e);
  uint64_t word;
  int rc = ccp_memo_add(&e->s->seen, p, (uint64_t)off << 1, &word);
  if (rc != 0)
    return rc == 1 ? put_ref(e, word) : rc;
  if (ccp_custom_find(e->L, e->ctx, ccp_enc_ctx(e)))
    return open_saved(e, p, off);
  return put_named(e);
}

/* The next saved value of the innermost frame. */
static int step_saved(ccp_enc *e) {
  ccp_frame *f = ccp_enc_top(e);
  int slot = ccp_enc_slot(e, e->depth - 1), rc = CCP_WRITTEN;
  while (rc == CCP_WRITTEN && f->next < f->count) {
    lua_rawgeti(e->L, slot, (lua_Integer)++f->next);
    rc = ccp_enc_put(e);
  }
  if (rc == CCP_WRITTEN) /* from now on others may refer to it */
    ccp_memo_set(&e->s->seen, f->obj, (uint64_t)f->off << 1);
  return rc;
}

static int put_function(ccp_enc *e) {
  const void *p = lua_topointer(e->L, -1);
  size_t off = ccp_enc_offset(e);
  uint64_t word;
  int rc = ccp_memo_add(&e->s->seen, p, (uint64_t)off << 1, &word);
  if (rc != 0)
    return rc == 1 ? put_ref(e, word) : rc;
  if (lua_iscfunction(e->L, -1))
    return put_named(e);
  rc = put_name(e, p);
  return rc != CCP_NAMELESS ? rc : ccp_enc_open_function(e, off);
}

/* --- any value --- */

int ccp_enc_put(ccp_enc *e) {
  lua_State *L = e->L;
  int rc;
  switch (lua_type(L, -1)) {
  case LUA_TNIL:
    rc = ccp_emit_tag(e->b, CCP_T_NIL);
    break;
  case LUA_TBOOLEAN:
    rc = ccp_emit_tag(e->b, lua_toboolean(L, -1) ? CCP_T_TRUE : CCP_T_FALSE);
    break;
  case LUA_TNUMBER:
    rc = put_number(e, -1);
    break;
  case LUA_TSTRING:
    rc = ccp_enc_string(e, -1, 0);
    break;
  case LUA_TTABLE:
    return put_table(e);
  case LUA_TFUNCTION:
    return put_function(e);
  case LUA_TUSERDATA:
    return put_userdata(e);
  case LUA_TLIGHTUSERDATA:
    return put_named(e);
  default:
    return refuse(e, NULL);
  }
  lua_pop(L, 1);
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
      rc = step_saved(e);
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

/* The values from number `i` on, with scratch memory. */
static int put_rest(ccp_enc *e, int first, int i, int n) {
  lua_State *L = e->L;
  if (!lua_checkstack(L, STACK_ROOM))
    return CCP_E_NOMEM;
  ccp_ctx_push(L);
  ccp_ctx_globals(L, e->ctx, e->top + 1);
  e->s = ccp_scratch_take(L, e->ctx, e->top + 1, CCP_UV_ENC);
  int rc = CCP_OK;
  for (; i < n && rc == CCP_OK; i++) {
    e->value = i;
    lua_settop(L, e->top + 4);
    lua_pushvalue(L, first + i);
    rc = ccp_enc_put(e);
    if (rc == CCP_OPENED)
      rc = run(e);
  }
  ccp_scratch_give(e->s);
  lua_settop(L, rc == CCP_E_NOTSENDABLE ? e->top + 1 : e->top);
  return rc;
}

/* The first value, if it is what it mostly is: the function to call. */
static int put_first(ccp_enc *e, int first, int call) {
  if (call && lua_type(e->L, first) == LUA_TSTRING) {
    size_t len;
    const char *s = lua_tolstring(e->L, first, &len);
    return ccp_emit_bytes(e->b, CCP_T_RESOLVE, s, len);
  }
  return put_sent(e->L, e->ctx, first, e->b, e->fs);
}

static int encode(ccp_enc *e, int first, int n, int call) {
  lua_State *L = e->L;
  ccp_buf *b = e->b;
  unsigned char *p = ccp_buf_room(b, CCP_VARINT_MAX);
  if (p == NULL)
    return CCP_E_NOMEM;
  b->len += (size_t)(ccp_wire_varint(p, (uint64_t)n) - p);
  int rc = CCP_OK, i = 0;
  if (n > 0 && (rc = put_first(e, first, call)) == CCP_OK)
    i = 1;
  else if (rc == CCP_NAMELESS)
    rc = CCP_OK;
  for (; i < n && rc == CCP_OK; i++)
    rc = put_flat(L, e->ctx, first + i, b, e->fs);
  if (rc == CCP_NAMELESS) {
    e->top = lua_gettop(L);
    rc = put_rest(e, first, i - 1, n);
  }
  if (rc != CCP_OK)
    b->len = e->start;
  return rc;
}

int ccp_encode(lua_State *L, int first, int n, ccp_what what, ccp_buf *b,
               const ccp_funcs *fs) {
  ccp_enc e = {.L = L,
               .ctx = ccp_ctx_get(L),
               .b = b,
               .fs = fs,
               .what = what,
               .start = b->len};
  return encode(&e, first, n, 0);
}

int ccp_encode_call(lua_State *L, int first, int n, ccp_what what, ccp_buf *b,
                    const ccp_funcs *fs) {
  ccp_enc e = {.L = L,
               .ctx = ccp_ctx_get(L),
               .b = b,
               .fs = fs,
               .what = what,
               .start = b->len};
  return encode(&e, first, n, 1);
}
