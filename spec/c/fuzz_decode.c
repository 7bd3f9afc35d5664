/*
** Fuzzer of ccp_decode: bytes that no encoder wrote give a Lua error or values,
** never a crash, and never more memory than the input justifies.
**
**   fuzz_decode [SECONDS [SEED]]   messages made by the encoder, then damaged
**   fuzz_decode --write FOLDER     writes those messages into files
**
** With libFuzzer, whose main takes the place of the one here, the same check
** runs on what libFuzzer makes up. One thread.
*/
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <lauxlib.h>

#include "codec/wire.h"
#include "codec_kit.h"
#include "os/codes.h"

enum {
  BYTES_PER_BYTE = 64,       /* memory of Lua that a byte of input may cost */
  BYTES_ANYWAY = 128 * 1024, /* require's messages, stack, caches */
  COLLECT_ABOVE = 4 * 1024 * 1024,
  CORPUS_MAX = 64,
  INPUT_MAX = 1 << 16
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static kit the_kit;
static int kit_ready;
static unsigned long values_seen, errors_seen;

static void start(void) {
  if (kit_ready)
    return;
  kit_init(&the_kit);
  lua_State *L = the_kit.there;
  /* A message may register functions that have a name, and have them called:
  ** none may be there that reach beyond the state. */
  if (luaL_dostring(L, "register('kit.Box', getmetatable(box()), unbox, box,\n"
                       "  'ccpool.core')\n"
                       "for _, name in ipairs{'io', 'os', 'debug'} do\n"
                       "  for key in pairs(_G[name]) do\n"
                       "    if key ~= 'stdout' then _G[name][key] = nil end\n"
                       "  end\n"
                       "end\n"
                       "dofile, loadfile, load, print, collectgarbage = nil\n"
                       "string.rep, coroutine.wrap, warn = nil\n"
                       "package.loadlib, package.searchpath = nil"))
    exit(2);
  lua_gc(L, LUA_GCCOLLECT);
  lua_gc(L, LUA_GCSTOP); /* what a decoding takes is counted whole */
  kit_ready = 1;
}

typedef struct input {
  const uint8_t *data;
  size_t size;
} input;

static int decode(lua_State *L) {
  const input *in = lua_touserdata(L, 1);
  size_t used = 0;
  int top = lua_gettop(L);
  int n = ccp_decode(L, in->data, in->size, &used, the_kit.in_use);
  if (used > in->size || lua_gettop(L) != top + n)
    abort();
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  start();
  lua_State *L = the_kit.there;
  kit_mem *mem = &the_kit.there_mem;
  input in = {data, size};
  size_t before = mem->used;
  mem->peak = before;
  lua_pushcfunction(L, decode);
  lua_pushlightuserdata(L, &in);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK)
    values_seen++;
  else
    errors_seen++;
  if (mem->peak - before > BYTES_PER_BYTE * size + BYTES_ANYWAY) {
    fprintf(stderr, "%zu bytes of input took %zu bytes\n", size,
            mem->peak - before);
    abort();
  }
  lua_settop(L, 0);
  if (mem->used > COLLECT_ABOVE)
    lua_gc(L, LUA_GCCOLLECT);
  return 0;
}

/* --- messages to begin with --- */

static const char *const corpus_code =
    "local out = {} local function add(...) out[#out + 1] = pack(...) end\n"
    "add() add(nil, true, false, 1, -1, 1000, 1 << 20, 1 << 40, 1.5, 'abc')\n"
    "add(('x'):rep(31), ('y'):rep(32), ('z'):rep(200), '')\n"
    "add{1, 2, 3, nil, 5, x = 1, y = {z = 'y', x = 'z'}}\n"
    "local a, f, m = {}, {}, {}\n"
    "for i = 1, 300 do a[i] = i * 99 f[i] = i + 0.5\n"
    "  m[i] = i % 7 == 0 and {i} or i end\n"
    "add(a) add(f) add(m, a)\n"
    "local r = {} for i = 1, 30 do r[i] = {id = i, name = 'n' .. i,\n"
    "  tags = {'a', 'b', 'name'}} end add(r)\n"
    "local c = {} c.c = c c[c] = {c, c} add(c, c)\n"
    "local k = {} for i = 1, 300 do k['key' .. i] = 'val' .. i % 9 end add(k)\n"
    "local d = {} for i = 1, 100 do d = {d, [{}] = i} end add(d)\n"
    "local mt = {__index = {1}} add(setmetatable({}, mt), setmetatable({}, "
    "mt))\n"
    "add(print, math.sqrt, {io.stdout, string, string, _G})\n"
    "local n, s = 0, {} local function g() n = n + 1 return s, g end\n"
    "add(function() return 1 end, 1) add(g, function() return n, s, g end)\n"
    "add({g, g = g}, function() return print end)\n"
    "add(box(1), {box(2), box(3)}) local b = box(4) add{b, {b}}\n"
    "add(-0.0, math.huge, 0/0, math.mininteger, {[-1] = 1, [1.5] = 2})\n"
    "add(setmetatable({}, {__mode = 'k'}))\n"
    "local T = {} T.__index = T register('T', T, function(o) return o.v, T end,"
    "\n  function(v) return setmetatable({v = v}, T) end)\n"
    "add(setmetatable({v = 1}, T), T, {setmetatable({v = {}}, T)})\n"
    "out[#out + 1] = pack_call('math.sqrt', 1)\n"
    "out[#out + 1] = pack_call('no.such.thing', {1})\n"
    "inline(true)\n"
    "add(function() return 1 end) add(g, {function() return n end})\n"
    "inline(false)\n"
    "return out";

