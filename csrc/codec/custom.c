/*
** Values with a registered metatable; see custom.h. The thread of the state.
**
** One table holds metatable -> entry, name -> entry, and for each pool, by the
** uid of its store, the number of the last registration that its workers know.
**
** Size: what registers, saves and loads shares that table's form.
*/
#include "codec/custom.h"

#include <string.h>

#include <lauxlib.h>

#include "os/codes.h"

static int put_nothing(void *ud, const void *dump, size_t len, uint64_t hash,
                       uint64_t *id) {
  (void)ud;
  (void)dump;
  (void)len;
  (void)hash;
  *id = 0;
  return CCP_E_FULL;
}

static int get_nothing(void *ud, uint64_t id, const void **dump, size_t *len) {
  (void)ud;
  (void)id;
  *dump = NULL;
  *len = 0;
  return CCP_E_BADDATA;
}

const ccp_funcs ccp_funcs_home = {NULL, put_nothing, get_nothing, 0, 0};

/* Built in: registered wherever this library is loaded. */
#define HERE "ccpool"

static void set_entry(lua_State *L, int entry, int field, int value) {
  lua_pushvalue(L, value);
  lua_rawseti(L, entry, field);
}

static void set_metatable(lua_State *L, ccp_ctx *ctx, int all, int metatable,
                          int entry) {
  ccp_custom_note(ctx, lua_topointer(L, metatable));
  lua_pushvalue(L, metatable);
  lua_pushvalue(L, entry);
  lua_rawset(L, all);
}

/* Stack: ..., metatable, save, load, name, module or nil. Replaces them by the
** new entry, which is in the table at `all` from now on. */
static void add_entry(lua_State *L, ccp_ctx *ctx, int all) {
  int load = lua_gettop(L) - 2, entry = load + 3;
  lua_createtable(L, CCP_E_OPAQUE, 0);
  for (int field = CCP_E_METATABLE; field <= CCP_E_NAME; field++)
    set_entry(L, entry, field, load - CCP_E_LOAD + field);
  lua_pushboolean(L, 0);
  lua_rawseti(L, entry, CCP_E_MODULE);
  if (lua_isstring(L, entry - 1))
    set_entry(L, entry, CCP_E_MODULE, entry - 1);
  lua_pushinteger(L, ++ctx->custom_count);
  lua_rawseti(L, entry, CCP_E_NUMBER);
  for (int field = CCP_E_KNOWN; field <= CCP_E_OPAQUE; field++) {
    lua_pushboolean(L, 0);
    lua_rawseti(L, entry, field);
  }
  lua_pushvalue(L, load + 1); /* name */
  lua_pushvalue(L, entry);
  lua_rawset(L, all);
  if (lua_istable(L, load - 2))
    set_metatable(L, ctx, all, load - 2, entry);
  lua_replace(L, load - 2);
  lua_settop(L, load - 2);
}

/* Pushes context and table of entries; returns the table's index. */
static int push_all(lua_State *L) {
  ccp_ctx_push(L);
  lua_getiuservalue(L, -1, CCP_UV_CUSTOM);
  return lua_gettop(L);
}

/* Stack: metatable. Did C write parts of it? */
static int has_c(lua_State *L) {
  int t = lua_gettop(L), found = 0;
  for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1))
    found |= lua_iscfunction(L, -1);
  return found;
}

/* Stack: metatable. Can it not be sent, because C wrote parts of it? */
static int is_opaque(lua_State *L) {
  const ccp_what what = {"metatable", -1, 0};
  ccp_buf b;
  int t = lua_gettop(L);
  if (!has_c(L))
    return 0;
  ccp_buf_init(&b);
  int rc = ccp_encode(L, t, 1, what, &b, NULL);
  ccp_buf_fini(&b);
  lua_settop(L, t);
  return rc != CCP_OK;
}

static int register_type(lua_State *L, int (*tell)(lua_State *L)) {
  ccp_ctx *ctx = ccp_ctx_get(L);
  luaL_checkstack(L, 16, "codec");
  lua_settop(L, 5);
  lua_pushvalue(L, 2);
  int opaque = tell(L);
  lua_pop(L, 1);
  int all = push_all(L);
  for (int i = 2; i <= 4; i++)
    lua_pushvalue(L, i);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 5);
  add_entry(L, ctx, all);
  lua_pushboolean(L, opaque);
  lua_rawseti(L, -2, CCP_E_OPAQUE);
  lua_settop(L, 5);
  return 0;
}

