/*
** The way of a task through the pool: backlog, board, replies, completed list.
** Everything runs under the pool's lock, in the owner's thread or in the
** supervisor.
*/
#include "pool/state.h"

#include <signal.h>
#include <string.h>

#include "os/codes.h"
#include "os/fault.h"
#include "os/fd.h"
#include "shared/arena.h"

/* ------------------------------------------------------------ completing */

/* A chunk may be listed many times, but only once at a time. The owner is rung
** by who changes the list while the owner may be asleep: see ccp_pool_drain. */
void ccp_pool_list_locked(ccp_pool *p, ccp_task *t) {
  if (t->listed)
    return;
  t->listed = 1;
  t->completed = NULL; /* 'taken' stays: the owner may still walk that list */
  if (p->completed.tail)
    p->completed.tail->completed = t;
  else
    p->completed.head = t;
  p->completed.tail = t;
  if (p->completed.head == t)
    atomic_store_explicit(&p->stirred, 1, memory_order_seq_cst);
}

void ccp_pool_count_locked(ccp_pool *p, uint8_t status, uint32_t items) {
  p->unfinished_items -= items;
  if (status == CCP_R_VALUES)
    p->counts.done += items;
  else if (status == CCP_R_CANCELLED)
    p->counts.cancelled += items;
  else
    p->counts.failed += items;
}

void ccp_pool_finish_locked(ccp_pool *p, ccp_task *t) {
  t->state = CCP_T_FINISHED;
  t->slot = -1;
  p->unfinished--;
  if (t->fd >= 0)
    ccp_fd_ring(t->fd);
  ccp_pool_list_locked(p, t);
}

void ccp_pool_end_locked(ccp_pool *p, ccp_task *t, uint8_t status,
                         const void *bytes, size_t len) {
  uint32_t missing = t->items - t->done;
  ccp_pool_count_locked(p, status, missing);
  if (!t->is_chunk) {
    t->status = status;
    if (ccp_bytes_set(&t->body, bytes, len) != CCP_OK)
      t->status = CCP_R_MEMORY;
  } else
    for (uint32_t i = 0; i < missing; i++)
      if (ccp_chunk_add_reply(ccp_chunk_of(t), status, bytes, len, 0) != CCP_OK)
        t->status = CCP_R_MEMORY;
  t->done = t->items;
  ccp_pool_finish_locked(p, t);
}

/* ------------------------------------------------------------ posting */

static int post(ccp_pool *p, ccp_task *t) {
  ccp_board *b = p->plan.board;
  int slot = ccp_board_room(b, &p->poster);
  if (slot < 0)
    return CCP_E_FULL;
  ccp_board_post(b, &p->poster, slot, ccp_bytes_at(&t->body), t->body.len,
                 t->body.len > CCP_ANNEX_BYTES, t->posted);
  p->by_slot[slot] = t;
  t->slot = (int16_t)slot;
  t->state = CCP_T_POSTED;
  return CCP_OK;
}

static void set_backlog(ccp_pool *p) {
  atomic_store_explicit(&p->plan.board->backlog, p->backlog.n,
                        memory_order_relaxed);
}

static int wants_staff(const ccp_pool *p) {
  return p->live < p->max_workers && p->unfinished_items > p->live;
}

void ccp_pool_fill_locked(ccp_pool *p) {
  int posted = 0;
  while (p->backlog.head && p->poster.used < CCP_WINDOW) {
    ccp_task *t = p->backlog.head;
    ccp_list_remove(&p->backlog, t);
    (void)post(p, t);
    posted = 1;
  }
  set_backlog(p);
  if (wants_staff(p))
    ccp_pool_staff_locked(p, p->unfinished_items);
  if (posted)
    ccp_board_wake(p->plan.board, &p->poster);
}

enum { DRAIN_EVERY = 256 }; /* submits: keeps rings short and tasks warm */

int ccp_pool_submit(ccp_pool *p, ccp_task *t) {
  int rc = CCP_OK;
  ccp_lock_acquire(&p->lock);
  if (p->life != CCP_P_OPEN)
    rc = CCP_E_CLOSED;
  else if (p->broken)
    rc = CCP_E_BROKEN;
  else {
    t->state = CCP_T_BACKLOG;
    t->posted = t->items;
    p->unfinished++;
    p->unfinished_items += t->items;
    p->counts.submitted += t->items;
    /* draining first also keeps workers from being started for tasks that are
    ** through */
    if (++p->begun % DRAIN_EVERY == 0 || p->poster.used == CCP_WINDOW ||
        wants_staff(p))
      ccp_pool_drain_locked(p);
    if (!p->backlog.head && post(p, t) == CCP_OK) {
      if (wants_staff(p))
        ccp_pool_staff_locked(p, p->unfinished_items);
      ccp_board_wake(p->plan.board, &p->poster);
    } else {
      ccp_list_append(&p->backlog, t);
      ccp_pool_fill_locked(p);
    }
  }
  ccp_lock_release(&p->lock);
  return rc;
}

