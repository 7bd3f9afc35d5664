/*
** Large strings into Lua; see large.h. Lua allocates a string and copies into
** it in one call, so the hint is given by an allocator that stands in front of
** the state's own for the length of that call. It changes nothing of what that
** one returns: the memory is freed as any other.
*/
#include "codec/large.h"

#include "os/mapping.h"

typedef struct hinting {
  lua_Alloc alloc; /* the state's own, with its data */
  void *ud;
  const void *s; /* borrowed: what is to be pushed */
  size_t len;
} hinting;

static void *allocate(void *ud, void *block, size_t old, size_t size) {
  const hinting *h = ud;
  void *p = h->alloc(h->ud, block, old, size);
  if (p && !block && size >= h->len)
    ccp_mapping_huge(p, size);
  return p;
}

static int push(lua_State *L) {
  const hinting *h = lua_touserdata(L, 1);
  lua_pushlstring(L, h->s, h->len);
  return 1;
}

/* Protected, since the state's own allocator must be back after an error,
** too. Finalizers that run meanwhile do so inside of this call. */
void ccp_large_push(lua_State *L, const void *s, size_t len) {
  hinting h = {NULL, NULL, s, len};
  int status;
  lua_pushcfunction(L, push);
  lua_pushlightuserdata(L, &h);
  h.alloc = lua_getallocf(L, &h.ud);
  lua_setallocf(L, allocate, &h);
  status = lua_pcall(L, 1, 1, 0);
  lua_setallocf(L, h.alloc, h.ud);
  if (status != LUA_OK)
    (void)lua_error(L);
}
