/*
** Tests of codec/codec.h without memory: each allocation that encoding and
** decoding make fails once, those of Lua and those of our own (buffers, memos,
** the store). The Makefile links it so that malloc and realloc come here first.
** One thread.
*/
#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>

#include "codec/codec.h"
#include "codec_kit.h"
#include "os/codes.h"

enum { NEVER = 1000000 }; /* no allocation has this number */

/* --- allocations of our own --- */

static long heap_calls, heap_fail_at; /* as in kit_mem */

void *__real_malloc(size_t n);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_realloc(void *p, size_t n);

static int heap_fails(void) {
  if (kit_allocating || heap_fail_at == 0)
    return 0;
  return ++heap_calls >= heap_fail_at;
}

void *__wrap_malloc(size_t n) {
  return heap_fails() ? NULL : __real_malloc(n);
}

void *__wrap_realloc(void *p, size_t n) {
  return heap_fails() ? NULL : __real_realloc(p, n);
}

/* Which allocations are to fail. */
typedef struct source {
  long *calls, *fail_at;
} source;

/* --- the sweep --- */

/* What is sent: something of everything. */
static const char *const sweep_code =
    "local C = {} register('C', C, function(o) return o.v, {o.v} end,\n"
    "  function(v) return setmetatable({v = v}, C) end)\n"
    "local n, s = 0, {} local function f() n = n + 1 return s end\n"
    "local d = {} for i = 1, 60 do d = {d, k = {}} end\n"
    "local o = setmetatable({v = 'v'}, C) C.zero = setmetatable({v = 0}, C)\n"
    "local w = setmetatable({{}, {}}, {__mode = 'k'})\n"
    "return f, {1, 2, 3, 4, 5, x = 'y', [s] = s, f}, print, d, o, {o, w},\n"
    "  function() return print end, ('long'):rep(50)";

typedef struct sweep {
  kit *k;
  int n; /* values on the stack */
  int rc;
} sweep;

static int encode_all(lua_State *L) {
  sweep *s = lua_touserdata(L, 1);
  ccp_buf_reset(&s->k->buf);
  s->rc = ccp_encode(L, 2, s->n, s->k->what, &s->k->buf, s->k->in_use);
  return 0;
}

static int decode_all(lua_State *L) {
  const sweep *s = lua_touserdata(L, 1);
  size_t used;
  int n = ccp_decode(L, s->k->buf.data, s->k->buf.len, &used, s->k->in_use);
  return n == s->n ? 0 : luaL_error(L, "lost values");
}

/* Calls fn with its n-th allocation failing: 0 if that was an error, 1 if it
** went through, -1 if it ended otherwise. */
static int with_failure(lua_State *L, lua_CFunction fn, sweep *s,
                        const source *mem, long nth) {
  int top = lua_gettop(L);
  lua_pushcfunction(L, fn);
  lua_pushlightuserdata(L, s);
  for (int i = 1; i <= s->n; i++)
    lua_pushvalue(L, top - s->n + i);
  *mem->calls = 0;
  *mem->fail_at = nth;
  s->rc = CCP_OK;
  int rc = lua_pcall(L, 1 + s->n, 0, 0);
  int hit = *mem->calls >= nth;
  *mem->fail_at = 0;
  lua_settop(L, top);
  if (rc == LUA_OK && s->rc == CCP_OK)
    return 1;
  int memory = rc == LUA_ERRMEM || s->rc == CCP_E_NOMEM;
  /* A stack that cannot grow and a `save` or `load` without memory are
  ** reported in their own words. */
  return hit && (memory || rc == LUA_ERRRUN || s->rc == CCP_E_NOTSENDABLE) ? 0
                                                                           : -1;
}

/* Values on the stack of a new pair of states. */
static void start(kit *k) {
  kit_init(k);
  if (luaL_dostring(k->here, sweep_code) != LUA_OK) {
    printf("%s\n", lua_tostring(k->here, -1));
    exit(2);
  }
}

static int works(lua_State *L, sweep *s, const source *mem) {
  return with_failure(L, encode_all, s, mem, NEVER) == 1 &&
         with_failure(L, decode_all, s, mem, NEVER) == 1;
}

/* Lets every allocation of fn fail once; after each failure the same must work.
** In new states each time if `fresh`, else in those that failed before. */
static const char *sweep_all(lua_CFunction fn, int heap, int fresh,
                             long *failures) {
  static kit k;
  const source of_lua = {&k.here_mem.calls, &k.here_mem.fail_at};
  const source of_heap = {&heap_calls, &heap_fail_at};
  const source *mem = heap ? &of_heap : &of_lua;
  const char *error = NULL;
  int how = 0;
  for (long nth = 1; how == 0 && error == NULL; nth++) {
    if (fresh || nth == 1)
      start(&k);
    lua_State *L = k.here;
    sweep s = {&k, lua_gettop(L), CCP_OK};
    if (fn == decode_all && (fresh || nth == 1) &&
        with_failure(L, encode_all, &s, mem, NEVER) != 1)
      error = "encoding fails without failures";
    else if ((how = with_failure(L, fn, &s, mem, nth)) < 0)
      error = "a failed allocation gave another error";
    else if (!works(L, &s, mem))
      error = "it does not work after a memory error";
    *failures = nth - 1;
    if (fresh)
      kit_fini(&k);
    else if (fn == encode_all)
      ccp_buf_fini(&k.buf); /* so that it is allocated each time */
  }
  if (!fresh)
    kit_fini(&k);
  return error;
}

int main(void) {
  int passed = 0, failed = 0;
  for (int i = 0; i < 8; i++) {
    long failures = 0;
    int decode = i & 1, fresh = i >> 1 & 1, heap = i >> 2;
    const char *error =
        sweep_all(decode ? decode_all : encode_all, heap, fresh, &failures);
    printf("%s, %s states, %s memory: %ld failures: %s\n",
           decode ? "decode" : "encode", fresh ? "new" : "old",
           heap ? "our" : "Lua's", failures, error != NULL ? error : "ok");
    passed += error == NULL;
    failed += error != NULL;
  }
  /* what nothing fails at, nothing is tested by */
  long none = 0;
  int hit = sweep_all(encode_all, 1, 1, &none) == NULL && none > 5;
  printf("%d passed, %d failed\n", passed + hit, failed + !hit);
  return failed != 0 || !hit;
}
