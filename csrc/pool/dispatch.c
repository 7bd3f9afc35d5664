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

/* ------------------------------------------------------------ lists */

void ccp_list_append(ccp_task_list *l, ccp_task *t) {
  t->next = NULL;
  t->prev = l->tail;
  if (l->tail)
    l->tail->next = t;
  else
    l->head = t;
  l->tail = t;
  l->n++;
}

void ccp_list_push_front(ccp_task_list *l, ccp_task *t) {
  t->prev = NULL;
  t->next = l->head;
  if (l->head)
    l->head->prev = t;
  else
    l->tail = t;
  l->head = t;
  l->n++;
}

void ccp_list_remove(ccp_task_list *l, ccp_task *t) {
  if (t->prev)
    t->prev->next = t->next;
  else
    l->head = t->next;
  if (t->next)
    t->next->prev = t->prev;
  else
    l->tail = t->prev;
  t->next = t->prev = NULL;
  l->n--;
}

/* ------------------------------------------------------------ completing */

/* A chunk may be listed many times, but only once at a time. The owner is rung
** by who changes the list while the owner may be asleep: see ccp_pool_drain. */
static void list_completed(ccp_pool *p, ccp_task *t) {
  if (t->listed)
    return;
  t->listed = 1;
  t->next = NULL; /* 'taken' stays: the owner may still walk that list */
  if (p->completed.tail)
    p->completed.tail->next = t;
  else
    p->completed.head = t;
  p->completed.tail = t;
  if (p->completed.head == t)
    atomic_store_explicit(&p->stirred, 1, memory_order_seq_cst);
}

static void count_reply(ccp_pool *p, uint8_t status, uint32_t items) {
  p->unfinished_items -= items;
  if (status == CCP_R_VALUES)
    p->counts.done += items;
  else if (status == CCP_R_CANCELLED)
    p->counts.cancelled += items;
  else
    p->counts.failed += items;
}

static void finish(ccp_pool *p, ccp_task *t) {
  t->state = CCP_T_FINISHED;
  t->slot = -1;
  p->unfinished--;
  if (t->fd >= 0)
    ccp_fd_ring(t->fd);
  list_completed(p, t);
}

