/*
** The allocator of a thread's state. Only the thread that runs the state is
** here. Of a block its address is known, and the size that Lua tells.
*/
#include "worker/vm_nest.h"

#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>

#include "worker/vm_warn.h"

static size_t round_up(size_t size) {
  return (size + CCP_NEST_STEP - 1) / CCP_NEST_STEP * CCP_NEST_STEP;
}

static int is_inside(const ccp_nest *n, const void *p) {
  const unsigned char *at = p;
  return at >= n->block && at < n->block + sizeof n->block;
}

static int is_last(const ccp_nest *n, const unsigned char *p, size_t size) {
  return p + size == n->block + n->used;
}

static void *take(ccp_nest *n, size_t size) {
  size_t which = size / CCP_NEST_STEP;
  unsigned char *p;
  if (which <= CCP_NEST_SIZES && n->spare[which]) {
    p = n->spare[which];
    memcpy(&n->spare[which], p, sizeof(void *));
  } else if (size <= n->hole_bytes) {
    p = n->hole;
    n->hole += size;
    n->hole_bytes -= size;
  } else if (size <= sizeof n->block - n->used) {
    p = n->block + n->used;
    n->used += size;
  } else
    p = NULL;
  return p;
}

/* Of the large ones that are not the last, one is kept; others are lost until
** the state is closed. */
static void give(ccp_nest *n, unsigned char *p, size_t size) {
  size_t which = size / CCP_NEST_STEP;
  if (is_last(n, p, size)) {
    n->used -= size;
  } else if (which <= CCP_NEST_SIZES) {
    memcpy(p, &n->spare[which], sizeof(void *));
    n->spare[which] = p;
  } else if (size > n->hole_bytes) {
    n->hole = p;
    n->hole_bytes = size;
  }
}

static void *get(ccp_nest *n, size_t size) {
  void *p = size <= sizeof n->block ? take(n, round_up(size)) : NULL;
  if (p)
    return p;
  return size <= CCP_PAGES_MOST ? ccp_pages_take(&n->pages, size)
                                : malloc(size);
}

/* A block outside of the nest. */
static void lose(ccp_nest *n, void *p, size_t size) {
  if (size <= CCP_PAGES_MOST)
    ccp_pages_give(&n->pages, p, size);
  else
    free(p);
}

/* The same becomes larger or smaller. Where memory has run out the latter may
** fail, too, if the block would have to move into a page. */
static void *change_outside(ccp_nest *n, void *p, size_t old, size_t size) {
  void *moved;
  if (old > CCP_PAGES_MOST && size > CCP_PAGES_MOST)
    return realloc(p, size);
  if (old <= CCP_PAGES_MOST && size <= CCP_PAGES_MOST &&
      round_up(old) == round_up(size))
    return p;
  moved = get(n, size);
  if (!moved)
    return NULL;
  memcpy(moved, p, old < size ? old : size);
  lose(n, p, old);
  return moved;
}

/* A block of the nest becomes larger or smaller; the latter cannot fail. */
static void *change(ccp_nest *n, unsigned char *p, size_t old, size_t size) {
  size_t from = round_up(old), to = round_up(size);
  void *moved;
  if (to < from)
    give(n, p + to, from - to);
  if (to <= from)
    return p;
  if (is_last(n, p, from) && to - from <= sizeof n->block - n->used) {
    n->used += to - from;
    return p;
  }
  moved = get(n, size);
  if (!moved)
    return NULL;
  memcpy(moved, p, old);
  give(n, p, from);
  return moved;
}

/* How large a block outside of the nest is, for C modules that use the state's
** allocator and say 0, which malloc bears. */
static size_t look_up(const ccp_nest *n, const void *p) {
  size_t room = ccp_pages_room(&n->pages, p);
  return room > 0 ? room : CCP_PAGES_MOST + 1;
}

static void *allocate(void *ud, void *p, size_t old, size_t size) {
  ccp_nest *n = ud;
  if (p == NULL) /* 'old' is a kind of object then */
    return size > 0 ? get(n, size) : NULL;
  if (is_inside(n, p)) {
    if (size > 0)
      return change(n, p, old, size);
    give(n, p, round_up(old));
    return NULL;
  }
  if (old == 0)
    old = look_up(n, p);
  if (size > 0)
    return change_outside(n, p, old, size);
  lose(n, p, old);
  return NULL;
}

lua_State *ccp_nest_open(ccp_nest *n) {
  lua_State *L;
  memset(n, 0, offsetof(ccp_nest, block));
#if LUA_VERSION_NUM >= 505
  L = lua_newstate(allocate, n, luaL_makeseed(NULL));
#else
  L = lua_newstate(allocate, n);
#endif
  if (L)
    ccp_vm_warnings(L);
  else
    ccp_pages_fini(&n->pages);
  return L;
}

void ccp_nest_close(ccp_nest *n, lua_State *L) {
  lua_close(L);
  ccp_pages_fini(&n->pages);
}
