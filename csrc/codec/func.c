/*
** Lua functions as bytecode; see func.h. The thread of the state.
*/
#include "codec/func.h"

#include <string.h>

#include <lauxlib.h>

#include "codec/wire.h"
#include "os/codes.h"

enum {
  CACHE_MAX = 1024, /* entries; then a cache starts again from nothing */
  NUPS_BITS = 8     /* an upvalue count, beside an id in one integer */
};

/* --- out --- */

int ccp_func_nups(lua_State *L) {
  lua_Debug ar;
  lua_pushvalue(L, -1);
  lua_getinfo(L, ">u", &ar);
  return ar.nups;
}

static int is_env_only(lua_State *L, int nups) {
  if (nups != 1)
    return 0;
  const char *name = lua_getupvalue(L, -1, 1);
  lua_pop(L, 1);
  return strcmp(name, "_ENV") == 0;
}

int ccp_func_env_is_globals(lua_State *L, const ccp_ctx *ctx, int idx) {
  lua_getupvalue(L, idx, 1);
  const void *env = lua_topointer(L, -1);
  lua_pop(L, 1);
  return env == ctx->globals;
}

static int write_dump(lua_State *L, const void *p, size_t n, void *ud) {
  (void)L;
  return ccp_buf_put(ud, p, n);
}

/* Who makes dumps here; see wire.h. */
static void origin(unsigned char *p) {
  p[0] = CCP_WIRE_VERSION;
  p[1] = LUA_VERSION_NUM / 100 * 10 + LUA_VERSION_NUM % 100;
  p[2] = sizeof(lua_Integer) << 4 | sizeof(lua_Number);
  p[3] = sizeof(void *) << 4 | (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
}

/* The sealed dump of the function on the top, in text. */
static int dump(lua_State *L, ccp_buf *text) {
  ccp_buf_reset(text);
  if (ccp_buf_room(text, CCP_SEAL) == NULL)
    return CCP_E_NOMEM;
  text->len = CCP_SEAL;
  if (lua_dump(L, write_dump, text, 0) != 0)
    return CCP_E_NOMEM;
  uint64_t h = ccp_wire_hash(text->data + CCP_SEAL, text->len - CCP_SEAL);
  origin(text->data);
  ccp_wire_store(text->data + CCP_ORIGIN, h, 8);
  return CCP_OK;
}

/* Replaces the user value `uv`, a cache, by an empty table. */
static void forget(lua_State *L, int ctx_at, int uv) {
  lua_newtable(L);
  lua_setiuservalue(L, ctx_at, uv);
}

/* Pushes the table function -> id of one store; made if need be. */
static void push_ids(lua_State *L, ccp_ctx *ctx, int ctx_at, uint64_t uid) {
  if (ctx->sent_count >= CACHE_MAX) {
    forget(L, ctx_at, CCP_UV_SENT);
    ctx->sent_count = 0;
  }
  lua_getiuservalue(L, ctx_at, CCP_UV_SENT);
  if (lua_rawgeti(L, -1, (lua_Integer)uid) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, (lua_Integer)uid);
    ctx->sent_count++;
  }
  lua_remove(L, -2);
}

/* Keeps the function on the top among the recent ones, unless it has upvalues
** of its own: those must not be kept alive by that. */
static void remember(lua_State *L, ccp_ctx *ctx, int ctx_at,
                     const ccp_sent *sent) {
  if (sent->nups > 0 && !sent->env)
    return;
  ccp_sent *way = ccp_func_way(ctx, sent->fn);
  lua_getiuservalue(L, ctx_at, CCP_UV_RECENT);
  lua_pushvalue(L, -2);
  way->fn = NULL;
  lua_rawseti(L, -2, (lua_Integer)(way - ctx->sent) + 1);
  lua_pop(L, 1);
  *way = *sent;
}

int ccp_func_find(lua_State *L, ccp_ctx *ctx, int ctx_at, const ccp_funcs *fs,
                  ccp_sent *out) {
  const void *fn = lua_topointer(L, -1);
  if (fs == NULL || fs == &ccp_funcs_home)
    return 0;
  *out = *ccp_func_way(ctx, fn);
  if (out->fn == fn && out->uid == fs->uid)
    return 1;
  push_ids(L, ctx, ctx_at, fs->uid);
  lua_pushvalue(L, -2);
  int known = lua_rawget(L, -2) == LUA_TNUMBER;
  uint64_t v = (uint64_t)lua_tointeger(L, -1);
  lua_pop(L, 2);
  if (!known)
    return 0;
  out->fn = fn;
  out->uid = fs->uid;
  out->id = v >> NUPS_BITS;
  out->nups = (int)(v & ((1u << NUPS_BITS) - 1));
  out->env = is_env_only(L, out->nups);
  remember(L, ctx, ctx_at, out);
  return 1;
}

/* Keeps the id of the function on the top. */
static void keep_id(lua_State *L, ccp_ctx *ctx, int ctx_at,
                    const ccp_sent *sent) {
  if (sent->id >> (63 - NUPS_BITS) != 0)
    return;
  uint64_t v = sent->id << NUPS_BITS | (uint64_t)sent->nups;
  push_ids(L, ctx, ctx_at, sent->uid);
  lua_pushvalue(L, -2);
  lua_pushinteger(L, (lua_Integer)v);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  ctx->sent_count++;
  remember(L, ctx, ctx_at, sent);
}