int ccp_codec_register_type(lua_State *L) {
  return register_type(L, is_opaque);
}

/* No name is known yet of what a module has in C that is being opened; to look
** would take longer than all the rest. */
int ccp_codec_register(lua_State *L) {
  lua_settop(L, 4);
  lua_pushliteral(L, HERE);
  return register_type(L, has_c);
}

void ccp_codec_types_known(lua_State *L, uint64_t uid, int copied) {
  const ccp_ctx *ctx = ccp_ctx_get(L);
  if (ctx->custom_count == 0)
    return;
  luaL_checkstack(L, 6, "codec");
  int all = push_all(L);
  lua_pushinteger(L, ctx->custom_count * 2 + (copied != 0));
  lua_rawseti(L, all, (lua_Integer)uid);
  lua_pop(L, 2);
}

void ccp_codec_inherit(lua_State *L) {
  ccp_ctx *ctx = ccp_ctx_get(L);
  ctx->custom_inherited = ctx->custom_count;
  ctx->is_worker = 1;
}

/* Stack: entry. Is the module that registers it loaded? */
static int has_module(lua_State *L) {
  int found = 0;
  if (lua_rawgeti(L, -1, CCP_E_MODULE) == LUA_TSTRING) {
    found = strcmp(lua_tostring(L, -1), HERE) == 0;
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_insert(L, -2);
    lua_rawget(L, -2);
    found |= lua_toboolean(L, -1);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return found;
}

static int flag(lua_State *L, int entry, int field) {
  lua_rawgeti(L, entry, field);
  int set = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return set;
}

int ccp_custom_has(lua_State *L, int field) {
  return flag(L, lua_gettop(L), field);
}

int ccp_codec_types(lua_State *L, int preloads) {
  const ccp_what what = {"type", CCP_WHAT_NEW, 0};
  ccp_buf b;
  luaL_checkstack(L, 12, "codec");
  lua_newtable(L);
  int list = lua_gettop(L), all = push_all(L);
  lua_pushvalue(L, preloads);
  lua_setiuservalue(L, all - 1, CCP_UV_PRELOADS);
  lua_Integer n = 0;
  for (lua_pushnil(L); lua_next(L, all); lua_settop(L, all + 1)) {
    if (lua_type(L, all + 1) != LUA_TSTRING || has_module(L))
      continue;
    /* a memory error here loses what the buffer holds: so it holds nothing */
    ccp_buf_init(&b);
    lua_rawgeti(L, all + 2, CCP_E_METATABLE);
    int rc = ccp_encode(L, all + 3, 1, what, &b, NULL);
    ccp_buf_fini(&b);
    lua_settop(L, all + 3);
    lua_pushboolean(L, rc == 0);
    lua_rawseti(L, all + 2, CCP_E_COPIES);
    if (rc == 0)
      lua_rawseti(L, list, ++n);
  }
  lua_settop(L, list);
  return 1;
}

int ccp_custom_of(lua_State *L, const ccp_ctx *ctx, int ctx_at) {
  if (!ccp_custom_maybe(ctx, lua_topointer(L, -1)))
    return 0;
  lua_getiuservalue(L, ctx_at, CCP_UV_CUSTOM);
  lua_pushvalue(L, -2);
  int found = lua_rawget(L, -2) == LUA_TTABLE;
  lua_remove(L, -2);
  if (!found)
    lua_pop(L, 1);
  return found;
}

int ccp_custom_find(lua_State *L, const ccp_ctx *ctx, int ctx_at) {
  if (ctx->custom_count == 0 || !lua_getmetatable(L, -1))
    return 0;
  int found = ccp_custom_of(L, ctx, ctx_at);
  lua_remove(L, found ? -2 : -1);
  return found;
}

int ccp_custom_is_known(lua_State *L, const ccp_ctx *ctx, int ctx_at,
                        const ccp_funcs *fs) {
  int entry = lua_gettop(L);
  luaL_checkstack(L, 4, "codec");
  if (has_module(L))
    return 1;
  if (fs == NULL)
    return 0;
  lua_rawgeti(L, entry, CCP_E_NUMBER);
  lua_Integer number = lua_tointeger(L, -1), mark = 0;
  lua_pop(L, 1);
  if (fs == &ccp_funcs_home)
    return !ctx->is_worker || number <= ctx->custom_inherited ||
           flag(L, entry, CCP_E_KNOWN);
  lua_getiuservalue(L, ctx_at, CCP_UV_CUSTOM);
  if (lua_rawgeti(L, -1, (lua_Integer)fs->uid) == LUA_TNUMBER)
    mark = lua_tointeger(L, -1);
  lua_pop(L, 2);
  return number <= mark / 2 && (mark % 2 != 0 || flag(L, entry, CCP_E_COPIES));
}

/* A C function: calls save(value) and packs its entry and what it gives.
** Stack: entry, save, value. */
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
  lua_pushcfunction(L, save_packed);
  lua_pushvalue(L, entry);
  lua_rawgeti(L, entry, CCP_E_SAVE);
  lua_pushvalue(L, value);
  int rc = lua_pcall(L, 3, 2, 0);
  if (rc == LUA_ERRMEM)
    lua_error(L);
  if (rc == LUA_OK) {
    *n = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
  }
  lua_replace(L, value);
  lua_settop(L, value);
  return rc;
}

