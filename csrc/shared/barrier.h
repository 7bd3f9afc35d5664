/*
** Barriers: a number of parties that go on together. The last one to come runs
** the action, if there is one, while the others wait.
*/
#ifndef CCP_SHARED_BARRIER_H
#define CCP_SHARED_BARRIER_H

#include "shared/waiters.h"

enum ccp_barrier_phase {
  CCP_BARRIER_FILLS,
  CCP_BARRIER_ACTS,
  CCP_BARRIER_BROKE
};

typedef struct ccp_barrier {
  ccp_object object;
  uint32_t parties; /* written once */
  /* under the object's mutex */
  uint32_t phase;
  uint32_t runner; /* the member that runs the action */
  uint64_t tickets;
  ccp_waiters waiters;
  ccp_sleepers early; /* those who came back before the action was over */
} ccp_barrier;

ccp_barrier *ccp_barrier_new(uint32_t parties);

/* Comes to the barrier. CCP_OK: *w waits, and *index says as which of the
** parties it came (from 1); or *w is NULL: it is the last, and must call
** ccp_barrier_open or ccp_barrier_break. CCP_E_BROKEN, CCP_E_NOMEM; and
** CCP_E_TIMEOUT, CCP_E_INTR when the action took long: nothing has happened. */
int ccp_barrier_come(ccp_barrier *b, uint32_t member, int64_t deadline_ns,
                     ccp_waiter **w, uint32_t *index);
/* CCP_OK: the barrier opened; CCP_E_BROKEN: it broke; either way *w is through.
** CCP_E_TIMEOUT, CCP_E_INTR: still waiting. Blocks. */
int ccp_barrier_wait(ccp_barrier *b, ccp_waiter *w, int64_t deadline_ns);
/* Stops waiting, which breaks the barrier unless it has just opened: then
** true. */
int ccp_barrier_leave(ccp_barrier *b, ccp_waiter *w);
void ccp_barrier_open(ccp_barrier *b);
void ccp_barrier_break(ccp_barrier *b);
/* Whole again; who waits now finds it broken. */
void ccp_barrier_reset(ccp_barrier *b);
/* How many wait; *broken. */
uint32_t ccp_barrier_look(ccp_barrier *b, int *broken);

#endif
