/*
** Interrupting the Lua code of a worker thread. A signal's handler sets a hook
** on every coroutine that is on its way, and the first of them that runs Lua
** code raises an error. There is no hook as long as nobody interrupts.
*/
#ifndef CCP_WORKER_VM_INTERRUPT_H
#define CCP_WORKER_VM_INTERRUPT_H

#include <pthread.h>

#include "worker/vm.h"

/* The signal that interrupts a worker thread. CCP_OK or CCP_E_SYS. */
int ccp_vm_arm_signal(void);
/* The calling thread lets it in. From now on 'self' names what it runs. */
void ccp_vm_let_signal_in(void);

/* A worker's state has the hook that it has while nobody interrupts: none. */
void ccp_vm_unhook(struct lua_State *L);

/* The Lua code that thread runs raises an error: once, however often this is
** called; with 'insist', again and again. One thread at a time; 'thread' must
** not have been joined. */
void ccp_vm_interrupt(ccp_self *self, pthread_t thread, int insist);

/* Was the worker whose thread this is told to raise an error, and has not yet?
** False outside of workers. */
int ccp_vm_is_told(void);

/* Replaces what resumes coroutines in package.loaded.coroutine by functions
** that do the same and say which coroutine runs. May raise. */
void ccp_vm_watch_coroutines(struct lua_State *L);

#endif