int ccp_pool_withdraw_locked(ccp_pool *p, ccp_task *t) {
  if (t->state == CCP_T_BACKLOG) {
    ccp_list_remove(&p->backlog, t);
    set_backlog(p);
    return 1;
  }
  if (t->state != CCP_T_POSTED ||
      !ccp_board_retract(p->plan.board, &p->poster, t->slot))
    return 0;
  p->by_slot[t->slot] = NULL;
  t->slot = -1;
  return 1;
}

/* ------------------------------------------------------------ replies */

void ccp_pool_release_locked(ccp_pool *p, ccp_task *t) {
  p->by_slot[t->slot] = NULL;
  ccp_board_release(p->plan.board, &p->poster, t->slot);
  t->slot = -1;
}

static void one_reply(ccp_pool *p, ccp_task *t, const ccp_reply *r) {
  t->status = r->status;
  t->done = 1;
  if (r->is_block)
    ccp_bytes_adopt(&t->body, ccp_arena_own(r->bytes), r->len);
  else if (ccp_bytes_set(&t->body, r->bytes, r->len) != CCP_OK)
    t->status = CCP_R_MEMORY;
  ccp_pool_count_locked(p, t->status, 1);
  ccp_pool_release_locked(p, t);
  ccp_pool_finish_locked(p, t);
}

static void item_reply(ccp_pool *p, ccp_task *t, const ccp_reply *r) {
  if (ccp_chunk_add_reply(ccp_chunk_of(t), r->status, r->bytes, r->len,
                          r->is_block) != CCP_OK)
    t->status = CCP_R_MEMORY;
  t->done++;
  ccp_pool_count_locked(p, r->status, 1);
  if (t->done == t->items) {
    ccp_pool_release_locked(p, t);
    ccp_pool_finish_locked(p, t);
  } else
    ccp_pool_list_locked(p, t);
}

/* Nothing in a reply is taken on trust: it must answer a call that lies on the
** board now, and that call's next item. What does not is forgotten. */
static void take_reply(ccp_pool *p, ccp_worker *w, const ccp_reply *r) {
  ccp_task *t;
  if (r->is_block)
    w->last_block = r->bytes;
  if (r->slot == CCP_NO_SLOT && r->status == CCP_R_INIT) {
    ccp_pool_break_locked(p, CCP_R_ERROR, r->bytes, r->len);
    if (r->is_block)
      ccp_arena_free(ccp_arena_own(r->bytes));
    return;
  }
  t = r->slot < CCP_WINDOW ? p->by_slot[r->slot] : NULL;
  if (!t || !ccp_board_is(&p->poster, r->slot, r->lap) ||
      r->status > CCP_R_MEMORY || r->item + t->base != t->done) {
    if (r->is_block)
      ccp_arena_free(ccp_arena_own(r->bytes));
    return;
  }
  p->barren = 0;
  if (t->is_chunk)
    item_reply(p, t, r);
  else
    one_reply(p, t, r);
}

/* ------------------------------------------------------------ draining */

void ccp_pool_drain_locked(ccp_pool *p) {
  for (uint32_t i = 0; i < p->max_workers; i++) {
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
  int over;
  ccp_lock_acquire(&p->lock);
  ccp_pool_drain_locked(p);
  if (p->backlog.head)
    ccp_pool_fill_locked(p);
  over = p->life == CCP_P_DRAINING && p->unfinished == 0;
  ccp_lock_release(&p->lock);
  if (over) /* closing is the supervisor's */
    ccp_fd_ring(p->supervisor_fd);
}

int ccp_pool_stirs(const ccp_pool *p) {
  const ccp_board *b = p->plan.board;
  if (atomic_load_explicit(&p->stirred, memory_order_seq_cst) ||
      atomic_load_explicit(&b->ask, memory_order_seq_cst))
    return 1;
  for (uint32_t i = 0; i < p->max_workers; i++)
    if (ccp_replies_any(b, i))
      return 1;
  return 0;
}

ccp_task *ccp_pool_take(ccp_pool *p) {
  ccp_task *list;
  if (!atomic_load_explicit(&p->stirred, memory_order_seq_cst))
    return NULL;
  ccp_lock_acquire(&p->lock);
  atomic_store_explicit(&p->stirred, 0, memory_order_seq_cst);
  list = p->completed.head;
  memset(&p->completed, 0, sizeof p->completed);
  for (ccp_task *t = list; t; t = t->completed) {
    t->final = t->state == CCP_T_FINISHED;
    t->listed = 0; /* a chunk may be listed anew while its owner walks these */
    t->taken = t->completed;
  }
  ccp_lock_release(&p->lock);
  return list;
}
