/*
** Names back to objects, by require; see names.h. The thread of the state.
** Runs user code: modules' chunks and their __index.
*/
#include "codec/names.h"

#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

enum { CALL_NAME_MAX = 250, CALL_DOTS_MAX = 15 };

/* Pushes package.loaded[name on the top], which it pops; nil if not loaded. */
static void push_loaded(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_insert(L, -2);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  if (!lua_toboolean(L, -1)) {
    lua_pop(L, 1);
    lua_pushnil(L);
  }
}

/* The name on the top becomes the module, or require's error message; returns
** the status of the call. */
static int require_module(lua_State *L) {
  lua_pushvalue(L, -1);
  push_loaded(L);
  if (!lua_isnil(L, -1)) {
    lua_remove(L, -2);
    return LUA_OK;
  }
  lua_pop(L, 1);
  lua_getglobal(L, "require");
  lua_insert(L, -2);
  return lua_pcall(L, 1, 1, 0);
}

/* Replaces the object on the top by its field: nil if it cannot have one. */
static void step_field(lua_State *L, const char *key, size_t len) {
  int indexable = lua_istable(L, -1);
  if (!indexable && luaL_getmetafield(L, -1, "__index") != LUA_TNIL) {
    lua_pop(L, 1);
    indexable = 1;
  }
  if (indexable) {
    lua_pushlstring(L, key, len);
    lua_gettable(L, -2);
  } else {
    lua_pushnil(L);
  }
  lua_remove(L, -2);
}

/* Pushes the name as a person reads it. */
static const char *readable(lua_State *L, const char *name, size_t len) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (size_t i = 0; i < len; i++) {
    if (name[i] != '\0') {
      luaL_addchar(&b, name[i]);
    } else if (i + 1 < len && name[++i] == '@') {
      luaL_addstring(&b, " metatable");
    } else {
      luaL_addchar(&b, '.');
    }
  }
  luaL_pushresult(&b);
  return lua_tostring(L, -1);
}

void ccp_names_resolve(lua_State *L, const char *name, size_t len) {
  const char *end = name + len;
  const char *at = memchr(name, '\0', len);
  if (at == NULL)
    at = end;
  lua_pushlstring(L, name, (size_t)(at - name));
  if (require_module(L) != LUA_OK)
    lua_error(L);
  while (at < end && !lua_isnil(L, -1)) {
    char kind = at + 1 < end ? at[1] : '?';
    const char *key = at + 1 < end ? at + 2 : end;
    at = memchr(key, '\0', (size_t)(end - key));
    if (at == NULL)
      at = end;
    if (kind != '@')
      step_field(L, key, (size_t)(at - key));
    else if (lua_getmetatable(L, -1))
      lua_remove(L, -2);
    else
      lua_pushnil(L);
  }
  if (!lua_isnil(L, -1))
    return;
  lua_pushfstring(L, "cannot find '%s' in this worker", readable(L, name, len));
  lua_error(L);
}

static int is_callable(lua_State *L) {
  if (lua_isfunction(L, -1))
    return 1;
  if (luaL_getmetafield(L, -1, "__call") == LUA_TNIL)
    return 0;
  lua_pop(L, 1);
  return 1;
}

/* Replaces the module on the top by what the dotted path in it leads to. */
static void walk(lua_State *L, const char *path) {
  while (*path != '\0' && !lua_isnil(L, -1)) {
    const char *dot = strchr(path, '.');
    size_t len = dot != NULL ? (size_t)(dot - path) : strlen(path);
    step_field(L, path, len);
    path += dot != NULL ? len + 1 : len;
  }
}

/* The end of the dotted prefix that is one part shorter, or 0. */
static size_t shorter(const char *name, size_t len) {
  while (len > 0 && name[len - 1] != '.')
    len--;
  return len > 0 ? len - 1 : 0;
}

