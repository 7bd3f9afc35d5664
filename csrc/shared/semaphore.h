/*
** Semaphores. Which member has how many is known, so that those of a dead one
** come back.
*/
#ifndef CCP_SHARED_SEMAPHORE_H
#define CCP_SHARED_SEMAPHORE_H

#include "shared/object.h"

typedef struct ccp_semaphore {
  ccp_object object;
  /* under the object's mutex */
  uint64_t total; /* what can be had: free = total - all that is held */
  uint64_t free;  /* follows from the others; the repair counts it anew */
  uint64_t limit; /* of free; 0: none */
  ccp_sleepers sleepers;
  uint32_t held[CCP_MEMBERS]; /* by member number */
} ccp_semaphore;

/* n at first; bounded: never more than n. NULL: no memory. */
ccp_semaphore *ccp_semaphore_new(uint64_t n, int bounded);
/* CCP_OK, CCP_E_TIMEOUT, CCP_E_INTR. Blocks. */
int ccp_semaphore_acquire(ccp_semaphore *s, uint32_t member,
                          int64_t deadline_ns);
/* CCP_OK, or CCP_E_FULL: more than the bound. */
int ccp_semaphore_release(ccp_semaphore *s, uint32_t member, uint32_t n);
uint64_t ccp_semaphore_free(ccp_semaphore *s);

#endif
