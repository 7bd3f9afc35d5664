/*
** What the tests of the codec share; see codec_kit.h.
*/
#include "codec_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lualib.h>

#include "os/codes.h"

int kit_allocating;

void *kit_alloc(void *mem, void *p, size_t old_size, size_t new_size) {
  kit_mem *m = mem;
  if (p == NULL)
    old_size = 0; /* it is a type then */
  if (new_size == 0) {
    free(p);
    m->used -= old_size;
    return NULL;
  }
  if (new_size > old_size) {
    m->calls++;
    if (m->fail_at != 0 && m->calls >= m->fail_at)
      return NULL;
    if (m->limit != 0 && m->used - old_size + new_size > m->limit)
      return NULL;
  }
  kit_allocating = 1;
  void *q = realloc(p, new_size);
  kit_allocating = 0;
  if (q == NULL)
    return NULL;
  m->used = m->used - old_size + new_size;
  if (m->used > m->peak)
    m->peak = m->used;
  return q;
}

/* --- the store --- */

static int store_put(void *ud, const void *dump, size_t len, uint64_t hash,
                     uint64_t *id) {
  kit_store *s = ud;
  (void)hash;
  for (uint64_t i = 0; i < s->count; i++)
    if (s->kept[i].len == len && memcmp(s->kept[i].dump, dump, len) == 0) {
      *id = i + 1;
      return CCP_OK;
    }
  if (s->count == s->max)
    return CCP_E_FULL;
  void *copy = malloc(len);
  if (copy == NULL)
    return CCP_E_NOMEM;
  memcpy(copy, dump, len);
  s->kept[s->count].dump = copy;
  s->kept[s->count].len = len;
  *id = ++s->count;
  return CCP_OK;
}

static int store_get(void *ud, uint64_t id, const void **dump, size_t *len) {
  const kit_store *s = ud;
  if (id == 0 || id > s->count)
    return CCP_E_BADDATA;
  *dump = s->kept[id - 1].dump;
  *len = s->kept[id - 1].len;
  return CCP_OK;
}

/* --- functions for Lua --- */

static kit *self(lua_State *L) {
  return lua_touserdata(L, lua_upvalueindex(1));
}

static int buf__gc(lua_State *L) {
  ccp_buf_fini(lua_touserdata(L, 1));
  return 0;
}

