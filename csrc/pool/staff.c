/*
** Births and deaths of workers. Everything runs under the pool's lock, in the
** owner's thread or in the supervisor.
*/
#include "pool/state.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "os/clock.h"
#include "os/codes.h"
#include "shared/arena.h"

enum { BARREN_MOST = 10 }; /* deaths in a row without a reply: it is broken */

/* ------------------------------------------------------------ births */

static int unused(const ccp_pool *p) {
  for (uint32_t i = 0; i < p->max_workers; i++)
    if (!p->workers[i].used)
      return (int)i;
  return -1;
}

static void clear_record(ccp_record *r) {
  atomic_store(&r->head, 0);
  atomic_store(&r->tail, 0);
  atomic_store(&r->block, NULL);
  atomic_store(&r->tasks, 0);
  atomic_store(&r->pid, 0);
  atomic_store(&r->quit, 0);
  atomic_store(&r->full, 0);
  atomic_store(&r->bell, 0);
  atomic_store(&r->state, CCP_W_STARTING);
}

static int start_thread(ccp_pool *p, uint32_t i) {
  ccp_worker *w = &p->workers[i];
  w->thread = malloc(sizeof *w->thread);
  if (!w->thread)
    return CCP_E_NOMEM;
  if (ccp_thread_worker_start(w->thread, &p->plan, i) == CCP_OK)
    return CCP_OK;
  free(w->thread);
  w->thread = NULL;
  return CCP_E_SYS;
}

static void set_live(ccp_pool *p, uint32_t n) {
  p->live = n;
  atomic_store_explicit(&p->plan.board->live, n, memory_order_relaxed);
}

static int start_one(ccp_pool *p, uint32_t i) {
  ccp_worker *w = &p->workers[i];
  memset(w, 0, sizeof *w);
  clear_record(&p->plan.board->records[i]);
  w->born_ns = ccp_clock_now_ns();
  if ((p->plan.is_process ? ccp_zygote_send(&p->zygote, CCP_Z_SPAWN, i, 0)
                          : start_thread(p, i)) != CCP_OK)
    return CCP_E_SYS;
  w->used = 1;
  set_live(p, p->live + 1);
  return CCP_OK;
}

/* If no worker at all can be had, nobody would ever run the tasks. */
void ccp_pool_staff_locked(ccp_pool *p, uint64_t wanted) {
  uint64_t most = wanted < p->max_workers ? wanted : p->max_workers;
  if (p->kill_signal || p->broken || p->life >= CCP_P_CLOSING)
    return;
  while (p->live < most) {
    int i = unused(p);
    if (i < 0 || start_one(p, (uint32_t)i) != CCP_OK)
      break;
  }
  if (p->live == 0 && most > 0) {
    static const char text[] = "no worker could be started";
    ccp_pool_break_locked(p, CCP_R_SYSTEM, text, sizeof text - 1);
  }
}

/* ------------------------------------------------------------ deaths */

/* What a dead worker ran: its item fails, the items behind it go on. */
static void settle(ccp_pool *p, ccp_task *t, const ccp_claim_word *word,
                   const ccp_crash *crash) {
  ccp_bytes body;
  uint32_t slot_base = t->base;
  p->by_slot[t->slot] = NULL;
  ccp_board_release(p->plan.board, &p->poster, t->slot);
  t->slot = -1;
  if (word->next > t->done - slot_base) { /* it had begun that item */
    if (!t->is_chunk) {
      ccp_pool_end_locked(p, t, CCP_R_CRASH, crash, sizeof *crash);
      return;
    }
    if (ccp_chunk_add_reply(ccp_chunk_of(t), CCP_R_CRASH, crash, sizeof *crash,
                            0) != CCP_OK)
      t->status = CCP_R_MEMORY;
    t->done++;
    ccp_pool_count_locked(p, CCP_R_CRASH, 1);
    ccp_pool_list_locked(p, t);
  }
  if (t->done == t->items) { /* the last item was it: nothing is missing */
    ccp_pool_end_locked(p, t, CCP_R_CRASH, NULL, 0);
    return;
  }
  if (t->is_chunk) {
    if (ccp_chunk_body_part(&t->body, t->done - slot_base, t->posted, &body) !=
        CCP_OK) {
      ccp_pool_end_locked(p, t, CCP_R_MEMORY, NULL, 0);
      return;
    }
    ccp_bytes_free(&t->body);
    t->body = body;
    t->base = t->done;
    t->posted = t->items - t->done;
  }
  t->state = CCP_T_BACKLOG;
  ccp_list_push_front(&p->backlog, t);
}

