/*
** Loading C modules in states that share one process: one at a time.
*/
#ifndef CCP_WORKER_VM_LOAD_H
#define CCP_WORKER_VM_LOAD_H

#include <lua.h>

/* Wraps the state's searchers of C modules: finding and opening one holds a
** lock of the whole process. For states of worker threads; may raise memory
** errors. */
void ccp_load_in_turn(lua_State *L);

#endif
