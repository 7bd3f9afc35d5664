/*
** A print whose lines stay whole, however many workers print.
*/
#ifndef CCP_WORKER_VM_PRINT_H
#define CCP_WORKER_VM_PRINT_H

struct lua_State;

/* Lua's print, but the line is written at once. */
int ccp_vm_print(struct lua_State *L);

#endif
