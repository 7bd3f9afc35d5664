/*
** A worker's Lua state: made, filled with what the program gives its workers,
** run over the loop's items, interrupted, closed.
*/
#ifndef CCP_WORKER_VM_H
#define CCP_WORKER_VM_H

#include "worker/plan.h"
#include "worker/vm_nest.h"

/* What the Lua code that runs shall do. */
enum ccp_interrupt {
  CCP_I_NONE,
  CCP_I_RAISE,  /* raise an error, once */
  CCP_I_RAISED, /* that was done */
  CCP_I_INSIST  /* raise an error wherever it gets to, until the state ends */
};

/* A state that runs, or has resumed one that runs; on the C stack of its
** thread. */
typedef struct ccp_running {
  struct lua_State *L, *from; /* 'from' resumed it */
  const struct ccp_running *below;
} ccp_running;

/* Who the running worker is. */
typedef struct ccp_self {
  const ccp_plan *plan;
  uint32_t index;
  uint64_t task;    /* number of the current call, 0 between calls */
  uint32_t attempt; /* at it: 1 and up */
  /* enum ccp_interrupt; grows. Written by who interrupts, before the signal,
  ** and by the thread that raises the error (seq_cst, relaxed: the signal
  ** orders them) */
  _Atomic int interrupt;
  /* where hooks have to be set; written by the thread, read by it and by its
  ** signal handler (release, acquire) */
  _Atomic(const ccp_running *) running;
} ccp_self;

/* Of the worker whose thread this is, or NULL. */
ccp_self *ccp_self_get(void);

/* The pool that this thread works for, or NULL: a process has only a copy of
** its own. */
struct ccp_pool *ccp_self_pool(void);

/* The thread is that worker from now on; NULL: none, as in a child, whatever
** worker forked it. */
void ccp_self_set(ccp_self *self);

/* For threads that are no workers. Opens an empty state that 'self' can be
** interrupted in, and makes it what this thread is; NULL: no memory. 'base' and
** 'nest' live as long as the state. self->plan has no board. */
struct lua_State *ccp_vm_enter(ccp_self *self, ccp_running *base,
                               ccp_nest *nest);
/* Closes it. It is not interrupted any more. */
void ccp_vm_leave(ccp_self *self, struct lua_State *L, ccp_nest *nest);

/* Fills a state with what the plan gives it: a new one, or that of a child. In
** protected mode only. */
void ccp_vm_prepare(struct lua_State *L, const ccp_plan *plan);
/* Makes an inherited state fit for a child. In protected mode only. */
void ccp_vm_prepare_child(struct lua_State *L);
/* Makes an inherited state fit for the workers that will be forked, so that
** none has to do it and to copy the pages it lies on: gives the coroutine that
** each of them runs in. NULL: no memory. */
struct lua_State *ccp_vm_inherit(struct lua_State *L);

/* Runs the worker that 'self' names (plan and index) to its end. A thread
** passes NULL and gets a state of its own; a process passes the coroutine it
** inherited. Returns when the worker shall end; its record says CCP_W_ENDED
** then. 'self' must outlive all who interrupt it. */
void ccp_vm_main(ccp_self *self, struct lua_State *inherited);

#endif