int ccp_func_send(lua_State *L, ccp_ctx *ctx, int ctx_at, const ccp_funcs *fs,
                  ccp_buf *text, ccp_sent *out) {
  out->fn = lua_topointer(L, -1);
  out->nups = ccp_func_nups(L);
  out->env = is_env_only(L, out->nups);
  int rc = dump(L, text);
  ctx->dumps++;
  if (rc != CCP_OK || fs == NULL)
    return rc != CCP_OK ? rc : CCP_E_FULL;
  out->uid = fs->uid;
  uint64_t hash = ccp_wire_fetch(text->data + CCP_ORIGIN, 8);
  rc = fs->put(fs->ud, text->data, text->len, hash, &out->id);
  if (rc == CCP_OK)
    keep_id(L, ctx, ctx_at, out);
  return rc;
}

/* --- in --- */

struct input {
  const void *p; /* NULL once read */
  size_t len;
};

static const char *read_dump(lua_State *L, void *ud, size_t *len) {
  struct input *in = ud;
  const void *p = in->p;
  (void)L;
  *len = p != NULL ? in->len : 0;
  in->p = NULL;
  return p;
}

/* Raises if a dump of that origin is not for this Lua: no other's bytecode may
** be loaded, and none that another ccpool sealed. */
static void check_origin(lua_State *L, const unsigned char *p) {
  unsigned char here[CCP_ORIGIN];
  origin(here);
  if (memcmp(p, here, CCP_ORIGIN) == 0)
    return;
  if (p[0] != here[0])
    lua_pushliteral(L, "cannot load a function: another version of ccpool "
                       "made it");
  else if (p[1] != here[1])
    lua_pushfstring(L,
                    "cannot load a function: it is bytecode of Lua %d.%d, and "
                    "this is Lua %d.%d",
                    p[1] / 10, p[1] % 10, here[1] / 10, here[1] % 10);
  else
    lua_pushliteral(L, "cannot load a function: it is bytecode of a machine "
                       "with other sizes of numbers or another byte order");
  lua_error(L);
}

void ccp_func_load(lua_State *L, ccp_ctx *ctx, const void *sealed, size_t len) {
  const unsigned char *p = sealed;
  if (len >= CCP_SEAL)
    check_origin(L, p);
  if (len < CCP_SEAL || ccp_wire_fetch(p + CCP_ORIGIN, 8) !=
                            ccp_wire_hash(p + CCP_SEAL, len - CCP_SEAL)) {
    lua_pushliteral(L, "malformed message: damaged function");
    lua_error(L);
  }
  struct input in = {p + CCP_SEAL, len - CCP_SEAL};
  int rc = lua_load(L, read_dump, &in, "=function", "b");
  if (rc == LUA_ERRSYNTAX)
    lua_pushfstring(L, "cannot load a function: %s", lua_tostring(L, -1));
  if (rc != LUA_OK)
    lua_error(L);
  ctx->loads++;
}

static void load_kept(lua_State *L, ccp_ctx *ctx, const ccp_funcs *fs,
                      uint64_t id) {
  const void *p = NULL;
  size_t len = 0;
  if (fs == NULL || fs->get(fs->ud, id, &p, &len) != CCP_OK) {
    lua_pushliteral(L, "malformed message: unknown function");
    lua_error(L);
  }
  ccp_func_load(L, ctx, p, len);
}

/* Pushes the plain function of that id, from the table or new. */
static void fetch_plain(lua_State *L, ccp_ctx *ctx, const ccp_funcs *fs,
                        uint64_t id) {
  ccp_ctx_push(L);
  if (ctx->loaded_count >= CACHE_MAX) {
    forget(L, lua_gettop(L), CCP_UV_LOADED);
    ctx->loaded_count = 0;
  }
  lua_getiuservalue(L, -1, CCP_UV_LOADED);
  lua_replace(L, -2);
  if (lua_rawgeti(L, -1, (lua_Integer)id) != LUA_TFUNCTION) {
    lua_pop(L, 1);
    load_kept(L, ctx, fs, id);
    if (ccp_func_nups(L) > 1) {
      lua_pushliteral(L, "malformed message: upvalues missing");
      lua_error(L);
    }
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, (lua_Integer)id);
    ctx->loaded_count++;
  }
  lua_remove(L, -2);
}

/* Sets the one upvalue of the function on the top, whatever the function did
** to it when it ran. */
static void set_env(lua_State *L) {
  lua_pushglobaltable(L);
  lua_setupvalue(L, -2, 1);
}

void ccp_func_fetch(lua_State *L, ccp_ctx *ctx, const ccp_funcs *fs,
                    uint64_t id, int plain) {
  if (!plain) {
    load_kept(L, ctx, fs, id);
    return;
  }
  ccp_got *got = &ctx->got[id % CCP_FUNC_WAYS];
  if (got->ref != 0 && got->id == id) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, got->ref);
  } else {
    luaL_checkstack(L, 16, "codec");
    fetch_plain(L, ctx, fs, id);
    if (got->ref == 0) {
      lua_pushboolean(L, 1);
      got->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    got->env = ccp_func_nups(L) > 0;
    got->id = id;
    lua_pushvalue(L, -1);
    lua_rawseti(L, LUA_REGISTRYINDEX, got->ref);
  }
  if (got->env)
    set_env(L);
}