/* Is the message on the top require's way to say that there is none? */
static int is_absent(lua_State *L, const char *module) {
  const char *msg = lua_tostring(L, -1);
  if (msg == NULL)
    return 0;
  lua_pushfstring(L, "module '%s' not found", module);
  int absent = strstr(msg, lua_tostring(L, -1)) != NULL;
  lua_pop(L, 1);
  return absent;
}

/* Tries the prefix of that length as a module. Returns 1 with the callable on
** the top, else 0; raises what goes wrong inside the module. */
static int try_prefix(lua_State *L, const char *name, size_t len, int load) {
  const char *path = name[len] == '.' ? name + len + 1 : name + len;
  const char *module = lua_pushlstring(L, name, len);
  lua_pushvalue(L, -1);
  if (!load) {
    push_loaded(L);
  } else if (require_module(L) != LUA_OK) {
    if (!is_absent(L, module)) {
      lua_pushfstring(L, "cannot resolve '%s': %s", name,
                      luaL_tolstring(L, -1, NULL));
      lua_error(L);
    }
    lua_pop(L, 2);
    return 0;
  }
  lua_remove(L, -2);
  walk(L, path);
  if (is_callable(L))
    return 1;
  lua_pop(L, 1);
  return 0;
}

/* Is it worth looking for? Every part costs a look at the disk. */
static int is_dotted(const char *name, size_t len) {
  size_t dots = 0;
  if (len == 0 || len > CALL_NAME_MAX || strlen(name) != len)
    return 0;
  for (size_t i = 0; i < len; i++) {
    if (name[i] != '.')
      continue;
    dots++;
    if (i == 0 || i + 1 == len || name[i + 1] == '.')
      return 0;
  }
  return dots <= CALL_DOTS_MAX;
}

void ccp_names_resolve_call(lua_State *L, const char *bytes, size_t len) {
  luaL_checkstack(L, 16, "codec");
  const char *name = lua_pushlstring(L, bytes, len);
  int tries = is_dotted(name, len) ? 2 : 0;
  /* What is loaded already needs no look at the disk. */
  for (int load = 0; load < tries; load++)
    for (size_t n = len; n > 0; n = shorter(name, n))
      if (try_prefix(L, name, n, load)) {
        lua_remove(L, -2);
        return;
      }
  lua_pushfstring(L, "cannot resolve '%s': no such module.function", name);
  lua_error(L);
}

/* ------------------------------------------------ in a new state */

/* What every state has, whatever its paths are. */
static int is_built_in(const char *module) {
  return ccp_names_is_standard(module) || strcmp(module, LUA_GNAME) == 0 ||
         strcmp(module, LUA_LOADLIBNAME) == 0 ||
         strcmp(module, "ccpool.core") == 0;
}

static int has_field(lua_State *L, int table, const char *name) {
  lua_pushstring(L, name);
  int has = lua_rawget(L, table) != LUA_TNIL;
  lua_pop(L, 1);
  return has;
}

static int has_preload(lua_State *L, const char *module) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  int has = has_field(L, lua_gettop(L), module);
  lua_pop(L, 1);
  return has;
}

/* Is there a file for the module, by that field of package? */
static int has_file(lua_State *L, const char *module, const char *field) {
  int top = lua_gettop(L), has = 0;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, LUA_LOADLIBNAME) == LUA_TTABLE) {
    lua_getfield(L, -1, "searchpath");
    lua_pushstring(L, module);
    lua_getfield(L, -3, field);
    has = lua_iscfunction(L, -3) && lua_pcall(L, 2, 1, 0) == LUA_OK &&
          lua_type(L, -1) == LUA_TSTRING;
  }
  lua_settop(L, top);
  return has;
}

int ccp_names_is_early(lua_State *L, int preloads) {
  luaL_checkstack(L, 8, "codec");
  const char *module = lua_tostring(L, -1); /* its steps are behind a zero */
  if (is_built_in(module) || (preloads && has_field(L, preloads, module)))
    return 1;
  return !has_preload(L, module) &&
         (has_file(L, module, "path") || has_file(L, module, "cpath"));
}
