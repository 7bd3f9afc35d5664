/*
** Array and Value. The thread of the Lua state.
*/
#include <string.h>

#include "bind/lerror.h"
#include "bind/llock.h"
#include "bind/lshared.h"
#include "bind/lsync.h"
#include "os/codes.h"
#include "shared/array.h"

static const char ARRAY[] = "ccpool.Array", VALUE[] = "ccpool.Value";

static ccp_array *check(lua_State *L) {
  return ccp_shared_check(L, 1, ARRAY);
}

static ccp_array *check_value(lua_State *L) {
  return ccp_shared_check(L, 1, VALUE);
}

/* ---------------------------------------------------------- numbers */

static void push_number(lua_State *L, ccp_number x) {
  if (x.is_float)
    lua_pushnumber(L, (lua_Number)x.as.f);
  else
    lua_pushinteger(L, x.as.i);
}

/* Any number of Lua; strings are none. */
static ccp_number any_number(lua_State *L, int arg) {
  ccp_number x = {0, {0}};
  luaL_argexpected(L, lua_type(L, arg) == LUA_TNUMBER, arg, "number");
  if (lua_isinteger(L, arg))
    x.as.i = lua_tointeger(L, arg);
  else {
    x.is_float = 1;
    x.as.f = (double)lua_tonumber(L, arg);
  }
  return x;
}

/* One that fits into the type. */
static ccp_number number(lua_State *L, int arg, uint32_t type) {
  ccp_number x = any_number(L, arg);
  if (!ccp_array_fit(type, &x))
    luaL_argerror(L, arg,
                  lua_pushfstring(L, "%s does not fit type '%s'",
                                  luaL_tolstring(L, arg, NULL),
                                  ccp_array_type_name(type)));
  return x;
}

/* A term: of the elements' kind, but it may exceed their range. */
static ccp_number term(lua_State *L, int arg, uint32_t type) {
  ccp_number x = any_number(L, arg);
  luaL_argcheck(L, ccp_array_fit(type >= CCP_F32 ? type : CCP_I64, &x), arg,
                "an integer is expected");
  return x;
}

static uint64_t index_at(lua_State *L, int arg, const ccp_array *a) {
  lua_Integer i = luaL_checkinteger(L, arg);
  if (i < 1 || (uint64_t)i > a->n)
    luaL_argerror(L, arg,
                  lua_pushfstring(L, "index %I is out of range 1..%I", i,
                                  (lua_Integer)a->n));
  return (uint64_t)i - 1;
}

/* i and j, by default the whole: *from counts from 0. */
static uint64_t range(lua_State *L, int arg, const ccp_array *a,
                      uint64_t *from) {
  lua_Integer n = (lua_Integer)a->n;
  lua_Integer i = luaL_optinteger(L, arg, 1);
  lua_Integer j = luaL_optinteger(L, arg + 1, n);
  luaL_argcheck(L, i >= 1 && i <= n + 1, arg, "out of range");
  luaL_argcheck(L, j >= 0 && j <= n, arg + 1, "out of range");
  *from = (uint64_t)i - 1;
  return j >= i ? (uint64_t)(j - i + 1) : 0;
}

/* ---------------------------------------------------------- making */

static uint32_t check_type(lua_State *L) {
  int type = ccp_array_type_of(luaL_checkstring(L, 1));
  luaL_argcheck(L, type >= 0, 1,
                "one of i8 u8 i16 u16 i32 u32 i64 f32 f64 is expected");
  return (uint32_t)type;
}

static ccp_array *push_new(lua_State *L, const char *tname, uint32_t type,
                           uint64_t n) {
  ccp_shared *h = ccp_shared_push(L, tname);
  ccp_array *a = ccp_array_new(type, n);
  ccp_shared_set(L, h, a);
  return a;
}

static void fill_from_list(lua_State *L, ccp_array *a) {
  for (uint64_t i = 0; i < a->n; i++) {
    ccp_number x = {0, {0}};
    int ok = lua_geti(L, 2, (lua_Integer)i + 1) == LUA_TNUMBER;
    if (ok) {
      x = any_number(L, -1);
      ok = ccp_array_fit(a->type, &x);
    }
    if (!ok)
      luaL_argerror(L, 2,
                    lua_pushfstring(L, "element %I does not fit type '%s'",
                                    (lua_Integer)i + 1,
                                    ccp_array_type_name(a->type)));
    ccp_array_set(a, i, x);
    lua_pop(L, 1);
  }
}

static int from_string(lua_State *L, uint32_t type) {
  size_t len, width = ccp_array_width(type);
  const char *bytes = lua_tolstring(L, 2, &len);
  ccp_array *a;
  luaL_argcheck(L, len % width == 0, 2,
                "the string's length is no multiple of an element's");
  a = push_new(L, ARRAY, type, len / width);
  memcpy(a->data, bytes, len);
  return 1;
}

/* Array(type, n | list | string) */
static int array_new(lua_State *L) {
  uint32_t type = check_type(L);
  lua_Integer n;
  switch (lua_type(L, 2)) {
  case LUA_TSTRING:
    return from_string(L, type);
  case LUA_TTABLE:
    fill_from_list(L, push_new(L, ARRAY, type, (uint64_t)luaL_len(L, 2)));
    return 1;
  default:
    n = luaL_checkinteger(L, 2);
    luaL_argcheck(L, n >= 0, 2, "a length is expected");
    (void)push_new(L, ARRAY, type, (uint64_t)n);
    return 1;
  }
}

/* Value(type [, init]) */
static int value_new(lua_State *L) {
  uint32_t type = check_type(L);
  ccp_number x = {0, {0}};
  if (!lua_isnoneornil(L, 2))
    x = number(L, 2, type);
  else
    (void)ccp_array_fit(type, &x);
  ccp_array_set(push_new(L, VALUE, type, 1), 0, x);
  return 1;
}

