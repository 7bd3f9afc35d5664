/*
** One item: decode, call, encode. Runs in the thread of the Lua state.
*/
#include "worker/vm_call.h"

#include <string.h>

#include <lauxlib.h>

#include "codec/quick.h"
#include "os/codes.h"
#include "task/replies.h"

enum { FEW = 8 }; /* values that need no asking for stack */

static const char traceback_key = 0; /* its address: in the registry */

/* A function without upvalues, or with _ENV alone, has no state that one item
** could leave behind for the next. */
static int has_state(lua_State *L, int fn) {
  const char *first;
  int n = 0;
  if (!lua_isfunction(L, fn) || lua_iscfunction(L, fn))
    return 0;
  first = lua_getupvalue(L, fn, 1);
  if (!first)
    return 0;
  n += 1;
  if (lua_getupvalue(L, fn, 2))
    n += 1;
  lua_pop(L, n);
  return n > 1 || strcmp(first, "_ENV") != 0;
}

static void decode_one(lua_State *L, ccp_caller *c, const unsigned char *p,
                       size_t len) {
  size_t used;
  if (ccp_decode_in(L, c->codec, p, len, &used, c->funcs) != 1)
    luaL_error(L, "malformed message: one function expected");
}

static void push_function(lua_State *L, ccp_caller *c, const ccp_item *item) {
  if (item->first || !c->fn) {
    lua_settop(L, c->fn ? c->fn - 1 : lua_gettop(L));
    decode_one(L, c, item->fn, item->fn_len);
    c->fn = lua_gettop(L);
    c->fn_fresh = has_state(L, c->fn);
    lua_pushvalue(L, c->fn);
  } else if (c->fn_fresh)
    decode_one(L, c, item->fn, item->fn_len);
  else
    lua_pushvalue(L, c->fn);
}

/* Stack: path. What is told of values that cannot travel: the path and, behind
** a zero, what a `save` raised, if that can travel. Returns the status. */
static int not_sendable(lua_State *L, ccp_caller *c) {
  const ccp_what what = {"error", -1, 0};
  const char *path = lua_tostring(L, -1);
  int rc;
  ccp_buf_reset(&c->out);
  rc = ccp_buf_put(&c->out, path, strlen(path) + 1);
  if (rc == CCP_OK && ccp_codec_cause(L))
    rc = ccp_encode_in(L, c->codec, lua_gettop(L), 1, what, &c->out,
                       &ccp_funcs_home);
  return rc == CCP_OK || rc == CCP_E_NOTSENDABLE ? CCP_R_NOTSENDABLE
                                                 : CCP_R_MEMORY;
}

int ccp_caller_run(lua_State *L, ccp_caller *c, const ccp_item *item) {
  const ccp_what what = {"result", 1, 0};
  int base, n, rc;
  size_t used;
  if (item->fn)
    push_function(L, c, item);
  base = lua_gettop(L) + (item->fn ? 0 : 1);
  if (item->fn && ccp_quick_push(L, item->args, item->args_len))
    n = 1;
  else
    n = ccp_decode_in(L, c->codec, item->args, item->args_len, &used, c->funcs);
  if (!item->fn)
    n--; /* the function is the first value */
  if (n < 0)
    return luaL_error(L, "malformed message: no function");
  lua_call(L, n, LUA_MULTRET);
  n = lua_gettop(L) - base + 1;
  ccp_buf_reset(&c->out);
  if (n == 1 && lua_isinteger(L, base)) {
    unsigned char *to = ccp_buf_room(&c->out, CCP_QUICK_ROOM);
    if (to)
      c->out.len = ccp_quick_write(to, lua_tointegerx(L, base, NULL));
    lua_settop(L, base - 1);
    return to ? CCP_R_VALUES : CCP_R_MEMORY;
  }
  if (n > FEW)
    luaL_checkstack(L, 8, "too many results");
  rc = ccp_encode_in(L, c->codec, base, n, what, &c->out, &ccp_funcs_home);
  if (rc == CCP_E_NOTSENDABLE) {
    rc = not_sendable(L, c);
    lua_settop(L, base - 1);
    return rc;
  }
  lua_settop(L, base - 1);
  return rc == CCP_OK ? CCP_R_VALUES : CCP_R_MEMORY;
}

int ccp_caller_traceback(lua_State *L) {
  const char *text = lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1) : NULL;
  luaL_traceback(L, L, text, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &traceback_key);
  lua_settop(L, 1);
  return 1;
}

/* Stack: caller (light userdata), error value. Returns the status. */
static int encode_error(lua_State *L) {
  ccp_caller *c = lua_touserdata(L, 1);
  const ccp_what what = {"error", -1, 0};
  int rc;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &traceback_key);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &traceback_key);
  ccp_buf_reset(&c->out);
  rc = ccp_encode(L, 2, 2, what, &c->out, &ccp_funcs_home);
  if (rc == CCP_E_NOTSENDABLE)
    lua_pushinteger(L, not_sendable(L, c));
  else
    lua_pushinteger(L, rc == CCP_OK ? CCP_R_ERROR : CCP_R_MEMORY);
  return 1;
}

/* Encodes the error on the top, which the reply's status replaces, or what was
** raised meanwhile. */
static int try_encode(lua_State *L, ccp_caller *c) {
  lua_pushcfunction(L, encode_error);
  lua_insert(L, -2);
  lua_pushlightuserdata(L, c);
  lua_insert(L, -2);
  return lua_pcall(L, 2, 1, 0);
}

/* The same where hooks do not run. A handler may set another meanwhile: that
** one stays. */
static int try_unhooked(lua_State *L, ccp_caller *c) {
  lua_Hook hook = lua_gethook(L);
  int mask = lua_gethookmask(L), count = lua_gethookcount(L), status;
  lua_sethook(L, NULL, 0, 0);
  status = try_encode(L, c);
  if (!lua_gethook(L))
    lua_sethook(L, hook, mask, count);
  return status;
}

/* What raises while an error is encoded is a hook: an interruption, which is
** the error then. */
int ccp_caller_failed(lua_State *L, ccp_caller *c, int status) {
  int reply = CCP_R_MEMORY;
  if (status != LUA_ERRMEM) {
    status = try_encode(L, c);
    if (status == LUA_ERRRUN)
      status = try_unhooked(L, c);
    if (status == LUA_OK)
      reply = (int)lua_tointeger(L, -1);
  }
  lua_pop(L, 1);
  if (reply == CCP_R_MEMORY)
    ccp_buf_reset(&c->out);
  return reply;
}
