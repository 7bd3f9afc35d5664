/*
** Dict. The thread of the Lua state.
*/
#include <string.h>

#include "bind/lerror.h"
#include "bind/lshared.h"
#include "bind/lsync.h"
#include "os/clock.h"
#include "os/codes.h"
#include "shared/dict.h"
#include "shared/keeping.h"

static const char DICT[] = "ccpool.Dict";
enum { ROOM = 1024 }; /* for values that need no memory of their own */

static ccp_dict *check(lua_State *L) {
  return ccp_shared_check(L, 1, DICT);
}

static int dict_new(lua_State *L) {
  ccp_shared *h = ccp_shared_push(L, DICT);
  ccp_shared_set(L, h, ccp_dict_new());
  return 1;
}

/* ---------------------------------------------------------- keys */

/* Pushes the key at 2 as a string of its type and bytes. A float that is a
** whole number is the integer, as in tables. */
static ccp_dict_bytes push_key(lua_State *L) {
  lua_Integer i;
  lua_Number f;
  ccp_dict_bytes key = {NULL, 0, 0};
  int type = lua_type(L, 2);
  luaL_argexpected(
      L, type == LUA_TSTRING || type == LUA_TNUMBER || type == LUA_TBOOLEAN, 2,
      "string, number or boolean");
  if (type == LUA_TSTRING) {
    lua_pushliteral(L, "s");
    lua_pushvalue(L, 2);
    lua_concat(L, 2);
  } else if (type == LUA_TBOOLEAN)
    lua_pushstring(L, lua_toboolean(L, 2) ? "t" : "f");
  else {
    char bytes[1 + sizeof i];
    int is_integer;
    i = lua_tointegerx(L, 2, &is_integer);
    f = lua_tonumber(L, 2);
    luaL_argcheck(L, f == f, 2, "a key is not NaN");
    bytes[0] = is_integer ? 'i' : 'n';
    memcpy(bytes + 1, is_integer ? (void *)&i : (void *)&f, sizeof i);
    lua_pushlstring(L, bytes, sizeof bytes);
  }
  key.p = lua_tolstring(L, -1, &key.len);
  luaL_argcheck(L, key.len <= UINT32_MAX, 2, "the key is too long");
  return key;
}

static void push_key_value(lua_State *L, const char *p, size_t len) {
  lua_Integer i;
  lua_Number f;
  switch (*p) {
  case 's':
    lua_pushlstring(L, p + 1, len - 1);
    break;
  case 'i':
    memcpy(&i, p + 1, sizeof i);
    lua_pushinteger(L, i);
    break;
  case 'n':
    memcpy(&f, p + 1, sizeof f);
    lua_pushnumber(L, f);
    break;
  default:
    lua_pushboolean(L, *p == 't');
  }
}

/* ---------------------------------------------------------- values */

/* Pushes the value of the key, or nil. */
static void push_value(lua_State *L, ccp_dict *d, ccp_dict_bytes key) {
  unsigned char small[ROOM], *room = small;
  size_t cap = sizeof small;
  ccp_sharing *s = ccp_sharing_get(L);
  uint32_t names = 0;
  long long len;
  luaL_checkstack(L, 12, NULL);
  while ((len = ccp_dict_get(d, key, room, cap, &names)) > (long long)cap) {
    cap = (size_t)len;
    room = lua_newuserdatauv(L, cap, 0);
  }
  if (len == CCP_DICT_NOMEM)
    (void)ccp_error_raise(L, CCP_E_NOMEM, "no room for handles");
  if (len < 0)
    lua_pushnil(L);
  else if (names == 0)
    ccp_sharing_decode(L, s, room, (size_t)len);
  else {
    int status = ccp_sharing_decode_safely(L, s, room, (size_t)len);
    ccp_keeping_release(room + len, names);
    if (status != LUA_OK)
      (void)lua_error(L);
  }
}

/* Stores the value at index 'at', nil deletes. Returns whether there was one.
 */
