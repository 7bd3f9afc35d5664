/*
** Tests of worker/vm_nest.h and worker/vm_warn.h: what a thread's Lua state
** allocates. One thread.
*/
#include "worker/vm_nest.h"

#include <stdint.h>
#include <string.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <lauxlib.h>
#include <lualib.h>

#include "check.h"
#include "worker/vm_warn.h"

enum { PIECES = 300, TURNS = 60000, LONGEST = 900 };

typedef struct piece {
  unsigned char *at;
  size_t len;
  unsigned char fill;
} piece;

static uint32_t random_bits(void) {
  static uint64_t x = 88172645463325252u;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return (uint32_t)(x >> 16);
}

static int is_intact(const piece *p) {
  for (size_t i = 0; i < p->len; i++)
    if (p->at[i] != p->fill)
      return 0;
  return 1;
}

/* Most are small, as Lua's are. */
static size_t some_length(void) {
  return random_bits() % 8 ? random_bits() % 120 + 1
                           : random_bits() % LONGEST + 1;
}

static void resize(lua_Alloc alloc, void *ud, piece *p, size_t len) {
  unsigned char *at = alloc(ud, p->at, p->at ? p->len : 0, len);
  size_t kept = p->len < len ? p->len : len;
  if (len == 0) {
    CHECK(at == NULL);
    p->at = NULL;
    p->len = 0;
    return;
  }
  CHECK(at != NULL && (uintptr_t)at % 16 == 0);
  p->at = at;
  p->len = kept;
  CHECK(is_intact(p));
  p->fill = (unsigned char)random_bits();
  p->len = len;
  memset(at, p->fill, len);
}

/* However they grow, shrink and go: none overlaps another, in the nest or
** beyond it. */
static void blocks_keep_what_they_hold(void) {
  ccp_nest nest;
  piece pieces[PIECES] = {{0}};
  lua_State *L = ccp_nest_open(&nest);
  void *ud;
  lua_Alloc alloc;
  if (!CHECK(L != NULL))
    return;
  alloc = lua_getallocf(L, &ud);
  for (int turn = 0; turn < TURNS; turn++) {
    piece *p = &pieces[random_bits() % PIECES];
    CHECK(is_intact(p));
    resize(alloc, ud, p, p->at && random_bits() % 3 == 0 ? 0 : some_length());
  }
  for (int i = 0; i < PIECES; i++) {
    CHECK(is_intact(&pieces[i]));
    if (pieces[i].at)
      resize(alloc, ud, &pieces[i], 0);
  }
  ccp_nest_close(&nest, L);
}

static void what_is_given_back_is_used_again(void) {
  ccp_nest nest;
  lua_State *L = ccp_nest_open(&nest);
  void *ud;
  lua_Alloc alloc;
  size_t used;
  if (!CHECK(L != NULL))
    return;
  alloc = lua_getallocf(L, &ud);
  used = nest.used;
  for (int i = 0; i < 1000; i++) {
    void *p = alloc(ud, NULL, 0, 100);
    (void)alloc(ud, p, 100, 0);
  }
  CHECK(nest.used == used);
  ccp_nest_close(&nest, L);
}

static lua_Integer run_program(lua_State *L) {
  static const char text[] =
      "local t, s = {}, '' "
      "for i = 1, 5000 do t[i] = {i, tostring(i), [i] = i} end "
      "for i = 1, 300 do s = s .. i end "
      "for i = 1, 5000, 2 do t[i] = nil end collectgarbage() "
      "local sum = 0 for _, v in pairs(t) do sum = sum + v[1] + #v[2] end "
      "local co = coroutine.wrap(function(...) return select('#', ...) end) "
      "return sum + #s + co(1, 2, 3)";
  if (!CHECK(L != NULL))
    return 0;
  luaL_openlibs(L);
  CHECK(luaL_dostring(L, text) == LUA_OK);
  return lua_tointeger(L, -1);
}

static void programs_run_there(void) {
  ccp_nest nest;
  lua_State *here = ccp_nest_open(&nest), *there = luaL_newstate();
  lua_Integer result = run_program(here);
  CHECK(result > 0 && result == run_program(there));
  ccp_nest_close(&nest, here);
  lua_close(there);
}

/* Many blocks of one size are replaced by as many of the next: what they took
** serves those, and goes back when they are gone. */
static void pages_serve_any_size_and_go_back(void) {
  enum { MANY = 50000 };
  static unsigned char *blocks[MANY];
  ccp_pages ps = {0};
  size_t most = 0;
  if (CCP_PAGES_MOST == 0)
    return;
  for (size_t size = 16; size <= CCP_PAGES_MOST; size += 48) {
    for (size_t i = 0; i < MANY; i++) {
      blocks[i] = ccp_pages_take(&ps, size - i % 16);
      CHECK(blocks[i] != NULL && (uintptr_t)blocks[i] % CCP_PAGES_STEP == 0);
      memset(blocks[i], (int)i, size - i % 16);
    }
    most = ps.count;
    CHECK(most * 250 * 1024 < 2 * MANY * size + 500 * 1024);
    for (size_t i = 0; i < MANY; i++) {
      size_t at = i * 7 % MANY; /* in another order */
      CHECK(blocks[at][0] == (unsigned char)at);
      ccp_pages_give(&ps, blocks[at], size - at % 16);
    }
  }
  CHECK(most > 40);
  CHECK(ps.count == 1); /* is kept for what comes next */
  ccp_pages_fini(&ps);
}

