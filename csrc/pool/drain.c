/*
** The way back: replies out of the rings, to their tasks, to the completed
** list. Under the pool's lock, in the owner's thread or in the supervisor.
*/
#include "pool/state.h"

#include <signal.h>
#include <string.h>

#include "os/codes.h"
#include "os/fault.h"
#include "os/fd.h"
#include "shared/arena.h"

/* ------------------------------------------------------------ replies */

void ccp_pool_take_off_locked(ccp_pool *p, ccp_task *t) {
  p->by_slot[t->slot] = NULL;
  if (t->rules)
    ccp_pool_timed_locked(p, t, -1);
}

void ccp_pool_release_locked(ccp_pool *p, ccp_task *t) {
  ccp_pool_take_off_locked(p, t);
  ccp_board_release(p->plan.board, &p->poster, t->slot);
  t->slot = -1;
}

static void one_reply(ccp_pool *p, uint32_t worker, ccp_task *t,
                      const ccp_reply *r) {
  t->status = r->status;
  t->done = 1;
  t->worker = (uint16_t)(worker + 1);
  t->pid = p->workers[worker].pid;
  if (r->is_block)
    ccp_bytes_adopt(&t->body, ccp_arena_own(r->bytes), r->len);
  else if (ccp_bytes_set(&t->body, r->bytes, r->len) != CCP_OK)
    t->status = CCP_R_MEMORY;
  ccp_pool_count_locked(p, t->status, 1);
  ccp_pool_release_locked(p, t);
  ccp_pool_finish_locked(p, t);
}

static void free_block(const ccp_reply *r) {
  if (r->is_block)
    ccp_arena_free(ccp_arena_own(r->bytes));
}

static void item_reply(ccp_pool *p, ccp_task *t, const ccp_reply *r) {
  if (ccp_chunk_add_reply(ccp_chunk_of(t), r->status, r->bytes, r->len,
                          r->is_block) != CCP_OK)
    free_block(r);
  t->done++;
  ccp_pool_count_locked(p, r->status, 1);
  if (t->done == t->items) {
    ccp_pool_release_locked(p, t);
    ccp_pool_finish_locked(p, t);
  } else
    ccp_pool_list_locked(p, t);
}

/* A broadcast that fails in a worker that was born after it is as an
** initializer that fails. */
static void news_reply(ccp_pool *p, ccp_worker *w, const ccp_reply *r) {
  w->news++;
  if (r->status == CCP_R_VALUES || r->status > CCP_R_MEMORY)
    return;
  if (w->news <= w->news_before)
    ccp_pool_break_locked(p, r->status, r->bytes, r->len);
  else if (p->bad_news.number == 0) {
    p->bad_news.number = w->news;
    p->bad_news.status = r->status;
    (void)ccp_bytes_set(&p->bad_news.why, r->bytes, r->len);
  }
}

static void trace_note(ccp_pool *p, uint32_t worker, const ccp_task *t,
                       const ccp_reply *r) {
  ccp_trace_note note;
  if (!p->trace || r->len != sizeof note || r->is_block)
    return;
  memcpy(&note, r->bytes, sizeof note);
  ccp_trace_item(p->trace, worker, p->workers[worker].pid,
                 t->rules ? t->rules->name : NULL, p->poster.pos[r->slot] + 1,
                 note.began_ns, note.ended_ns);
  if (ccp_trace_is_due(p->trace))
    ccp_fd_ring(p->supervisor_fd);
}

/* Replies that answer no call. */
static void odd_reply(ccp_pool *p, ccp_worker *w, const ccp_reply *r) {
  if (r->status == CCP_R_INIT)
    ccp_pool_break_locked(p, r->len ? CCP_R_ERROR : CCP_R_MEMORY, r->bytes,
                          r->len);
  else
    news_reply(p, w, r);
  free_block(r);
}

/* With its first reply a worker's process is known, and with it its row in a
** trace. */
static void meet(ccp_pool *p, uint32_t worker) {
  int32_t pid = atomic_load_explicit(&p->plan.board->records[worker].pid,
                                     memory_order_relaxed);
  p->workers[worker].pid = pid;
  if (p->trace)
    ccp_trace_worker(p->trace, worker, pid, p->plan.name);
}

