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

static int refuse(ccp_enc *e, const char *why) {
  ccp_path_push(e, why);
  lua_replace(e->L, e->top + 1);
  lua_settop(e->L, e->top + 1);
  return CCP_E_NOTSENDABLE;
}

/* What a `save` raised, or nil, is on the top. */
static void keep_cause(ccp_enc *e) {
  lua_setiuservalue(e->L, ccp_enc_ctx(e), CCP_UV_CAUSE);
}

int ccp_enc_refuse(ccp_enc *e, const char *why) {
  lua_pushnil(e->L);
  keep_cause(e);
  return refuse(e, why);
}

int ccp_enc_refuse_saved(ccp_enc *e) {
  lua_State *L = e->L;
  lua_pushvalue(L, -1);
  keep_cause(e);
  const char *why = lua_tostring(L, -1);
  return refuse(e, why != NULL ? why : "its save failed");
}

int ccp_enc_put_ref(ccp_enc *e, uint64_t word) {
  if (word & 1)
    return ccp_enc_refuse(e, "needs itself to be loaded");
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

/* Will the state that decodes this find the name on the top? */
static int is_early(const ccp_enc *e) {
  lua_State *L = e->L;
  lua_getiuservalue(L, ccp_enc_ctx(e), CCP_UV_PRELOADS);
  lua_insert(L, -2);
  int preloads = e->what.first == CCP_WHAT_NEW && lua_istable(L, -2);
  int early = ccp_names_is_early(L, preloads ? lua_gettop(L) - 1 : 0);
  lua_remove(L, -2);
  return early;
}

int ccp_enc_put_name(ccp_enc *e, const void *p, int plain) {
  lua_State *L = e->L;
  int rc = plain && e->ctx->names_built ? CCP_OK : fresh_names(e);
  if (rc != CCP_OK)
    return rc;
  e->looked = 1;
  if (!ccp_names_maybe(e->ctx, p) || !ccp_names_find(L, ccp_enc_ctx(e)))
    return CCP_NAMELESS;
  if (e->what.first < -1 && !is_early(e)) {
    lua_pop(L, 1);
    return CCP_NAMELESS;
  }
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
  int rc = ccp_enc_put_name(e, p, 0);
  if (rc != CCP_NAMELESS)
    return rc;
  rc = ccp_names_refresh(e->L, e->ctx, ccp_enc_ctx(e), 1);
  if (rc < 0)
    return rc;
  rc = ccp_enc_put_name(e, p, 0);
  return rc != CCP_NAMELESS ? rc : ccp_enc_refuse(e, NULL);
}

/* Is the table on the top a registered metatable that travels as such? Then
** its entry takes its place. */
static int is_type(ccp_enc *e, const void *p) {
  lua_State *L = e->L;
  if (!ccp_custom_maybe(e->ctx, p) || !ccp_custom_of(L, e->ctx, ccp_enc_ctx(e)))
    return 0;
  int opaque = ccp_custom_has(L, CCP_E_OPAQUE) &&
               !ccp_custom_is_known(L, e->ctx, ccp_enc_ctx(e), e->fs);
  lua_remove(L, opaque ? -1 : -2);
  return !opaque;
}

/* As ccp_memo_add, with the offset of what is to be written; but what was late
** is new. */
static int look(ccp_enc *e, const void *p, size_t off, uint64_t *word) {
  int rc = ccp_memo_add(&e->s->seen, p, (uint64_t)off << 1, word);
  if (rc != 1 || *word != CCP_LATE)
    return rc;
  ccp_memo_set(&e->s->seen, p, (uint64_t)off << 1);
  return 0;
}

/* The entry of the metatable p is on the top. If it stands in the message, both
** are what stands there: no reference may lead to a reference. */
static int put_type(ccp_enc *e, const void *p) {
  const void *entry = lua_topointer(e->L, -1);
  if (ccp_memo_has(&e->s->seen, entry))
    ccp_memo_set(&e->s->seen, p, ccp_memo_value(&e->s->seen, entry));
  return ccp_enc_put_type(e);
}

static int put_table(ccp_enc *e) {
  const void *p = lua_topointer(e->L, -1);
  size_t off = ccp_enc_offset(e);
  uint64_t word;
  if (p == e->ctx->globals) {
    lua_pop(e->L, 1);
    return ccp_emit_tag(e->b, CCP_T_GLOBALS);
  }
  int rc = look(e, p, off, &word);
  if (rc != 0)
    return rc == 1 ? ccp_enc_put_ref(e, word) : rc;
  if (is_type(e, p))
    return put_type(e, p);
  int meta = lua_getmetatable(e->L, -1);
  if (meta)
    lua_pop(e->L, 1);
  rc = ccp_enc_put_name(e, p, !meta);
  if (rc != CCP_NAMELESS)
    return rc;
  if (meta && ccp_custom_find(e->L, e->ctx, ccp_enc_ctx(e)))
    return ccp_enc_open_saved(e, p, off);
  return ccp_enc_open_table(e, off, meta);
}

static int put_userdata(ccp_enc *e) {
  const void *p = lua_topointer(e->L, -1);
  size_t off = ccp_enc_offset(e);
  uint64_t word;
  int rc = look(e, p, off, &word);
  if (rc != 0)
    return rc == 1 ? ccp_enc_put_ref(e, word) : rc;
  if (!ccp_custom_find(e->L, e->ctx, ccp_enc_ctx(e)))
    return put_named(e);
  lua_pop(e->L, 1);
  rc = ccp_enc_put_name(e, p, 0); /* io.stdout stays io.stdout */
  if (rc != CCP_NAMELESS)
    return rc;
  (void)ccp_custom_find(e->L, e->ctx, ccp_enc_ctx(e));
  return ccp_enc_open_saved(e, p, off);
}

static int put_function(ccp_enc *e) {
  const void *p = lua_topointer(e->L, -1);
  size_t off = ccp_enc_offset(e);
  uint64_t word;
  int rc = ccp_memo_add(&e->s->seen, p, (uint64_t)off << 1, &word);
  if (rc != 0)
    return rc == 1 ? ccp_enc_put_ref(e, word) : rc;
  if (lua_iscfunction(e->L, -1))
    return put_named(e);
  /* What was sent before had no name then, and need not be asked again. */
  ccp_sent sent;
  int ctx_at = ccp_enc_ctx(e);
  if (ccp_func_find(e->L, e->ctx, ctx_at, e->fs, &sent))
    return ccp_enc_open_function(e, off, &sent, 1);
  rc = ccp_enc_put_name(e, p, 0);
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
    return ccp_enc_refuse(e, NULL);
  }
}
