/*
** The zygote: a single-threaded child from which all process workers of a
** pool are forked, whenever one is wanted, and which reaps them. It ends, and
** all its workers with it, when the program that made it is gone.
*/
#ifndef CCP_WORKER_ZYGOTE_H
#define CCP_WORKER_ZYGOTE_H

#include <sys/types.h>

#include "worker/plan.h"

enum ccp_zygote_order {
  CCP_Z_SPAWN,  /* fork 'value' workers from 'index' on */
  CCP_Z_SIGNAL, /* send 'value' to worker 'index' and its process group */
  CCP_Z_DIED,   /* answer: it was 'pid' and ended; 'value' as of waitpid */
  CCP_Z_FAILED  /* answer: fork failed; 'value' is errno */
};

typedef struct ccp_zygote_message {
  int32_t order, index, pid, value;
} ccp_zygote_message;

typedef struct ccp_zygote {
  pid_t pid;
  int fd; /* our end of the control socket; -1 before and after */
} ccp_zygote;

/* Forks the zygote of this plan. L is the state that its workers run their
** tasks in. keep: descriptors its workers need. CCP_OK, CCP_E_SYS. Call it
** without any lock of ours. */
int ccp_zygote_start(ccp_zygote *z, const ccp_plan *plan, struct lua_State *L,
                     int keep);

/* Both may be called by any thread under the pool's lock. CCP_OK, CCP_E_CLOSED
** (the zygote is gone), CCP_E_SYS; receive also CCP_E_FULL. */
int ccp_zygote_send(const ccp_zygote *z, enum ccp_zygote_order order,
                    uint32_t index, int value);
int ccp_zygote_receive(const ccp_zygote *z, ccp_zygote_message *m);

/* Lets the zygote end, with all workers it still has, and reaps it. Blocks
** for about as long as killing them takes. */
void ccp_zygote_stop(ccp_zygote *z);

#endif
