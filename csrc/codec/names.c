/*
** The index of named objects; see names.h. The thread of the state.
**
** The index is a table object -> name. Beside it a bit set over addresses says
** at once, for nearly every object without a name, that it has none: plain
** tables must not pay for the index.
*/
#include "codec/names.h"

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "codec/raw.h"
#include "os/codes.h"

enum {
  MAYBE_MIN = 8192, /* bits */
  MAYBE_PER = 16,   /* bits per name, at least */
  LEVEL_MAX = 4096  /* fields looked at in one table */
};

#define FACTOR UINT64_C(0x9e3779b97f4a7c15)

/* One building of the index, with stack indices. */
typedef struct build {
  lua_State *L;
  int names;  /* the new index */
  int loaded; /* package.loaded */
  const void *globals;
  const void *loaded_ptr;
  const void *preload_ptr; /* its functions are the program's own */
} build;

/* Package is not among them: its tables are the program's own. */
static const char *const standard[] = {"string", "table",     "math",  "io",
                                       "os",     "coroutine", "debug", "utf8"};

static const char *const base[] = {
    "assert",   "collectgarbage", "dofile",   "error",    "getmetatable",
    "ipairs",   "load",           "loadfile", "next",     "pairs",
    "pcall",    "print",          "rawequal", "rawget",   "rawlen",
    "rawset",   "require",        "select",   "tonumber", "setmetatable",
    "tostring", "type",           "warn",     "xpcall"};

int ccp_names_is_standard(const char *module) {
  for (size_t i = 0; i < sizeof standard / sizeof *standard; i++)
    if (strcmp(module, standard[i]) == 0)
      return 1;
  return 0;
}

static int steps(const char *name, size_t len) {
  int n = 0;
  for (size_t i = 0; i < len; i++)
    n += name[i] == '\0';
  return n;
}

/* Is the name at idx better than the other? Fewer steps, then shorter, then
** first in order, so that every state finds the same one. */
static int is_better(lua_State *L, int idx, int other) {
  size_t n, m;
  const char *a = lua_tolstring(L, idx, &n);
  const char *b = lua_tolstring(L, other, &m);
  int sa = steps(a, n), sb = steps(b, m);
  if (sa != sb)
    return sa < sb;
  return n != m ? n < m : memcmp(a, b, n) < 0;
}

