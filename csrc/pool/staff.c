/*
** Births and deaths of workers. Everything runs under the pool's lock, in the
** owner's thread or in the supervisor.
*/
#include "pool/state.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/codes.h"
#include "shared/arena.h"

enum { BARREN_MOST = 10 }; /* deaths in a row without a reply: it is broken */

/* ------------------------------------------------------------ births */

static int unused(const ccp_pool *p) {
  for (uint32_t i = 0; i < p->plan.board->workers; i++)
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
  atomic_store(&r->heard, 0);
  atomic_store(&r->began_ns, 0);
  atomic_store(&r->idle_ns, 0);
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

void ccp_pool_set_live_locked(ccp_pool *p, uint32_t n) {
  p->live = n;
  atomic_store_explicit(&p->plan.board->live, n, memory_order_relaxed);
}

static int start_one(ccp_pool *p, uint32_t i) {
  ccp_worker *w = &p->workers[i];
  memset(w, 0, sizeof *w);
  clear_record(&p->plan.board->records[i]);
  w->born_ns = ccp_clock_now_ns();
  w->slot = -1;
  w->news_before = atomic_load(&p->plan.board->news_n);
  atomic_store(&p->plan.board->records[i].news_before, w->news_before);
  if (i >= ccp_pool_high(p)) /* before it can reply or sleep */
    atomic_store(&p->plan.board->high, i + 1);
  ccp_board_expect(p->plan.board, i);
  if (!p->plan.is_process && start_thread(p, i) != CCP_OK) {
    ccp_board_bury(p->plan.board, &p->poster, i);
    return CCP_E_SYS;
  }
  w->used = 1;
  ccp_pool_set_live_locked(p, p->live + 1);
  return CCP_OK;
}

/* Processes [from, to) are born by one message. */
static int order(ccp_pool *p, uint32_t from, uint32_t to) {
  if (from == to || ccp_zygote_send(&p->zygote, CCP_Z_SPAWN, from,
                                    (int)(to - from)) == CCP_OK)
    return CCP_OK;
  for (uint32_t i = from; i < to; i++) {
    ccp_board_bury(p->plan.board, &p->poster, i);
    p->workers[i].used = 0;
    ccp_pool_set_live_locked(p, p->live - 1);
  }
  return CCP_E_SYS;
}

/* Worker 'from' and those behind it that there is a place for. */
static int start_row(ccp_pool *p, uint32_t from, uint64_t most) {
  uint32_t to = from;
  int rc = CCP_OK, ordered = CCP_OK;
  while (rc == CCP_OK && p->live < most && to < p->plan.board->workers &&
         !p->workers[to].used) {
    rc = start_one(p, to);
    to += rc == CCP_OK;
  }
  if (p->plan.is_process)
    ordered = order(p, from, to);
  return rc == CCP_OK ? ordered : rc;
}

/* If no worker at all can be had, nobody would ever run the tasks. */
void ccp_pool_staff_locked(ccp_pool *p, uint64_t wanted) {
  uint64_t most =
      wanted > p->limits.min_workers ? wanted : p->limits.min_workers;
  most = most < ccp_pool_most_locked(p) ? most : ccp_pool_most_locked(p);
  if (p->kill_signal || p->broken || p->life >= CCP_P_CLOSING)
    return;
  while (p->live < most) {
    int i = unused(p);
    if (i < 0 || start_row(p, (uint32_t)i, most) != CCP_OK)
      break;
  }
  if (p->live == 0 && most > 0) {
    static const char text[] = "no worker could be started";
    ccp_pool_break_locked(p, CCP_R_SYSTEM, text, sizeof text - 1);
  }
}

/* ------------------------------------------------------------ deaths */

/* The worker may still read the block that its call lies in: it is kept until
** the worker is gone. */
static void hold_body(ccp_worker *w, ccp_task *t) {
  if (!ccp_bytes_is_block(&t->body))
    return;
  w->held = t->body;
  ccp_bytes_init(&t->body);
}

static int retry(ccp_pool *p, ccp_task *t, const ccp_failure *f) {
  if (!t->rules || !ccp_rules_retry(t->rules, t->done, f->status, f->crash))
    return 0;
  p->counts.retries++;
  return 1;
}

/* The rest of a chunk, or a call that is tried again, needs a body of its own
** if the old worker may still read this one. CCP_OK, CCP_E_NOMEM. */
static int renew_body(ccp_worker *w, ccp_task *t, int may_read) {
  ccp_bytes body;
  int rc = CCP_OK;
  if (t->is_chunk) {
    rc = ccp_chunk_body_part(&t->body, t->done - t->base, t->posted, &body);
  } else if (may_read && ccp_bytes_is_block(&t->body)) {
    void *block = ccp_arena_alloc(t->body.len, NULL);
    if (!block)
      return CCP_E_NOMEM;
    memcpy(block, ccp_bytes_at(&t->body), t->body.len);
    ccp_bytes_init(&body);
    ccp_bytes_adopt(&body, block, t->body.len);
  } else
    return CCP_OK;
  if (rc != CCP_OK)
    return rc;
  if (may_read)
    hold_body(w, t);
  ccp_bytes_free(&t->body);
  t->body = body;
  t->base = t->is_chunk ? t->done : 0;
  t->posted = t->items - t->done;
  return CCP_OK;
}

/* The item fails. True: so does the task, and it is over. */
static int fail_item(ccp_pool *p, ccp_worker *w, ccp_task *t,
                     const ccp_failure *f, int keep) {
  if (!t->is_chunk) {
    if (keep)
      hold_body(w, t);
    t->worker = (uint16_t)(f->crash->worker + 1);
    t->pid = f->crash->pid;
    ccp_pool_end_locked(p, t, f->status, f->bytes, f->len);
    return 1;
  }
  if (ccp_chunk_add_reply(ccp_chunk_of(t), f->status, f->bytes, f->len, 0) !=
      CCP_OK)
    t->status = CCP_R_MEMORY;
  t->done++;
  ccp_pool_count_locked(p, f->status, 1);
  ccp_pool_list_locked(p, t);
  return 0;
}

void ccp_pool_settle_locked(ccp_pool *p, ccp_task *t,
                            const ccp_claim_word *word,
                            const ccp_failure *failure, int keep_slot) {
  ccp_worker *w = &p->workers[word->worker];
  int began = word->next > t->done - t->base;
  int16_t slot = t->slot;
  ccp_pool_take_off_locked(p, t);
  t->slot = -1;
  if (keep_slot)
    w->slot = slot;
  else
    ccp_board_release(p->plan.board, &p->poster, slot);
  if (began && !retry(p, t, failure) && fail_item(p, w, t, failure, keep_slot))
    return;
  if (t->done == t->items) { /* the last item was it: nothing is missing */
    if (keep_slot)
      hold_body(w, t);
    ccp_pool_end_locked(p, t, failure->status, NULL, 0);
    return;
  }
  if (renew_body(w, t, keep_slot) != CCP_OK)
    ccp_pool_end_locked(p, t, CCP_R_MEMORY, NULL, 0);
  else
    ccp_pool_put_back_locked(p, t);
}

/* A crash names the task, if it has a name. */
static void settle_crash(ccp_pool *p, ccp_task *t, const ccp_claim_word *word,
                         const ccp_crash *crash) {
  unsigned char bytes[sizeof *crash + 100];
  const char *name = t->rules && t->rules->name ? t->rules->name : "";
  size_t len = strlen(name);
  ccp_failure f = {CCP_R_CRASH, crash, bytes, 0};
  len = len < 100 ? len : 100;
  memcpy(bytes, crash, sizeof *crash);
  memcpy(bytes + sizeof *crash, name, len);
  f.len = sizeof *crash + len;
  ccp_pool_settle_locked(p, t, word, &f, 0);
}

static void settle_all(ccp_pool *p, uint32_t index, const ccp_crash *crash) {
  for (int i = 0; i < CCP_WINDOW; i++) {
    ccp_claim_word w;
    if (!p->by_slot[i])
      continue;
    w = ccp_board_look(p->plan.board, i);
    if (w.state == CCP_CLAIMED && w.worker == index)
      settle_crash(p, p->by_slot[i], &w, crash);
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
  ccp_worker *w = &p->workers[index];
  ccp_record *r = &p->plan.board->records[index];
  ccp_board_bury(p->plan.board, &p->poster, index);
  if (w->slot >= 0)
    ccp_board_release(p->plan.board, &p->poster, w->slot);
  ccp_bytes_free(&w->held);
  ccp_histogram_merge(&p->waited, &r->waited);
  ccp_histogram_merge(&p->ran, &r->ran);
  ccp_histogram_clear(&r->waited);
  ccp_histogram_clear(&r->ran);
  w->used = 0;
  if (!w->abandoned)
    ccp_pool_set_live_locked(p, p->live - 1);
}

/* Ended by itself, after as many items as it may run, say. */
static void count_leaving(ccp_pool *p, uint32_t index) {
  if (!p->workers[index].doomed && p->life < CCP_P_CLOSING && !p->kill_signal)
    p->counts.recycled++;
}

static void count_crash(ccp_pool *p, const ccp_crash *crash) {
  p->counts.crashes++;
  if (p->limits.break_on_crash) {
    ccp_pool_break_locked(p, CCP_R_CRASH, crash, sizeof *crash);
    ccp_pool_end_all_locked(p, 1, CCP_R_BROKEN, ccp_bytes_at(&p->cause),
                            p->cause.len);
    ccp_pool_signal_locked(p, SIGKILL);
  } else if (++p->barren >= BARREN_MOST)
    ccp_pool_break_locked(p, CCP_R_CRASH, crash, sizeof *crash);
}

/* Replies that were published before the death count; only then is it clear
** which item the worker died of. */
void ccp_pool_died_locked(ccp_pool *p, uint32_t index, int32_t pid,
                          int status) {
  ccp_crash crash = {pid, (int32_t)index, 0, 0};
  int clean = WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
              atomic_load(&p->plan.board->records[index].state) == CCP_W_ENDED;
  int doomed = p->workers[index].doomed;
  if (!p->workers[index].used)
    return;
  crash.exitcode = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  crash.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  ccp_pool_drain_locked(p);
  ccp_bell_kick(p->owner);
  free_block_in_hand(p, index);
  settle_all(p, index, &crash);
  if (clean)
    count_leaving(p, index);
  bury(p, index);
  if (!clean && !doomed && !p->kill_signal)
    count_crash(p, &crash);
  ccp_pool_fill_locked(p);
}

void ccp_pool_unborn_locked(ccp_pool *p, uint32_t index, int err) {
  static const char text[] = "fork failed";
  (void)err;
  if (!p->workers[index].used)
    return;
  bury(p, index);
  if (p->live == 0)
    ccp_pool_break_locked(p, CCP_R_SYSTEM, text, sizeof text - 1);
}

void ccp_pool_join_ended_locked(ccp_pool *p) {
  for (uint32_t i = 0; i < ccp_pool_high(p); i++) {
    ccp_worker *w = &p->workers[i];
    ccp_crash crash = {getpid(), (int32_t)i, 0, 0};
    if (!w->used || !w->thread ||
        atomic_load(&p->plan.board->records[i].state) != CCP_W_ENDED)
      continue;
    (void)ccp_thread_join(&w->thread->thread, CCP_NEVER); /* it is leaving */
    free(w->thread);
    w->thread = NULL;
    ccp_pool_drain_locked(p);
    settle_all(p, i, &crash); /* the rest of a chunk that it has left */
    count_leaving(p, i);
    bury(p, i);
  }
}

/* The idle ones go first; what another runs is finished. */
void ccp_pool_shrink_locked(ccp_pool *p) {
  ccp_board *b = p->plan.board;
  uint32_t staying = 0;
  for (uint32_t i = 0; i < ccp_pool_high(p); i++)
    staying += p->workers[i].used && !p->workers[i].abandoned &&
               !atomic_load(&b->records[i].quit);
  for (int busy_too = 0; busy_too < 2; busy_too++)
    for (uint32_t i = ccp_pool_high(p);
         i-- > 0 && staying > ccp_pool_most_locked(p);) {
      int idle = (atomic_load(&b->idle[i / 64]) >> i % 64 & 1) != 0;
      if (!p->workers[i].used || atomic_load(&b->records[i].quit) ||
          (!idle && !busy_too))
        continue;
      atomic_store(&b->records[i].quit, CCP_QUIT_LEAVE);
      staying--;
    }
  ccp_board_wake_all(b, &p->poster);
}

void ccp_pool_signal_locked(ccp_pool *p, int sig) {
  for (uint32_t i = 0; i < ccp_pool_high(p); i++) {
    ccp_worker *w = &p->workers[i];
    if (!w->used)
      continue;
    atomic_store(&p->plan.board->records[i].quit, CCP_QUIT_STOP);
    if (w->thread)
      ccp_thread_worker_interrupt(w->thread);
    else
      (void)ccp_zygote_send(&p->zygote, CCP_Z_SIGNAL, i, sig);
  }
  ccp_board_wake_all(p->plan.board, &p->poster);
}