#if defined(__GLIBC__)
/* The heap does not grow when what has gone comes back, though something lies
** between any two chunks. */
static void a_chunk_fits_where_one_was(void) {
  enum { CHUNKS = 40, MOST = CHUNKS * 1000, SIZE = 256 };
  static unsigned char *blocks[MOST];
  void *between[CHUNKS + 1] = {NULL};
  unsigned char *end;
  ccp_pages ps = {0};
  size_t n = 0;
  if (CCP_PAGES_MOST == 0)
    return;
  CHECK(mallopt(M_MMAP_THRESHOLD, 1 << 24));
  for (; n < MOST && ps.count < CHUNKS; n++) {
    size_t count = ps.count;
    blocks[n] = ccp_pages_take(&ps, SIZE);
    if (ps.count > count)
      between[count] = malloc(9000);
  }
  for (size_t i = 0; i < n; i++)
    ccp_pages_give(&ps, blocks[i], SIZE);
  end = sbrk(0);
  for (size_t i = 0; i < n; i++)
    blocks[i] = ccp_pages_take(&ps, SIZE);
  CHECK(n > 30000 && ps.count == CHUNKS);
  CHECK((unsigned char *)sbrk(0) - end < 2 << 20);
  for (size_t i = 0; i < CHUNKS; i++)
    free(between[i]);
  ccp_pages_fini(&ps);
}

/* Some C modules give blocks back without their size. */
static void blocks_of_unknown_size_go_back(void) {
  static const size_t sizes[] = {24, 256, 257, 100000};
  ccp_nest nest;
  lua_State *L = ccp_nest_open(&nest);
  void *ud, *filler[CCP_NEST_BYTES / 256 + 1];
  unsigned char *end = NULL;
  lua_Alloc alloc = lua_getallocf(L, &ud);
  size_t n = 0, count;
  for (; n < sizeof filler / sizeof *filler; n++)
    filler[n] = alloc(ud, NULL, 0, 256); /* the nest is full */
  count = nest.pages.count;
  for (int round = 0; round < 20000; round++)
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
      unsigned char *p = alloc(ud, NULL, 0, sizes[i]);
      if (!CHECK(p != NULL))
        return;
      memset(p, 7, sizes[i]);
      (void)alloc(ud, p, 0, 0);
      if (round == 0)
        end = sbrk(0);
    }
  CHECK(nest.pages.count <= count + 1);
  CHECK(CCP_PAGES_MOST == 0 || (unsigned char *)sbrk(0) - end < 2 << 20);
  while (n > 0)
    (void)alloc(ud, filler[--n], 256, 0);
  ccp_nest_close(&nest, L);
}
#endif

/* What the stand-alone interpreter's state writes to stderr is what this one
** writes. In Lua 5.5 luaL_newstate turns warnings on, and it is the interpreter
** that turns them off. */
static void warn_into(FILE *file, lua_State *L) {
  static const char text[] =
      "warn('unheard') warn('@on') warn('a', '@off', 'b') "
      "warn('@what') warn('c') warn('@off') warn('d')";
  int kept = dup(STDERR_FILENO);
  luaL_openlibs(L);
  (void)fflush(stderr);
  (void)dup2(fileno(file), STDERR_FILENO);
  CHECK(luaL_dostring(L, text) == LUA_OK);
  (void)fflush(stderr);
  (void)dup2(kept, STDERR_FILENO);
  (void)close(kept);
}

static size_t all_of(FILE *file, char *to, size_t room) {
  rewind(file);
  return fread(to, 1, room, file);
}

static void warnings_are_those_of_lua(void) {
  char ours[200] = "", luas[200] = "";
  FILE *a = tmpfile(), *b = tmpfile();
  ccp_nest nest;
  if (!CHECK(a && b))
    return;
  lua_State *here = ccp_nest_open(&nest), *there = luaL_newstate();
  warn_into(a, here);
  ccp_nest_close(&nest, here);
  if (CHECK(there != NULL)) {
    lua_warning(there, "@off", 0);
    warn_into(b, there);
    lua_close(there);
  }
  CHECK(all_of(a, ours, sizeof ours) == all_of(b, luas, sizeof luas));
  CHECK(memcmp(ours, luas, sizeof ours) == 0 && strstr(ours, "a@offb\n"));
  (void)fclose(a);
  (void)fclose(b);
}

int main(void) {
  RUN(blocks_keep_what_they_hold);
  RUN(what_is_given_back_is_used_again);
  RUN(programs_run_there);
  RUN(pages_serve_any_size_and_go_back);
  RUN(warnings_are_those_of_lua);
#if defined(__GLIBC__)
  RUN(a_chunk_fits_where_one_was);
  RUN(blocks_of_unknown_size_go_back);
#endif
  return check_tally();
}