static void settle_all(ccp_pool *p, uint32_t index, const ccp_crash *crash) {
  for (int i = 0; i < CCP_WINDOW; i++) {
    ccp_claim_word w;
    if (!p->by_slot[i])
      continue;
    w = ccp_board_look(p->plan.board, i);
    if (w.state == CCP_CLAIMED && w.worker == index)
      settle(p, p->by_slot[i], &w, crash);
  }
}

/* The block of a reply that was never published; one that was is the last
** that its replies brought. */
static void free_block_in_hand(ccp_pool *p, uint32_t index) {
  void *block = atomic_load(&p->plan.board->records[index].block);
  if (block && block != p->workers[index].last_block &&
      ccp_arena_valid(block, 0))
    ccp_arena_free(block);
}

static void bury(ccp_pool *p, uint32_t index) {
  ccp_board_bury(p->plan.board, &p->poster, index);
  p->workers[index].used = 0;
  set_live(p, p->live - 1);
}

/* Replies that were published before the death count; only then is it clear
** which item the worker died of. */
void ccp_pool_died_locked(ccp_pool *p, uint32_t index, int32_t pid,
                          int status) {
  ccp_crash crash = {pid, (int32_t)index, 0, 0};
  int clean = WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
              atomic_load(&p->plan.board->records[index].state) == CCP_W_ENDED;
  if (index >= p->max_workers || !p->workers[index].used)
    return;
  crash.exitcode = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  crash.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  ccp_pool_drain_locked(p);
  ccp_bell_kick(p->owner);
  free_block_in_hand(p, index);
  settle_all(p, index, &crash);
  bury(p, index);
  if (!clean && !p->kill_signal) {
    p->counts.crashes++;
    if (++p->barren >= BARREN_MOST)
      ccp_pool_break_locked(p, CCP_R_CRASH, &crash, sizeof crash);
  }
  ccp_pool_fill_locked(p);
}

void ccp_pool_unborn_locked(ccp_pool *p, uint32_t index, int err) {
  static const char text[] = "fork failed";
  (void)err;
  if (index >= p->max_workers || !p->workers[index].used)
    return;
  bury(p, index);
  if (p->live == 0)
    ccp_pool_break_locked(p, CCP_R_SYSTEM, text, sizeof text - 1);
}

void ccp_pool_join_ended_locked(ccp_pool *p) {
  for (uint32_t i = 0; i < p->max_workers; i++) {
    ccp_worker *w = &p->workers[i];
    if (!w->used || !w->thread ||
        atomic_load(&p->plan.board->records[i].state) != CCP_W_ENDED)
      continue;
    (void)ccp_thread_join(&w->thread->thread, CCP_NEVER); /* it is leaving */
    free(w->thread);
    w->thread = NULL;
    ccp_pool_drain_locked(p);
    bury(p, i);
  }
}

void ccp_pool_signal_locked(ccp_pool *p, int sig) {
  for (uint32_t i = 0; i < p->max_workers; i++) {
    ccp_worker *w = &p->workers[i];
    if (!w->used)
      continue;
    atomic_store(&p->plan.board->records[i].quit, 1);
    if (w->thread)
      ccp_thread_worker_interrupt(w->thread);
    else
      (void)ccp_zygote_send(&p->zygote, CCP_Z_SIGNAL, i, sig);
  }
  ccp_board_wake_all(p->plan.board, &p->poster);
}