void ccp_pool_end_locked(ccp_pool *p, ccp_task *t, uint8_t status,
                         const void *bytes, size_t len) {
  uint32_t missing = t->items - t->done;
  count_reply(p, status, missing);
  if (!t->is_chunk) {
    t->status = status;
    if (ccp_bytes_set(&t->body, bytes, len) != CCP_OK)
      t->status = CCP_R_MEMORY;
  } else
    for (uint32_t i = 0; i < missing; i++)
      if (ccp_chunk_add_reply(ccp_chunk_of(t), status, bytes, len, 0) !=
          CCP_OK)
        t->status = CCP_R_MEMORY;
  t->done = t->items;
  finish(p, t);
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

void ccp_pool_fill_locked(ccp_pool *p) {
  int posted = 0;
  while (p->backlog.head && p->poster.used < CCP_WINDOW) {
    ccp_task *t = p->backlog.head;
    ccp_list_remove(&p->backlog, t);
    (void)post(p, t);
    posted = 1;
  }
  set_backlog(p);
  if (p->live < p->max_workers && p->unfinished_items > p->live)
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
        (p->live < p->max_workers && p->unfinished_items > p->live))
      ccp_pool_drain_locked(p);
    if (!p->backlog.head && post(p, t) == CCP_OK) {
      if (p->live < p->max_workers && p->unfinished_items > p->live)
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

static void release_slot(ccp_pool *p, ccp_task *t) {
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
  count_reply(p, t->status, 1);
  release_slot(p, t);
  finish(p, t);
}

static void item_reply(ccp_pool *p, ccp_task *t, const ccp_reply *r) {
  if (ccp_chunk_add_reply(ccp_chunk_of(t), r->status, r->bytes, r->len,
                          r->is_block) != CCP_OK)
    t->status = CCP_R_MEMORY;
  t->done++;
  count_reply(p, r->status, 1);
  if (t->done == t->items) {
    release_slot(p, t);
    finish(p, t);
  } else
    list_completed(p, t);
}

/* Nothing in a reply is taken on trust: it must answer a call that lies on the
** board now, and that call's next item. What does not is forgotten. */
static void take_reply(ccp_pool *p, ccp_worker *w, const ccp_reply *r) {
  ccp_task *t;
  if (r->is_block)
    w->last_block = r->bytes;
  if (r->slot == CCP_NO_SLOT && r->status == CCP_R_INIT) {
    ccp_pool_break_locked(p, CCP_R_ERROR, r->bytes, r->len);
    return;
  }
  t = r->slot < CCP_WINDOW ? p->by_slot[r->slot] : NULL;
  if (!t || p->poster.lap[r->slot] != r->lap || r->status > CCP_R_MEMORY ||
      r->item + t->base != t->done) {
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

/* ------------------------------------------------------------ balance */

static ccp_task *largest_chunk(ccp_pool *p) {
  ccp_task *best = NULL;
  uint32_t most = 0;
  for (int i = 0; i < CCP_WINDOW; i++) {
    ccp_task *t = p->poster.taken[i] > 1 ? p->by_slot[i] : NULL;
    ccp_claim_word w;
    if (!t)
      continue;
    w = ccp_board_look(p->plan.board, i);
    if (w.state == CCP_CLAIMED && w.limit > w.next &&
        (uint32_t)(w.limit - w.next) > most) {
      most = (uint32_t)(w.limit - w.next);
      best = t;
    }
  }
  return best;
}

/* Takes items of a running chunk back, all but 'keep': the chunk that they
** make, or NULL. Its items follow those of t. */
static ccp_task *split(ccp_pool *p, ccp_task *t, uint32_t keep) {
  ccp_chunk *whole = ccp_chunk_of(t);
  ccp_chunk *rest = ccp_chunk_new(t->owner, 0, 0);
  uint32_t items = t->items, posted = t->posted;
  int from;
  if (!rest)
    return NULL;
  from = ccp_board_cut(p->plan.board, t->slot, keep);
  if (from < 0 || (uint32_t)from >= posted) {
    ccp_chunk_free(rest);
    return NULL;
  }
  t->posted = (uint32_t)from;
  t->items = t->base + t->posted;
  rest->first = whole->first + t->items;
  rest->task.items = rest->task.posted = rest->known = items - t->items;
  rest->segment = whole->segment;
  whole->segment = rest;
  p->unfinished++;
  if (ccp_chunk_body_part(&t->body, t->posted, posted, &rest->task.body) !=
      CCP_OK)
    ccp_pool_end_locked(p, &rest->task, CCP_R_MEMORY, NULL, 0);
  if (t->done == t->items) { /* all that was left of it is through already */
    release_slot(p, t);
    finish(p, t);
  }
  return &rest->task;
}

/* An idle worker asked for a share. While calls wait, it needs none. */
static void balance(ccp_pool *p) {
  ccp_board *b = p->plan.board;
  uint32_t idle = ccp_board_idle(b) + 1; /* who asked may not sleep yet */
  if (!atomic_exchange_explicit(&b->ask, 0, memory_order_seq_cst))
    return;
  for (; idle > 0 && !p->backlog.head && !ccp_board_any(b); idle--) {
    ccp_task *t = largest_chunk(p), *rest;
    ccp_claim_word w;
    if (!t)
      return;
    w = ccp_board_look(b, t->slot);
    rest = split(p, t, w.limit > w.next ? (uint32_t)(w.limit - w.next) / 2 : 0);
    if (!rest)
      return;
    if (rest->state == CCP_T_FINISHED)
      continue;
    rest->state = CCP_T_BACKLOG;
    ccp_list_append(&p->backlog, rest);
    ccp_pool_fill_locked(p);
  }
}

/* ------------------------------------------------------------ draining */

void ccp_pool_drain_locked(ccp_pool *p) {
  for (uint32_t i = 0; i < p->max_workers; i++) {
    ccp_worker *w = &p->workers[i];
    ccp_reply r;
    int rc = CCP_E_FULL, any = 0;
    if (!w->used || !ccp_replies_any(p->plan.board, i))
      continue;
    while ((rc = ccp_replies_next(p->plan.board, i, &w->reader, &r)) ==
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
  if (atomic_load_explicit(&p->plan.board->ask, memory_order_relaxed))
    balance(p);
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
  for (ccp_task *t = list; t; t = t->next) {
    t->final = t->state == CCP_T_FINISHED;
    t->listed = 0; /* a chunk may be listed anew while its owner walks these */
    t->taken = t->next;
  }
  ccp_lock_release(&p->lock);
  return list;
}

/* ------------------------------------------------------------ ending tasks */

/* For an owner that waits for no item any more: t shrinks to what has started. */
void ccp_pool_cut_chunk_locked(ccp_pool *p, ccp_task *t) {
  uint32_t started = t->done;
  if (t->state == CCP_T_FINISHED)
    return;
  if (!ccp_pool_withdraw_locked(p, t)) {
    int from = ccp_board_cut(p->plan.board, t->slot, 0);
    if (from < 0 || (uint32_t)from >= t->posted)
      return;
    t->posted = (uint32_t)from;
    started = t->base + t->posted;
  }
  count_reply(p, CCP_R_CANCELLED, t->items - started);
  t->items = started;
  if (t->done < started)
    return; /* the running item's reply will finish it */
  if (t->slot >= 0)
    release_slot(p, t);
  finish(p, t);
}

void ccp_pool_end_all_locked(ccp_pool *p, int running_too, uint8_t status,
                             const void *bytes, size_t len) {
  while (p->backlog.head) {
    ccp_task *t = p->backlog.head;
    (void)ccp_pool_withdraw_locked(p, t);
    ccp_pool_end_locked(p, t, status, bytes, len);
  }
  for (int i = 0; i < CCP_WINDOW; i++) {
    ccp_task *t = p->by_slot[i];
    if (!t)
      continue;
    if (ccp_pool_withdraw_locked(p, t))
      ccp_pool_end_locked(p, t, status, bytes, len);
    else if (running_too) {
      release_slot(p, t);
      ccp_pool_end_locked(p, t, status, bytes, len);
    } else if (t->is_chunk && (t = split(p, t, 0)) != NULL &&
               t->state != CCP_T_FINISHED)
      ccp_pool_end_locked(p, t, status, bytes, len);
  }
}

void ccp_pool_break_locked(ccp_pool *p, uint8_t status, const void *bytes,
                           size_t len) {
  unsigned char *text;
  if (p->broken)
    return;
  p->broken = 1;
  p->cause_status = status;
  ccp_bytes_init(&p->cause);
  text = ccp_bytes_extend(&p->cause, len + 1);
  if (text) {
    text[0] = status;
    if (len)
      memcpy(text + 1, bytes, len);
  }
  ccp_pool_end_all_locked(p, 0, CCP_R_BROKEN, ccp_bytes_at(&p->cause),
                          p->cause.len);
}
