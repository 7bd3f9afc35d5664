/*
** The cap on a state's memory, and its collector. In the state's thread.
*/
#include "worker/vm_memory.h"

#include <string.h>

/* Lua collects garbage and asks once more when it is refused: so the second
** refusal in a row is a failure. (Its string buffers ask only once. In Lua 5.5
** these become the long strings themselves, which the collector does not
** count.) */
static void *refuse(ccp_cap *cap) {
  if (cap->refused)
    cap->hit = 1;
  cap->refused = !cap->refused;
  cap->ever = 1;
  return NULL;
}

static void *allocate(void *ud, void *block, size_t old, size_t size) {
  ccp_cap *cap = ud;
  int64_t more = (int64_t)size - (block ? (int64_t)old : 0);
  void *p;
  if (more > 0 && (size > (size_t)INT64_MAX || more > cap->most - cap->used))
    return refuse(cap);
  p = cap->alloc(cap->ud, block, old, size);
  if (!p && size > 0)
    return refuse(cap);
  if (more > 0)
    cap->refused = 0;
  cap->used += more;
  return p;
}

void ccp_cap_set(ccp_cap *cap, lua_State *L, int64_t used, size_t most) {
  cap->alloc = lua_getallocf(L, &cap->ud);
  cap->used = used;
  cap->most = most < INT64_MAX ? (int64_t)most : INT64_MAX;
  cap->refused = cap->ever = cap->hit = 0;
  lua_setallocf(L, allocate, cap);
}

int ccp_cap_is_error(const ccp_cap *cap, lua_State *L, int status) {
  if (status == LUA_ERRMEM)
    return 1;
  return status != LUA_OK && cap->ever && lua_type(L, -1) == LUA_TSTRING &&
         strstr(lua_tostring(L, -1), "not enough memory") != NULL;
}
