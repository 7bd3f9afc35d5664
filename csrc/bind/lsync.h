/*
** The classes of shared objects: each adds itself to the core module, which is
** on top of the stack.
*/
#ifndef CCP_BIND_LSYNC_H
#define CCP_BIND_LSYNC_H

#include <lua.h>

void ccp_lock_class(lua_State *L); /* Lock and RLock */
void ccp_semaphore_class(lua_State *L);
void ccp_event_class(lua_State *L);
void ccp_condition_class(lua_State *L);
void ccp_barrier_class(lua_State *L);
void ccp_array_class(lua_State *L); /* Array and Value */
void ccp_queue_class(lua_State *L);
void ccp_dict_class(lua_State *L);

#endif