/* Nothing in a reply is taken on trust: it must answer a call that lies on the
** board now, and that call's next item. What does not is forgotten. */
static void take_reply(ccp_pool *p, ccp_worker *w, const ccp_reply *r) {
  uint32_t worker = (uint32_t)(w - p->workers);
  ccp_task *t;
  if (r->is_block)
    w->last_block = r->bytes;
  if (!w->pid)
    meet(p, worker);
  if (r->slot == CCP_NO_SLOT) {
    odd_reply(p, w, r);
    return;
  }
  t = r->slot < CCP_WINDOW ? p->by_slot[r->slot] : NULL;
  if (!t || !ccp_board_is(&p->poster, r->slot, r->lap) ||
      r->item + t->base != t->done ||
      (r->status > CCP_R_MEMORY && r->status != CCP_R_TRACE)) {
    free_block(r);
    return;
  }
  if (r->status == CCP_R_TRACE) {
    trace_note(p, worker, t, r);
    free_block(r);
    return;
  }
  p->barren = 0;
  if (t->is_chunk)
    item_reply(p, t, r);
  else
    one_reply(p, worker, t, r);
}

/* ------------------------------------------------------------ draining */

/* The task of the reply after this one is needed in a moment. */
static void fetch_ahead(const ccp_pool *p, uint32_t worker,
                        const ccp_reader *at) {
  int slot = ccp_replies_peek(p->plan.board, worker, at);
  if (slot >= 0 && slot < CCP_WINDOW)
    __builtin_prefetch(p->by_slot[slot], 1);
}

void ccp_pool_drain_locked(ccp_pool *p) {
  uint32_t high = ccp_pool_high(p);
  for (uint32_t i = 0; i < high; i++) {
    ccp_worker *w = &p->workers[i];
    ccp_reply r;
    int rc = CCP_E_FULL, any = 0;
    uint64_t from = w->reader.tail; /* a ring's worth at a time */
    if (!w->used || !ccp_replies_any(p->plan.board, i))
      continue;
    while (w->reader.tail - from < CCP_RING_BYTES &&
           (rc = ccp_replies_next(p->plan.board, i, &w->reader, &r)) ==
               CCP_OK) {
      CCP_FAULT("drain");
      fetch_ahead(p, i, &w->reader);
      take_reply(p, w, &r);
      any = 1;
    }
    if (any)
      ccp_replies_done(p->plan.board, i, &w->reader);
    if (rc == CCP_E_BADDATA && p->plan.is_process) /* it went mad */
      (void)ccp_zygote_send(&p->zygote, CCP_Z_SIGNAL, i, SIGKILL);
  }
  if (atomic_load_explicit(&p->plan.board->ask, memory_order_seq_cst))
    ccp_pool_balance_locked(p);
}

void ccp_pool_drain(ccp_pool *p) {
  ccp_lock_acquire(&p->lock);
  ccp_pool_drain_locked(p);
  if (p->backlog.n)
    ccp_pool_fill_locked(p);
  ccp_lock_release(&p->lock);
}

int ccp_pool_stirs(const ccp_pool *p, const ccp_party *party) {
  const ccp_board *b = p->plan.board;
  uint32_t high = ccp_pool_high(p);
  if (atomic_load_explicit(party ? &party->stirred : &p->home.stirred,
                           memory_order_seq_cst) ||
      atomic_load_explicit(&b->ask, memory_order_seq_cst))
    return 1;
  for (uint32_t i = 0; i < high; i++)
    if (ccp_replies_any(b, i))
      return 1;
  return 0;
}

ccp_task *ccp_pool_take(ccp_pool *p, ccp_party *party) {
  ccp_task *list;
  party = party ? party : &p->home;
  if (!atomic_load_explicit(&party->stirred, memory_order_seq_cst))
    return NULL;
  ccp_lock_acquire(&p->lock);
  atomic_store_explicit(&party->stirred, 0, memory_order_seq_cst);
  list = party->head;
  party->head = party->tail = NULL;
  for (ccp_task *t = list; t; t = t->completed) {
    t->final = t->state == CCP_T_FINISHED;
    t->listed = 0; /* a chunk may be listed anew while its owner walks these */
    t->taken = t->completed;
  }
  ccp_lock_release(&p->lock);
  return list;
}
