/*
** Warnings of a state that was not made by luaL_newstate.
*/
#ifndef CCP_WORKER_VM_WARN_H
#define CCP_WORKER_VM_WARN_H

struct lua_State;

/* They are off and go to stderr, as the stand-alone interpreter has it; "@on"
** and "@off" turn them on and off. */
void ccp_vm_warnings(struct lua_State *L);

#endif