/* Stack: entry. Replaces it by what stands for it. */
static void stand_for(lua_State *L) {
  if (lua_rawgeti(L, -1, CCP_E_METATABLE) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_rawgeti(L, -1, CCP_E_NAME);
  }
  lua_remove(L, -2);
}

/* Pushes what stands for the type of that name; 0 if it is not registered. */
static int push_named(lua_State *L, int ctx_at, const char *name) {
  lua_getiuservalue(L, ctx_at, CCP_UV_CUSTOM);
  int found = lua_getfield(L, -1, name) == LUA_TTABLE;
  lua_remove(L, -2);
  if (found)
    stand_for(L);
  else
    lua_pop(L, 1);
  return found;
}

void ccp_custom_push_type(lua_State *L, int ctx_at, const char *text,
                          size_t len) {
  luaL_checkstack(L, 8, "codec");
  const char *name = lua_pushlstring(L, text, len);
  size_t name_len = strlen(name);
  const char *module = name_len < len ? name + name_len + 1 : NULL;
  if (!push_named(L, ctx_at, name)) {
    if (module != NULL) {
      lua_getglobal(L, "require");
      lua_pushstring(L, module);
      lua_call(L, 1, 0);
      if (push_named(L, ctx_at, name)) {
        lua_remove(L, -2);
        return;
      }
      lua_pushfstring(L, "module '%s' does not register '%s' in this worker",
                      module, name);
    } else
      lua_pushfstring(
          L, "'%s' is not registered in this worker (ccpool.register)", name);
    lua_error(L);
  }
  lua_remove(L, -2);
}

/* Is the entry at that index known here in this version or a later one, or
** registered by this state itself? */
static int is_current(lua_State *L, const ccp_ctx *ctx, int entry,
                      lua_Integer number) {
  lua_rawgeti(L, entry, CCP_E_NUMBER);
  lua_Integer mine = lua_tointeger(L, -1);
  lua_pop(L, 1);
  if (mine > ctx->custom_inherited && !flag(L, entry, CCP_E_KNOWN))
    return 1;
  return mine >= number;
}

int ccp_custom_push_known(lua_State *L, const ccp_ctx *ctx, int ctx_at) {
  int array = lua_gettop(L);
  luaL_checkstack(L, 8, "codec");
  lua_rawgeti(L, array, CCP_E_PARTS + 2);
  lua_Integer number = lua_tointeger(L, -1);
  lua_getiuservalue(L, ctx_at, CCP_UV_CUSTOM);
  lua_rawgeti(L, array, CCP_E_NAME);
  int found = lua_rawget(L, -2) == LUA_TTABLE &&
              is_current(L, ctx, lua_gettop(L), number) &&
              lua_rawgeti(L, -1, CCP_E_METATABLE) == LUA_TTABLE;
  if (found)
    lua_replace(L, array + 1);
  lua_settop(L, array + found);
  return found;
}

