/*
** Objects to bytes: what is referred to again, has a name, is registered, or
** cannot travel. See encode.h. The thread of the state.
*/
#include "codec/encode.h"

#include "codec/custom.h"
#include "codec/emit.h"
#include "codec/func.h"
#include "codec/names.h"
#include "os/codes.h"

/* The value on the top cannot travel: its path becomes the result. */
static int refuse(ccp_enc *e, const char *why) {
  ccp_path_push(e, why);
  lua_replace(e->L, e->top + 1);
  lua_settop(e->L, e->top + 1);
  return CCP_E_NOTSENDABLE;
}

/* The object on the top, found in the memo. */
static int put_ref(ccp_enc *e, uint64_t word) {
  if (word & 1)
    return refuse(e, "needs itself to be loaded");
  ccp_enc_share(e, word >> 1);
  lua_pop(e->L, 1);
  return ccp_emit_varint(e->b, CCP_T_REF, word >> 1);
}

/* Brings the index of names up to date, once per message, before the first
** object that is more than a plain table of data: those need not wait for it,
** and small messages hold nothing else. If it has changed by then, what was
** written before must be looked at again. */
static int fresh_names(ccp_enc *e) {
  if (e->named)
    return CCP_OK;
  e->named = 1;
  int rc = ccp_names_refresh(e->L, e->ctx, ccp_enc_ctx(e), 0);
  if (rc != CCP_NAMES_NEW)
    return rc;
  return e->looked ? CCP_STALE : CCP_OK;
}

/* Writes the object on the top by name: CCP_WRITTEN or CCP_NAMELESS. */
static int put_name(ccp_enc *e, const void *p, int plain) {
  lua_State *L = e->L;
  int rc = plain && e->ctx->names_built ? CCP_OK : fresh_names(e);
  if (rc != CCP_OK)
    return rc;
  e->looked = 1;
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
  int rc = put_name(e, p, 0);
  if (rc != CCP_NAMELESS)
    return rc;
  rc = ccp_names_refresh(e->L, e->ctx, ccp_enc_ctx(e), 1);
  if (rc < 0)
    return rc;
  rc = put_name(e, p, 0);
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
  int meta = lua_getmetatable(e->L, -1);
  if (meta)
    lua_pop(e->L, 1);
  rc = put_name(e, p, !meta);
  if (rc != CCP_NAMELESS)
    return rc;
  if (meta && ccp_custom_find(e->L, e->ctx, ccp_enc_ctx(e)))
    return open_saved(e, p, off);
  return ccp_enc_open_table(e, off, meta);
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

int ccp_enc_step_saved(ccp_enc *e) {
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
  /* What was sent before had no name then, and need not be asked again. */
  ccp_sent sent;
  int ctx_at = ccp_enc_ctx(e);
  if (ccp_func_find(e->L, e->ctx, ctx_at, e->fs, &sent))
    return ccp_enc_open_function(e, off, &sent, 1);
  rc = put_name(e, p, 0);
  if (rc != CCP_NAMELESS)
    return rc;
  rc = ccp_func_send(e->L, e->ctx, ctx_at, e->fs, &e->s->text, &sent);
  if (rc != CCP_OK && rc != CCP_E_FULL)
    return rc;
  return ccp_enc_open_function(e, off, &sent, rc == CCP_OK);
}

int ccp_enc_put_object(ccp_enc *e, int type) {
  switch (type) {
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
}
