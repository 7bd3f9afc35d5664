/*
** Times that are up: deadlines, timeouts, idle workers, and workers that were
** told to stop. Everything runs under the pool's lock, nearly always in the
** supervisor.
**
** A timeout counts from the item's start on its worker. While a call with a
** timeout lies on the board, workers note when they begin an item; the
** supervisor reads that when the first of them could be over, so that neither
** side pays for the start of an item.
*/
#include "pool/state.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "os/clock.h"
#include "os/codes.h"
#include "os/fd.h"

enum { AGAIN_NS = 50000000 }; /* between two attempts to stop a worker */

void ccp_pool_alarm_locked(ccp_pool *p, int64_t at_ns) {
  if (at_ns >= p->alarm_ns)
    return;
  p->alarm_ns = at_ns;
  ccp_fd_ring(p->supervisor_fd);
}

void ccp_pool_timed_locked(ccp_pool *p, const ccp_task *t, int delta) {
  if (t->rules->timeout_ns == 0)
    return;
  p->timed += (uint32_t)delta;
  atomic_store_explicit(&p->plan.board->timed, p->timed, memory_order_relaxed);
  if (delta > 0)
    ccp_pool_alarm_locked(p, ccp_clock_now_ns() + t->rules->timeout_ns);
}

/* ------------------------------------------------------------ stopping */

static void press(ccp_pool *p, uint32_t index, int sig) {
  ccp_worker *w = &p->workers[index];
  if (w->thread)
    ccp_thread_worker_interrupt(w->thread);
  else
    (void)ccp_zygote_send(&p->zygote, CCP_Z_SIGNAL, index, sig);
}

/* A process gets SIGTERM, and SIGKILL when the grace period is over. A thread
** is told again and again: it raises an error once, and wherever it gets to
** when half of that period is over. */
static void doom(ccp_pool *p, uint32_t index) {
  ccp_worker *w = &p->workers[index];
  w->doomed = 1;
  w->slot = -1;
  w->give_up_ns = w->kill_ns = ccp_clock_now_ns() + p->grace_ns;
  if (w->thread)
    w->kill_ns = ccp_clock_now_ns() + AGAIN_NS;
  press(p, index, SIGTERM);
  ccp_pool_alarm_locked(p, w->kill_ns);
}

/* Which item the worker runs is certain only after it was told to end and then
** drained: see shall_end in worker/loop.c. If it is another than the one that
** was meant, the worker ends after it, and no harm is done. */
int ccp_pool_stop_locked(ccp_pool *p, ccp_task *t, uint8_t status,
                         const char *text) {
  ccp_board *b = p->plan.board;
  ccp_claim_word word;
  ccp_crash who = {0};
  ccp_failure failure = {status, &who, text, strlen(text)};
  uint32_t done = t->done;
  int32_t slot = t->slot;
  if (t->state != CCP_T_POSTED)
    return 0;
  word = ccp_board_look(b, slot);
  if (word.state != CCP_CLAIMED)
    return 0;
  atomic_store_explicit(&b->records[word.worker].quit, CCP_QUIT_STOP,
                        memory_order_seq_cst);
  ccp_pool_drain_locked(p);
  if (t->state != CCP_T_POSTED || t->done != done)
    return 0;
  word = ccp_board_look(b, slot);
  if (word.next == t->done - t->base)
    return 0;
  who.pid = atomic_load(&b->records[word.worker].pid);
  who.worker = word.worker;
  doom(p, word.worker);
  if (status == CCP_R_TIMEOUT)
    p->counts.timeouts++;
  ccp_pool_settle_locked(p, t, &word, &failure, 1);
  return 1;
}

/* ------------------------------------------------------------ what is due */

/* No worker has the task, or gets it any more. */
static void end_late(ccp_pool *p, ccp_task *t) {
  char text[CCP_RULES_TEXT];
  ccp_rules_say_late(t->rules, t->rules->timeout_ns != CCP_NO_TIME, text);
  p->counts.timeouts += t->items - t->done;
  ccp_pool_end_locked(p, t, CCP_R_TIMEOUT, text, strlen(text));
}

int ccp_pool_is_late_locked(ccp_pool *p, ccp_task *t) {
  const ccp_rules *r = t->rules;
  if (!r ||
      (r->timeout_ns != CCP_NO_TIME &&
       (r->deadline_ns == CCP_NEVER || r->deadline_ns > ccp_clock_now_ns())))
    return 0;
  end_late(p, t);
  return 1;
}