static int is_entry(lua_State *L, int array) {
  static const int types[] = {LUA_TTABLE, LUA_TFUNCTION, LUA_TFUNCTION,
                              LUA_TSTRING, LUA_TNUMBER};
  int ok = 1;
  for (int i = 0; i < 5; i++) {
    int type = lua_rawgeti(L, array, i + 1);
    ok &= type == types[i] || (i == 0 && type == LUA_TNIL);
    lua_pop(L, 1);
  }
  return ok;
}

int ccp_custom_learn(lua_State *L, ccp_ctx *ctx, int ctx_at) {
  int array = lua_gettop(L);
  luaL_checkstack(L, 20, "codec");
  if (!is_entry(L, array))
    return 0;
  lua_getiuservalue(L, ctx_at, CCP_UV_CUSTOM);
  lua_rawgeti(L, array, 5);
  lua_Integer number = lua_tointeger(L, -1);
  lua_rawgeti(L, array, CCP_E_NAME);
  int is_new = lua_rawget(L, array + 1) != LUA_TTABLE ||
               !is_current(L, ctx, array + 3, number);
  if (is_new) {
    lua_settop(L, array + 1);
    for (int i = CCP_E_METATABLE; i <= CCP_E_NAME; i++)
      lua_rawgeti(L, array, i);
    lua_pushnil(L);
    add_entry(L, ctx, array + 1);
    lua_pushinteger(L, number); /* of who sent it */
    lua_rawseti(L, -2, CCP_E_NUMBER);
    lua_pushboolean(L, 1);
    lua_rawseti(L, -2, CCP_E_KNOWN);
  }
  stand_for(L);
  lua_replace(L, array);
  lua_settop(L, array);
  return 1 + is_new;
}

/* Stack: what a metatable is registered as, if at all. Is that nothing, or what
** the entry at that index has replaced? */
static int may_take(lua_State *L, int entry) {
  if (lua_type(L, -1) != LUA_TTABLE)
    return 1;
  lua_rawgeti(L, -1, CCP_E_NAME);
  lua_rawgeti(L, entry, CCP_E_NAME);
  int same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same;
}

/* Stack: ..., entry, value. The entry's metatable is the value's from now on,
** if it had none and the value has one that no other type has. */
static void learn_metatable(lua_State *L, ccp_ctx *ctx, int all) {
  int entry = lua_gettop(L) - 1;
  if (lua_type(L, entry + 1) != LUA_TTABLE &&
      lua_type(L, entry + 1) != LUA_TUSERDATA)
    return;
  int has = lua_rawgeti(L, entry, CCP_E_METATABLE) == LUA_TTABLE;
  lua_pop(L, 1);
  if (has || !lua_getmetatable(L, entry + 1))
    return;
  lua_pushvalue(L, -1);
  lua_rawget(L, all);
  if (may_take(L, entry)) {
    set_entry(L, entry, CCP_E_METATABLE, entry + 2);
    set_metatable(L, ctx, all, entry + 2, entry);
  }
  lua_settop(L, entry + 1);
}

void ccp_custom_load(lua_State *L, ccp_ctx *ctx, int ctx_at, int n) {
  int array = lua_gettop(L), all = array + 1, entry = array + 2;
  if (!lua_checkstack(L, n + 12)) {
    lua_pushliteral(L, "malformed message: too many saved values");
    lua_error(L);
  }
  lua_getiuservalue(L, ctx_at, CCP_UV_CUSTOM);
  if (lua_rawgeti(L, array, 1) == LUA_TNIL ||
      lua_rawget(L, all) != LUA_TTABLE) {
    lua_pushliteral(L, "malformed message: no registered type");
    lua_error(L);
  }
  lua_rawgeti(L, entry, CCP_E_LOAD);
  for (int i = 2; i <= n; i++)
    lua_rawgeti(L, array, i);
  lua_call(L, n - 1, 1);
  learn_metatable(L, ctx, all);
  lua_replace(L, array);
  lua_settop(L, array);
}
