/*
** Thread workers. Called by the threads of the pool, under its lock.
*/
#include "worker/thread.h"

#include <signal.h>
#include <string.h>

#include "os/codes.h"

static void run(void *arg) {
  ccp_thread_worker *w = arg;
  ccp_vm_main(&w->self, NULL);
}

int ccp_thread_worker_start(ccp_thread_worker *w, const ccp_plan *plan,
                            uint32_t index) {
  memset(w, 0, sizeof *w);
  w->self.plan = plan;
  w->self.index = index;
  if (ccp_vm_arm_signal() != CCP_OK)
    return CCP_E_SYS;
  return ccp_thread_start(&w->thread, run, w, 0);
}

/* The thread exists until it is joined, and it is joined by who calls this. */
void ccp_thread_worker_interrupt(ccp_thread_worker *w) {
  if (!w->thread.started)
    return;
  atomic_store_explicit(&w->self.interrupt, 1, memory_order_relaxed);
  (void)pthread_kill(w->thread.id, ccp_vm_signal());
}
