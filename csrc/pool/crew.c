/*
** What a program asks of the workers as a whole: how many there may be, what
** each of them shall run once, what they did. In the owner's thread.
*/
#include "pool/state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "os/clock.h"
#include "os/codes.h"
#include "shared/arena.h"

/* ------------------------------------------------------------ how many */

uint32_t ccp_pool_size(ccp_pool *p) {
  uint32_t n;
  ccp_lock_acquire(&p->lock);
  n = p->max_workers;
  ccp_lock_release(&p->lock);
  return n;
}

int ccp_pool_resize(ccp_pool *p, uint32_t n) {
  int rc = CCP_OK;
  ccp_lock_acquire(&p->lock);
  if (p->life != CCP_P_OPEN)
    rc = CCP_E_CLOSED;
  else if (n > p->plan.board->workers)
    rc = CCP_E_FULL;
  else {
    p->max_workers = n;
    ccp_pool_shrink_locked(p);
    ccp_pool_fill_locked(p);
  }
  ccp_lock_release(&p->lock);
  return rc;
}

/* ------------------------------------------------------------ broadcasts */

/* Each worker goes through the list from its beginning, at its own pace; an
** entry is complete before it is linked, and linked before it is counted. */
static void link_news(ccp_pool *p, ccp_news *n) {
  ccp_board *b = p->plan.board;
  atomic_store_explicit(p->last_news ? &p->last_news->next : &b->news, n,
                        memory_order_release);
  p->last_news = n;
  atomic_fetch_add_explicit(&b->news_n, 1, memory_order_seq_cst);
  ccp_board_wake_all(b, &p->poster);
}

int ccp_pool_broadcast(ccp_pool *p, const void *message, size_t len,
                       uint32_t *number) {
  ccp_news *n = ccp_arena_alloc(sizeof *n + len, NULL);
  int rc = CCP_OK;
  if (!n)
    return CCP_E_NOMEM;
  atomic_init(&n->next, NULL);
  n->len = len;
  memcpy(n->bytes, message, len);
  ccp_lock_acquire(&p->lock);
  if (p->life != CCP_P_OPEN)
    rc = CCP_E_CLOSED;
  else if (p->broken)
    rc = CCP_E_BROKEN;
  else {
    ccp_bytes_free(&p->bad_news.why);
    p->bad_news.number = 0;
    link_news(p, n);
    *number = atomic_load(&p->plan.board->news_n);
  }
  ccp_lock_release(&p->lock);
  if (rc != CCP_OK)
    ccp_arena_free(n);
  return rc;
}

/* Its reply has to be in as well: it may tell of a failure. */
int ccp_pool_heard(ccp_pool *p, uint32_t number) {
  int all = 1;
  ccp_lock_acquire(&p->lock);
  ccp_pool_drain_locked(p);
  for (uint32_t i = 0; i < ccp_pool_high(p) && all; i++) {
    const ccp_worker *w = &p->workers[i];
    all = !w->used || w->doomed || w->news >= number ||
          atomic_load(&p->plan.board->records[i].quit) ||
          atomic_load(&p->plan.board->records[i].state) == CCP_W_ENDED;
  }
  ccp_lock_release(&p->lock);
  return all;
}

uint8_t ccp_pool_bad_news(ccp_pool *p, uint32_t number, ccp_bytes *bytes) {
  uint8_t status = CCP_R_VALUES;
  ccp_bytes_init(bytes);
  ccp_lock_acquire(&p->lock);
  if (p->bad_news.number == number) {
    status = p->bad_news.status;
    (void)ccp_bytes_add(bytes, ccp_bytes_at(&p->bad_news.why),
                        p->bad_news.why.len);
  }
  ccp_lock_release(&p->lock);
  return status;
}

/* ------------------------------------------------------------ looking in */

int ccp_pool_warmup(ccp_pool *p) {
  int rc = CCP_OK;
  ccp_lock_acquire(&p->lock);
  if (p->life != CCP_P_OPEN)
    rc = CCP_E_CLOSED;
  else {
    ccp_pool_staff_locked(p, p->max_workers);
    rc = p->broken ? CCP_E_BROKEN : CCP_OK;
  }
  ccp_lock_release(&p->lock);
  return rc;
}

