/*
** What other classes need of Lock and RLock.
*/
#ifndef CCP_BIND_LLOCK_H
#define CCP_BIND_LLOCK_H

#include <lua.h>

#include "shared/latch.h"

/* The lock that argument 'arg' is a handle of; raises. */
ccp_lockobj *ccp_lock_check(lua_State *L, int arg);
/* Pushes a new RLock. */
void ccp_lock_push_new(lua_State *L);
/* Pushes what `acquire` returns for a result code; returns how many values. */
int ccp_lock_acquired(lua_State *L, int rc);

#endif