/* Stack: object, name. Gives the object that name if it has no better one;
** pops the name. */
static void add(build *b) {
  lua_State *L = b->L;
  const void *p = lua_topointer(L, -2);
  if (p != b->globals) {
    lua_pushvalue(L, -2);
    int fresh = lua_rawget(L, b->names) == LUA_TNIL;
    if (fresh || is_better(L, -2, -1)) {
      lua_pushvalue(L, -3);
      lua_pushvalue(L, -3);
      lua_rawset(L, b->names);
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* Stack: ..., object. Pushes "name of owner", '\0', kind, key. */
static void push_name(lua_State *L, int owner_name, char kind, int key) {
  char step[2] = {'\0', kind};
  lua_pushvalue(L, owner_name);
  lua_pushlstring(L, step, sizeof step);
  if (key == 0) {
    lua_concat(L, 2);
    return;
  }
  lua_pushvalue(L, key);
  lua_concat(L, 3);
}

/* Can the string at idx be part of a name? */
static int is_key(lua_State *L, int idx) {
  if (lua_type(L, idx) != LUA_TSTRING)
    return 0;
  size_t len;
  const char *s = lua_tolstring(L, idx, &len);
  return memchr(s, '\0', len) == NULL;
}

/* Does the table on the top look like a class rather than data? */
static int is_class(lua_State *L) {
  if (lua_getmetatable(L, -1)) {
    lua_pop(L, 1);
    return 1;
  }
  int found = 0, n = 0;
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    const char *k = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
    found = lua_isfunction(L, -1) || strncmp(k, "__", 2) == 0;
    lua_pop(L, 1);
    if (found || ++n == 64) {
      lua_pop(L, 1);
      break;
    }
  }
  return found;
}

/* Has a field with the value on the top a name of its own? */
static int is_named(lua_State *L, int level, int is_std) {
  switch (lua_type(L, -1)) {
  case LUA_TFUNCTION:
    return !is_std || lua_iscfunction(L, -1);
  case LUA_TUSERDATA:
  case LUA_TLIGHTUSERDATA:
    return 1;
  case LUA_TTABLE:
    return !is_std && (level == 1 || is_class(L));
  default:
    return 0;
  }
}

static void add_metatable(build *b, int obj, int name) {
  lua_State *L = b->L;
  if (!lua_getmetatable(L, obj))
    return;
  push_name(L, name, '@', 0);
  add(b);
  lua_pop(L, 1);
}

/* Is the value at idx a table of the module's own? */
static int is_inside(const build *b, int idx) {
  const void *p = lua_topointer(b->L, idx);
  return lua_istable(b->L, idx) && p != b->globals && p != b->loaded_ptr &&
         p != b->preload_ptr;
}

/* Names what the table at t, called by the string at name, holds. */
static void add_fields(build *b, int t, int name, int level, int is_std) {
  lua_State *L = b->L;
  int n = 0;
  lua_pushnil(L);
  while (lua_next(L, t)) {
    int value = lua_gettop(L);
    if (is_key(L, value - 1) && is_named(L, level, is_std)) {
      push_name(L, name, '.', value - 1);
      int field_name = value + 1;
      lua_pushvalue(L, value);
      lua_pushvalue(L, field_name);
      add(b);
      lua_pop(L, 1);
      if (level == 1 && (lua_isuserdata(L, value) || is_inside(b, value)))
        add_metatable(b, value, field_name);
      if (level == 1 && is_inside(b, value))
        add_fields(b, value, field_name, 2, 0); /* no deeper than this */
    }
    lua_settop(L, value - 1);
    if (++n == LEVEL_MAX) {
      lua_pop(L, 1);
      break;
    }
  }
}

/* Stack: the module's name, the module. */
static void add_module(build *b) {
  lua_State *L = b->L;
  int module = lua_gettop(L), name = module - 1;
  int type = lua_type(L, module);
  if (lua_topointer(L, module) == b->globals ||
      (type != LUA_TTABLE && type != LUA_TFUNCTION && type != LUA_TUSERDATA))
    return;
  lua_pushvalue(L, module);
  lua_pushvalue(L, name);
  add(b);
  lua_pop(L, 1);
  add_metatable(b, module, name);
  if (type == LUA_TTABLE)
    add_fields(b, module, name, 1,
               ccp_names_is_standard(lua_tostring(L, name)));
}

/* The functions of the base library, as fields of the module _G. */
static void add_base(build *b) {
  lua_State *L = b->L;
  lua_pushliteral(L, LUA_GNAME);
  int name = lua_gettop(L);
  lua_pushglobaltable(L);
  for (size_t i = 0; i < sizeof base / sizeof *base; i++) {
    lua_pushstring(L, base[i]);
    lua_pushvalue(L, -1);
    lua_rawget(L, name + 1);
    if (lua_iscfunction(L, -1)) {
      push_name(L, name, '.', name + 2);
      add(b);
    }
    lua_settop(L, name + 1);
  }
  lua_settop(L, name - 1);
}

static void push_weak_table(lua_State *L) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
}

/* Pushes the new index. */
static void push_index(build *b) {
  lua_State *L = b->L;
  push_weak_table(L);
  b->names = lua_gettop(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  b->loaded = b->names + 1;
  b->loaded_ptr = lua_topointer(L, b->loaded);
  lua_pushglobaltable(L);
  b->globals = lua_topointer(L, -1);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  b->preload_ptr = lua_topointer(L, -1);
  lua_pop(L, 2);
  lua_pushnil(L);
  while (lua_next(L, b->loaded)) {
    int top = lua_gettop(L);
    if (is_key(L, -2))
      add_module(b);
    lua_settop(L, top - 1);
  }
  add_base(b);
  lua_settop(L, b->names);
}

static void set_maybe(ccp_ctx *ctx, const void *p) {
  size_t h = (size_t)((uint64_t)(uintptr_t)p * FACTOR >> 24) & ctx->maybe_mask;
  ctx->maybe[h >> 3] |= (unsigned char)(1u << (h & 7));
}

/* Fills the bit set from the index on the top. */
static int fill_maybe(lua_State *L, ccp_ctx *ctx) {
  size_t count = 0, bits = MAYBE_MIN;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
    count++;
  while (bits < count * MAYBE_PER)
    bits *= 2;
  unsigned char *maybe = realloc(ctx->maybe, bits / 8);
  if (maybe == NULL)
    return CCP_E_NOMEM;
  memset(maybe, 0, bits / 8);
  ctx->maybe = maybe;
  ctx->maybe_mask = bits - 1;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
    set_maybe(ctx, lua_topointer(L, -2));
  return CCP_OK;
}

/* The objects in that table as one number; read as they lie in memory if
** possible, for each message with a new function asks. */
static uint64_t print_of(lua_State *L, int t) {
  uint64_t print = 1;
  if (ccp_raw_known()) {
    const ccp_raw_table *raw = lua_topointer(L, t);
    for (size_t i = 0; i < ccp_raw_nodes(raw); i++)
      if (raw->nodes[i].tag & CCP_RAW_OBJECT)
        print += ((uint64_t)raw->nodes[i].as.i + 1) * FACTOR;
    return print;
  }
  for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1))
    print += ((uint64_t)(uintptr_t)lua_topointer(L, -1) + 1) * FACTOR;
  return print;
}

