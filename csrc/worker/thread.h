/*
** Thread workers: how they are born, interrupted and joined.
*/
#ifndef CCP_WORKER_THREAD_H
#define CCP_WORKER_THREAD_H

#include "os/thread.h"
#include "worker/vm.h"

typedef struct ccp_thread_worker {
  ccp_thread thread;
  ccp_self self;
  int64_t told_ns; /* when it was first interrupted, or 0 */
} ccp_thread_worker;

/* Starts worker 'index'. The struct must stay in place until it is joined.
** CCP_OK or CCP_E_SYS. */
int ccp_thread_worker_start(ccp_thread_worker *w, const ccp_plan *plan,
                            uint32_t index);

/* Raises an error in the Lua code it runs; once, however often this is called.
** When half of the grace period is over, whatever Lua code it still runs fails.
** One thread at a time. */
void ccp_thread_worker_interrupt(ccp_thread_worker *w);

#endif
