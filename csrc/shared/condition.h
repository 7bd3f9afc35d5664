/*
** Conditions, without their lock: a list of waiters that are told in the order
** in which they came.
*/
#ifndef CCP_SHARED_CONDITION_H
#define CCP_SHARED_CONDITION_H

#include "shared/waiters.h"

typedef struct ccp_condition_object {
  ccp_object object;
  ccp_waiters waiters; /* under the object's mutex */
  uint64_t tickets;
} ccp_condition_object;

ccp_condition_object *ccp_condition_new(void);

/* Begins to wait: to be called with the condition's lock held. NULL: no memory.
** The waiter stays where it is until ccp_condition_leave. */
ccp_waiter *ccp_condition_enter(ccp_condition_object *c, uint32_t member);
/* CCP_OK: told; CCP_E_TIMEOUT, CCP_E_INTR: not yet. Blocks. */
int ccp_condition_wait(ccp_condition_object *c, ccp_waiter *w,
                       int64_t deadline_ns);
/* Ends waiting; true if it was told. pass_on: then another one is told in its
** place. */
int ccp_condition_leave(ccp_condition_object *c, ccp_waiter *w, int pass_on);
/* Tells at most n waiters. Returns how many. */
uint32_t ccp_condition_notify(ccp_condition_object *c, uint32_t n);

#endif