/* ---------------------------------------------------------- elements */

/* An integer is an index; anything else, the name of a method. */
static int array__index(lua_State *L) {
  if (lua_type(L, 2) != LUA_TNUMBER) {
    lua_settop(L, 2);
    (void)lua_rawget(L, lua_upvalueindex(1));
    return 1;
  }
  {
    const ccp_array *a = check(L);
    push_number(L, ccp_array_get(a, index_at(L, 2, a)));
  }
  return 1;
}

static int array__newindex(lua_State *L) {
  ccp_array *a = check(L);
  uint64_t i = index_at(L, 2, a);
  ccp_array_set(a, i, number(L, 3, a->type));
  return 0;
}

static int array__len(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)check(L)->n);
  return 1;
}

static int add(lua_State *L, ccp_array *a, uint64_t i, int arg) {
  ccp_number x = term(L, arg, a->type);
  if (!ccp_array_add(a, i, &x))
    return luaL_argerror(L, arg,
                         lua_pushfstring(L, "sum out of range for type '%s'",
                                         ccp_array_type_name(a->type)));
  push_number(L, x);
  return 1;
}

static int cas(lua_State *L, ccp_array *a, uint64_t i, int arg) {
  ccp_number old = number(L, arg, a->type), new_ = number(L, arg + 1, a->type);
  lua_pushboolean(L, ccp_array_cas(a, i, &old, new_));
  push_number(L, old);
  return 2;
}

/* a:add(i, d) -> the sum */
static int array_add(lua_State *L) {
  ccp_array *a = check(L);
  return add(L, a, index_at(L, 2, a), 3);
}

/* a:cas(i, old, new) -> whether it was 'old', and what it was */
static int array_cas(lua_State *L) {
  ccp_array *a = check(L);
  return cas(L, a, index_at(L, 2, a), 3);
}

static int value_get(lua_State *L) {
  push_number(L, ccp_array_get(check_value(L), 0));
  return 1;
}

static int value_set(lua_State *L) {
  ccp_array *a = check_value(L);
  ccp_array_set(a, 0, number(L, 2, a->type));
  return 0;
}

static int value_add(lua_State *L) {
  return add(L, check_value(L), 0, 2);
}

static int value_cas(lua_State *L) {
  return cas(L, check_value(L), 0, 2);
}

/* ---------------------------------------------------------- many */

/* a:fill(x [, i [, j]]) */
static int array_fill(lua_State *L) {
  ccp_array *a = check(L);
  ccp_number x = number(L, 2, a->type);
  uint64_t from, n = range(L, 3, a, &from);
  ccp_array_fill(a, from, n, x);
  return 0;
}

/* a:slice([i [, j]]) -> table */
static int array_slice(lua_State *L) {
  const ccp_array *a = check(L);
  uint64_t from, n = range(L, 2, a, &from);
  luaL_argcheck(L, n <= INT32_MAX, 3, "too many elements for a table");
  lua_createtable(L, (int)n, 0);
  for (uint64_t i = 0; i < n; i++) {
    push_number(L, ccp_array_get(a, from + i));
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* a:tostring([i [, j]]) -> the elements' bytes */
static int array_tostring(lua_State *L) {
  const ccp_array *a = check(L);
  size_t width = ccp_array_width(a->type);
  uint64_t from, n = range(L, 2, a, &from);
  lua_pushlstring(L, (const char *)a->data + from * width, (size_t)n * width);
  return 1;
}

/* ---------------------------------------------------------- its lock */

static ccp_array *check_any(lua_State *L) {
  return luaL_testudata(L, 1, VALUE) ? check_value(L) : check(L);
}

/* acquire([timeout]) -> as of an RLock */
static int array_acquire(lua_State *L) {
  ccp_array *a = check_any(L);
  int64_t deadline = ccp_wait_check(L, 2);
  return ccp_lock_acquired(L, ccp_sharing_acquire(L, ccp_sharing_get(L),
                                                  &a->object, &a->latch, 1,
                                                  deadline));
}

static int array_release(lua_State *L) {
  ccp_array *a = check_any(L);
  if (ccp_sharing_release(ccp_sharing_get(L), &a->object, &a->latch, 1) ==
      CCP_E_NOTHELD)
    return luaL_error(L, "release of a lock that is not one's own");
  return 0;
}

static int array_type(lua_State *L) {
  lua_pushstring(L, ccp_array_type_name(check_any(L)->type));
  return 1;
}

void ccp_array_class(lua_State *L) {
  static const luaL_Reg of_array[] = {{"add", array_add},
                                      {"cas", array_cas},
                                      {"fill", array_fill},
                                      {"slice", array_slice},
                                      {"tostring", array_tostring},
                                      {"acquire", array_acquire},
                                      {"release", array_release},
                                      {"type", array_type},
                                      {NULL, NULL}};
  static const luaL_Reg of_value[] = {
      {"get", value_get},         {"set", value_set},
      {"add", value_add},         {"cas", value_cas},
      {"acquire", array_acquire}, {"release", array_release},
      {"type", array_type},       {NULL, NULL}};
  const ccp_shared_class array = {.tname = ARRAY,
                                  .kind = CCP_K_ARRAY,
                                  .methods = of_array,
                                  .make = array_new,
                                  .index = array__index,
                                  .newindex = array__newindex,
                                  .len = array__len};
  const ccp_shared_class value = {.tname = VALUE,
                                  .kind = CCP_K_ARRAY,
                                  .methods = of_value,
                                  .make = value_new};
  ccp_shared_add_class(L, &array);
  ccp_shared_add_class(L, &value);
}
