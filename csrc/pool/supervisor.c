/*
** The supervisor: one thread per pool, asleep in poll(2) until something
** concerns it.
**
**   workers --rung--> descriptor -.
**   zygote  --born, died---------- > supervisor --> drain, bury, replace,
**   pool    --shutdown, kill------'                 close, kill again
**
** It never runs Lua and never stands between a task and its worker.
*/
#include "pool/state.h"

#include <signal.h>

#include "os/clock.h"
#include "os/codes.h"
#include "os/fd.h"

enum { AGAIN_NS = 50000000 }; /* between two interruptions of a thread */

static void hear_zygote(ccp_pool *p) {
  static const char gone[] = "the zygote process ended";
  ccp_zygote_message m;
  int rc;
  while ((rc = ccp_zygote_receive(&p->zygote, &m)) == CCP_OK) {
    if (m.index < 0 || (uint32_t)m.index >= p->plan.board->workers)
      continue;
    if (m.order == CCP_Z_DIED)
      ccp_pool_died_locked(p, (uint32_t)m.index, m.pid, m.value);
    else if (m.order == CCP_Z_FAILED)
      ccp_pool_unborn_locked(p, (uint32_t)m.index, m.value);
  }
  if (rc != CCP_E_CLOSED || p->zygote.fd < 0)
    return;
  /* its workers died with it */
  ccp_zygote_stop(&p->zygote);
  ccp_pool_drain_locked(p);
  ccp_pool_break_locked(p, CCP_R_SYSTEM, gone, sizeof gone - 1);
  for (uint32_t i = 0; i < ccp_pool_high(p); i++)
    if (p->workers[i].used) {
      /* it may not be quite dead yet, and still write to its block */
      p->workers[i].last_block = atomic_load(&p->plan.board->records[i].block);
      ccp_pool_died_locked(p, i, p->plan.board->records[i].pid, SIGKILL);
    }
}

/* After ccp_pool_kill: threads are interrupted again and again, since one
** interruption may be caught; processes that lived through SIGTERM get SIGKILL
** when the grace period is over. */
static void insist(ccp_pool *p, int64_t now) {
  if (!p->kill_signal || p->live == 0 || now < p->next_kill_ns)
    return;
  ccp_pool_signal_locked(p, SIGKILL);
  p->next_kill_ns = now + AGAIN_NS;
}

/* A thread that stays in C code cannot be stopped; what it may still touch is
** never freed. */
static void give_up(ccp_pool *p, int64_t now) {
  if (!p->kill_signal || p->plan.is_process || p->live == 0 ||
      now < p->give_up_ns)
    return;
  p->leaked = 1;
  p->counts.abandoned += p->live;
  p->live = 0;
}

/* Threads that were given up and still run keep what they may touch. */
static void note_leaks(ccp_pool *p) {
  for (uint32_t i = 0; i < ccp_pool_high(p); i++)
    if (p->workers[i].used && p->workers[i].abandoned)
      p->leaked = 1;
}

static void close_when_done(ccp_pool *p) {
  if (p->life == CCP_P_DRAINING && p->unfinished == 0) {
    atomic_store(&p->life, CCP_P_CLOSING);
    atomic_store(&p->plan.board->closing, 1);
    ccp_board_wake_all(p->plan.board, &p->poster);
  }
  if (p->life == CCP_P_CLOSING && p->live == 0) {
    ccp_zygote_stop(&p->zygote);
    note_leaks(p);
    atomic_store(&p->life, CCP_P_CLOSED);
  }
}

static int64_t next_look(const ccp_pool *p) {
  int64_t at = p->kill_signal && p->live > 0 ? p->next_kill_ns : CCP_NEVER;
  return at < p->alarm_ns ? at : p->alarm_ns;
}

/* The flag that spares workers ringing twice is taken back before looking. */
static void supervise(void *arg) {
  ccp_pool *p = arg;
  ccp_thread_name("ccpool");
  for (;;) {
    int fds[2] = {p->supervisor_fd, -1};
    int64_t look;
    ccp_lock_acquire(&p->lock);
    fds[1] = p->zygote.fd;
    look = next_look(p);
    ccp_lock_release(&p->lock);
    (void)ccp_fd_wait(fds, 2, look);
    ccp_fd_quiet(p->supervisor_fd);
    ccp_lock_acquire(&p->lock);
    atomic_store_explicit(&p->plan.board->rung, 0, memory_order_seq_cst);
    ccp_pool_drain_locked(p);
    if (p->plan.is_process)
      hear_zygote(p);
    else
      ccp_pool_join_ended_locked(p);
    insist(p, ccp_clock_now_ns());
    give_up(p, ccp_clock_now_ns());
    ccp_pool_expire_locked(p);
    if (p->parties > 0 && p->blocked == 0 && p->live > p->max_workers)
      ccp_pool_shrink_locked(p); /* those that stood in for the waiting */
    if (p->trace && ccp_trace_is_due(p->trace))
      ccp_trace_flush(p->trace);
    ccp_pool_fill_locked(p);
    close_when_done(p);
    ccp_pool_sweep_locked(p);
    ccp_lock_release(&p->lock);
    ccp_bell_ring(p->owner);
    if (p->life == CCP_P_CLOSED)
      return;
  }
}

int ccp_supervisor_start(ccp_pool *p) {
  return ccp_thread_start(&p->supervisor, supervise, p, 128 << 10);
}
