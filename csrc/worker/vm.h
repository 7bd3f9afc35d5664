/*
** A worker's Lua state: made, filled with what the program gives its workers,
** run over the loop's items, interrupted, closed.
*/
#ifndef CCP_WORKER_VM_H
#define CCP_WORKER_VM_H

#include "worker/plan.h"

/* Who the running worker is. */
typedef struct ccp_self {
  const ccp_plan *plan;
  uint32_t index;
  uint64_t task;             /* number of the current call, 0 between calls */
  _Atomic int interrupt;     /* the state was told to stop what it runs */
  struct lua_State *running; /* where a hook has to be set */
} ccp_self;

/* Of the worker whose thread this is, or NULL. */
ccp_self *ccp_self_get(void);

/* Runs the worker that 'self' names (plan and index) to its end. A thread
** passes NULL and gets a state of its own; a process passes the state it
** inherited. Returns when the worker shall end; its record says CCP_W_ENDED
** then. 'self' must outlive all who interrupt it. */
void ccp_vm_main(ccp_self *self, struct lua_State *inherited);

/* The signal that interrupts a worker thread. Its handler sets a hook that
** raises once in the Lua code this thread runs. CCP_OK or CCP_E_SYS. */
int ccp_vm_arm_signal(void);
int ccp_vm_signal(void);

#endif