static int store(lua_State *L, ccp_dict *d, ccp_dict_bytes key, int at) {
  ccp_sharing *s = ccp_sharing_get(L);
  ccp_dict_bytes value = {NULL, 0, 0};
  int had = 0, rc, any = !lua_isnil(L, at);
  if (any) {
    value.names = ccp_sharing_encode(L, s, at, "value", 0);
    value.p = s->out.data;
    value.len = s->out.len;
  }
  rc = ccp_dict_set(d, key, any ? &value : NULL, &had);
  if (any)
    ccp_sharing_untrack(&s->track);
  if (rc != CCP_OK)
    (void)ccp_error_raise(L, rc, "no room in the arena");
  if (s->out.cap > 64 * 1024)
    ccp_buf_fini(&s->out);
  return had;
}

/* ---------------------------------------------------------- under its latch */

/* Calls body with the arguments while this state is the only one that changes
** the dict. */
static int exclusively(lua_State *L, lua_CFunction body) {
  ccp_dict *d = check(L);
  ccp_sharing *s = ccp_sharing_get(L);
  int status;
  (void)ccp_sharing_acquire(L, s, &d->object, &d->latch, 1, CCP_NEVER);
  lua_pushcfunction(L, body);
  lua_insert(L, 1);
  status = lua_pcall(L, lua_gettop(L) - 1, 1, 0);
  (void)ccp_sharing_release(s, &d->object, &d->latch, 1);
  return status == LUA_OK ? 1 : lua_error(L);
}

static int set_body(lua_State *L) {
  ccp_dict_bytes key = push_key(L);
  lua_pushboolean(L, store(L, check(L), key, 3));
  return 1;
}

static int update_body(lua_State *L) {
  ccp_dict_bytes key = push_key(L);
  push_value(L, check(L), key);
  lua_insert(L, 5);
  lua_settop(L, 5); /* dict, key, fn, key's bytes, value */
  lua_pushvalue(L, 3);
  lua_insert(L, 5);
  lua_call(L, 1, 1);
  (void)store(L, check(L), key, 5);
  return 1;
}

static int keys_body(lua_State *L) {
  ccp_dict *d = check(L);
  char small[256], *room = small;
  size_t cap = sizeof small;
  uint64_t at = 0;
  long long len;
  lua_Integer n = 0;
  lua_pushnil(L); /* where a buffer may lie */
  lua_newtable(L);
  while ((len = ccp_dict_next(d, &at, room, cap)) >= 0) {
    if ((size_t)len > cap) {
      cap = (size_t)len;
      room = lua_newuserdatauv(L, cap, 0);
      lua_replace(L, 2);
      continue;
    }
    push_key_value(L, room, (size_t)len);
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

/* ---------------------------------------------------------- methods */

/* Arguments are checked before anything is waited for. */
static void check_key(lua_State *L, int top) {
  lua_settop(L, top);
  (void)check(L);
  (void)push_key(L);
  lua_settop(L, top);
}

static int dict_get(lua_State *L) {
  ccp_dict *d = check(L);
  ccp_dict_bytes key = push_key(L);
  push_value(L, d, key);
  return 1;
}

/* set(key, value): nil deletes. */
static int dict_set(lua_State *L) {
  check_key(L, 3);
  (void)exclusively(L, set_body);
  return 0;
}

/* delete(key) -> whether there was one. */
static int dict_delete(lua_State *L) {
  check_key(L, 2);
  lua_pushnil(L);
  return exclusively(L, set_body);
}

/* update(key, fn) -> what fn(old value) gave, which is the value now. */
static int dict_update(lua_State *L) {
  check_key(L, 3);
  luaL_checktype(L, 3, LUA_TFUNCTION);
  return exclusively(L, update_body);
}

static int dict_keys(lua_State *L) {
  (void)check(L);
  lua_settop(L, 1);
  return exclusively(L, keys_body);
}

static int dict_size(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)ccp_dict_size(check(L)));
  return 1;
}

void ccp_dict_class(lua_State *L) {
  static const luaL_Reg methods[] = {{"get", dict_get},
                                     {"set", dict_set},
                                     {"delete", dict_delete},
                                     {"update", dict_update},
                                     {"keys", dict_keys},
                                     {"size", dict_size},
                                     {NULL, NULL}};
  ccp_shared_class c = {.tname = DICT,
                        .kind = CCP_K_DICT,
                        .methods = methods,
                        .make = dict_new,
                        .len = dict_size};
  ccp_shared_add_class(L, &c);
}