/* A task that ends leaves the heap, and may be gone then. One that is still
** the first is not through: the rest of a chunk whose item was stopped waits
** again, so the next turn ends it. */
static void expire_deadlines(ccp_pool *p, int64_t now) {
  ccp_rules *r;
  while ((r = ccp_deadlines_first(&p->deadlines)) && r->deadline_ns <= now) {
    ccp_task *t = r->task;
    char text[CCP_RULES_TEXT];
    ccp_rules_say_late(r, 1, text);
    r->retries = 0; /* there is no time for another attempt */
    if (ccp_pool_withdraw_locked(p, t))
      end_late(p, t);
    else if (!ccp_pool_stop_locked(p, t, CCP_R_TIMEOUT, text) &&
             ccp_deadlines_first(&p->deadlines) == r) {
      ccp_deadlines_remove(&p->deadlines, r);
      r->deadline_ns = now + AGAIN_NS / 10; /* between two items: soon again */
      (void)ccp_deadlines_add(&p->deadlines, r); /* its place was just freed */
    }
  }
  if (r && r->deadline_ns < p->alarm_ns)
    p->alarm_ns = r->deadline_ns;
}

/* When that call's time is up: right now if it is over. */
static int64_t due(const ccp_pool *p, const ccp_task *t, int slot,
                   int64_t now) {
  ccp_claim_word w = ccp_board_look(p->plan.board, slot);
  int64_t began = 0;
  if (w.state == CCP_CLAIMED && w.worker < p->plan.board->workers)
    began = atomic_load_explicit(&p->plan.board->records[w.worker].began_ns,
                                 memory_order_relaxed);
  return (began ? began : now) + t->rules->timeout_ns;
}

static void expire_timeouts(ccp_pool *p, int64_t now) {
  for (int i = 0; i < CCP_WINDOW && p->timed > 0; i++) {
    ccp_task *t = p->by_slot[i];
    int64_t at;
    char text[CCP_RULES_TEXT];
    if (!t || !t->rules || t->rules->timeout_ns == 0)
      continue;
    at = due(p, t, i, now);
    if (at <= now) {
      ccp_rules_say_late(t->rules, 0, text);
      if (!ccp_pool_stop_locked(p, t, CCP_R_TIMEOUT, text))
        at = now + AGAIN_NS / 10;
    }
    if (at > now && at < p->alarm_ns)
      p->alarm_ns = at;
  }
}

/* A thread that stays in C code cannot be stopped: another takes its place. */
static void abandon(ccp_pool *p, ccp_worker *w) {
  w->abandoned = 1;
  p->counts.abandoned++;
  ccp_pool_set_live_locked(p, p->live - 1);
}

static void press_doomed(ccp_pool *p, int64_t now) {
  for (uint32_t i = 0; i < ccp_pool_high(p); i++) {
    ccp_worker *w = &p->workers[i];
    if (!w->used || !w->doomed)
      continue;
    if (now >= w->kill_ns) {
      press(p, i, SIGKILL);
      w->kill_ns = now + AGAIN_NS;
    }
    if (w->thread && !w->abandoned && now >= w->give_up_ns)
      abandon(p, w);
    if (w->kill_ns < p->alarm_ns)
      p->alarm_ns = w->kill_ns;
  }
}

static void retire_idle(ccp_pool *p, int64_t now) {
  ccp_board *b = p->plan.board;
  uint32_t staying = 0, told = 0;
  if (p->limits.idle_ns == 0)
    return;
  for (uint32_t i = 0; i < ccp_pool_high(p); i++)
    staying += p->workers[i].used && !atomic_load(&b->records[i].quit);
  for (uint32_t i = 0; i < ccp_pool_high(p); i++) {
    int64_t since =
        atomic_load_explicit(&b->records[i].idle_ns, memory_order_relaxed);
    if (!p->workers[i].used || since == 0 || atomic_load(&b->records[i].quit) ||
        staying <= p->limits.min_workers)
      continue;
    if (since + p->limits.idle_ns <= now) {
      atomic_store(&b->records[i].quit, CCP_QUIT_LEAVE);
      staying--;
      told++;
    } else if (since + p->limits.idle_ns < p->alarm_ns)
      p->alarm_ns = since + p->limits.idle_ns;
  }
  if (told)
    ccp_board_wake_all(b, &p->poster);
}

void ccp_pool_expire_locked(ccp_pool *p) {
  int64_t now = ccp_clock_now_ns();
  p->alarm_ns = CCP_NEVER;
  expire_deadlines(p, now);
  expire_timeouts(p, now);
  press_doomed(p, now);
  retire_idle(p, now);
}
