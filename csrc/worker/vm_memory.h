/*
** The memory that a worker's state may take: an allocator that counts, and
** refuses what is too much.
*/
#ifndef CCP_WORKER_VM_MEMORY_H
#define CCP_WORKER_VM_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include <lua.h>

typedef struct ccp_cap {
  lua_Alloc alloc; /* the state's own; NULL: there is no cap */
  void *ud;
  int64_t used, most; /* bytes */
  int refused;        /* the last time it was asked for more */
  int ever;           /* refused at any time */
  int hit;            /* twice in a row: collecting did not help */
} ccp_cap;

/* The state's allocator has a cap from now on, which must stay in place as
** long as the state does. 'used': what of its memory counts already. */
void ccp_cap_set(ccp_cap *cap, lua_State *L, int64_t used, size_t most);

/* After lua_pcall gave 'status' with the error value on top: is it for want of
** memory? Also when it was caught on the way and raised again as a string. */
int ccp_cap_is_error(const ccp_cap *cap, lua_State *L, int status);

#endif
