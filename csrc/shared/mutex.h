/*
** A mutual exclusion lock in memory that processes share, for short sections
** of C code only. Whoever dies while holding it, thread or process, blocks
** nobody: the next holder is told, and repairs what it guards.
*/
#ifndef CCP_SHARED_MUTEX_H
#define CCP_SHARED_MUTEX_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

typedef struct ccp_mutex {
  pthread_mutex_t m;
} ccp_mutex;

/* CCP_OK or CCP_E_NOMEM. */
int ccp_mutex_init(ccp_mutex *m);

/* Takes it; blocks while another holds it. True if the last holder died: what
** the mutex guards may be half changed. A holder that dies during the repair
** leaves it to the next, so a repair may be done twice. */
int ccp_mutex_lock(ccp_mutex *m);
/* The same, but gives up after some ten microseconds: -1. */
int ccp_mutex_try(ccp_mutex *m);
void ccp_mutex_unlock(ccp_mutex *m);

#endif
