/*
** Rules of tasks as views of an executor hold them. In the thread of the Lua
** state; the options were checked in Lua.
*/
#include "bind/lexecutor.h"

#include <stdlib.h>
#include <string.h>

#include "bind/lerror.h"
#include "os/clock.h"
#include "os/codes.h"

#define CLASS "ccpool.rules"

static int rules__gc(lua_State *L) {
  ccp_rules *r = lua_touserdata(L, 1);
  free(r->name);
  r->name = NULL;
  return 0;
}

static int64_t ns_field(lua_State *L, const char *name, int64_t least,
                        int64_t none) {
  int64_t ns = none;
  if (lua_getfield(L, 1, name) != LUA_TNIL) {
    double s = (double)luaL_checknumber(L, -1);
    if (s < 1e9) {
      ns = s > 0 ? (int64_t)(s * (double)CCP_NS_PER_S) : 0;
      ns = ns < least ? least : ns;
    }
  }
  lua_pop(L, 1);
  return ns;
}

static lua_Integer integer_field(lua_State *L, const char *name) {
  lua_Integer n =
      lua_getfield(L, 1, name) == LUA_TNIL ? 0 : luaL_checkinteger(L, -1);
  lua_pop(L, 1);
  return n;
}

/* rules(options) -> userdata for the second place of a view. */
static int core_rules(lua_State *L) {
  ccp_rules *r;
  lua_Integer retries;
  luaL_checktype(L, 1, LUA_TTABLE);
  r = lua_newuserdatauv(L, sizeof *r, 0);
  memset(r, 0, sizeof *r);
  luaL_setmetatable(L, CLASS);
  r->timeout_ns = ns_field(L, "timeout", CCP_NO_TIME, 0); /* 0: none */
  r->deadline_ns = ns_field(L, "deadline", 0, CCP_NEVER);
  r->priority = (int32_t)integer_field(L, "priority");
  retries = integer_field(L, "retries");
  r->retries = retries < UINT32_MAX ? (uint32_t)retries : UINT32_MAX;
  if (lua_getfield(L, 1, "name") == LUA_TSTRING) {
    r->name = strdup(lua_tostring(L, -1));
    if (!r->name)
      return ccp_error_raise(L, CCP_E_NOMEM, NULL);
  }
  lua_pop(L, 1);
  return 1;
}

const ccp_rules *ccp_rules_check(lua_State *L, int arg) {
  const ccp_rules *r = NULL;
  if (lua_istable(L, arg)) {
    lua_rawgeti(L, arg, 2);
    r = luaL_testudata(L, -1, CLASS); /* anchored in the view */
    lua_pop(L, 1);
  }
  return r;
}

int ccp_rules_apply(ccp_task *t, const ccp_rules *view) {
  ccp_rules *r = ccp_rules_copy(view);
  if (!r)
    return CCP_E_NOMEM;
  if (r->deadline_ns != CCP_NEVER)
    r->deadline_ns += ccp_clock_now_ns();
  if (t->rules) { /* whose the task is stays as it was */
    r->party = t->rules->party;
    r->is_guest = t->rules->is_guest;
    ccp_rules_free(t->rules);
  }
  t->rules = r;
  return CCP_OK;
}

/* save(rules) -> options, from which core_rules makes the same: a view travels
** with its executor. */
static int rules_save(lua_State *L) {
  const ccp_rules *r = luaL_checkudata(L, 1, CLASS);
  lua_createtable(L, 0, 5);
  if (r->timeout_ns == CCP_NO_TIME)
    lua_pushnumber(L, 0);
  else if (r->timeout_ns)
    lua_pushnumber(L, (lua_Number)r->timeout_ns / CCP_NS_PER_S);
  else
    lua_pushnil(L);
  lua_setfield(L, -2, "timeout");
  if (r->deadline_ns != CCP_NEVER)
    lua_pushnumber(L, (lua_Number)r->deadline_ns / CCP_NS_PER_S);
  else
    lua_pushnil(L);
  lua_setfield(L, -2, "deadline");
  lua_pushinteger(L, r->priority);
  lua_setfield(L, -2, "priority");
  lua_pushinteger(L, r->retries);
  lua_setfield(L, -2, "retries");
  lua_pushstring(L, r->name);
  lua_setfield(L, -2, "name");
  return 1;
}

/* The class is registered as a type that travels. Once per state. */
static void make_class(lua_State *L) {
  luaL_newmetatable(L, CLASS);
  lua_pushcfunction(L, rules__gc);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, ccp_codec_register);
  lua_pushliteral(L, CLASS);
  lua_rotate(L, -3, 2); /* register, name, class */
  lua_pushcfunction(L, rules_save);
  lua_pushcfunction(L, core_rules);
  lua_call(L, 4, 0);
}

void ccp_rules_functions(lua_State *L) {
  lua_pushcfunction(L, core_rules);
  lua_setfield(L, -2, "rules");
  make_class(L);
}