/* A buffer below the n arguments, which is freed even if encoding raises. */
static ccp_buf *new_buf(lua_State *L) {
  ccp_buf *b = lua_newuserdatauv(L, sizeof *b, 0);
  ccp_buf_init(b);
  if (luaL_newmetatable(L, "kit.buf")) {
    lua_pushcfunction(L, buf__gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  lua_insert(L, 1);
  return b;
}

static int pack_with(lua_State *L, int call) {
  kit *k = self(L);
  ccp_buf *b = new_buf(L);
  int n = lua_gettop(L);
  int rc = call ? ccp_encode_call(L, 2, n - 1, k->what, b, k->in_use)
                : ccp_encode(L, 2, n - 1, k->what, b, k->in_use);
  if (rc == CCP_OK) {
    const void *bytes = b->data;
    lua_pushlstring(L, bytes, b->len);
  }
  ccp_buf_fini(b);
  if (lua_gettop(L) != n + (rc == CCP_OK || rc == CCP_E_NOTSENDABLE))
    return luaL_error(L, "encode left the stack unbalanced");
  if (rc == CCP_E_NOTSENDABLE)
    return lua_error(L);
  return rc == CCP_OK ? 1 : luaL_error(L, "encode gave %d", rc);
}

static int kit_pack(lua_State *L) {
  return pack_with(L, 0);
}

static int kit_pack_call(lua_State *L) {
  return pack_with(L, 1);
}

static int kit_unpack(lua_State *L) {
  size_t len, used;
  const char *s = luaL_checklstring(L, 1, &len);
  int top = lua_gettop(L);
  int n = ccp_decode(L, s, len, &used, self(L)->in_use);
  if (used != len)
    return luaL_error(L, "%d of %d bytes used", (int)used, (int)len);
  if (lua_gettop(L) != top + n)
    return luaL_error(L, "decode left the stack unbalanced");
  return n;
}

static int kit_refused(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushcclosure(L, kit_pack, 1);
  lua_insert(L, 1);
  int ok = lua_pcall(L, lua_gettop(L) - 1, 1, 0) == LUA_OK;
  if (ok)
    lua_pushnil(L);
  return 1;
}

/* Moves the error of the state `from` to L and raises it. */
static int raise_from(lua_State *L, lua_State *from) {
  lua_pushstring(L, luaL_tolstring(from, -1, NULL));
  lua_settop(from, 0);
  return lua_error(L);
}

/* Packs the values of L from `first` on, and unpacks them in `to`. */
static void transfer(lua_State *L, int first, lua_State *to) {
  kit *k = self(L);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushcclosure(L, kit_pack, 1);
  lua_insert(L, first);
  lua_call(L, lua_gettop(L) - first, 1);
  size_t len;
  const char *s = lua_tolstring(L, -1, &len);
  lua_pushlightuserdata(to, k);
  lua_pushcclosure(to, kit_unpack, 1);
  lua_pushlstring(to, s, len);
  int rc = lua_pcall(to, 1, LUA_MULTRET, 0);
  lua_settop(L, first - 1);
  if (rc != LUA_OK)
    raise_from(L, to);
}

/* Brings all values of the stack `there` back to L. */
static int bring_back(lua_State *L) {
  kit *k = self(L);
  lua_State *T = k->there;
  lua_pushlightuserdata(T, k);
  lua_pushcclosure(T, kit_pack, 1);
  lua_insert(T, 1);
  if (lua_pcall(T, lua_gettop(T) - 1, 1, 0) != LUA_OK)
    return raise_from(L, T);
  size_t len;
  const char *s = lua_tolstring(T, -1, &len);
  lua_settop(L, 0);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushcclosure(L, kit_unpack, 1);
  lua_pushlstring(L, s, len);
  lua_settop(T, 0);
  lua_call(L, 1, LUA_MULTRET);
  return lua_gettop(L);
}

static int kit_send(lua_State *L) {
  transfer(L, 1, self(L)->there);
  lua_settop(self(L)->there, 0);
  return 0;
}

static int kit_echo(lua_State *L) {
  transfer(L, 1, self(L)->there);
  return bring_back(L);
}

static int kit_there(lua_State *L) {
  lua_State *T = self(L)->there;
  const char *code = luaL_checkstring(L, 1);
  if (luaL_loadbuffer(T, code, strlen(code), "=there") != LUA_OK)
    return raise_from(L, T);
  transfer(L, 2, T);
  if (lua_pcall(T, lua_gettop(T) - 1, LUA_MULTRET, 0) != LUA_OK)
    return raise_from(L, T);
  return bring_back(L);
}

static int kit_register(lua_State *L) {
  return ccp_codec_register_type(L);
}

static int kit_inline(lua_State *L) {
  kit *k = self(L);
  k->in_use = lua_toboolean(L, 1) ? NULL : &k->funcs;
  return 0;
}

static int kit_what(lua_State *L) {
  kit *k = self(L);
  static const char *const nouns[] = {"argument", "result", "error", NULL};
  k->what.noun = nouns[luaL_checkoption(L, 1, NULL, nouns)];
  k->what.first = (int)luaL_checkinteger(L, 2);
  return 0;
}

/* A userdata without a name that holds an integer. */
static int kit_box(lua_State *L) {
  lua_Integer value = luaL_optinteger(L, 1, 0);
  lua_Integer *box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = value;
  luaL_newmetatable(L, "kit.Box");
  lua_setmetatable(L, -2);
  return 1;
}

static int kit_unbox(lua_State *L) {
  const lua_Integer *box = luaL_checkudata(L, 1, "kit.Box");
  lua_pushinteger(L, *box);
  return 1;
}

static int kit_light(lua_State *L) {
  static int anchor[2];
  lua_pushlightuserdata(L, &anchor[lua_toboolean(L, 1)]);
  return 1;
}

static void add_functions(kit *k, lua_State *L) {
  static const luaL_Reg functions[] = {
      {"pack", kit_pack},     {"pack_call", kit_pack_call},
      {"unpack", kit_unpack}, {"refused", kit_refused},
      {"send", kit_send},     {"echo", kit_echo},
      {"there", kit_there},   {"register", kit_register},
      {"inline", kit_inline}, {"what", kit_what},
      {"box", kit_box},       {"unbox", kit_unbox},
      {"light", kit_light},   {NULL, NULL}};
  for (const luaL_Reg *f = functions; f->name != NULL; f++) {
    lua_pushlightuserdata(L, k);
    lua_pushcclosure(L, f->func, 1);
    lua_setglobal(L, f->name);
  }
}

static lua_State *new_state(kit *k, kit_mem *mem) {
#if LUA_VERSION_NUM >= 505
  lua_State *L = lua_newstate(kit_alloc, mem, 0);
#else
  lua_State *L = lua_newstate(kit_alloc, mem);
#endif
  if (L == NULL) {
    puts("no memory for a Lua state");
    exit(2);
  }
  luaL_openlibs(L);
  /* Decoded names must not look at the disk. */
  if (luaL_dostring(L, "package.path, package.cpath = '', ''") != LUA_OK)
    exit(2);
  add_functions(k, L);
  return L;
}

void kit_init(kit *k) {
  memset(k, 0, sizeof *k);
  ccp_buf_init(&k->buf);
  k->store.max = sizeof k->store.kept / sizeof *k->store.kept;
  k->what = (ccp_what){"argument", 1, 0};
  k->funcs = (ccp_funcs){&k->store, store_put, store_get, 11, 0};
  k->in_use = &k->funcs;
  k->here = new_state(k, &k->here_mem);
  k->there = new_state(k, &k->there_mem);
}

void kit_fini(kit *k) {
  lua_close(k->here);
  lua_close(k->there);
  ccp_buf_fini(&k->buf);
  for (uint64_t i = 0; i < k->store.count; i++)
    free(k->store.kept[i].dump);
}
