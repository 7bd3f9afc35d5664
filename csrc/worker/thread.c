/*
** Thread workers. Called by the threads of the pool, under its lock.
*/
#include "worker/thread.h"

#include <string.h>

#include "os/clock.h"
#include "os/codes.h"
#include "worker/vm_interrupt.h"

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
  return ccp_thread_start(&w->thread, run, w,
                          ccp_thread_stack_bytes() + CCP_NEST_BYTES);
}

/* The thread exists until it is joined, and it is joined by who calls this. */
void ccp_thread_worker_interrupt(ccp_thread_worker *w) {
  int64_t now = ccp_clock_now_ns();
  if (!w->thread.started)
    return;
  if (w->told_ns == 0)
    w->told_ns = now;
  ccp_vm_interrupt(&w->self, w->thread.id,
                   now - w->told_ns > w->self.plan->grace_ns / 2);
}