/* Tells one state of package.loaded from another. */
static uint64_t fingerprint(lua_State *L) {
  uint64_t print = 0;
  if (lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE) == LUA_TTABLE)
    print = print_of(L, lua_gettop(L));
  lua_pop(L, 1);
  return print;
}

int ccp_names_refresh(lua_State *L, ccp_ctx *ctx, int ctx_at, int anyway) {
  luaL_checkstack(L, 40, "codec");
  uint64_t print = fingerprint(L);
  if (ctx->names_built && print == ctx->names_print && !anyway)
    return CCP_OK;
  build b = {.L = L};
  push_index(&b);
  ctx->names_built = 0;
  int rc = fill_maybe(L, ctx);
  if (rc == CCP_OK) {
    lua_setiuservalue(L, ctx_at, CCP_UV_NAMES);
    ctx->names_built = 1;
    ctx->names_print = print;
    return CCP_NAMES_NEW;
  }
  lua_pop(L, 1);
  return rc;
}

int ccp_names_find(lua_State *L, int ctx_at) {
  lua_getiuservalue(L, ctx_at, CCP_UV_NAMES);
  lua_pushvalue(L, -2);
  int found = lua_rawget(L, -2) == LUA_TSTRING;
  if (found) {
    lua_remove(L, -2);
    return 1;
  }
  lua_pop(L, 2);
  return 0;
}

static int is_noted(lua_State *L, const ccp_ctx *ctx, int ctx_at) {
  if (!ccp_names_maybe(ctx, lua_topointer(L, -1)) || !ccp_names_find(L, ctx_at))
    return 0;
  lua_pop(L, 1);
  return 1;
}

void ccp_names_note(lua_State *L, ccp_ctx *ctx, int ctx_at, const char *name,
                    size_t len) {
  const void *p = lua_topointer(L, -1);
  if (!ctx->names_built || p == NULL || lua_type(L, -1) == LUA_TSTRING ||
      is_noted(L, ctx, ctx_at) || ccp_names_refresh(L, ctx, ctx_at, 0) < 0 ||
      is_noted(L, ctx, ctx_at))
    return;
  lua_getiuservalue(L, ctx_at, CCP_UV_NAMES);
  lua_pushvalue(L, -2);
  lua_pushlstring(L, name, len);
  lua_rawset(L, -3);
  lua_pop(L, 1);
  set_maybe(ctx, p);
}
