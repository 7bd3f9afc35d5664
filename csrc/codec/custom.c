/*
** Values with a registered metatable; see custom.h. The thread of the state.
*/
#include "codec/custom.h"

#include <string.h>

#include <lauxlib.h>

#include "codec/codec.h"

enum { E_NAME = 1, E_SAVE, E_LOAD }; /* fields of an entry */

int ccp_codec_register(lua_State *L) {
  ccp_ctx *ctx = ccp_ctx_get(L);
  luaL_checkstack(L, 6, "codec");
  ccp_ctx_push(L);
  lua_getiuservalue(L, -1, CCP_UV_CUSTOM);
  lua_createtable(L, 3, 0);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, E_NAME);
  lua_pushvalue(L, 3);
  lua_rawseti(L, -2, E_SAVE);
  lua_pushvalue(L, 4);
  lua_rawseti(L, -2, E_LOAD);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, -2);
  lua_rawset(L, -4);
  lua_pushvalue(L, 2);
  lua_pushvalue(L, -2);
  lua_rawset(L, -4);
  lua_pop(L, 3);
  ctx->custom_count++;
  return 0;
}

int ccp_custom_find(lua_State *L, const ccp_ctx *ctx, int ctx_at) {
  if (ctx->custom_count == 0 || !lua_getmetatable(L, -1))
    return 0;
  lua_getiuservalue(L, ctx_at, CCP_UV_CUSTOM);
  lua_insert(L, -2);
  int found = lua_rawget(L, -2) == LUA_TTABLE;
  lua_remove(L, -2);
  if (!found)
    lua_pop(L, 1);
  return found;
}

/* A C function: calls save(value) and packs what it gives. */
static int save_packed(lua_State *L) {
  lua_call(L, 1, LUA_MULTRET);
  int n = lua_gettop(L);
  lua_createtable(L, n, 0);
  lua_insert(L, 1);
  for (int i = n; i >= 1; i--)
    lua_rawseti(L, 1, i);
  lua_pushinteger(L, n);
  return 2;
}

int ccp_custom_save(lua_State *L, int *n) {
  int value = lua_gettop(L) - 1, entry = value + 1;
  luaL_checkstack(L, 8, "codec");
  lua_rawgeti(L, entry, E_NAME);
  lua_pushcfunction(L, save_packed);
  lua_rawgeti(L, entry, E_SAVE);
  lua_pushvalue(L, value);
  int rc = lua_pcall(L, 2, 2, 0);
  if (rc == LUA_ERRMEM)
    lua_error(L);
  if (rc != LUA_OK) {
    lua_replace(L, value);
    lua_settop(L, value);
    return rc;
  }
  *n = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);         /* value, entry, name, array */
  lua_replace(L, entry); /* value, array, name */
  lua_replace(L, value); /* name, array */
  return LUA_OK;
}

static int find_load(lua_State *L, int ctx_at, const char *name, size_t len) {
  lua_getiuservalue(L, ctx_at, CCP_UV_CUSTOM);
  lua_pushlstring(L, name, len);
  int found = lua_rawget(L, -2) == LUA_TTABLE;
  lua_remove(L, -2);
  return found;
}

/* A worker that has not loaded ccpool yet does so when it gets a handle. */
static int find_after_require(lua_State *L, int ctx_at, const char *name,
                              size_t len) {
  if (len < 7 || strncmp(name, "ccpool.", 7) != 0)
    return 0;
  lua_getglobal(L, "require");
  lua_pushliteral(L, "ccpool");
  lua_call(L, 1, 0);
  lua_pop(L, 1);
  return find_load(L, ctx_at, name, len);
}

void ccp_custom_push_load(lua_State *L, int ctx_at, const char *name,
                          size_t len) {
  if (!find_load(L, ctx_at, name, len) &&
      !find_after_require(L, ctx_at, name, len)) {
    lua_pushlstring(L, name, len);
    lua_pushfstring(L,
                    "'%s' is not registered in this worker (ccpool.register)",
                    lua_tostring(L, -1));
    lua_error(L);
  }
  lua_rawgeti(L, -1, E_LOAD);
  lua_remove(L, -2);
}

void ccp_custom_load(lua_State *L, int n) {
  int array = lua_gettop(L) - 1;
  if (!lua_checkstack(L, n + 4)) {
    lua_pushliteral(L, "malformed message: too many saved values");
    lua_error(L);
  }
  for (int i = 1; i <= n; i++)
    lua_rawgeti(L, array, i);
  lua_call(L, n, 1);
  lua_replace(L, array);
}
