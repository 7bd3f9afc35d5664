/*
** Waiters that are chosen one by one, each with a word of its own to sleep on:
** for conditions and barriers. Under the mutex of the object that contains
** them, but for the sleep.
*/
#ifndef CCP_SHARED_WAITERS_H
#define CCP_SHARED_WAITERS_H

#include "shared/object.h"

enum { CCP_WAITER_NONE, CCP_WAITER_WAITS, CCP_WAITER_TOLD, CCP_WAITER_BROKEN };

typedef struct ccp_waiter {
  _Atomic uint32_t state; /* futex; the last store that makes or ends one */
  uint32_t member;
  uint64_t ticket; /* grows */
} ccp_waiter;

enum { CCP_WAITERS_ROOM = 15 };

/* A chain of rooms that grows and never shrinks. */
typedef struct ccp_waiters {
  ccp_waiter room[CCP_WAITERS_ROOM];
  struct ccp_waiters *next; /* owned: an arena block */
} ccp_waiters;

/* A new waiter that waits; NULL: no memory. */
ccp_waiter *ccp_waiters_join(ccp_waiters *ws, uint32_t member, uint64_t ticket);
/* The one with the lowest ticket that is in that state, or NULL. */
ccp_waiter *ccp_waiters_first(ccp_waiters *ws, uint32_t state);
/* Any one of that member, whatever its state, or NULL. */
ccp_waiter *ccp_waiters_of(ccp_waiters *ws, uint32_t member);
uint32_t ccp_waiters_count(ccp_waiters *ws, uint32_t state);
/* Tells it, and wakes it. */
void ccp_waiter_tell(ccp_waiter *w, uint32_t state);
void ccp_waiter_end(ccp_waiter *w);
void ccp_waiters_fini(ccp_waiters *ws);

/* Without the mutex: sleeps while the waiter waits. CCP_OK: look again;
** CCP_E_TIMEOUT, CCP_E_INTR. */
int ccp_waiter_sleep(ccp_waiter *w, int64_t deadline_ns);

#endif