static input corpus[CORPUS_MAX];
static size_t corpus_size;

static void make_corpus(void) {
  lua_State *L = the_kit.here;
  if (luaL_dostring(L, "register('kit.Box', getmetatable(box()), unbox, box, "
                       "'ccpool.core')") ||
      luaL_dostring(L, corpus_code)) {
    fprintf(stderr, "corpus: %s\n", lua_tostring(L, -1));
    exit(2);
  }
  for (lua_Integer i = 1; corpus_size < CORPUS_MAX; i++) {
    if (lua_rawgeti(L, -1, i) == LUA_TNIL)
      break;
    const void *s = lua_tolstring(L, -1, &corpus[corpus_size].size);
    corpus[corpus_size++].data = s;
    lua_pop(L, 1); /* the list holds it */
  }
  the_kit.in_use = &the_kit.funcs;
}

/* --- damage --- */

static uint64_t seed = 1;

static size_t below(size_t n) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return n > 0 ? (size_t)((seed * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % n : 0;
}

static uint8_t odd_byte(void) {
  static const uint8_t odd[] = {0x00, 0x01, 0x7f, 0x80, 0xff, 0xfe};
  switch (below(3)) {
  case 0:
    return odd[below(sizeof odd)];
  case 1:
    return (uint8_t)below(2 * (CCP_T_LAST + 1)); /* tags, some shared */
  default:
    return (uint8_t)below(256);
  }
}

/* One change to the n bytes at p, which has room for INPUT_MAX; the new n. */
static size_t damage(uint8_t *p, size_t n) {
  if (n == 0) {
    p[0] = odd_byte();
    return 1;
  }
  size_t at = below(n), len = 1 + below(n - at), to;
  switch (below(7)) {
  case 0:
    p[at] ^= (uint8_t)(1u << below(8));
    return n;
  case 1:
    p[at] = odd_byte();
    return n;
  case 2: /* cut off */
    return at;
  case 3: /* take out */
    memmove(p + at, p + at + len, n - at - len);
    return n - len;
  case 4: /* put in */
    if (n == INPUT_MAX)
      return n;
    memmove(p + at + 1, p + at, n - at);
    p[at] = odd_byte();
    return n + 1;
  case 5: /* copy elsewhere */
    to = below(n);
    if (len > n - to)
      len = n - to;
    memmove(p + to, p + at, len);
    return n;
  default: { /* another message's bytes */
    input other = corpus[below(corpus_size)];
    size_t from = below(other.size + 1);
    len = below(other.size - from + 1);
    if (len > INPUT_MAX - at)
      len = INPUT_MAX - at;
    if (len > 0)
      memcpy(p + at, other.data + from, len);
    return at + len > n ? at + len : n;
  }
  }
}

static size_t make_input(uint8_t *p) {
  size_t n = 0;
  if (below(16) == 0) { /* nothing but noise */
    n = below(200);
    for (size_t i = 0; i < n; i++)
      p[i] = odd_byte();
    return n;
  }
  input from = corpus[below(corpus_size)];
  n = from.size;
  memcpy(p, from.data, n);
  for (size_t i = 1 + below(6); i > 0; i--)
    n = damage(p, n);
  return n;
}

static void finish(void) {
  kit_fini(&the_kit);
  kit_ready = 0;
}

static int write_corpus(const char *folder) {
  for (size_t i = 0; i < corpus_size; i++) {
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/message_%02zu", folder, i);
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(corpus[i].data, 1, corpus[i].size, f) < 1 ||
        fclose(f) != 0) {
      perror(path);
      return 1;
    }
  }
  return 0;
}

__attribute__((weak)) int main(int argc, char **argv) {
  static uint8_t room[INPUT_MAX];
  double seconds = argc > 1 ? atof(argv[1]) : 10;
  seed = argc > 2 ? strtoull(argv[2], NULL, 10) * 2 + 1 : 1;
  unsigned long runs = 0;
  start();
  make_corpus();
  if (argc == 3 && strcmp(argv[1], "--write") == 0)
    return write_corpus(argv[2]);
  for (size_t i = 0; i < corpus_size; i++)
    LLVMFuzzerTestOneInput(corpus[i].data, corpus[i].size);
  time_t end = time(NULL) + (time_t)seconds;
  for (; runs % 1024 != 0 || time(NULL) < end; runs++) {
    size_t n = make_input(room);
    uint8_t *exact = malloc(n > 0 ? n : 1); /* so that sanitizers see its end */
    if (exact == NULL)
      return 2;
    memcpy(exact, room, n);
    LLVMFuzzerTestOneInput(exact, n);
    free(exact);
  }
  printf("%lu inputs, %lu decoded, %lu refused\n", runs, values_seen,
         errors_seen);
  finish();
  return 0;
}