uint32_t ccp_pool_ready(const ccp_pool *p) {
  uint32_t n = 0, high = ccp_pool_high(p);
  for (uint32_t i = 0; i < high; i++)
    n += atomic_load(&p->plan.board->records[i].state) == CCP_W_UP;
  return n;
}

int ccp_pool_cause(ccp_pool *p, ccp_bytes *out) {
  int broken;
  ccp_bytes_init(out);
  ccp_lock_acquire(&p->lock);
  broken = p->broken;
  if (broken)
    (void)ccp_bytes_add(out, ccp_bytes_at(&p->cause), p->cause.len);
  ccp_lock_release(&p->lock);
  return broken;
}

void ccp_pool_counts_now(ccp_pool *p, ccp_pool_counts *c) {
  ccp_lock_acquire(&p->lock);
  ccp_pool_drain_locked(p);
  *c = p->counts;
  c->running = 0;
  for (int i = 0; i < CCP_WINDOW; i++)
    if (p->by_slot[i] && ccp_board_look(p->plan.board, i).state == CCP_CLAIMED)
      c->running++;
  c->queued = p->unfinished_items - c->running;
  ccp_lock_release(&p->lock);
}

uint32_t ccp_pool_records(const ccp_pool *p) {
  return ccp_pool_high(p);
}

int ccp_pool_worker_now(ccp_pool *p, uint32_t index, ccp_worker_info *w) {
  const ccp_record *r;
  int used;
  if (index >= ccp_pool_high(p))
    return 0;
  ccp_lock_acquire(&p->lock);
  used = p->workers[index].used && !p->workers[index].abandoned;
  r = &p->plan.board->records[index];
  w->index = index;
  w->pid = atomic_load(&r->pid);
  w->state = atomic_load(&r->state);
  w->tasks = atomic_load(&r->tasks);
  w->age_s = (double)(ccp_clock_now_ns() - p->workers[index].born_ns) /
             (double)CCP_NS_PER_S;
  w->task = 0;
  w->name[0] = '\0';
  for (int i = 0; i < CCP_WINDOW && used; i++) {
    ccp_claim_word c;
    if (!p->by_slot[i])
      continue;
    c = ccp_board_look(p->plan.board, i);
    if (c.state != CCP_CLAIMED || c.worker != index)
      continue;
    w->task = (int64_t)p->poster.pos[i] + 1;
    if (p->by_slot[i]->rules && p->by_slot[i]->rules->name)
      (void)snprintf(w->name, sizeof w->name, "%s", p->by_slot[i]->rules->name);
  }
  ccp_lock_release(&p->lock);
  return used;
}

int ccp_pool_trace(ccp_pool *p, const char *path) {
  ccp_trace *t = NULL, *old;
  int error;
  if (path) {
    t = ccp_trace_open(path, p->plan.is_process);
    if (!t)
      return CCP_E_SYS;
  }
  ccp_lock_acquire(&p->lock);
  ccp_pool_drain_locked(p);
  old = p->trace;
  p->trace = t;
  atomic_store(&p->plan.board->trace, t != NULL);
  for (uint32_t i = 0; t && i < ccp_pool_high(p); i++)
    if (p->workers[i].used && p->workers[i].pid)
      ccp_trace_worker(t, i, p->workers[i].pid, p->plan.name);
  ccp_lock_release(&p->lock);
  error = old ? ccp_trace_close(old) : 0;
  if (error) {
    errno = error;
    return CCP_E_SYS;
  }
  return CCP_OK;
}

void ccp_pool_times(ccp_pool *p, ccp_histogram *waited, ccp_histogram *ran) {
  ccp_histogram_clear(waited);
  ccp_histogram_clear(ran);
  ccp_lock_acquire(&p->lock);
  ccp_histogram_merge(waited, &p->waited);
  ccp_histogram_merge(ran, &p->ran);
  for (uint32_t i = 0; i < ccp_pool_high(p); i++)
    if (p->workers[i].used) {
      ccp_histogram_merge(waited, &p->plan.board->records[i].waited);
      ccp_histogram_merge(ran, &p->plan.board->records[i].ran);
    }
  ccp_lock_release(&p->lock);
}
